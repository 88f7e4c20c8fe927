package graph_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

func TestAManagerIsSetReadAndRemoved(t *testing.T) {
	ctx := t.Context()
	s := start(t, entrasim.Options{PageSize: 2, Tenants: []entrasim.Tenant{{Name: "fabrikam"}}, App: entrasim.App{ExtensionProperties: []string{"tenantsyncSource"}}},
		graph.Reads{Source: []string{"manager"}, Manager: []string{"department"}, External: []string{"department"}, ManagerLink: true})
	ana, luz, eva := s.hire(t, "ana", nil), s.hire(t, "luz", map[string]any{"department": "Board"}), s.hire(t, "eva", nil)
	source, err := s.graph.Source(s.source)
	if err != nil {
		t.Fatal(err)
	}
	target := s.targetTenant(t)
	if err := target.Update(ctx, ana, nil, "tenant/ana"); err != nil {
		t.Fatal(err)
	}
	read := func(when, want string) {
		t.Helper()
		if u, err := source.User(ctx, ana); err != nil || u.Manager != want || (u.Attributes["manager"] != nil) != (want != "") {
			t.Errorf("%s the source says %q, %v (%v), want %q", when, u.Manager, err, u.Attributes["manager"], want)
		}
		if e, err := target.External(ctx, ana); err != nil || e.Manager != want {
			t.Errorf("%s the target says %q, %v, want %q", when, e.Manager, err, want)
		}
		if found, err := target.ByMail(ctx, "ana@fabrikam.onmicrosoft.com"); err != nil || len(found) != 1 || found[0].Manager != want {
			t.Errorf("%s by mail there is %+v, %v, want the manager %q", when, found, err, want)
		}
		if found, err := target.ByKey(ctx, "tenant/ana"); err != nil || len(found) != 1 || found[0].Manager != want {
			t.Errorf("%s by key there is %+v, %v, want the manager %q", when, found, err, want)
		}
	}
	set := func(id, manager string) {
		t.Helper()
		if err := target.SetManager(ctx, id, manager); err != nil {
			t.Error(err)
		}
	}
	read("at first", "")
	set(ana, luz)
	set(ana, luz)
	read("when it is set", luz)
	if u, _ := source.User(ctx, ana); u.Attributes["manager"].(mapping.Values)["department"] != "Board" {
		t.Errorf("the attributes of the manager are %v", u.Attributes["manager"])
	}
	set(ana, eva)
	read("when it is another", eva)
	set(ana, "")
	set(ana, "")
	read("when there is none", "")

	set(ana, luz)
	s.request(t, http.MethodDelete, "/users/"+luz, nil)
	read("when the manager is deleted", "")
	s.request(t, http.MethodDelete, "/users/"+ana, nil)
	if e, err := target.External(ctx, ana); err != nil || !e.Deleted || e.Manager != "" {
		t.Errorf("a deleted user has the manager %q, %v", e.Manager, err)
	}
	for name, err := range map[string]error{
		"a manager who is not there yet": target.SetManager(ctx, eva, nobody),
		"a user who is not there yet":    target.SetManager(ctx, nobody, eva),
		"nobody's manager":               target.SetManager(ctx, nobody, ""),
	} {
		if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != "not replicated" {
			t.Errorf("%s: %v %q: %v", name, got.Kind, got.Code, err)
		}
		if is := errors.Is(err, provisioning.ErrNotFound); is != (name != "nobody's manager") {
			t.Errorf("%s: wraps ErrNotFound: %v", name, is)
		}
	}
}

func TestAManagerIsNotAskedForWithoutNeed(t *testing.T) {
	r := play(t, map[string]answer{"GET /users/" + userID: {body: `{"id":"` + userID + `","manager":{"@odata.type":"#microsoft.graph.user","id":"x"}}`}})
	u, err := r.source(t).User(t.Context(), userID)
	if err != nil || u.Manager != "" {
		t.Errorf("the manager is %q, %v", u.Manager, err)
	}
	if _, err := r.target(t).External(t.Context(), userID); err != nil {
		t.Error(err)
	}
	for _, line := range r.requests() {
		if strings.Contains(line, "expand") {
			t.Errorf("asked %s", line)
		}
	}
}

// Graph says 404 of a manager who is not there in words that no document fixes.
func TestAManagerWhoSeemsToBeGoneIsLookedFor(t *testing.T) {
	gone := answer{status: 404, body: recorded(t, "404-not-found.json")}
	remove, read := "DELETE /users/"+userID+"/manager/$ref", "GET /users/"+userID
	for name, c := range map[string]struct {
		look answer
		kind outcome.Kind
		code string
	}{
		"there is none":               {answer{body: `{"id":"` + userID + `"}`}, outcome.Done, ""},
		"there is one":                {answer{body: `{"id":"` + userID + `","manager":{"@odata.type":"#microsoft.graph.user","id":"x"}}`}, outcome.Retry, "not replicated"},
		"a contact is nobody's":       {answer{body: `{"id":"` + userID + `","manager":{"@odata.type":"#microsoft.graph.orgContact","id":"x"}}`}, outcome.Done, ""},
		"the user is not there":       {gone, outcome.Retry, "not replicated"},
		"nobody can tell at the time": {answer{status: 503, body: "{}"}, outcome.Retry, "service unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, map[string]answer{remove: gone, read: c.look})
			err := r.target(t).SetManager(t.Context(), userID, "")
			if got := outcome.Of(err); got.Kind != c.kind || got.Code != c.code {
				t.Errorf("%v %q: %v", got.Kind, got.Code, err)
			}
			if want := []string{remove, read + "?$expand=manager($select=id)&$select=id"}; !slices.Equal(r.requests(), want) {
				t.Errorf("asked %q, want %q", r.requests(), want)
			}
		})
	}
}
