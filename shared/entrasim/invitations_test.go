package entrasim_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func invitedID(r reply) string {
	user, _ := r.body["invitedUser"].(map[string]any)
	id, _ := user["id"].(string)
	return id
}

func TestInvite(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	r := w.invite("contoso", "Adele@fabrikam.com")
	redeem, _ := r.body["inviteRedeemUrl"].(string)
	want := map[string]any{
		"@odata.context": w.URL() + "/v1.0/$metadata#invitations/$entity", "id": r.id(), "inviteRedeemUrl": redeem,
		"invitedUserDisplayName": nil, "invitedUserType": "Guest", "invitedUserEmailAddress": "Adele@fabrikam.com",
		"sendInvitationMessage": false, "resetRedemption": false, "inviteRedirectUrl": "https://myapps.microsoft.com",
		"status": "PendingAcceptance", "invitedUser": map[string]any{"id": invitedID(r)},
		"invitedUserMessageInfo": map[string]any{
			"messageLanguage": nil, "customizedMessageBody": nil,
			"ccRecipients": []any{map[string]any{"emailAddress": map[string]any{"name": nil, "address": nil}}},
		},
	}
	if r.status != http.StatusCreated || !reflect.DeepEqual(r.body, want) || redeem == "" {
		t.Errorf("answered %d\n%v, want 201\n%v", r.status, r.body, want)
	}
	const upn = "Adele_fabrikam.com#EXT#@contoso.onmicrosoft.com"
	user := map[string]any{
		"id": invitedID(r), "accountEnabled": true, "createdDateTime": "2026-03-01T12:00:00Z", "creationType": "Invitation",
		"displayName": "Adele", "externalUserState": "PendingAcceptance", "externalUserStateChangeDateTime": "2026-03-01T12:00:00Z",
		"mail": "Adele@fabrikam.com", "mailNickname": "Adele_fabrikam.com#EXT#", "otherMails": []string{"Adele@fabrikam.com"},
		"signInSessionsValidFromDateTime": "2026-03-01T12:00:00Z", "proxyAddresses": []string{"SMTP:Adele@fabrikam.com"}, "userPrincipalName": upn, "userType": "Guest",
		"identities": []map[string]any{{"signInType": "userPrincipalName", "issuer": "contoso.onmicrosoft.com", "issuerAssignedId": upn}},
	}
	if got := w.Users("contoso"); len(got) != 1 || !reflect.DeepEqual(got[0], user) {
		t.Errorf("the directory holds\n%v, want\n%v", got, user)
	}
}

func TestInviteBetweenTenantsThatAutoRedeem(t *testing.T) {
	w := newWorld(t, entrasim.Options{AutoRedeem: true})
	if r := w.invite("contoso", "adele@fabrikam-us.onmicrosoft.com"); r.body["status"] != "Completed" {
		t.Errorf("status is %v", r.body["status"])
	}
	want := []map[string]any{
		{"signInType": "federated", "issuer": "ExternalAzureAD", "issuerAssignedId": nil},
		{"signInType": "userPrincipalName", "issuer": "contoso.onmicrosoft.com",
			"issuerAssignedId": "adele_fabrikam-us.onmicrosoft.com#EXT#@contoso.onmicrosoft.com"},
	}
	u := w.Users("contoso")[0]
	if u["externalUserState"] != "Accepted" || !reflect.DeepEqual(u["identities"], want) {
		t.Errorf("the external user is %v", u)
	}
	if r := w.invite("contoso", "adele@elsewhere.com"); r.body["status"] != "PendingAcceptance" {
		t.Errorf("somebody from outside has the status %v", r.body["status"])
	}
}

func TestInviteAsMember(t *testing.T) {
	body := map[string]any{
		"invitedUserEmailAddress": "a@fabrikam.com", "inviteRedirectUrl": "https://a.com", "invitedUserType": "Member",
		"invitedUserDisplayName": "Adele Vance", "@odata.type": "#microsoft.graph.invitation",
	}
	w := newWorld(t, entrasim.Options{})
	w.must(http.StatusCreated, "contoso", "POST", "/invitations", body)
	if u := w.Users("contoso")[0]; u["userType"] != "Member" || u["displayName"] != "Adele Vance" {
		t.Errorf("the external user is %v", u)
	}
	w = newWorld(t, entrasim.Options{Invitations: entrasim.Invitations{RefuseMembers: true}})
	w.refused(http.StatusForbidden, "Authorization_RequestDenied", "contoso", "POST", "/invitations", body)
}

func TestInviteAgain(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := invitedID(w.invite("contoso", "adele@fabrikam.com"))
	w.must(http.StatusNoContent, "contoso", "PATCH", "/users/"+id, map[string]any{"mail": "vance@fabrikam.com"})
	r := w.invite("contoso", "ADELE@fabrikam.com")
	if _, message := r.fault(); r.status != http.StatusBadRequest ||
		!strings.Contains(message, "already exists in the directory as object ID: "+id) {
		t.Errorf("the identity is the first address, whatever mail is now; got %d %s", r.status, r.text)
	}
	if r := w.invite("contoso", "vance@fabrikam.com"); r.status != http.StatusBadRequest || !strings.Contains(r.text, id) {
		t.Errorf("the new mail is taken as well; got %d %s", r.status, r.text)
	}
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+id, nil)
	if again := invitedID(w.invite("contoso", "adele@fabrikam.com")); again == "" || again == id {
		t.Errorf("a soft-deleted user does not count; got %q, the old one is %q", again, id)
	}

	w = newWorld(t, entrasim.Options{Invitations: entrasim.Invitations{AdoptExisting: true}})
	id = invitedID(w.invite("contoso", "adele@fabrikam.com"))
	if again := invitedID(w.invite("contoso", "adele@fabrikam.com")); again != id {
		t.Errorf("adopting answers with %q, want the old id %q", again, id)
	}
}

func TestInviteRefuses(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Domain: "contoso.com"}}})
	cases := map[string]map[string]any{
		"no address":                  {"invitedUserEmailAddress": nil},
		"no redirect":                 {"inviteRedirectUrl": nil},
		"a relative redirect":         {"inviteRedirectUrl": "/home"},
		"an address that is none":     {"invitedUserEmailAddress": "adele"},
		"two at signs":                {"invitedUserEmailAddress": "a@b@c.com"},
		"a leading dot":               {"invitedUserEmailAddress": ".a@b.com"},
		"a trailing hyphen":           {"invitedUserEmailAddress": "a-@b.com"},
		"a verified domain":           {"invitedUserEmailAddress": "a@contoso.com"},
		"the initial domain":          {"invitedUserEmailAddress": "a@Contoso.onmicrosoft.com"},
		"a type of its own":           {"invitedUserType": "External"},
		"a type of the wrong kind":    {"invitedUserDisplayName": 5},
		"a property it does not have": {"department": "Sales"},
	}
	for _, c := range "~!#$%^&*()+=[]{}\\/|;:\"<>?," {
		cases["the character "+string(c)] = map[string]any{"invitedUserEmailAddress": "a" + string(c) + "b@fabrikam.com"}
	}
	for name, replace := range cases {
		t.Run(name, func(t *testing.T) {
			body := map[string]any{"invitedUserEmailAddress": "a@fabrikam.com", "inviteRedirectUrl": "https://a.com"}
			for k, v := range replace {
				body[k] = v
			}
			if r := w.graph("contoso", "POST", "/invitations", body); r.status != http.StatusBadRequest {
				t.Errorf("got %d %s, want 400", r.status, r.text)
			}
		})
	}
	for _, allowed := range []string{"a.b-c@fabrikam.com", "_a_@fabrikam.com", "a'b@fabrikam.com"} {
		if r := w.invite("contoso", allowed); r.status != http.StatusCreated {
			t.Errorf("%s: got %d %s, want 201", allowed, r.status, r.text)
		}
	}
	w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "POST", "/invitations", map[string]any{
		"invitedUserEmailAddress": "a@fabrikam.com", "inviteRedirectUrl": "https://a.com", "resetRedemption": true,
	})
}
