package trust_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/trust"
)

var route = tenant.Route{
	Name:   "fabrikam-us→contoso",
	Source: tenant.Tenant{Name: "fabrikam-us", ID: "11111111-1111-4111-8111-111111111111"},
	Target: tenant.Tenant{Name: "contoso", ID: "22222222-2222-4222-8222-222222222222"},
}

// everybody is blocked or allowed.
func everybody(blocked bool) *trust.Users {
	return &trust.Users{Blocked: blocked, Targets: []string{trust.AllUsers}}
}

// trusting is what a tenant of one organization says: settings for the partner that redeem, and a default that does not.
func trusting() trust.Policies {
	return trust.Policies{
		Partner: &trust.Settings{Inbound: trust.Direction{Redeems: new(true)}, Outbound: trust.Direction{Redeems: new(true)}},
		Default: trust.Settings{Inbound: trust.Direction{Redeems: new(false), Users: everybody(false)},
			Outbound: trust.Direction{Redeems: new(false), Users: everybody(false)}},
		InvitesFrom: "everyone",
	}
}

// Findings of one setting each, as the table below knows them.
const (
	sourceRedeems = "fabrikam-us automaticUserConsentSettings.outboundAllowed"
	targetRedeems = "contoso automaticUserConsentSettings.inboundAllowed"
	sourceUsers   = "fabrikam-us b2bCollaborationOutbound.usersAndGroups"
	targetUsers   = "contoso b2bCollaborationInbound.usersAndGroups"
	targetInvites = "contoso allowInvitesFrom"
)

func TestCheckFindsWhatKeepsARouteFromRunning(t *testing.T) {
	type policies = *trust.Policies
	for name, c := range map[string]struct {
		change func(source, target policies)
		want   []string
	}{
		"both tenants trust each other": {func(_, _ policies) {}, nil},
		"the source says no to redemption": {func(source, _ policies) {
			source.Partner.Outbound.Redeems = new(false)
		}, []string{sourceRedeems}},
		"the target says no to redemption": {func(_, target policies) {
			target.Partner.Inbound.Redeems = new(false)
		}, []string{targetRedeems}},
		"only the other directions redeem": {func(source, target policies) {
			source.Partner.Outbound.Redeems, target.Partner.Inbound.Redeems = new(false), new(false)
		}, []string{sourceRedeems, targetRedeems}},
		"the other directions do not redeem": {func(source, target policies) {
			source.Partner.Inbound.Redeems, target.Partner.Outbound.Redeems = new(false), new(false)
		}, nil},
		"the partner says nothing of redemption and the default says no": {func(_, target policies) {
			target.Partner.Inbound.Redeems = nil
		}, []string{targetRedeems}},
		"the partner says nothing of redemption and the default says yes": {func(_, target policies) {
			target.Partner.Inbound.Redeems, target.Default.Inbound.Redeems = nil, new(true)
		}, nil},
		"the partner says no to redemption and the default says yes": {func(_, target policies) {
			target.Partner.Inbound.Redeems, target.Default.Inbound.Redeems = new(false), new(true)
		}, []string{targetRedeems}},
		"nobody says anything of redemption": {func(_, target policies) {
			target.Partner.Inbound.Redeems, target.Default.Inbound.Redeems = nil, nil
		}, []string{targetRedeems}},
		"there are no settings for the partner": {func(source, target policies) {
			source.Partner, target.Partner = nil, nil
		}, []string{sourceRedeems, targetRedeems}},
		"there are no settings for the partner and the default redeems": {func(source, _ policies) {
			source.Partner, source.Default.Outbound.Redeems = nil, new(true)
		}, nil},
		"the source blocks all users": {func(source, _ policies) {
			source.Partner.Outbound.Users = everybody(true)
		}, []string{sourceUsers}},
		"the target blocks all users": {func(_, target policies) {
			target.Partner.Inbound.Users = everybody(true)
		}, []string{targetUsers}},
		"each blocks all users on the other way": {func(source, target policies) {
			source.Partner.Inbound.Users, target.Partner.Outbound.Users = everybody(true), everybody(true)
		}, nil},
		"the default blocks all users": {func(source, target policies) {
			source.Default.Outbound.Users, target.Default.Inbound.Users = everybody(true), everybody(true)
		}, []string{sourceUsers, targetUsers}},
		"the default blocks all users and the partner allows them": {func(source, target policies) {
			source.Default.Outbound.Users, target.Default.Inbound.Users = everybody(true), everybody(true)
			source.Partner.Outbound.Users, target.Partner.Inbound.Users = everybody(false), everybody(false)
		}, nil},
		"nobody says anything of users": {func(source, target policies) {
			source.Default.Outbound.Users, target.Default.Inbound.Users = nil, nil
		}, nil},
		"some users are blocked": {func(source, target policies) {
			source.Partner.Outbound.Users = &trust.Users{Blocked: true, Targets: []string{"33333333-3333-4333-8333-333333333333"}}
			target.Partner.Inbound.Users = source.Partner.Outbound.Users
		}, nil},
		"some users are allowed": {func(_, target policies) {
			target.Partner.Inbound.Users = &trust.Users{Targets: []string{"33333333-3333-4333-8333-333333333333"}}
		}, nil},
		"nobody may invite":                        {func(_, target policies) { target.InvitesFrom = "none" }, []string{targetInvites}},
		"administrators may invite":                {func(_, target policies) { target.InvitesFrom = "adminsAndGuestInviters" }, []string{targetInvites}},
		"members may invite":                       {func(_, target policies) { target.InvitesFrom = "adminsGuestInvitersAndAllMembers" }, nil},
		"who may invite is a word from the future": {func(_, target policies) { target.InvitesFrom = "" }, nil},
		"nobody may invite in the source":          {func(source, _ policies) { source.InvitesFrom = "none" }, nil},
		"nothing is as it has to be": {func(source, target policies) {
			*source, *target = trust.Policies{}, trust.Policies{InvitesFrom: "none"}
			source.Default.Outbound.Users, target.Default.Inbound.Users = everybody(true), everybody(true)
		}, []string{sourceRedeems, sourceUsers, targetRedeems, targetUsers, targetInvites}},
	} {
		t.Run(name, func(t *testing.T) {
			source, target := trusting(), trusting()
			c.change(&source, &target)
			var got []string
			for _, f := range trust.Check(route, source, target) {
				got = append(got, f.Tenant.Name+" "+f.Setting)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

func TestAFindingNamesTheCallThatMendsIt(t *testing.T) {
	source, target := trusting(), trust.Policies{InvitesFrom: "none"}
	source.Partner.Outbound.Redeems = nil
	target.Default.Inbound.Users = everybody(true)
	const policies = "/v1.0/policies/"
	want := []string{
		"fabrikam-us: invitations of people who go to contoso are not redeemed automatically (automaticUserConsentSettings.outboundAllowed); " +
			"to mend it, in tenant " + route.Source.ID + ": PATCH " + policies + "crossTenantAccessPolicy/partners/" + route.Target.ID +
			` {"automaticUserConsentSettings":{"outboundAllowed":true}}`,
		"contoso: invitations of people who come from fabrikam-us are not redeemed automatically (automaticUserConsentSettings.inboundAllowed); " +
			"to mend it, in tenant " + route.Target.ID + ": POST " + policies +
			`crossTenantAccessPolicy/partners {"tenantId":"` + route.Source.ID + `","automaticUserConsentSettings":{"inboundAllowed":true}}`,
		"contoso: B2B collaboration is blocked for all people who come from fabrikam-us (b2bCollaborationInbound.usersAndGroups); " +
			"to mend it, in tenant " + route.Target.ID + ": PATCH " + policies + "crossTenantAccessPolicy/partners/" + route.Source.ID +
			` {"b2bCollaborationInbound":{"usersAndGroups":{"accessType":"allowed","targets":[{"target":"AllUsers","targetType":"user"}]}}}`,
		"contoso: applications may not invite people, for the setting is none (allowInvitesFrom); " +
			"to mend it, in tenant " + route.Target.ID + ": PATCH " + policies + `authorizationPolicy {"allowInvitesFrom":"adminsGuestInvitersAndAllMembers"}`,
	}
	var got []string
	for _, f := range trust.Check(route, source, target) {
		got = append(got, f.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
