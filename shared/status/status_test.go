package status_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/status"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const usID = "00000000-0000-4000-8000-000000000001"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is an installation in good order until a test spoils it.
type world struct {
	subscriptions []subscription.Held
	held          []guard.Held
	entries       []provisioning.Entry
	cursors       map[string]string
	queues        map[string]status.Queue
	failing       string
}

func (w *world) fail(what string) error {
	if what == w.failing {
		return errors.New(what + " cannot be read")
	}
	return nil
}

func (w *world) Subscriptions(_ context.Context, tenantID string) (held []subscription.Held, err error) {
	for _, h := range w.subscriptions {
		if h.TenantID == tenantID {
			held = append(held, h)
		}
	}
	return held, w.fail("subscriptions")
}

func (w *world) Cursor(_ context.Context, name string) (string, error) {
	return w.cursors[name], w.fail("cursors")
}

func (w *world) SaveCursor(_ context.Context, name, value string) error {
	w.cursors[name] = value
	return w.fail("save")
}

func (w *world) Held(context.Context, string) ([]guard.Held, error) { return w.held, w.fail("held") }

func (w *world) CountLinked(context.Context, string) (int, error) { return 7, w.fail("links") }

func (w *world) Recent(_ context.Context, _ string, since time.Time, each func(provisioning.Entry)) error {
	for _, e := range w.entries {
		if !e.At.Before(since) {
			each(e)
		}
	}
	return w.fail("journal")
}

func (w *world) Depth(_ context.Context, queue string) (status.Queue, error) {
	q := w.queues[queue]
	q.Name = queue
	return q, w.fail("queues")
}

func newWorld(t *testing.T) (*world, *status.Reporter) {
	t.Helper()
	topology, err := tenant.NewTopology([]tenant.Tenant{{Name: "us", ID: usID}, {Name: "contoso", ID: "00000000-0000-4000-8000-000000000002"}},
		[]tenant.RouteSpec{{Source: "us", Target: "contoso"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		subscriptions: []subscription.Held{{ID: "s1", TenantID: usID, ExpiresAt: now.Add(20 * 24 * time.Hour)}},
		cursors:       map[string]string{"timer/renew": now.Add(-4 * time.Minute).Format(time.RFC3339)},
		queues:        map[string]status.Queue{"changes": {Active: 3, Scheduled: 2}},
	}
	return w, &status.Reporter{Topology: topology, Store: w, Queues: w, QueueNames: []string{"changes"},
		Timers: map[string]time.Duration{"renew": 5 * time.Minute}, Now: func() time.Time { return now }}
}

func TestAnInstallationInGoodOrderHasNoProblems(t *testing.T) {
	w, r := newWorld(t)
	for i := range 100 {
		w.entries = append(w.entries, provisioning.Entry{At: now, Action: provisioning.ActionUpdate, Outcome: "done",
			EventAt: now.Add(-time.Duration(i+2) * time.Second), ArrivedAt: now.Add(-time.Duration(i+1) * time.Second)})
	}
	w.entries = append(w.entries,
		provisioning.Entry{At: now, Action: provisioning.ActionNone, Outcome: "done", ArrivedAt: now.Add(-time.Hour)},
		provisioning.Entry{At: now, Action: provisioning.ActionUpdate, Outcome: "retry", ArrivedAt: now.Add(-time.Hour)},
		provisioning.Entry{At: now, Action: provisioning.ActionRemove, Outcome: "done", Held: true, ArrivedAt: now.Add(-time.Hour)},
		provisioning.Entry{At: now.Add(-25 * time.Hour), Action: provisioning.ActionUpdate, Outcome: "done", ArrivedAt: now.Add(-48 * time.Hour)},
	)
	got, err := r.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := status.Report{
		At:      now,
		Sources: []status.Source{{Name: "us", Tenant: usID, Subscription: "s1", ExpiresAt: now.Add(20 * 24 * time.Hour)}},
		Routes: []status.Route{{Name: "us→contoso", Linked: 7, FromEvent: status.Latency{N: 100, P50: 52 * time.Second, P99: 101 * time.Second},
			FromArrival: status.Latency{N: 100, P50: 51 * time.Second, P99: 100 * time.Second}}},
		Queues:   []status.Queue{{Name: "changes", Active: 3, Scheduled: 2}},
		Timers:   []status.Timer{{Name: "renew", Every: 5 * time.Minute, At: now.Add(-4 * time.Minute)}},
		Problems: []string{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestAProblemSaysWhatToDo(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"no subscription":             {func(w *world) { w.subscriptions = nil }, "us is not watched: there is no subscription"},
		"a subscription that ended":   {func(w *world) { w.subscriptions[0].ExpiresAt = now }, "us is not watched"},
		"a subscription that ends":    {func(w *world) { w.subscriptions[0].ExpiresAt = now.Add(time.Hour) }, "is not renewed"},
		"a departure that is held":    {func(w *world) { w.held = []guard.Held{{User: "u1"}, {User: "u2", Rejected: true}} }, "departures on us→contoso that wait for a decision: 1;"},
		"dead letters":                {func(w *world) { w.queues["changes"] = status.Queue{DeadLettered: 2} }, "dead letters of queue changes: 2;"},
		"a timer that never ran":      {func(w *world) { delete(w.cursors, "timer/renew") }, "renew has never succeeded"},
		"a timer that is late":        {func(w *world) { w.cursors["timer/renew"] = now.Add(-16 * time.Minute).Format(time.RFC3339) }, "renew has not succeeded for 16m"},
		"a cursor that is not a time": {func(w *world) { w.cursors["timer/renew"] = "yesterday" }, "renew has never succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newWorld(t)
			tt.spoil(w)
			got, err := r.Report(t.Context())
			if err != nil || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], tt.want) {
				t.Errorf("problems %q, %v; want one with %q", got.Problems, err, tt.want)
			}
		})
	}
}

func TestWhatCannotBeLookedAtIsAnError(t *testing.T) {
	for _, failing := range []string{"subscriptions", "held", "links", "journal", "queues", "cursors"} {
		w, r := newWorld(t)
		w.failing = failing
		if _, err := r.Report(t.Context()); err == nil || err.Error() != failing+" cannot be read" {
			t.Errorf("%s: error %v", failing, err)
		}
	}
}

func TestOnlyASuccessOfATimerIsRemembered(t *testing.T) {
	w, r := newWorld(t)
	broken := errors.New("it is away")
	if err := r.Watched("sweep", func(context.Context) error { return broken })(t.Context()); !errors.Is(err, broken) || w.cursors["timer/sweep"] != "" {
		t.Errorf("error %v, remembered %q", err, w.cursors["timer/sweep"])
	}
	if err := r.Watched("sweep", func(context.Context) error { return nil })(t.Context()); err != nil || w.cursors["timer/sweep"] != now.Format(time.RFC3339) {
		t.Errorf("error %v, remembered %q", err, w.cursors["timer/sweep"])
	}
	w.failing = "save"
	if err := r.Watched("sweep", func(context.Context) error { return nil })(t.Context()); err == nil {
		t.Error("a success that cannot be remembered is one")
	}
}
