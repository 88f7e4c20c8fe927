package graph_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/sweep"
)

// since collects what changed after a cursor, each user once.
func (s *simulated) since(t *testing.T, cursor string) (changed map[string]bool, next string) {
	t.Helper()
	changed = map[string]bool{}
	next, err := s.graph.Changes(t.Context(), s.source, cursor, func(page []sweep.Changed) error {
		for _, c := range page {
			changed[c.User] = c.Deleted
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return changed, next
}

func TestChangesOfUsersAreTrackedFromACursorOn(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	s.hire(t, "before", nil)
	mover, leaver, past, other := s.hire(t, "mover", nil), s.hire(t, "leaver", nil), s.hire(t, "past", nil), s.hire(t, "other", nil)
	cursor, err := s.graph.Latest(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	if changed, _ := s.since(t, cursor); len(changed) > 0 {
		t.Errorf("nothing happened, and %v changed", changed)
	}
	joiner := s.hire(t, "joiner", nil)
	s.request(t, http.MethodPatch, "/users/"+mover, map[string]any{"department": "Research"})
	s.request(t, http.MethodPatch, "/users/"+other, map[string]any{"passwordPolicies": "DisablePasswordExpiration"}) // nobody reads it
	s.request(t, http.MethodDelete, "/users/"+leaver, nil)
	s.request(t, http.MethodDelete, "/users/"+past, nil)
	s.request(t, http.MethodDelete, "/directory/deletedItems/"+past, nil)
	changed, next := s.since(t, cursor)
	if want := map[string]bool{joiner: false, mover: false, leaver: false, past: true}; !reflect.DeepEqual(changed, want) {
		t.Errorf("changed are %v, want %v", changed, want)
	}
	if changed, _ := s.since(t, next); len(changed) > 0 {
		t.Errorf("after the last page %v changed again", changed)
	}
}

func TestManagersAreTrackedWhereTheyAreRead(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	boss, user := s.hire(t, "boss", nil), s.hire(t, "ana", nil)
	for _, read := range []bool{false, true} {
		s.graph = s.connect(t, graph.Reads{Source: []string{"displayName"}, External: []string{"displayName"}, ManagerLink: read})
		cursor, err := s.graph.Latest(t.Context(), s.source)
		if err != nil {
			t.Fatal(err)
		}
		if tracked := strings.Split(s.graph.Tracked(), ","); strings.Contains(strings.Join(tracked, " "), "manager") != read {
			t.Errorf("tracked are %v", tracked)
		}
		s.request(t, http.MethodPut, "/users/"+user+"/manager/$ref", map[string]any{"@odata.id": s.URL() + "/v1.0/users/" + boss})
		if changed, _ := s.since(t, cursor); (len(changed) == 1) != read {
			t.Errorf("with the manager read %v: %v changed", read, changed)
		}
		s.request(t, http.MethodDelete, "/users/"+user+"/manager/$ref", nil)
	}
}

func TestACursorThatExpiredIsSaidToBe(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	cursor, err := s.graph.Latest(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(8 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	s.graph = s.connect(t, graph.Reads{}) // its token has expired, too
	if _, err := s.graph.Changes(t.Context(), s.source, cursor, nil); !errors.Is(err, sweep.ErrExpired) {
		t.Errorf("after eight days: %v", err)
	}
	for name, a := range map[string]struct {
		answer  answer
		expired bool
	}{
		"410":                          {answer{status: 410, body: `{"error":{"code":"resyncRequired","message":"start again"}}`}, true},
		"a 400 with the code for it":   {answer{status: 400, body: `{"error":{"code":"SyncStateNotFound","message":"gone"}}`}, true},
		"a 400 for another reason":     {answer{status: 400, body: `{"error":{"code":"BadRequest","message":"no"}}`}, false},
		"a 500":                        {answer{status: 500}, false},
		"an answer without any link":   {answer{status: 200, body: `{"value":[]}`}, false},
		"an empty answer of a gateway": {answer{status: 200}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, map[string]answer{"GET /users/delta": a.answer})
			_, err := r.open(t).Changes(t.Context(), tenantID, r.URL+"/v1.0/users/delta?$deltatoken=x", func([]sweep.Changed) error { return nil })
			if err == nil || errors.Is(err, sweep.ErrExpired) != a.expired {
				t.Errorf("error %v", err)
			}
			if !a.expired && outcome.Of(err).Kind == outcome.Done {
				t.Error("it counts as done")
			}
		})
	}
}

// cut is a network that breaks the first requests for changes off.
type cut struct {
	next  http.RoundTripper
	times int
}

func (c *cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/users/delta") && c.times > 0 {
		c.times--
		return nil, errors.New("connection reset")
	}
	return c.next.RoundTrip(r)
}

func TestAPageOfALongListIsAskedForAgain(t *testing.T) {
	for _, failures := range []int{0, 3, 4} {
		r := play(t, map[string]answer{"GET /users/delta": {body: `{"value":[{"id":"` + userID + `"}],"@odata.deltaLink":"$SERVER/v1.0/users/delta?$deltatoken=y"}`}})
		o := r.options()
		o.Transport = &cut{next: o.Transport, times: failures}
		g, err := graph.New(o)
		if err != nil {
			t.Fatal(err)
		}
		next, err := g.Changes(t.Context(), tenantID, r.URL+"/v1.0/users/delta?$deltatoken=x", func([]sweep.Changed) error { return nil })
		if ok := err == nil && strings.HasSuffix(next, "deltatoken=y"); ok != (failures < 4) {
			t.Errorf("after %d failures: %s, %v", failures, next, err)
		}
	}
}

func TestAnInterruptedRoundGivesNoCursor(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	cursor, err := s.graph.Latest(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} { // two pages
		s.hire(t, name, nil)
	}
	stop := errors.New("the bus is away")
	pages := 0
	next, err := s.graph.Changes(t.Context(), s.source, cursor, func([]sweep.Changed) error {
		if pages++; pages == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || next != "" {
		t.Errorf("%q, %v", next, err)
	}
}

func TestWhoHasAnExternalUserIsToldByWhatThoseCarry(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	target := s.targetTenant(t)
	want := map[string]bool{}
	for _, name := range []string{"ana", "ben", "cleo"} { // two pages
		id, err := target.Invite(t.Context(), name+"@fabrikam.example", name)
		if err != nil {
			t.Fatal(err)
		}
		source := s.hire(t, name, nil)
		want[source] = true
		if err := target.Update(t.Context(), id, nil, provisioning.SourceKey(s.source, source)); err != nil {
			t.Fatal(err)
		}
	}
	foreign, err := target.Invite(t.Context(), "dora@woodgrove.example", "dora")
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Update(t.Context(), foreign, nil, provisioning.SourceKey(userID, userID)); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Invite(t.Context(), "guest@woodgrove.example", "guest"); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	err = s.graph.Carried(t.Context(), s.target, s.source, func(users []string) error {
		for _, u := range users {
			got[u] = true
		}
		return nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("told are %v, %v; want %v", got, err, want)
	}
}
