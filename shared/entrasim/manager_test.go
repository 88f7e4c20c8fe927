package entrasim_test

import (
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// boss makes somebody the manager of somebody, both by id.
func (w *world) boss(user, manager string) reply {
	w.t.Helper()
	return w.graph("contoso", "PUT", "/users/"+user+"/manager/$ref", map[string]any{"@odata.id": w.URL() + "/v1.0/users/" + manager})
}

func TestAManagerIsSetReadAndRemoved(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	a, b, c := w.join("contoso", "a"), w.join("contoso", "b"), w.join("contoso", "c")
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/users/"+a+"/manager", nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "DELETE", "/users/"+a+"/manager/$ref", nil)
	for _, user := range []string{a, c} {
		if r := w.boss(user, b); r.status != http.StatusNoContent {
			t.Fatalf("answered %d %s", r.status, r.text)
		}
	}
	got := w.must(200, "contoso", "GET", "/users/"+a+"/manager?$select=id,displayName", nil)
	if got.id() != b || got.body["displayName"] != "User b" || got.body["@odata.type"] != "#microsoft.graph.user" {
		t.Errorf("the manager is %v", got.body)
	}
	var reports []string
	for _, u := range w.must(200, "contoso", "GET", "/users/"+b+"/directReports?$select=mailNickname", nil).values() {
		reports = append(reports, u["mailNickname"].(string))
	}
	if !slices.Equal(reports, []string{"a", "c"}) {
		t.Errorf("the reports of b are %v", reports)
	}
	w.must(204, "contoso", "DELETE", "/users/"+a+"/manager/$ref", nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/users/"+a+"/manager", nil)

	w.must(204, "contoso", "DELETE", "/users/"+b, nil) // c's manager leaves, and comes back
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/users/"+c+"/manager", nil)
	w.must(200, "contoso", "POST", "/directory/deletedItems/"+b+"/restore", nil)
	w.must(200, "contoso", "GET", "/users/"+c+"/manager", nil)
}

func TestAReferenceHasToLeadToAUser(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	a := w.join("contoso", "a")
	for name, c := range map[string]struct {
		body   any
		status int
	}{
		"nobody":              {map[string]any{"@odata.id": w.URL() + "/v1.0/users/6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7fff"}, 404},
		"a directory object":  {map[string]any{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/" + a}, 204},
		"another kind":        {map[string]any{"@odata.id": w.URL() + "/v1.0/planets/" + a}, 400},
		"no reference at all": {map[string]any{}, 400},
		"more than one thing": {map[string]any{"@odata.id": w.URL() + "/v1.0/users/" + a, "id": a}, 400},
		"a number":            {map[string]any{"@odata.id": 7}, 400},
	} {
		if r := w.graph("contoso", "PUT", "/users/"+a+"/manager/$ref", c.body); r.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.text, c.status)
		}
	}
}

func TestChangeTrackingFollowsTheManager(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	a, b, c := w.join("contoso", "a"), w.join("contoso", "b"), w.join("contoso", "c")
	managers := func(items []map[string]any) (list []any) {
		for _, item := range items {
			list = append(list, item["manager@delta"])
		}
		return list
	}
	_, blind := w.round("/users/delta?$select=displayName")
	_, link := w.round("/users/delta?$select=displayName,manager")
	w.boss(a, b)
	if items, _ := w.round(blind); len(items) != 0 {
		t.Errorf("who does not follow the manager is told %v", items)
	}
	items, link := w.round(link)
	entry := func() map[string]any {
		t.Helper()
		if len(items) != 1 || items[0]["id"] != a {
			t.Fatalf("the round shows %v", items)
		}
		list, _ := managers(items)[0].([]any)
		if len(list) != 1 {
			t.Fatalf("the manager is told as %v", items[0])
		}
		return list[0].(map[string]any)
	}
	if e := entry(); e["id"] != b || e["@removed"] != nil {
		t.Errorf("a new manager is told as %v", e)
	}
	w.boss(a, c)
	if items, link = w.round(link); entry()["id"] != c {
		t.Errorf("another manager is told as %v", entry())
	}
	w.must(204, "contoso", "DELETE", "/users/"+a+"/manager/$ref", nil)
	items, link = w.round(link, "return=minimal")
	if e := entry(); e["id"] != c || e["@removed"] == nil {
		t.Errorf("a manager who is taken away is told as %v", e)
	}
	if items, _ = w.round(link); len(items) != 0 {
		t.Errorf("nothing happened, and the round shows %v", items)
	}
}

// The reference of user-list-manager: the manager comes with the user.
func TestTheManagerIsShownWithTheUser(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	a, b := w.join("contoso", "a"), w.join("contoso", "b")
	w.boss(a, b)
	r := w.must(200, "contoso", "GET", "/users/"+a+"?$select=displayName&$expand=manager($select=id,mail)", nil)
	want := map[string]any{"@odata.type": "#microsoft.graph.user", "id": b, "mail": "b@contoso.example.com"}
	if !reflect.DeepEqual(r.body["manager"], want) || r.body["@odata.context"] != w.URL()+"/v1.0/$metadata#users(displayName,manager(id,mail))/$entity" {
		t.Errorf("the user is %v", r.body)
	}
	for _, u := range w.must(200, "contoso", "GET", "/users?$expand=manager", nil).values() {
		if manager, has := u["manager"].(map[string]any); has != (u["id"] == a) || has && manager["displayName"] != "User b" {
			t.Errorf("in the list there is %v", u)
		}
	}
	w.must(204, "contoso", "DELETE", "/users/"+b, nil)
	if r := w.must(200, "contoso", "GET", "/users/"+a+"?$expand=manager", nil); r.body["manager"] != nil {
		t.Errorf("a manager who is deleted is shown as %v", r.body["manager"])
	}
	for expand, status := range map[string]int{
		"memberOf": 501, "manager($levels=max)": 501, "manager($select=id;$levels=1)": 501, "manager($select=id": 501, "manager($select=shoeSize)": 400,
	} {
		if r := w.graph("contoso", "GET", "/users/"+a+query("$expand", expand), nil); r.status != status {
			t.Errorf("$expand=%s: %d %s, want %d", expand, r.status, r.text, status)
		}
	}
}

func TestAManagerWhoIsGoneForGoodIsNobody(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	a, b := w.join("contoso", "a"), w.join("contoso", "b")
	w.boss(a, b)
	w.must(204, "contoso", "DELETE", "/users/"+b, nil)
	w.must(204, "contoso", "DELETE", "/directory/deletedItems/"+b, nil)
	w.refused(404, "Request_ResourceNotFound", "contoso", "GET", "/users/"+a+"/manager", nil)
	if r := w.boss(a, a); r.status != 204 {
		t.Errorf("another one: %d %s", r.status, r.text)
	}
}
