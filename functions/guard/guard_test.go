package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	function "github.com/tenantsync/tenantsync/functions/guard"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const route = "fabrikam-us→contoso"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world holds two people, and keeps what it was asked for.
type world struct {
	held    []guard.Held
	listed  []string // routes
	decided []decided
	sent    []change.Change
	// What fails.
	store, bus error
}

type decided struct {
	route   string
	users   []string
	approve bool
}

func (w *world) Held(_ context.Context, route string) ([]guard.Held, error) {
	w.listed = append(w.listed, route)
	return w.held, w.store
}

func (w *world) Decide(_ context.Context, route string, users []string, approve bool) (found []string, err error) {
	w.decided = append(w.decided, decided{route, users, approve})
	for _, h := range w.held {
		if len(users) == 0 || strings.Contains(strings.Join(users, " "), h.User) {
			found = append(found, h.User)
		}
	}
	return found, w.store
}

func (w *world) Send(_ context.Context, queue string, changes []change.Change) error {
	if queue != change.QueueChanges {
		return errors.New("not to " + queue)
	}
	w.sent = append(w.sent, changes...)
	return w.bus
}

func newWorld() *world {
	return &world{held: []guard.Held{
		{Route: route, User: "u1", External: "e1", Reason: "the source user is deleted", Since: now.Add(-time.Hour)},
		{Route: route, User: "u2", External: "e2", Reason: "the source user is deleted", Since: now, Rejected: true},
	}}
}

func (w *world) call(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	topology, err := tenant.NewTopology([]tenant.Tenant{
		{Name: "fabrikam-us", ID: "11111111-1111-4111-8111-111111111111"}, {Name: "contoso", ID: "22222222-2222-4222-8222-222222222222"},
	}, []tenant.RouteSpec{{Source: "fabrikam-us", Target: "contoso"}})
	if err != nil {
		t.Fatal(err)
	}
	h := &function.Handler{Topology: topology, Store: w, Bus: w, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	if rec.Header().Get("Content-Type") != "application/json" || !json.Valid(rec.Body.Bytes()) {
		t.Fatalf("the answer is not JSON: %s", rec.Body)
	}
	return rec
}

func TestTheListSaysWhoIsHeldSinceWhenAndWhy(t *testing.T) {
	w := newWorld()
	got := w.call(t, http.MethodGet, "/api/guard?route=x", "")
	const want = `{"held":[` +
		`{"route":"fabrikam-us→contoso","user":"u1","external":"e1","reason":"the source user is deleted","since":"2026-03-01T11:00:00Z"},` +
		`{"route":"fabrikam-us→contoso","user":"u2","external":"e2","reason":"the source user is deleted","since":"2026-03-01T12:00:00Z","rejected":true}]}`
	if got.Code != http.StatusOK || strings.TrimSpace(got.Body.String()) != want || !reflect.DeepEqual(w.listed, []string{"x"}) {
		t.Errorf("%d %s of %v", got.Code, got.Body, w.listed)
	}
	if got := (&world{}).call(t, http.MethodGet, "/api/guard", ""); strings.TrimSpace(got.Body.String()) != `{"held":[]}` {
		t.Errorf("nobody is held: %s", got.Body)
	}
}

func TestADecisionIsStoredAndWhatIsApprovedIsLookedAtAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       decided
		answer     string
		sent       []string
	}{
		{"one is approved", `{"route":"` + route + `","users":["u1","stranger"],"decision":"approve"}`,
			decided{route, []string{"u1", "stranger"}, true}, `{"decided":["u1"]}`, []string{"u1"}},
		{"all are approved", `{"route":"` + route + `","all":true,"decision":"approve"}`, decided{route, nil, true}, `{"decided":["u1","u2"]}`, []string{"u1", "u2"}},
		{"one is rejected", `{"route":"` + route + `","users":["u2"],"decision":"reject"}`, decided{route, []string{"u2"}, false}, `{"decided":["u2"]}`, nil},
		{"nobody of those is held", `{"route":"` + route + `","users":["stranger"],"decision":"approve"}`, decided{route, []string{"stranger"}, true}, `{"decided":[]}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			got := w.call(t, http.MethodPost, "/api/guard", tt.body)
			if got.Code != http.StatusOK || strings.TrimSpace(got.Body.String()) != tt.answer || !reflect.DeepEqual(w.decided, []decided{tt.want}) {
				t.Errorf("%d %s of %+v", got.Code, got.Body, w.decided)
			}
			var sent []string
			for _, c := range w.sent {
				sent = append(sent, c.User)
				if c.Route != route || c.Cause != change.CauseApproved || !c.ArrivedAt.Equal(now) || c.Key == "" || !c.Deleted {
					t.Errorf("sent %+v", c)
				}
			}
			if !reflect.DeepEqual(sent, tt.sent) {
				t.Errorf("%v are looked at, want %v", sent, tt.sent)
			}
		})
	}
}

func TestABadDecisionSaysWhatToWriteAndDecidesNothing(t *testing.T) {
	for _, tt := range []struct{ name, body, says string }{
		{"an unknown field", `{"rout":"x"}`, "known fields are route, users, all and decision"},
		{"no JSON", `approve`, "the body is no decision"},
		{"something behind it", `{} {}`, "something follows the object"},
		{"an unknown route", `{"route":"x","all":true,"decision":"approve"}`, `there is no route "x"`},
		{"no decision", `{"route":"` + route + `","all":true}`, "write approve or reject"},
		{"another decision", `{"route":"` + route + `","all":true,"decision":"maybe"}`, "write approve or reject"},
		{"nobody", `{"route":"` + route + `","decision":"approve"}`, "name users"},
		{"all and some", `{"route":"` + route + `","all":true,"users":["u1"],"decision":"approve"}`, "name users"},
		{"too much", `{"route":"` + strings.Repeat("x", 2<<20), "the body is no decision"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			got := w.call(t, http.MethodPost, "/api/guard", tt.body)
			if got.Code != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(got.Body.String(), `\"`, `"`), tt.says) || len(w.decided) > 0 {
				t.Errorf("%d %s after %+v", got.Code, got.Body, w.decided)
			}
		})
	}
}

func TestAFailureSaysWhatStands(t *testing.T) {
	approve := `{"route":"` + route + `","all":true,"decision":"approve"}`
	for _, tt := range []struct {
		name, method string
		store, bus   error
		status       int
		says         string
	}{
		{"the list", http.MethodGet, errors.New("disk"), nil, http.StatusInternalServerError, "the log says why"},
		{"the decision", http.MethodPost, errors.New("disk"), nil, http.StatusInternalServerError, "cannot be stored"},
		{"the bus", http.MethodPost, nil, errors.New("away"), http.StatusBadGateway, "the decision stands, make the same request again"},
		{"another method", http.MethodDelete, nil, nil, http.StatusMethodNotAllowed, "use GET or POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.store, w.bus = tt.store, tt.bus
			got := w.call(t, tt.method, "/api/guard", approve)
			if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.says) {
				t.Errorf("%d %s", got.Code, got.Body)
			}
			if tt.store != nil && len(w.sent) > 0 {
				t.Errorf("sent %+v although nothing was stored", w.sent)
			}
		})
	}
}
