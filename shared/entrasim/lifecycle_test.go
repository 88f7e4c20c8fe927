package entrasim_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// event waits for one lifecycle notification, and returns it with the names of its fields.
func (e *endpoint) event(t *testing.T) map[string]any {
	t.Helper()
	select {
	case body := <-e.received:
		var got struct{ Value []map[string]any }
		if err := json.Unmarshal(body, &got); err != nil || len(got.Value) != 1 {
			t.Fatalf("%s (%v)", body, err)
		}
		return got.Value[0]
	case <-time.After(10 * time.Second):
		t.Fatal("no event came")
		return nil
	}
}

func TestLifecycleEvents(t *testing.T) {
	w, e, life := newWorld(t, entrasim.Options{}), newEndpoint(t), newEndpoint(t)
	sub := w.subscribe("contoso", e.URL, map[string]any{"lifecycleNotificationUrl": life.URL})
	w.subscribe("fabrikam-us", e.URL, map[string]any{"lifecycleNotificationUrl": life.URL})
	for _, name := range []string{"reauthorizationRequired", "missed", "subscriptionRemoved"} {
		if n, err := w.Lifecycle("contoso", name); n != 1 || err != nil {
			t.Fatalf("%s: %d, %v", name, n, err)
		}
		got := life.event(t)
		if got["lifecycleEvent"] != name || got["subscriptionId"] != sub.id() || got["tenantId"] != w.tenantID("contoso") || got["clientState"] != "secret" ||
			!strings.HasPrefix(got["subscriptionExpirationDateTime"].(string), "2026-03-01T13:00:00") {
			t.Errorf("%s: %v", name, got)
		}
		if got["changeType"] != nil || got["resource"] != nil || len(got) != 5 {
			t.Errorf("%s says more than it should: %v", name, got)
		}
	}
	w.refused(http.StatusNotFound, "ResourceNotFound", "contoso", "GET", "/subscriptions/"+sub.id(), nil)
	if n, err := w.Lifecycle("contoso", "missed"); n != 0 || err != nil {
		t.Errorf("without a subscription: %d, %v", n, err)
	}
	for _, wrong := range [][2]string{{"nowhere", "missed"}, {"contoso", "forgotten"}} {
		if _, err := w.Lifecycle(wrong[0], wrong[1]); err == nil || !strings.Contains(err.Error(), wrong[0]) && !strings.Contains(err.Error(), wrong[1]) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestAnAuthorizationThatEndsStopsDeliveries(t *testing.T) {
	w, e, life := newWorld(t, entrasim.Options{Notify: entrasim.Notify{Authorization: 40 * time.Minute}}), newEndpoint(t), newEndpoint(t)
	far := map[string]any{"lifecycleNotificationUrl": life.URL, "expirationDateTime": w.clock.Now().Add(time.Hour)}
	path := "/subscriptions/" + w.subscribe("contoso", e.URL, far).id()
	w.clock.advance(20 * time.Minute)
	if got := life.event(t); got["lifecycleEvent"] != "reauthorizationRequired" {
		t.Errorf("with half of the time over: %v", got)
	}
	w.clock.advance(10 * time.Minute)
	if got := life.event(t); got["lifecycleEvent"] != "reauthorizationRequired" {
		t.Errorf("with three quarters of it over: %v", got)
	}
	heard := w.join("contoso", "heard")
	if got := e.next(t, 1)[0].ResourceData.ID; got != heard {
		t.Errorf("heard of %s", got)
	}
	w.clock.advance(10 * time.Minute)
	w.join("contoso", "unheard")
	w.must(http.StatusNoContent, "contoso", "POST", path+"/reauthorize", nil)
	again := w.join("contoso", "again")
	if got := e.next(t, 1)[0].ResourceData.ID; got != again {
		t.Errorf("after the reauthorization the first to be heard of is %s, want %s: what happened before is lost", got, again)
	}
}

func TestSubscriptionsToGroups(t *testing.T) {
	roles := append([]string{"Group.ReadWrite.All", "GroupMember.ReadWrite.All"}, entrasim.DefaultRoles...)
	w, all, one, members := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: roles}, {Name: "fabrikam-us"}}}), newEndpoint(t), newEndpoint(t), newEndpoint(t)
	group := func(name string) string {
		return w.must(201, "contoso", "POST", "/groups", map[string]any{"displayName": name, "mailNickname": name, "mailEnabled": false, "securityEnabled": true}).id()
	}
	first := group("first")
	for resource, at := range map[string]*endpoint{"/groups": all, "/groups/" + first: one, "groups/" + first + "/members": members} {
		if r := w.subscribe("contoso", at.URL, map[string]any{"resource": resource}); r.status != 201 {
			t.Fatal(resource, r.status, r.text)
		}
	}
	if r := w.subscribe("fabrikam-us", all.URL, map[string]any{"resource": "/groups"}); r.status != 403 {
		t.Errorf("without a permission for groups: %d %s", r.status, r.text)
	}

	second := group("second")
	w.must(204, "contoso", "PATCH", "/groups/"+first, map[string]any{"description": "changed"})
	ana := w.join("contoso", "ana") // no group, and nothing to hear
	w.must(204, "contoso", "POST", "/groups/"+first+"/members/$ref", map[string]any{"@odata.id": w.URL() + "/v1.0/directoryObjects/" + ana})
	ids := func(items []item) (list []string) {
		for _, i := range items {
			if i.Resource != "Groups/"+i.ResourceData.ID || i.ChangeType != "updated" {
				t.Errorf("%+v", i)
			}
			list = append(list, i.ResourceData.ID)
		}
		return list
	}
	if got := ids(all.next(t, 3)); !slices.Equal(got, []string{second, first, first}) {
		t.Errorf("of all groups: %v", got)
	}
	if got := ids(one.next(t, 2)); !slices.Equal(got, []string{first, first}) {
		t.Errorf("of one group: %v", got)
	}
	if got := ids(members.next(t, 1)); !slices.Equal(got, []string{first}) {
		t.Errorf("of its members: %v", got)
	}
}
