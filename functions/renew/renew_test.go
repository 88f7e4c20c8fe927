package renew_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions/renew"
	"github.com/tenantsync/tenantsync/shared/census"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const (
	mexicoID = "00000000-0000-4000-8000-000000000001"
	usID     = "00000000-0000-4000-8000-000000000002"
)

var errAway = errors.New("it is away")

// world is what the timer works with: the subscriptions that stand, the people of each tenant, page by page, what is
// remembered, and the changes on the bus.
type world struct {
	standing []subscription.Held
	renewing error // what the renewer could not do
	pages    map[string][][]string
	linked   map[string][]provisioning.Link
	cursors  map[string]string
	sent     []change.Change
	begun    []string         // where sweeps got a place to go on from, and when
	failing  map[string]error // call → its error
	during   func()           // what happens while users are listed
	now      time.Time
}

func (w *world) Run(context.Context) ([]subscription.Held, error) { return w.standing, w.renewing }

// UserIDs fails after the first page, as a listing that is throttled half-way does.
func (w *world) UserIDs(_ context.Context, tenantID string, each func([]string) error) error {
	if w.during != nil {
		w.during()
	}
	for _, page := range w.pages[tenantID] {
		if err := each(page); err != nil {
			return err
		}
		if err := w.failing["users of "+tenantID]; err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Cursor(_ context.Context, name string) (string, error) {
	return w.cursors[name], w.failing["cursor"]
}

func (w *world) SaveCursor(_ context.Context, name, value string) error {
	if err := w.failing["save cursor"]; err != nil {
		return err
	}
	w.cursors[name] = value
	return nil
}

func (w *world) Linked(_ context.Context, route string, each func(provisioning.Link) error) error {
	for _, l := range w.linked[route] {
		if err := each(l); err != nil {
			return err
		}
	}
	return w.failing["linked"]
}

func (w *world) Send(_ context.Context, queue string, changes []change.Change) error {
	for _, c := range changes {
		if want := map[bool]string{true: change.QueueChanges, false: change.QueueBackfill}[c.Deleted]; queue != want {
			return fmt.Errorf("%s goes to %s, want %s", c.User, queue, want) // only who may have left does not wait
		}
	}
	if err := w.failing["send"]; err != nil {
		return err
	}
	w.sent = append(w.sent, changes...)
	return nil
}

// lookedAt lists "user on route" once per change, in order, and forgets the changes.
func (w *world) lookedAt() string {
	var out []string
	for _, c := range w.sent {
		out = append(out, c.User+" on "+c.Route)
	}
	w.sent = nil
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// newBench watches two sources: fabrikam-mexico feeds contoso, fabrikam-us feeds contoso and woodgrove.
func newBench(t *testing.T) (*world, *renew.Handler) {
	t.Helper()
	topology, err := tenant.NewTopology([]tenant.Tenant{
		{Name: "mexico", ID: mexicoID}, {Name: "us", ID: usID},
		{Name: "contoso", ID: "00000000-0000-4000-8000-000000000003"}, {Name: "woodgrove", ID: "00000000-0000-4000-8000-000000000004"},
	}, []tenant.RouteSpec{{Source: "mexico", Target: "contoso"}, {Source: "us", Target: "contoso"}, {Source: "us", Target: "woodgrove"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		standing: []subscription.Held{{ID: "s-mexico", TenantID: mexicoID}, {ID: "s-us", TenantID: usID}},
		pages:    map[string][][]string{mexicoID: {{"m1", "m2"}, {"m3"}}, usID: {{"u1"}}},
		linked:   map[string][]provisioning.Link{}, cursors: map[string]string{}, failing: map[string]error{},
		now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
	}
	h := &renew.Handler{Topology: topology}
	w.serve(h)
	return w, h
}

// serve makes the world that of a handler.
func (w *world) serve(h *renew.Handler) {
	h.Now, h.Log = func() time.Time { return w.now }, slog.New(slog.DiscardHandler)
	h.Renewer, h.Store, h.Sweeps = w, w, w
	h.Census = &census.Taker{Users: w, Externals: w, Links: w, Bus: w, Now: h.Now, Log: h.Log}
}

// Carried: nobody's link is lost.
func (w *world) Carried(context.Context, string, string, func([]string) error) error { return nil }

func (w *world) Begin(_ context.Context, tenantID string) error {
	w.begun = append(w.begun, fmt.Sprintf("%s after %d changes", tenantID, len(w.sent)))
	return w.failing["begin"]
}

const everybody = "m1 on mexico→contoso, m2 on mexico→contoso, m3 on mexico→contoso, u1 on us→contoso, u1 on us→woodgrove"

func run(t *testing.T, h *renew.Handler) {
	t.Helper()
	if err := h.Run(t.Context()); err != nil {
		t.Fatalf("Run: %v", err)
	}
}

func TestEverybodyIsLookedAtOncePerSubscription(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	if got := w.lookedAt(); got != everybody {
		t.Fatalf("looked at %s\nwant %s", got, everybody)
	}
	run(t, h)
	if got := w.lookedAt(); got != "" {
		t.Errorf("while the subscriptions stay, looked at %s", got)
	}
	w.standing[0].ID = "s-mexico-2" // a new one: what happened between the two was never notified
	run(t, h)
	if got, want := w.lookedAt(), "m1 on mexico→contoso, m2 on mexico→contoso, m3 on mexico→contoso"; got != want {
		t.Errorf("after one subscription began anew, looked at %s\nwant %s", got, want)
	}
}

func TestSweepsGoOnFromBeforeEverybodyIsLookedAt(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	if want := []string{mexicoID + " after 0 changes", usID + " after 3 changes"}; !slices.Equal(w.begun, want) {
		t.Errorf("they go on from %v, want %v", w.begun, want)
	}
}

func TestARouteThatIsNewCatchesUpByItself(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	delete(w.cursors, "catch-up/us→woodgrove/00000000-0000-4000-8000-000000000004") // as if it had just been written into the configuration
	w.lookedAt()
	run(t, h)
	if got, want := w.lookedAt(), "u1 on us→woodgrove"; got != want {
		t.Errorf("looked at %s\nwant %s", got, want)
	}
}

func TestARouteWhoseRulesChangedCatchesUpByItself(t *testing.T) {
	w, h := newBench(t)
	h.Rules = map[string]string{"us→contoso": "r1", "us→woodgrove": "r1"}
	run(t, h)
	w.lookedAt()
	h.Rules = map[string]string{"us→contoso": "r1", "us→woodgrove": "r2"}
	run(t, h)
	if got, want := w.lookedAt(), "u1 on us→woodgrove"; got != want {
		t.Errorf("looked at %s\nwant %s", got, want)
	}
	run(t, h)
	if got := w.lookedAt(); got != "" {
		t.Errorf("and then again at %s", got)
	}
}

func TestEverybodyIsLookedAtOnceADay(t *testing.T) {
	w, h := newBench(t)
	looks := 0
	for range 3 * 24 * 12 { // three days, every five minutes
		run(t, h)
		if got := w.lookedAt(); got != "" {
			looks++
			if got != everybody {
				t.Errorf("looked at %s", got)
			}
		}
		w.now = w.now.Add(renew.Every)
	}
	if looks != 3 {
		t.Errorf("everybody was looked at %d times in three days", looks)
	}
}

func TestAfterALongAbsenceEverybodyIsLookedAt(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	w.lookedAt()
	w.now = w.now.Add(3 * time.Hour) // Graph still delivers what it could not deliver then
	run(t, h)
	if got := w.lookedAt(); got != "" {
		t.Errorf("after three hours, looked at %s", got)
	}
	w.now = w.now.Add(4 * time.Hour)
	run(t, h)
	if got := w.lookedAt(); got != everybody {
		t.Errorf("after four hours, looked at %s\nwant %s", got, everybody)
	}
}

func TestWhoseServiceIsForgottenIsLookedAtOnce(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	w.lookedAt()
	maps.DeleteFunc(w.cursors, func(name, _ string) bool { return strings.HasPrefix(name, renew.Presence) }) // as when the bus lost everything
	run(t, h)
	if got := w.lookedAt(); got != everybody {
		t.Errorf("looked at %s\nwant %s", got, everybody)
	}
	run(t, h)
	if got := w.lookedAt(); got != "" {
		t.Errorf("the next time, looked at %s", got)
	}
}

func TestWhoIsNotListedIsOnlyClaimedToBeGone(t *testing.T) {
	w, h := newBench(t)
	w.linked["us→contoso"] = []provisioning.Link{{Key: provisioning.LinkKey{Route: "us→contoso", User: "gone"}, State: provisioning.LinkActive}}
	run(t, h)
	for _, c := range w.sent {
		if c.Deleted != (c.User == "gone") {
			t.Errorf("%s: deleted is %v", c.User, c.Deleted)
		}
	}
}

func TestAChangeOfTheCatchUpSaysWhyAndWhen(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	keys := map[string]bool{}
	for _, c := range w.sent {
		if c.Cause != change.CauseCatchUp || !c.ArrivedAt.Equal(w.now) || c.Deleted || !c.EventAt.IsZero() {
			t.Errorf("change %+v", c)
		}
		if _, err := change.Encode(c); err != nil {
			t.Errorf("the bus would refuse it: %v", err)
		}
		keys[c.MessageID()] = true
	}
	if len(keys) != len(w.sent) {
		t.Errorf("%d message ids for %d changes: duplicate detection would drop some", len(keys), len(w.sent))
	}
}

func TestWhoIsLinkedAndHasVanishedIsLookedAtToo(t *testing.T) {
	w, h := newBench(t)
	link := func(route, user string, state provisioning.LinkState) {
		w.linked[route] = append(w.linked[route], provisioning.Link{Key: provisioning.LinkKey{Route: route, User: user}, State: state})
	}
	link("us→contoso", "u1", provisioning.LinkActive)    // still there: once is enough
	link("us→contoso", "gone", provisioning.LinkActive)  // deleted while nobody watched
	link("us→contoso", "left", provisioning.LinkRemoved) // was removed already
	link("us→contoso", "never", provisioning.LinkNone)   // was never there
	link("mexico→contoso", "past", provisioning.LinkActive)
	run(t, h)
	want := "gone on us→contoso, " + strings.Replace(everybody, "u1 on us→contoso", "past on mexico→contoso, u1 on us→contoso", 1)
	if got := w.lookedAt(); got != want {
		t.Errorf("looked at %s\nwant %s", got, want)
	}
}

func TestACatchUpThatFailedIsDoneAgainFromTheStart(t *testing.T) {
	for name, call := range map[string]string{
		"the listing breaks off":              "users of " + mexicoID,
		"the bus takes nothing":               "send",
		"the links cannot be read":            "linked",
		"its end cannot be remembered":        "save cursor",
		"it is not known whether it was done": "cursor",
		"no sweep can go on from here":        "begin",
	} {
		t.Run(name, func(t *testing.T) {
			w, h := newBench(t)
			w.failing[call] = errAway
			if err := h.Run(t.Context()); !errors.Is(err, errAway) || !strings.Contains(err.Error(), mexicoID) {
				t.Fatalf("error %v, want one that wraps %q and names the tenant", err, errAway)
			}
			before := ids(w.sent)
			w.lookedAt()
			delete(w.failing, call)
			w.now = w.now.Add(renew.Every)
			run(t, h)
			again := ids(w.sent)
			if got := w.lookedAt(); !strings.HasPrefix(got, "m1 on mexico→contoso, m2 on mexico→contoso, m3 on mexico→contoso") {
				t.Errorf("on the next run, looked at %s", got)
			}
			for id := range again {
				if before[id] {
					t.Errorf("a change of the second time has a message id of the first: duplicate detection would drop it")
				}
			}
			if run(t, h); w.lookedAt() != "" {
				t.Error("and then once more, although it ended well")
			}
		})
	}
}

func ids(changes []change.Change) map[string]bool {
	out := map[string]bool{}
	for _, c := range changes {
		out[c.MessageID()] = true
	}
	return out
}

func TestATenantThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	t.Run("when its catch-up fails", func(t *testing.T) {
		w, h := newBench(t)
		w.failing["users of "+mexicoID] = errAway
		if err := h.Run(t.Context()); !errors.Is(err, errAway) {
			t.Errorf("error %v, want %v", err, errAway)
		}
		if got := w.lookedAt(); !strings.Contains(got, "u1 on us→contoso") {
			t.Errorf("looked at %s, want the people of the other tenant among them", got)
		}
	})
	t.Run("when its subscription fails", func(t *testing.T) {
		w, h := newBench(t)
		w.standing, w.renewing = w.standing[1:], errAway
		if err := h.Run(t.Context()); !errors.Is(err, errAway) {
			t.Errorf("error %v, want %v", err, errAway)
		}
		if got, want := w.lookedAt(), "u1 on us→contoso, u1 on us→woodgrove"; got != want {
			t.Errorf("looked at %s\nwant %s", got, want)
		}
		want := []string{"catch-up/us→contoso/00000000-0000-4000-8000-000000000003", "catch-up/us→woodgrove/00000000-0000-4000-8000-000000000004",
			"looked/us→contoso/00000000-0000-4000-8000-000000000003", "looked/us→woodgrove/00000000-0000-4000-8000-000000000004", "served/" + usID}
		if got := slices.Sorted(maps.Keys(w.cursors)); !slices.Equal(got, want) {
			t.Errorf("remembered %v\nwant %v", got, want)
		}
	})
}
