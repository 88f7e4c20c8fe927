package entrasim_test

import (
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// policyWorld has two tenants whose applications may set policies.
func policyWorld(t *testing.T, o entrasim.Options) *world {
	roles := []string{"Policy.ReadWrite.CrossTenantAccess", "Policy.Read.All", "Policy.ReadWrite.Authorization", "User.Invite.All", "User.ReadWrite.All"}
	o.Tenants = []entrasim.Tenant{
		{Name: "fabrikam", Domain: "fabrikam.example.com", Roles: roles}, {Name: "contoso", Domain: "contoso.example.com", Roles: roles},
	}
	return newWorld(t, o)
}

const partners = "/policies/crossTenantAccessPolicy/partners"

// consent sets automatic redemption of a tenant for a partner.
func (w *world) consent(tenant, partner string, settings map[string]any) {
	w.t.Helper()
	w.must(204, tenant, "PATCH", partners+"/"+w.tenantID(partner), map[string]any{"automaticUserConsentSettings": settings})
}

func TestAnInvitationIsRedeemedAutomaticallyWhenBothTenantsSaySo(t *testing.T) {
	w := policyWorld(t, entrasim.Options{})
	state := func(address string) any {
		w.t.Helper()
		r := w.invite("contoso", address)
		if r.status != 201 {
			t.Fatal(r.status, r.text)
		}
		id := r.body["invitedUser"].(map[string]any)["id"].(string)
		return w.must(200, "contoso", "GET", "/users/"+id+"?$select=externalUserState", nil).body["externalUserState"]
	}
	if got := state("a@fabrikam.example.com"); got != "PendingAcceptance" {
		t.Errorf("without policies the state is %v", got)
	}
	w.must(201, "contoso", "POST", partners, map[string]any{"tenantId": w.tenantID("fabrikam")})
	w.consent("contoso", "fabrikam", map[string]any{"inboundAllowed": true})
	if got := state("b@fabrikam.example.com"); got != "PendingAcceptance" {
		t.Errorf("with the word of the target alone it is %v", got)
	}
	w.must(201, "fabrikam", "POST", partners, map[string]any{"tenantId": w.tenantID("contoso")})
	w.consent("fabrikam", "contoso", map[string]any{"outboundAllowed": true})
	if got := state("c@fabrikam.example.com"); got != "Accepted" {
		t.Errorf("with the word of both it is %v", got)
	}
	if got := state("d@elsewhere.example.com"); got != "PendingAcceptance" {
		t.Errorf("for somebody of no such tenant it is %v", got)
	}
	w.consent("fabrikam", "contoso", map[string]any{"outboundAllowed": false})
	if got := state("e@fabrikam.example.com"); got != "PendingAcceptance" {
		t.Errorf("after the source took its word back it is %v", got)
	}
}

func TestBlockedPeopleAreNotInvited(t *testing.T) {
	blocked := map[string]any{"b2bCollaborationInbound": map[string]any{
		"usersAndGroups": map[string]any{"accessType": "blocked", "targets": []any{map[string]any{"target": "AllUsers", "targetType": "user"}}},
	}}
	for name, block := range map[string]func(*world){
		"by the settings for their tenant": func(w *world) {
			w.must(204, "contoso", "PATCH", partners+"/"+w.tenantID("fabrikam"), blocked)
		},
		"by the default": func(w *world) {
			w.must(204, "contoso", "DELETE", partners+"/"+w.tenantID("fabrikam"), nil)
			w.must(204, "contoso", "PATCH", "/policies/crossTenantAccessPolicy/default", blocked)
		},
		"by a ban on all but administrators": func(w *world) {
			w.must(204, "contoso", "PATCH", "/policies/authorizationPolicy", map[string]any{"allowInvitesFrom": "adminsAndGuestInviters"})
		},
		"by a ban on invitations": func(w *world) {
			w.must(204, "contoso", "PATCH", "/policies/authorizationPolicy", map[string]any{"allowInvitesFrom": "none"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := policyWorld(t, entrasim.Options{AutoRedeem: true})
			if r := w.invite("contoso", "a@fabrikam.example.com"); r.status != 201 {
				t.Fatal(r.status, r.text)
			}
			block(w)
			if r := w.invite("contoso", "b@fabrikam.example.com"); r.status != 403 {
				t.Errorf("answered %d %s", r.status, r.text)
			}
		})
	}
}

func TestPartnersAreAddedChangedListedAndRemoved(t *testing.T) {
	w := policyWorld(t, entrasim.Options{})
	id := w.tenantID("fabrikam")
	added := w.must(201, "contoso", "POST", partners, map[string]any{"tenantId": id})
	for _, name := range []string{"inboundTrust", "b2bCollaborationInbound", "b2bDirectConnectOutbound", "tenantRestrictions", "isServiceProvider"} {
		if v, there := added.body[name]; !there || v != nil {
			t.Errorf("%s of a new partner is %v, %v", name, v, there)
		}
	}
	w.refused(409, "Request_MultipleObjectsWithSameKeyValue", "contoso", "POST", partners, map[string]any{"tenantId": id})
	w.consent("contoso", "fabrikam", map[string]any{"inboundAllowed": true})
	got := w.must(200, "contoso", "GET", partners+"/"+id, nil).body["automaticUserConsentSettings"].(map[string]any)
	if got["inboundAllowed"] != true || got["outboundAllowed"] != nil {
		t.Errorf("one flag changed the other: %v", got)
	}
	if list := w.must(200, "contoso", "GET", partners, nil).values(); len(list) != 1 || list[0]["tenantId"] != id {
		t.Errorf("the partners are %v", list)
	}
	w.must(204, "contoso", "DELETE", partners+"/"+id, nil)
	w.refused(404, "Request_ResourceNotFound", "contoso", "GET", partners+"/"+id, nil)
}

func TestAPolicyRefusesWhatItCannotSay(t *testing.T) {
	w := policyWorld(t, entrasim.Options{AutoRedeem: true})
	at := partners + "/" + w.tenantID("fabrikam")
	for name, c := range map[string]struct {
		method, path string
		body         map[string]any
		status       int
	}{
		"a partner that is no tenant":      {"POST", partners, map[string]any{"tenantId": "fabrikam"}, 400},
		"a setting nobody knows":           {"PATCH", at, map[string]any{"trust": true}, 400},
		"a flag that is none":              {"PATCH", at, map[string]any{"automaticUserConsentSettings": map[string]any{"inboundAllowed": "yes"}}, 400},
		"a flag of another name":           {"PATCH", at, map[string]any{"automaticUserConsentSettings": map[string]any{"allowed": true}}, 400},
		"access that is neither":           {"PATCH", at, map[string]any{"b2bCollaborationInbound": map[string]any{"usersAndGroups": map[string]any{"accessType": "maybe", "targets": []any{}}}}, 400},
		"redemption for everybody":         {"PATCH", "/policies/crossTenantAccessPolicy/default", map[string]any{"automaticUserConsentSettings": map[string]any{"inboundAllowed": true}}, 400},
		"inviters of another kind":         {"PATCH", "/policies/authorizationPolicy", map[string]any{"allowInvitesFrom": "somebody"}, 400},
		"another setting of authorization": {"PATCH", "/policies/authorizationPolicy", map[string]any{"guestUserRoleId": "x"}, 501},
	} {
		if r := w.graph("contoso", c.method, c.path, c.body); r.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.text, c.status)
		}
	}
	w.must(204, "contoso", "POST", "/policies/crossTenantAccessPolicy/default/resetToSystemDefault", nil)
	if d := w.must(200, "contoso", "GET", "/policies/crossTenantAccessPolicy/default", nil).body; d["isServiceDefault"] != true {
		t.Errorf("the default is %v", d)
	}
}

func TestPoliciesTakeTheirPermissions(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: []string{"Policy.Read.All"}}}})
	w.must(200, "contoso", "GET", partners, nil)
	w.must(403, "contoso", "POST", partners, map[string]any{"tenantId": w.tenantID("contoso")})
	w.must(403, "contoso", "PATCH", "/policies/authorizationPolicy", map[string]any{"allowInvitesFrom": "none"})
}

func TestIdentitySynchronizationIsKeptForAPartner(t *testing.T) {
	w := policyWorld(t, entrasim.Options{})
	path := partners + "/" + w.tenantID("fabrikam") + "/identitySynchronization"
	settings := map[string]any{"displayName": "Fabrikam", "userSyncInbound": map[string]any{"isSyncAllowed": true}}
	w.must(404, "contoso", "PUT", path, settings) // no such partner
	w.must(201, "contoso", "POST", partners, map[string]any{"tenantId": w.tenantID("fabrikam")})
	w.must(404, "contoso", "GET", path, nil)
	w.must(404, "contoso", "PATCH", path, settings)
	w.must(400, "contoso", "PUT", path, map[string]any{"userSyncInbound": map[string]any{"isSyncAllowed": "yes"}})
	w.must(400, "contoso", "PUT", path, map[string]any{"groupSync": nil})
	w.must(204, "contoso", "PUT", path, settings)
	w.must(409, "contoso", "PUT", path, settings)
	w.must(204, "contoso", "PATCH", path, map[string]any{"userSyncInbound": map[string]any{"isSyncAllowed": false}})
	body := w.must(200, "contoso", "GET", path, nil).body
	if inbound, _ := body["userSyncInbound"].(map[string]any); inbound["isSyncAllowed"] != false || body["displayName"] != "Fabrikam" || body["tenantId"] != w.tenantID("fabrikam") {
		t.Errorf("the settings are %v", body)
	}
	w.must(204, "contoso", "DELETE", partners+"/"+w.tenantID("fabrikam"), nil)
	w.must(404, "contoso", "GET", path, nil)
}

func TestATenantKnowsItsDomains(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{
		{Name: "contoso", Domain: "contoso.example.com", Roles: []string{"Organization.Read.All"}}, {Name: "fabrikam", Roles: []string{"User.Read.All"}},
	}})
	value := w.must(200, "contoso", "GET", "/organization", nil).body["value"].([]any)
	organization := value[0].(map[string]any)
	var names []any
	for _, domain := range organization["verifiedDomains"].([]any) {
		names = append(names, domain.(map[string]any)["name"])
	}
	if len(value) != 1 || organization["id"] != w.tenantID("contoso") || len(names) != 2 || names[0] != "contoso.onmicrosoft.com" || names[1] != "contoso.example.com" {
		t.Errorf("the organization is %v", value)
	}
	w.must(403, "fabrikam", "GET", "/organization", nil)
}
