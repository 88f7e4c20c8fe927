package look_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions/look"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const (
	route  = "fabrikam-us→contoso"
	source = "11111111-1111-4111-8111-111111111111"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world knows some people, and keeps what was sent.
type world struct {
	known      map[string]string // object ids by name
	sent       []change.Change
	asked      []string // routes on which everybody is looked at
	graph, bus error    // what fails
	store      error
}

func (w *world) UserID(_ context.Context, tenantID, name string) (string, error) {
	id, known := w.known[name]
	switch {
	case tenantID != source:
		return "", fmt.Errorf("asked in tenant %s", tenantID)
	case w.graph == nil && !known:
		return "", fmt.Errorf("read user %s: %w", name, provisioning.ErrNotFound)
	}
	return id, w.graph
}

func (w *world) Send(_ context.Context, queue string, changes []change.Change) error {
	if queue != change.QueueChanges {
		return errors.New("not to " + queue)
	}
	if w.bus == nil {
		w.sent = append(w.sent, changes...)
	}
	return w.bus
}

func (w *world) Ask(_ context.Context, route tenant.Route) error {
	if w.store == nil {
		w.asked = append(w.asked, route.Name)
	}
	return w.store
}

func (w *world) call(t *testing.T, method, body string) *httptest.ResponseRecorder {
	t.Helper()
	topology, err := tenant.NewTopology([]tenant.Tenant{{Name: "fabrikam-us", ID: source}, {Name: "contoso", ID: "22222222-2222-4222-8222-222222222222"}},
		[]tenant.RouteSpec{{Source: "fabrikam-us", Target: "contoso"}})
	if err != nil {
		t.Fatal(err)
	}
	h := &look.Handler{Topology: topology, Users: w, Census: w, Bus: w, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, "/api/look", strings.NewReader(body)))
	if rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the answer is %q", rec.Header().Get("Content-Type"))
	}
	return rec
}

func people() map[string]string {
	return map[string]string{"a@us.fabrikam.com": "u1", "u1": "u1", "u2": "u2"}
}

func TestWhoIsAskedAboutIsLookedAtOnce(t *testing.T) {
	w := &world{known: people()}
	rec := w.call(t, http.MethodPost, `{"route":"`+route+`","users":["a@us.fabrikam.com","u2","u1"]}`)
	var got look.Answer
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK || !reflect.DeepEqual(got.Users, []string{"u1", "u2"}) || len(w.sent) != 2 {
		t.Fatalf("%d %s, %v; sent: %+v", rec.Code, rec.Body, err, w.sent)
	}
	for i, c := range w.sent {
		want := change.Change{Route: route, User: got.Users[i], Cause: change.CauseAsked, Key: c.Key, ArrivedAt: now, Deleted: true}
		if c != want || c.Trace() != got.Traces[i] || c.Key == "" {
			t.Errorf("sent %+v, want %+v with the trace %s", c, want, got.Traces[i])
		}
	}
	if w.sent[0].Key == w.sent[1].Key {
		t.Error("two people have one key")
	}
}

func TestEverybodyIsLookedAtOnOneRoute(t *testing.T) {
	w := &world{known: people()}
	rec := w.call(t, http.MethodPost, `{"route":"`+route+`","all":true}`)
	if rec.Code != http.StatusOK || strings.TrimSpace(rec.Body.String()) != `{"users":[],"traces":[]}` || !reflect.DeepEqual(w.asked, []string{route}) || len(w.sent) > 0 {
		t.Errorf("%d %s; asked for %v, sent %v", rec.Code, rec.Body, w.asked, w.sent)
	}
}

func TestNobodyIsLookedAtWhenSomethingIsWrong(t *testing.T) {
	many := strings.Repeat(`"u1",`, look.MaxUsers) + `"u1"`
	for _, tt := range []struct {
		name, method, body string
		graph, bus         error
		status             int
		says               string
	}{
		{"another method", http.MethodGet, "", nil, nil, http.StatusMethodNotAllowed, "use POST"},
		{"no JSON", http.MethodPost, "{", nil, nil, http.StatusBadRequest, "the body is no request"},
		{"an unknown field", http.MethodPost, `{"who":["u1"]}`, nil, nil, http.StatusBadRequest, "known fields are route, users and all"},
		{"two objects", http.MethodPost, `{}{}`, nil, nil, http.StatusBadRequest, "something follows the object"},
		{"an unknown route", http.MethodPost, `{"route":"x","users":["u1"]}`, nil, nil, http.StatusBadRequest, `there is no route \"x\"`},
		{"nobody", http.MethodPost, `{"route":"` + route + `"}`, nil, nil, http.StatusBadRequest, "name users"},
		{"everybody and somebody", http.MethodPost, `{"route":"` + route + `","users":["u1"],"all":true}`, nil, nil, http.StatusBadRequest, "name users"},
		{"the store fails", http.MethodPost, `{"route":"` + route + `","all":true}`, nil, nil, http.StatusInternalServerError, "the store is away"},
		{"too many", http.MethodPost, `{"route":"` + route + `","users":[` + many + `]}`, nil, nil, http.StatusBadRequest, "at most 50"},
		{"a stranger among them", http.MethodPost, `{"route":"` + route + `","users":["u1","stranger"]}`, nil, nil, http.StatusNotFound, `user \"stranger\"`},
		{"Graph fails", http.MethodPost, `{"route":"` + route + `","users":["u1"]}`, errors.New("Graph is away"), nil, http.StatusBadGateway, "Graph is away"},
		{"the bus fails", http.MethodPost, `{"route":"` + route + `","users":["u1"]}`, nil, errors.New("the bus is away"), http.StatusBadGateway, "the bus is away"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{known: people(), graph: tt.graph, bus: tt.bus, store: errors.New("the store is away")}
			rec := w.call(t, tt.method, tt.body)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) || len(w.sent)+len(w.asked) > 0 {
				t.Errorf("%d %s, want %d and %q; sent: %+v", rec.Code, rec.Body, tt.status, tt.says, w.sent)
			}
		})
	}
}
