// Package trust decides whether the two tenants of a route trust each other: whether their policies say that people of one may have
// external users in the other, without being asked. tenantsync works inside one organization only, and this is how it knows.
package trust

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Policies are what a tenant says about the other tenant of a route.
type Policies struct {
	// Partner are the cross-tenant access settings for the other tenant; nil: there are none. What it leaves out the default says.
	Partner *Settings
	// Default are those for every tenant.
	Default Settings
	// InvitesFrom is allowInvitesFrom of the authorization policy, as Graph spells it. It counts in a target only.
	InvitesFrom string
}

// Settings are cross-tenant access settings, by the way that people go.
type Settings struct{ Inbound, Outbound Direction }

// Direction is what is said about people on one way.
type Direction struct {
	// Redeems: invitations are redeemed automatically (automaticUserConsentSettings). nil: not said, which in the default means no.
	Redeems *bool
	// Users are those that B2B collaboration allows or blocks (usersAndGroups). nil: not said, which in the default means all are allowed.
	Users *Users
}

// Users are whom a setting is about.
type Users struct {
	Blocked bool     // otherwise they are allowed
	Targets []string // object ids, or AllUsers
}

// AllUsers is the target that means everybody.
const AllUsers = "AllUsers"

// Finding is a setting that keeps a route from running, and what mends it.
type Finding struct {
	Tenant  tenant.Tenant // whose setting it is
	Setting string        // its name in Graph
	Problem string        // what is wrong with it, for people
	Mend    Call
}

// Call is a request to Microsoft Graph.
type Call struct{ Method, Path, Body string }

// String says what is wrong and what to do about it.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s (%s); to mend it, in tenant %s: %s %s %s",
		f.Tenant.Name, f.Problem, f.Setting, f.Tenant.ID, f.Mend.Method, f.Mend.Path, f.Mend.Body)
}

// Check finds every setting that keeps people of the source from having external users in the target, in the order in which they are
// to be mended. None: the route may run.
//
//   - Automatic redemption must be on, outbound in the source and inbound in the target.
//   - B2B collaboration must not be blocked for all users, outbound in the source and inbound in the target. Lists of some users or
//     groups are not judged, nor are applications: whom Graph refuses one by one, it refuses with a reason.
//   - The target must let applications invite. They may not when allowInvitesFrom is none or adminsAndGuestInviters ("application
//     permissions do not work if B2B invitations are disabled or restricted to administrators": reference of invitation-post).
func Check(route tenant.Route, source, target Policies) []Finding {
	found := half{tenant: route.Source, partner: route.Target, policies: source}.check()
	found = append(found, half{tenant: route.Target, partner: route.Source, policies: target, inbound: true}.check()...)
	if from := target.InvitesFrom; from == "none" || from == "adminsAndGuestInviters" {
		found = append(found, Finding{
			Tenant: route.Target, Setting: "allowInvitesFrom", Problem: "applications may not invite people, for the setting is " + from,
			Mend: Call{"PATCH", "/v1.0/policies/authorizationPolicy", `{"allowInvitesFrom":"adminsGuestInvitersAndAllMembers"}`},
		})
	}
	return found
}

// half is what one tenant of a route says.
type half struct {
	tenant, partner tenant.Tenant
	policies        Policies
	inbound         bool // people come; otherwise they go
}

func (h half) check() (found []Finding) {
	way, b2b, people := "outboundAllowed", "b2bCollaborationOutbound", "people who go to "
	if h.inbound {
		way, b2b, people = "inboundAllowed", "b2bCollaborationInbound", "people who come from "
	}
	people += h.partner.Name
	says := h.says()
	if says.Redeems == nil || !*says.Redeems {
		found = append(found, Finding{
			Setting: "automaticUserConsentSettings." + way, Problem: "invitations of " + people + " are not redeemed automatically",
			Mend: Call{Body: `"automaticUserConsentSettings":{"` + way + `":true}`},
		})
	}
	if u := says.Users; u != nil && u.Blocked && slices.Contains(u.Targets, AllUsers) {
		found = append(found, Finding{
			Setting: b2b + ".usersAndGroups", Problem: "B2B collaboration is blocked for all " + people,
			Mend: Call{Body: `"` + b2b + `":{"usersAndGroups":{"accessType":"allowed","targets":[{"target":"AllUsers","targetType":"user"}]}}`},
		})
	}
	exists := h.policies.Partner != nil
	for i := range found {
		found[i].Tenant, found[i].Mend = h.tenant, h.call(found[i].Mend.Body, exists)
		exists = true // the first call has made them
	}
	return found
}

// says is what holds on the way of the route: the settings for the partner, and the default where they say nothing.
func (h half) says() Direction {
	own, otherwise := Settings{}, h.policies.Default
	if h.policies.Partner != nil {
		own = *h.policies.Partner
	}
	a, b := own.Outbound, otherwise.Outbound
	if h.inbound {
		a, b = own.Inbound, otherwise.Inbound
	}
	return Direction{Redeems: cmp.Or(a.Redeems, b.Redeems), Users: cmp.Or(a.Users, b.Users)}
}

// call changes a setting for the partner, for whom there may be no settings yet.
func (h half) call(setting string, exists bool) Call {
	const partners = "/v1.0/policies/crossTenantAccessPolicy/partners"
	if exists {
		return Call{"PATCH", partners + "/" + h.partner.ID, "{" + setting + "}"}
	}
	return Call{"POST", partners, `{"tenantId":"` + h.partner.ID + `",` + setting + "}"}
}
