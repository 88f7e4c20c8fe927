package entrasim_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// groupRoles are permissions with which the tests look after groups.
var groupRoles = []string{"Group.ReadWrite.All", "User.ReadWrite.All", "User.DeleteRestore.All"}

func newGroupWorld(t *testing.T, roles ...string) *world {
	return newWorld(t, entrasim.Options{PageSize: 3, Tenants: []entrasim.Tenant{{Name: "contoso", Roles: append(roles, groupRoles...)}}})
}

// newGroup is the body of a POST /groups that is accepted.
func newGroup(name string, more ...any) map[string]any {
	body := map[string]any{"displayName": name, "mailNickname": name, "mailEnabled": false, "securityEnabled": true}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

func (w *world) group(name string, more ...any) string {
	w.t.Helper()
	return w.must(201, "contoso", "POST", "/groups", newGroup(name, more...)).id()
}

// add makes an object a member of a group.
func (w *world) add(group, id string) reply {
	w.t.Helper()
	return w.graph("contoso", "POST", "/groups/"+group+"/members/$ref", map[string]any{"@odata.id": w.URL() + "/v1.0/directoryObjects/" + id})
}

// names are the display names of all pages of a list.
func (w *world) names(path string) (names []string) {
	w.t.Helper()
	for next := path; next != ""; {
		r := w.must(200, "contoso", "GET", strings.TrimPrefix(next, w.URL()+"/v1.0"), nil)
		for _, o := range r.values() {
			names = append(names, o["displayName"].(string))
		}
		next, _ = r.body["@odata.nextLink"].(string)
	}
	return names
}

func TestAGroupIsMadeChangedListedAndRemoved(t *testing.T) {
	w := newGroupWorld(t)
	id := w.group("one", "description", "the first")
	for _, name := range []string{"two", "three", "four", "five"} {
		w.group(name)
	}
	if got := w.names("/groups"); !slices.Equal(got, []string{"one", "two", "three", "four", "five"}) {
		t.Errorf("the groups are %v", got)
	}
	w.must(204, "contoso", "PATCH", "/groups/"+id, map[string]any{"displayName": "uno", "description": nil})
	got := w.must(200, "contoso", "GET", "/groups/"+id+"?$select=displayName,description,securityEnabled", nil).body
	if got["displayName"] != "uno" || got["description"] != nil || got["securityEnabled"] != true {
		t.Errorf("the group is %v", got)
	}
	w.must(204, "contoso", "DELETE", "/groups/"+id, nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/groups/"+id, nil)
}

func TestWhatAGroupMayNotBe(t *testing.T) {
	w := newGroupWorld(t)
	for name, c := range map[string]struct {
		body   map[string]any
		status int
	}{
		"without a name":               {newGroup("g", "displayName", nil), 400},
		"with a name that is too long": {newGroup(strings.Repeat("x", 257), "mailNickname", "x"), 400},
		"with an id":                   {newGroup("g", "id", "x"), 400},
		"of another type":              {newGroup("g", "groupTypes", []string{"Secret"}), 400},
		"dynamic without a rule":       {newGroup("g", "groupTypes", []string{"DynamicMembership"}), 400},
		"with a rule, not dynamic":     {newGroup("g", "membershipRule", "user.department -eq \"Sales\""), 400},
		"assignable to roles":          {newGroup("g", "isAssignableToRole", true), 403}, // takes RoleManagement.ReadWrite.Directory
		"with what is not modelled":    {newGroup("g", "assignedLabels", []string{}), 501},
		"with a name in another case":  {newGroup("g", "Description", "x"), 400},
		"with a name nobody knows":     {newGroup("g", "shoeSize", 43), 400},
	} {
		if r := w.graph("contoso", "POST", "/groups", c.body); r.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.text, c.status)
		}
	}
}

func TestMembersComeAndGo(t *testing.T) {
	w := newGroupWorld(t)
	a, b := w.join("contoso", "a"), w.join("contoso", "b")
	g, inner := w.group("g"), w.group("inner")
	for _, id := range []string{a, inner} {
		if r := w.add(g, id); r.status != 204 {
			t.Fatal(r.status, r.text)
		}
	}
	w.add(inner, b)
	if r := w.add(g, a); r.status != 400 || !strings.Contains(r.text, "One or more added object references already exist for the following modified properties: 'members'.") {
		t.Errorf("a member is added again: %d %s", r.status, r.text)
	}
	if r := w.add(g, "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7fff"); r.status != 404 {
		t.Errorf("nobody is added: %d", r.status)
	}
	for path, want := range map[string][]string{
		"/groups/" + g + "/members":                                                     {"User a", "inner"},
		"/groups/" + g + "/members?$top=1":                                              {"User a", "inner"},
		"/groups/" + g + "/members/microsoft.graph.user":                                {"User a"},
		"/groups/" + g + "/members/graph.group":                                         {"inner"},
		"/groups/" + g + "/transitiveMembers":                                           {"User a", "inner", "User b"},
		"/groups/" + g + "/transitiveMembers/microsoft.graph.user":                      {"User a", "User b"},
		"/users/" + b + "/memberOf":                                                     {"inner"},
		"/users/" + b + "/transitiveMemberOf/microsoft.graph.group?$select=displayName": {"g", "inner"},
	} {
		if got := w.names(path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	eventual := http.Header{"ConsistencyLevel": {"eventual"}}
	if r := w.graphWith("contoso", "GET", "/groups/"+g+"/transitiveMembers/$count", eventual, nil); r.text != "3" {
		t.Errorf("there are %q transitive members", r.text)
	}

	w.must(204, "contoso", "DELETE", "/groups/"+g+"/members/"+a+"/$ref", nil)
	if r := w.graph("contoso", "DELETE", "/groups/"+g+"/members/"+a+"/$ref", nil); r.status != 404 || !strings.Contains(r.text, "removed object references do not exist") {
		t.Errorf("who is no member is removed: %d %s", r.status, r.text)
	}
}

func TestManyMembersAreAddedAllOrNone(t *testing.T) {
	w := newGroupWorld(t)
	g := w.group("g")
	var references []string
	for i := range 21 {
		references = append(references, w.URL()+"/v1.0/directoryObjects/"+w.join("contoso", fmt.Sprint("u", i)))
	}
	patch := func(references ...string) reply {
		return w.graph("contoso", "PATCH", "/groups/"+g, map[string]any{"members@odata.bind": references})
	}
	if r := patch(references...); r.status != 400 {
		t.Errorf("21 at a time: %d", r.status)
	}
	if r := patch(references[:2]...); r.status != 204 {
		t.Errorf("two at a time: %d %s", r.status, r.text)
	}
	if r := patch(references[1:5]...); r.status != 400 { // one is a member already
		t.Errorf("with one who is a member: %d", r.status)
	}
	if got := len(w.names("/groups/" + g + "/members")); got != 2 {
		t.Errorf("the group has %d members, want 2", got)
	}
}

func TestProtectedGroupsRefuse(t *testing.T) {
	admin := newGroupWorld(t, "RoleManagement.ReadWrite.Directory")
	a := admin.join("contoso", "a")
	roles := admin.group("roles", "isAssignableToRole", true)
	dynamic := admin.group("dynamic", "groupTypes", []string{"DynamicMembership"}, "membershipRule", "user.department -eq \"Sales\"")
	if r := admin.add(roles, a); r.status != 204 {
		t.Errorf("with the permission: %d %s", r.status, r.text)
	}
	if r := admin.add(roles, admin.group("g")); r.status != 400 {
		t.Errorf("a group in a group with roles: %d", r.status)
	}
	if r := admin.add(dynamic, a); r.status != 400 {
		t.Errorf("by hand into a dynamic group: %d", r.status)
	}
	admin.must(400, "contoso", "PATCH", "/groups/"+roles, map[string]any{"isAssignableToRole": false})
}

func TestWithoutRefTheMemberItselfIsDeleted(t *testing.T) {
	w := newGroupWorld(t)
	a := w.join("contoso", "a")
	g := w.group("g")
	w.add(g, a)
	w.must(204, "contoso", "DELETE", "/groups/"+g+"/members/"+a, nil)
	w.must(404, "contoso", "GET", "/users/"+a, nil)
	if got := w.names("/groups/" + g + "/members"); len(got) != 0 {
		t.Errorf("the group has %v", got)
	}
	w.must(200, "contoso", "POST", "/directory/deletedItems/"+a+"/restore", nil) // who comes back is a member again
	if got := w.names("/groups/" + g + "/members"); len(got) != 1 {
		t.Errorf("after the restore the group has %v", got)
	}
	w.must(204, "contoso", "DELETE", "/users/"+a, nil)
	w.must(204, "contoso", "DELETE", "/directory/deletedItems/"+a, nil)
	if got := w.names("/groups/" + g + "/members"); len(got) != 0 {
		t.Errorf("after the purge the group has %v", got)
	}
}

func TestGroupsTakeTheirPermissions(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: []string{"GroupMember.ReadWrite.All", "User.ReadWrite.All"}}}})
	w.must(403, "contoso", "POST", "/groups", newGroup("g"))
	w.must(200, "contoso", "GET", "/groups", nil)
	w.must(403, "contoso", "PATCH", "/groups/x", map[string]any{"displayName": "y"})
	w.must(404, "contoso", "POST", "/groups/x/members/$ref", map[string]any{"@odata.id": w.URL() + "/v1.0/users/y"})
	w.must(403, "contoso", "DELETE", "/groups/x", nil)
}

// TestTransitiveMembersAreThoseThatCanBeReached compares with the plainest way to find them, for any nesting, cycles included.
func TestTransitiveMembersAreThoseThatCanBeReached(t *testing.T) {
	w := newGroupWorld(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		var ids []string
		nameOf := map[string]string{}
		for i := range 5 {
			name := fmt.Sprint("g", n, "-", i)
			ids = append(ids, w.group(name))
			nameOf[ids[i]] = name
		}
		inside := map[string][]string{}
		for range rapid.IntRange(0, 10).Draw(rt, "memberships") {
			group, member := rapid.SampledFrom(ids).Draw(rt, "group"), rapid.SampledFrom(ids).Draw(rt, "member")
			if w.add(group, member).status == 204 {
				inside[group] = append(inside[group], member)
			}
		}
		for _, id := range ids {
			reached := map[string]bool{}
			var walk func(string)
			walk = func(from string) {
				for _, member := range inside[from] {
					if !reached[member] && member != id {
						reached[member] = true
						walk(member)
					}
				}
			}
			walk(id)
			var want []string
			for member := range reached {
				want = append(want, nameOf[member])
			}
			got := w.names("/groups/" + id + "/transitiveMembers")
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				rt.Fatalf("%s reaches %v, want %v", nameOf[id], got, want)
			}
		}
	})
}

func TestGroupsThatCanHoldRolesMayBeThereFromTheStart(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: groupRoles, RoleGroups: []string{"admins"}}}})
	groups := w.Groups("contoso")
	if len(groups) != 1 || groups[0]["displayName"] != "admins" || groups[0]["isAssignableToRole"] != true {
		t.Fatalf("groups %v, want the one that can hold roles", groups)
	}
	add := map[string]any{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/" + w.join("contoso", "a")}
	w.must(403, "contoso", "POST", "/groups/"+groups[0]["id"].(string)+"/members/$ref", add)
}
