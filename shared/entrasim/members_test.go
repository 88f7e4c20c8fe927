package entrasim_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// The table of allowed members in the reference of group-post-members.
func TestWhoMayBeAMemberOfWhat(t *testing.T) {
	w := newGroupWorld(t, "RoleManagement.ReadWrite.Directory", "Application.Read.All")
	m365 := []any{"groupTypes", []string{"Unified"}, "mailEnabled", true}
	groups := map[string]string{
		"security": w.group("security"), "m365": w.group("m365", m365...), "roles": w.group("roles", "isAssignableToRole", true),
		"dynamic": w.group("dynamic", "groupTypes", []string{"DynamicMembership"}, "membershipRule", "user.department -eq \"Sales\""),
	}
	app := w.must(200, "contoso", "GET", "/servicePrincipals"+query("$filter", "appId eq '"+w.App().ID+"'"), nil).values()[0]["id"].(string)
	members := map[string]string{"user": w.join("contoso", "a"), "security": w.group("s"), "m365": w.group("m", m365...), "app": app}
	for _, tc := range []struct {
		group, member string
		status        int
	}{
		{"security", "user", 204}, {"security", "security", 204}, {"security", "app", 204}, {"security", "m365", 400},
		{"m365", "user", 204}, {"m365", "security", 400}, {"m365", "app", 400}, {"m365", "m365", 400},
		{"roles", "user", 204}, {"roles", "security", 400}, {"roles", "app", 204},
		{"dynamic", "user", 400},
	} {
		if r := w.add(groups[tc.group], members[tc.member]); r.status != tc.status {
			t.Errorf("a member of kind %s in a group of kind %s: %d %s, want %d", tc.member, tc.group, r.status, r.text, tc.status)
		}
	}
	if got := w.names("/groups/" + groups["security"] + "/members/microsoft.graph.servicePrincipal"); !slices.Equal(got, []string{"tenantsync"}) {
		t.Errorf("service principals in the group: %v", got)
	}
	if got := w.names("/servicePrincipals/" + app + "/memberOf"); !slices.Equal(got, []string{"security", "roles"}) {
		t.Errorf("the application is a member of %v", got)
	}
	w.must(400, "contoso", "DELETE", "/groups/"+groups["dynamic"]+"/members/"+members["user"]+"/$ref", nil)
}

// Examples in the references of group-list-members and user-list-memberof.
func TestRelatedObjectsAreSelectedFilteredAndCounted(t *testing.T) {
	w := newGroupWorld(t)
	g, inner := w.group("g"), w.group("alpha")
	var users []string
	for _, name := range []string{"anna", "bert", "alan"} {
		users = append(users, w.must(201, "contoso", "POST", "/users", newUser(name, "contoso", map[string]any{"displayName": name})).id())
		w.add(g, users[len(users)-1])
	}
	w.add(g, inner)
	members := "/groups/" + g + "/members"

	r := w.graphWith("contoso", "GET", members+query("$count", "true", "$filter", "startswith(displayName,'a')"), eventual, nil)
	if got := told(r.values(), "displayName"); !slices.Equal(got, []string{"anna", "alan", "alpha"}) || r.body["@odata.count"] != 3.0 {
		t.Errorf("the filter finds %v, counted %v", got, r.body["@odata.count"])
	}
	r = w.graphWith("contoso", "GET", members+"/microsoft.graph.user/$count"+query("$filter", "startswith(displayName,'a')"), eventual, nil)
	if r.text != "2" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("the number of users is %q", r.text)
	}
	w.refused(400, "Request_UnsupportedQuery", "contoso", "GET", members+query("$filter", "startswith(displayName,'a')"), nil)
	w.refused(400, "Request_BadRequest", "contoso", "GET", members+"/$count", nil)
	w.refused(400, "BadRequest", "contoso", "GET", members+query("$select", "shoeSize"), nil)
	w.refused(501, "NotImplemented", "contoso", "GET", members+"/microsoft.graph.device", nil)

	// What one kind of objects has and another has not is left out where it is not.
	r = w.must(200, "contoso", "GET", members+query("$select", "displayName,userPrincipalName", "$top", "4"), nil)
	for _, o := range r.values() {
		if _, has := o["userPrincipalName"]; has != (o["@odata.type"] == "#microsoft.graph.user") || o["displayName"] == nil {
			t.Errorf("selected %v", o)
		}
	}
	if want := w.URL() + "/v1.0/$metadata#directoryObjects(displayName,userPrincipalName)"; r.body["@odata.context"] != want {
		t.Errorf("the context is %v, want %s", r.body["@odata.context"], want)
	}
	r = w.graphWith("contoso", "GET", "/users/"+users[0]+"/memberOf/$count", eventual, nil)
	if r.text != "1" {
		t.Errorf("the user is a member of %q groups", r.text)
	}
}

// The references of directoryobject-checkmembergroups, -getmembergroups and -getbyids.
func TestMembershipIsCheckedAlsoByWayOfOtherGroups(t *testing.T) {
	w := newGroupWorld(t, "Directory.Read.All")
	a := w.join("contoso", "a")
	outer, inner, other := w.group("outer"), w.group("inner"), w.group("other")
	m365 := w.group("m365", "groupTypes", []string{"Unified"}, "mailEnabled", true, "securityEnabled", false)
	w.add(outer, inner)
	w.add(inner, a)
	w.add(m365, a)
	ids := func(method string, body map[string]any) []any {
		t.Helper()
		byUser := w.must(200, "contoso", "POST", "/users/"+a+"/"+method, body).body["value"].([]any)
		byObject := w.must(200, "contoso", "POST", "/directoryObjects/"+a+"/"+method, body).body["value"].([]any)
		if !slices.Equal(byUser, byObject) {
			t.Errorf("%s answers %v for the user and %v for the object", method, byUser, byObject)
		}
		return byUser
	}
	if got := ids("checkMemberGroups", map[string]any{"groupIds": []string{outer, other, m365, anyID}}); !slices.Equal(got, []any{outer, m365}) {
		t.Errorf("of four groups the user is in %v", got)
	}
	if got := ids("getMemberGroups", map[string]any{"securityEnabledOnly": false}); !slices.Equal(got, []any{outer, inner, m365}) {
		t.Errorf("the user is in %v", got)
	}
	if got := ids("getMemberGroups", map[string]any{"securityEnabledOnly": true}); !slices.Equal(got, []any{outer, inner}) {
		t.Errorf("the user is in %v with security", got)
	}
	w.must(400, "contoso", "POST", "/users/"+a+"/checkMemberGroups", map[string]any{"groupIds": slices.Repeat([]string{outer}, 21)})
	w.must(400, "contoso", "POST", "/users/"+a+"/checkMemberGroups", map[string]any{"groupIds": []string{}})
	w.must(400, "contoso", "POST", "/users/"+a+"/getMemberGroups", map[string]any{})
	w.must(404, "contoso", "POST", "/users/"+anyID+"/checkMemberGroups", map[string]any{"groupIds": []string{outer}})

	found := w.must(200, "contoso", "POST", "/directoryObjects/getByIds", map[string]any{"ids": []string{inner, a, anyID}}).values()
	if got := told(found, "id"); !slices.Equal(got, []string{inner, a}) {
		t.Errorf("found %v", got)
	}
	found = w.must(200, "contoso", "POST", "/directoryObjects/getByIds", map[string]any{"ids": []string{inner, a}, "types": []string{"user"}}).values()
	if got := told(found, "@odata.type"); !slices.Equal(got, []string{"#microsoft.graph.user"}) {
		t.Errorf("of type user there is %v", got)
	}
	if r := w.must(200, "contoso", "GET", "/directoryObjects/"+inner, nil); r.body["@odata.type"] != "#microsoft.graph.group" {
		t.Errorf("the object is %v", r.body)
	}
}

// The reference of group-delete-members: CAUTION, and what the application needs for it.
func TestDeletingAMemberItselfTakesThePermissionForIt(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: []string{"Group.ReadWrite.All", "Directory.Read.All"}}}})
	g, inner := w.group("g"), w.group("inner")
	w.add(g, inner)
	w.must(204, "contoso", "DELETE", "/groups/"+g+"/members/"+inner, nil)
	w.must(404, "contoso", "GET", "/groups/"+inner, nil)
	w.must(404, "contoso", "DELETE", "/groups/"+g+"/members/"+anyID, nil)
}

func TestAGroupIsMadeWithItsMembersOrNotAtAll(t *testing.T) {
	w := newGroupWorld(t)
	a := w.URL() + "/v1.0/users/" + w.join("contoso", "a")
	id := w.must(201, "contoso", "POST", "/groups", newGroup("g", "members@odata.bind", []string{a})).id()
	if got := w.names("/groups/" + id + "/members"); !slices.Equal(got, []string{"User a"}) {
		t.Errorf("the members are %v", got)
	}
	for name, tc := range map[string]struct {
		members any
		status  int
	}{
		"nobody":        {[]string{w.URL() + "/v1.0/users/" + anyID}, 404},
		"twice":         {[]string{a, a}, 400},
		"no list":       {a, 400},
		"no references": {[]int{1}, 400},
		"too many":      {slices.Repeat([]string{a}, 21), 400},
	} {
		if r := w.graph("contoso", "POST", "/groups", newGroup("h", "members@odata.bind", tc.members)); r.status != tc.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.text, tc.status)
		}
	}
	if got := w.names("/groups"); !slices.Equal(got, []string{"g"}) {
		t.Errorf("the groups are %v", got)
	}
}

// The reference of group-update: one PATCH may hold both, and does all of it or nothing.
func TestOnePatchChangesPropertiesAndMembers(t *testing.T) {
	w := newGroupWorld(t)
	g, a := w.group("g"), w.join("contoso", "a")
	patch := func(name, member string) reply {
		return w.graph("contoso", "PATCH", "/groups/"+g, map[string]any{
			"displayName": name, "members@odata.bind": []string{w.URL() + "/v1.0/users/" + member},
		})
	}
	if r := patch("h", anyID); r.status != 404 || !slices.Equal(w.names("/groups"), []string{"g"}) {
		t.Errorf("with nobody: %d, the groups are %v", r.status, w.names("/groups"))
	}
	if r := patch("h", a); r.status != 204 || !slices.Equal(w.names("/groups"), []string{"h"}) || len(w.names("/groups/"+g+"/members")) != 1 {
		t.Errorf("with somebody: %d %s", r.status, r.text)
	}
}

// Section 4.1 of the Graph notes: accountEnabled, phones and otherMails of administrators take a role of the application's own.
func TestAnApplicationMayNotWriteEverythingOfAdministrators(t *testing.T) {
	w := newGroupWorld(t, "RoleManagement.ReadWrite.Directory")
	admin := w.join("contoso", "admin")
	user := "/users/" + admin
	w.must(204, "contoso", "PATCH", user, map[string]any{"accountEnabled": true, "mobilePhone": "1"})
	w.add(w.group("admins", "isAssignableToRole", true), admin)
	for _, body := range []map[string]any{
		{"accountEnabled": false}, {"mobilePhone": "2"}, {"businessPhones": []string{"2"}}, {"otherMails": []string{"a@b.com"}},
		{"department": "Sales", "mobilePhone": "2"},
	} {
		w.refused(403, "Authorization_RequestDenied", "contoso", "PATCH", user, body)
	}
	w.must(204, "contoso", "PATCH", user, map[string]any{"department": "Sales"})
}

// Permissions as the references of the calls name them, least first; the other column lacks it.
func TestGroupRequestsTakeTheirPermissions(t *testing.T) {
	ref := map[string]any{"@odata.id": "https://graph.microsoft.com/v1.0/users/" + anyID}
	for name, tc := range map[string]struct {
		method, path    string
		body            any
		enough, lacking string
		status          int
	}{
		"list groups":         {"GET", "/groups", nil, "GroupMember.Read.All", "User.Read.All", 200},
		"follow groups":       {"GET", "/groups/delta", nil, "GroupMember.Read.All", "User.Read.All", 200},
		"create":              {"POST", "/groups", newGroup("g"), "Group.Create", "GroupMember.ReadWrite.All", 201},
		"update":              {"PATCH", "/groups/" + anyID, map[string]any{"description": "x"}, "Group.ReadWrite.All", "Group.Read.All", 404},
		"update properties":   {"PATCH", "/groups/" + anyID, map[string]any{"description": "x"}, "Group.ReadWrite.All", "GroupMember.ReadWrite.All", 404},
		"delete":              {"DELETE", "/groups/" + anyID, nil, "Group.ReadWrite.All", "GroupMember.ReadWrite.All", 404},
		"list members":        {"GET", "/groups/" + anyID + "/members", nil, "GroupMember.Read.All", "User.Read.All", 404},
		"add a member":        {"POST", "/groups/" + anyID + "/members/$ref", ref, "GroupMember.ReadWrite.All", "GroupMember.Read.All", 404},
		"remove a member":     {"DELETE", "/groups/" + anyID + "/members/" + anyID + "/$ref", nil, "GroupMember.ReadWrite.All", "GroupMember.Read.All", 404},
		"groups of a user":    {"GET", "/users/" + anyID + "/memberOf", nil, "User.Read.All", "User.Invite.All", 404},
		"deleted groups":      {"GET", "/directory/deletedItems/microsoft.graph.group", nil, "Group.Read.All", "User.Read.All", 200},
		"restore a group":     {"POST", "/directory/deletedItems/" + anyID + "/restore", nil, "Group.ReadWrite.All", "Group.Read.All", 404},
		"revoke sessions":     {"POST", "/users/" + anyID + "/revokeSignInSessions", nil, "User.RevokeSessions.All", "User.Read.All", 404},
		"set a manager":       {"PUT", "/users/" + anyID + "/manager/$ref", ref, "User.ReadWrite.All", "User.ReadUpdate.All", 404},
		"a directory object":  {"GET", "/directoryObjects/" + anyID, nil, "Directory.Read.All", "User.Read.All", 404},
		"service principals":  {"GET", "/servicePrincipals", nil, "Application.Read.All", "User.Read.All", 200},
		"assign a role":       {"POST", "/groups/" + anyID + "/appRoleAssignments", map[string]any{}, "AppRoleAssignment.ReadWrite.All", "Application.Read.All", 400},
		"list assigned roles": {"GET", "/users/" + anyID + "/appRoleAssignments", nil, "Directory.Read.All", "User.Read.All", 404},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{
				{Name: "contoso", Roles: strings.Fields(tc.enough)}, {Name: "lacking", Roles: strings.Fields(tc.lacking)},
			}})
			w.refused(http.StatusForbidden, "Authorization_RequestDenied", "lacking", tc.method, tc.path, tc.body)
			w.must(tc.status, "contoso", tc.method, tc.path, tc.body)
		})
	}
}

func TestManyMembersComeOnPages(t *testing.T) {
	w := newGroupWorld(t)
	g := w.group("g")
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprint("User u", i))
		w.add(g, w.join("contoso", fmt.Sprint("u", i)))
	}
	if got := w.names("/groups/" + g + "/members?$top=2"); !slices.Equal(got, want) {
		t.Errorf("the pages hold %v", got)
	}
}
