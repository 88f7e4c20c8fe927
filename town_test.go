package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// chronicle is the journal of a house, for the test to read. Safe for concurrent use.
type chronicle struct {
	mu      sync.Mutex
	entries []provisioning.Entry
}

// behind puts the chronicle behind the program's own journal.
func (c *chronicle) behind(own provisioning.Journal) provisioning.Journal { return recorded{own, c} }

type recorded struct {
	provisioning.Journal
	in *chronicle
}

func (r recorded) Append(ctx context.Context, e provisioning.Entry) error {
	r.in.mu.Lock()
	r.in.entries = append(r.in.entries, e)
	r.in.mu.Unlock()
	return r.Journal.Append(ctx, e)
}

// of are the entries of one user on one route, in order.
func (c *chronicle) of(route, user string) (found []provisioning.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if e.Route == route && e.User == user {
			found = append(found, e)
		}
	}
	return found
}

// town is a house with people in it, who are told apart by what the subtests of one world do to them.
type town struct {
	*house
	offices map[string]*directory // by the name of a tenant
	named   map[string]string     // object ids of what stands there, by what the test calls it
	early   map[string]person     // who was there before the program ran, in the same way

	touches atomic.Int64
	mu      sync.Mutex
	unborn  []entrasim.Person
}

// settle makes a town of a house. Its people are the same in every run.
func settle(t *testing.T, h *house) *town {
	t.Helper()
	w := &town{house: h, offices: map[string]*directory{}, named: map[string]string{}, early: map[string]person{}, unborn: entrasim.People(5, 400)}
	for _, tn := range h.tenants {
		w.offices[tn.Name] = h.directory(t, tn)
	}
	return w
}

// person is somebody in a source.
type person struct {
	town *town
	home tenant.Tenant
	id   string
	born map[string]any // what the account was made from
}

// edits are properties by their names in Graph; nil leaves one out.
type edits map[string]any

// domainOf is where the people of a tenant have their addresses.
func (w *town) domainOf(home tenant.Tenant) string {
	for _, made := range w.graph.Tenants() {
		if made.ID == home.ID && made.Domain != "" {
			return made.Domain
		}
	}
	return home.Name + ".onmicrosoft.com"
}

// newcomer is somebody who has not joined yet, and whom nobody else is like.
func (w *town) newcomer(home tenant.Tenant, e edits) map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	body := newcomer(w.unborn[0], w.domainOf(home))
	w.unborn = w.unborn[1:]
	maps.Copy(body, e)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// hire lets somebody join.
func (w *town) hire(t *testing.T, home tenant.Tenant, e edits) person {
	t.Helper()
	return w.hireAs(t, home, w.newcomer(home, e))
}

// hireAs lets somebody join of whom the test knew before.
func (w *town) hireAs(t *testing.T, home tenant.Tenant, body map[string]any) person {
	t.Helper()
	p := person{town: w, home: home, born: body}
	var err error
	if p.id, err = w.offices[home.Name].join(p.born); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a request to Graph in a tenant, which must be answered well.
func (w *town) ask(t *testing.T, in tenant.Tenant, method, path string, body any) (answer map[string]any) {
	t.Helper()
	var into any
	if method == http.MethodGet || method == http.MethodPost && !strings.HasSuffix(path, "/$ref") {
		into = &answer
	}
	if err := w.offices[in.Name].call(method, path, body, into); err != nil {
		t.Fatal(err)
	}
	return answer
}

func (p person) ask(t *testing.T, method, path string, body any) {
	t.Helper()
	p.town.ask(t, p.home, method, path, body)
}

func (p person) change(t *testing.T, e edits) {
	t.Helper()
	p.ask(t, http.MethodPatch, "/users/"+p.id, e)
}

func (p person) leave(t *testing.T) { t.Helper(); p.ask(t, http.MethodDelete, "/users/"+p.id, nil) }

func (p person) back(t *testing.T) {
	t.Helper()
	p.ask(t, http.MethodPost, "/directory/deletedItems/"+p.id+"/restore", nil)
}

// reportsTo makes somebody the manager.
func (p person) reportsTo(t *testing.T, boss person) {
	t.Helper()
	p.ask(t, http.MethodPut, "/users/"+p.id+"/manager/$ref", map[string]any{"@odata.id": p.town.graph.URL() + "/v1.0/users/" + boss.id})
}

func (p person) reportsToNobody(t *testing.T) {
	t.Helper()
	p.ask(t, http.MethodDelete, "/users/"+p.id+"/manager/$ref", nil)
}

// touch changes something about the person that no rule looks at, so that everybody looks again.
func (p person) touch(t *testing.T) {
	t.Helper()
	p.change(t, edits{"faxNumber": fmt.Sprintf("+1 555 %07d", p.town.touches.Add(1))})
}

// address is what the person is invited by.
func (p person) address() string { return fmt.Sprint(p.born["mail"]) }

func (p person) key() string { return provisioning.SourceKey(p.home.ID, p.id) }

// route names the route from the person's tenant.
func (p person) route(target tenant.Tenant) string { return p.home.Name + "→" + target.Name }

// twins are the person's external users in a target: the live ones, and those that were removed.
func (p person) twins(target tenant.Tenant) (live, removed []map[string]any) {
	ours := func(all []map[string]any) []map[string]any {
		return slices.DeleteFunc(all, func(u map[string]any) bool { return u[p.town.extension("tenantsyncSource")] != p.key() })
	}
	return ours(p.town.graph.Users(target.ID)), ours(p.town.graph.DeletedUsers(target.ID))
}

// becomes waits until the person has one external user with these values (nil: none), and returns its id.
func (p person) becomes(t *testing.T, target tenant.Tenant, want edits) (external string) {
	t.Helper()
	eventually(t, soon, func() string {
		live, _ := p.twins(target)
		if len(live) != 1 {
			return fmt.Sprintf("%s has %d external users in %s; the journal says %s", p.id, len(live), target.Name, p.story(target))
		}
		external = live[0]["id"].(string)
		for name, value := range want {
			if !reflect.DeepEqual(live[0][name], value) {
				return fmt.Sprintf("%s of %s in %s is %v, want %v; the journal says %s", name, p.id, target.Name, live[0][name], value, p.story(target))
			}
		}
		return ""
	})
	return external
}

// arrives waits until the person has an external user who is as the account was made.
func (p person) arrives(t *testing.T, target tenant.Tenant) (external string) {
	t.Helper()
	return p.becomes(t, target, edits{"displayName": p.born["displayName"], "mail": p.born["mail"], "department": p.born["department"],
		"jobTitle": p.born["jobTitle"], "accountEnabled": p.born["accountEnabled"]})
}

// isRemoved waits until the person's external user, of this id, is soft-deleted, and no other is there.
func (p person) isRemoved(t *testing.T, target tenant.Tenant, external string) {
	t.Helper()
	eventually(t, soon, func() string {
		live, removed := p.twins(target)
		if len(live) != 0 || len(removed) != 1 || removed[0]["id"] != external {
			return fmt.Sprintf("%s has %d external users in %s and %d removed ones; the journal says %s",
				p.id, len(live), target.Name, len(removed), p.story(target))
		}
		return ""
	})
}

// staysAway waits until the program has said why the person has no external user.
func (p person) staysAway(t *testing.T, target tenant.Tenant, because string) {
	t.Helper()
	p.says(t, target, 0, because)
	if live, _ := p.twins(target); len(live) > 0 {
		t.Errorf("%s has an external user in %s, although %s", p.id, target.Name, because)
	}
}

// said is how many entries the journal has of the person on a route.
func (p person) said(target tenant.Tenant) int { return len(p.town.journal.of(p.route(target), p.id)) }

// says waits for an entry of the journal, behind the first few, whose reason or error has these words.
func (p person) says(t *testing.T, target tenant.Tenant, behind int, words string) (entry provisioning.Entry) {
	t.Helper()
	eventually(t, soon, func() string {
		for _, e := range p.town.journal.of(p.route(target), p.id)[behind:] {
			if strings.Contains(e.Reason+"; "+e.Error, words) {
				entry = e
				return ""
			}
		}
		return fmt.Sprintf("the journal says of %s %s, and nothing of %q", p.id, p.story(target), words)
	})
	return entry
}

// story is what the journal says of the person on a route, for those who look for a mistake.
func (p person) story(target tenant.Tenant) string {
	var lines []string
	for _, e := range p.town.journal.of(p.route(target), p.id) {
		lines = append(lines, fmt.Sprintf("%s %s %v (%s; %s) %s", e.At.Format("05.000"), e.Action, e.Operations, e.Reason, e.Error, e.Outcome))
	}
	return strings.Join(lines, " | ")
}

// managerIn is the manager of the person's external user; "" for none.
func (p person) managerIn(t *testing.T, target tenant.Tenant) string {
	t.Helper()
	state, err := p.town.graph.State(target.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range state.Users {
		if u[p.town.extension("tenantsyncSource")] == p.key() {
			boss, _ := u["manager"].(string)
			return boss
		}
	}
	return ""
}

// hasManager waits until the person's external user has this manager; "" is none.
func (p person) hasManager(t *testing.T, target tenant.Tenant, want string) {
	t.Helper()
	eventually(t, soon, func() string {
		if got := p.managerIn(t, target); got != want {
			return fmt.Sprintf("the manager of %s in %s is %q, want %q; the journal says %s", p.id, target.Name, got, want, p.story(target))
		}
		return ""
	})
}

// group creates a security group in a tenant; more are properties.
func (w *town) group(t *testing.T, in tenant.Tenant, name string, more edits) string {
	t.Helper()
	body := map[string]any{"displayName": name, "mailNickname": name, "mailEnabled": false, "securityEnabled": true}
	maps.Copy(body, more)
	return w.ask(t, in, http.MethodPost, "/groups", body)["id"].(string)
}

// put makes an object a member of a group, and take takes it out.
func (w *town) put(t *testing.T, in tenant.Tenant, group, member string) {
	t.Helper()
	w.ask(t, in, http.MethodPost, "/groups/"+group+"/members/$ref", map[string]any{"@odata.id": w.graph.URL() + "/v1.0/directoryObjects/" + member})
}

func (w *town) take(t *testing.T, in tenant.Tenant, group, member string) {
	t.Helper()
	w.ask(t, in, http.MethodDelete, "/groups/"+group+"/members/"+member+"/$ref", nil)
}

// redeem sets whether a target redeems invitations of a source's people by itself.
func (w *town) redeem(t *testing.T, target, source tenant.Tenant, yes bool) {
	t.Helper()
	w.ask(t, target, http.MethodPatch, "/policies/crossTenantAccessPolicy/partners/"+source.ID,
		map[string]any{"automaticUserConsentSettings": map[string]any{"inboundAllowed": yes}})
}

// members are those of a group, in order.
func (w *town) members(t *testing.T, in tenant.Tenant, group string) []string {
	t.Helper()
	state, err := w.graph.State(in.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range state.Groups {
		if g["id"] == group {
			ids := slices.Clone(g["members"].([]string))
			slices.Sort(ids)
			return ids
		}
	}
	return nil
}

// user is a live user of a tenant; nil if there is none of this id.
func (h *house) user(in tenant.Tenant, id string) map[string]any {
	for _, u := range h.graph.Users(in.ID) {
		if u["id"] == id {
			return u
		}
	}
	return nil
}

// replayed waits until the person's change is a dead letter, and puts it back on its queue.
func (w *town) replayed(t *testing.T, p person, target tenant.Tenant, reason string) {
	t.Helper()
	eventually(t, soon, func() string {
		var report struct{ Replayed int }
		if w.manage(t, "replay", map[string]any{"route": p.route(target), "user": p.id, "reason": reason}, &report); report.Replayed == 0 {
			return fmt.Sprintf("no change of %s is a dead letter because of %q", p.id, reason)
		}
		return ""
	})
}

// manage posts to a function that needs the administrator's key.
func (h *house) manage(t *testing.T, function string, body, into any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, h.url+"/api/"+function, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-functions-key", adminKey)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		err = read(resp, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
