package entrasim_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

const defaultAccess = "00000000-0000-0000-0000-000000000000"

// appWorld has a tenant with an application that has roles, and one that has none.
func appWorld(t *testing.T) *world {
	return newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{
		Name:  "contoso",
		Roles: []string{"AppRoleAssignment.ReadWrite.All", "Application.Read.All", "Group.ReadWrite.All", "User.ReadWrite.All", "User.DeleteRestore.All"},
		Apps:  []entrasim.EnterpriseApp{{Name: "payroll", Roles: []string{"Reader", "Approver"}}, {Name: "wiki"}},
	}}})
}

// app is the object id of an application, and the ids of its roles by value.
func (w *world) app(name string) (id string, roles map[string]string) {
	w.t.Helper()
	found := w.must(200, "contoso", "GET", "/servicePrincipals"+query("$filter", "displayName eq '"+name+"'"), nil).values()
	if len(found) != 1 {
		w.t.Fatalf("%d applications have the name %s", len(found), name)
	}
	roles = map[string]string{}
	for _, r := range found[0]["appRoles"].([]any) {
		role := r.(map[string]any)
		roles[role["value"].(string)] = role["id"].(string)
	}
	return found[0]["id"].(string), roles
}

func TestAPersonIsAssignedToAnApplication(t *testing.T) {
	w := appWorld(t)
	payroll, roles := w.app("payroll")
	user, group := w.join("contoso", "a"), w.group("g")
	body := func(principal, role string) map[string]any {
		return map[string]any{"principalId": principal, "resourceId": payroll, "appRoleId": role}
	}
	at := "/servicePrincipals/" + payroll + "/appRoleAssignedTo"
	reader := w.must(201, "contoso", "POST", at, body(user, roles["Reader"]))
	if reader.body["principalType"] != "User" || reader.body["principalDisplayName"] != "User a" || reader.body["resourceDisplayName"] != "payroll" {
		t.Errorf("the assignment is %v", reader.body)
	}
	w.must(201, "contoso", "POST", "/users/"+user+"/appRoleAssignments", body(user, roles["Approver"]))
	w.must(201, "contoso", "POST", at, body(group, roles["Reader"]))
	if got := len(w.must(200, "contoso", "GET", at, nil).values()); got != 3 {
		t.Errorf("the application has %d assignments, want 3", got)
	}
	if got := len(w.must(200, "contoso", "GET", "/users/"+user+"/appRoleAssignments", nil).values()); got != 2 {
		t.Errorf("the user has %d, want 2", got)
	}
	if r := w.graph("contoso", "POST", at, body(user, roles["Reader"])); r.status != 400 || !strings.Contains(r.text, "Permission being assigned already exists on the object") {
		t.Errorf("again: %d %s", r.status, r.text)
	}

	w.must(204, "contoso", "DELETE", at+"/"+reader.id(), nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "DELETE", at+"/"+reader.id(), nil)
	w.must(204, "contoso", "DELETE", "/users/"+user, nil)
	if got := len(w.must(200, "contoso", "GET", at, nil).values()); got != 1 {
		t.Errorf("without the user there are %d, want that of the group", got)
	}
	w.must(200, "contoso", "POST", "/directory/deletedItems/"+user+"/restore", nil)
	if got := len(w.must(200, "contoso", "GET", "/users/"+user+"/appRoleAssignments", nil).values()); got != 1 {
		t.Errorf("after the restore the user has %d, want 1", got)
	}
}

func TestAnAssignmentThatMakesNoSense(t *testing.T) {
	w := appWorld(t)
	payroll, roles := w.app("payroll")
	wiki, none := w.app("wiki")
	if len(none) != 0 {
		t.Fatalf("wiki has the roles %v", none)
	}
	user, other := w.join("contoso", "a"), w.join("contoso", "b")
	w.must(201, "contoso", "POST", "/users/"+user+"/appRoleAssignments", map[string]any{"principalId": user, "resourceId": wiki, "appRoleId": defaultAccess})
	for name, c := range map[string]struct {
		path, principal, resource, role string
		status                          int
	}{
		"a role of another application":   {"/servicePrincipals/" + wiki + "/appRoleAssignedTo", user, wiki, roles["Reader"], 400},
		"no role where there are some":    {"/servicePrincipals/" + payroll + "/appRoleAssignedTo", user, payroll, defaultAccess, 400},
		"nobody":                          {"/servicePrincipals/" + payroll + "/appRoleAssignedTo", anyID, payroll, roles["Reader"], 404},
		"another application in the body": {"/servicePrincipals/" + wiki + "/appRoleAssignedTo", user, payroll, roles["Reader"], 400},
		"another user in the body":        {"/users/" + user + "/appRoleAssignments", other, payroll, roles["Reader"], 400},
		"an application nobody knows":     {"/servicePrincipals/" + user + "/appRoleAssignedTo", user, user, defaultAccess, 404},
		"no resource":                     {"/users/" + user + "/appRoleAssignments", user, "", roles["Reader"], 400},
	} {
		r := w.graph("contoso", "POST", c.path, map[string]any{"principalId": c.principal, "resourceId": c.resource, "appRoleId": c.role})
		if r.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.text, c.status)
		}
	}
}

func TestAssigningTakesItsPermission(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: []string{"Application.Read.All"}, Apps: []entrasim.EnterpriseApp{{Name: "wiki"}}}}})
	wiki, _ := w.app("wiki")
	w.must(403, "contoso", "POST", "/servicePrincipals/"+wiki+"/appRoleAssignedTo", map[string]any{})
	w.must(200, "contoso", "GET", "/servicePrincipals/"+wiki+"/appRoleAssignedTo", nil)
}

// Both paths lead to the same assignments, for groups and from applications, too.
func TestAssignmentsAreListedOnPagesAndByFilter(t *testing.T) {
	w := appWorld(t)
	payroll, roles := w.app("payroll")
	group := w.group("g")
	at := "/servicePrincipals/" + payroll + "/appRoleAssignedTo"
	w.must(201, "contoso", "POST", "/groups/"+group+"/appRoleAssignments", map[string]any{"principalId": group, "resourceId": payroll, "appRoleId": roles["Reader"]})
	users := []string{w.join("contoso", "a"), w.join("contoso", "b"), w.join("contoso", "c")}
	for _, user := range users { // one right after the other
		w.must(201, "contoso", "POST", at, map[string]any{"principalId": user, "resourceId": payroll, "appRoleId": strings.ToUpper(roles["Reader"])})
	}
	var who []string
	for next := at + "?$top=2"; next != ""; {
		r := w.must(200, "contoso", "GET", strings.TrimPrefix(next, w.URL()+"/v1.0"), nil)
		who = append(who, told(r.values(), "principalDisplayName")...)
		next, _ = r.body["@odata.nextLink"].(string)
	}
	if !slices.Equal(who, []string{"g", "User a", "User b", "User c"}) {
		t.Errorf("the pages hold %v", who)
	}
	if got := w.must(200, "contoso", "GET", at+query("$filter", "principalId eq '"+group+"'"), nil).values(); len(got) != 1 || got[0]["principalType"] != "Group" {
		t.Errorf("of the group there is %v", got)
	}
	w.must(501, "contoso", "GET", at+query("$filter", "principalType eq 'Group'"), nil)
	w.must(204, "contoso", "DELETE", "/groups/"+group, nil)
	if got := len(w.must(200, "contoso", "GET", at, nil).values()); got != 3 {
		t.Errorf("without the group there are %d", got)
	}
}

// What an application may do is a role of Microsoft Graph that it is assigned to: the concept page on permissions.
func TestThePermissionsOfTheApplicationAreAssignments(t *testing.T) {
	w := appWorld(t)
	graph := w.must(200, "contoso", "GET", "/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", nil)
	own := w.must(200, "contoso", "GET", "/servicePrincipals(appId='"+w.App().ID+"')?$select=id,displayName", nil)
	if own.body["displayName"] != "tenantsync" || len(own.body) != 3 {
		t.Errorf("the application is %v", own.body)
	}
	values := map[any]any{}
	for _, r := range graph.body["appRoles"].([]any) {
		role := r.(map[string]any)
		values[role["id"]] = role["value"]
	}
	var granted []string
	assigned := w.must(200, "contoso", "GET", "/servicePrincipals/"+own.id()+"/appRoleAssignments", nil).values()
	for _, a := range assigned {
		if a["resourceId"] != graph.id() || a["principalType"] != "ServicePrincipal" {
			t.Errorf("an assignment is %v", a)
		}
		granted = append(granted, values[a["appRoleId"]].(string))
	}
	if want := w.Tenants()[0].Roles; !slices.Equal(granted, want) {
		t.Errorf("granted are %v, want %v", granted, want)
	}
	// The tokens would not follow.
	for id, value := range values {
		if value == "User.Invite.All" {
			w.must(501, "contoso", "POST", "/servicePrincipals/"+own.id()+"/appRoleAssignments",
				map[string]any{"principalId": own.id(), "resourceId": graph.id(), "appRoleId": id})
		}
	}
	w.must(501, "contoso", "DELETE", "/servicePrincipals/"+own.id()+"/appRoleAssignments/"+assigned[0]["id"].(string), nil)
	w.must(404, "contoso", "GET", "/servicePrincipals(appId='"+anyID+"')", nil)
}
