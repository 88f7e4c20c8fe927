package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/sweep"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const (
	mexicoID = "00000000-0000-4000-8000-000000000001"
	usID     = "00000000-0000-4000-8000-000000000002"
)

// world is two sources with their histories: a cursor is a place in one of them.
type world struct {
	histories map[string][]sweep.Changed // by tenant
	tracked   string
	expired   bool
	cursors   map[string]string
	sent      []change.Change
	censuses  []string
	members   map[string][]sweep.Member // what happened in a group
	inside    map[string][]string       // the groups in a group
	failing   map[string]error
	log       []string // calls, in order
}

func (w *world) call(name string) error {
	w.log = append(w.log, name)
	return w.failing[name]
}

func (w *world) Tracked() string { return w.tracked }

func (w *world) Latest(_ context.Context, tenantID string) (string, error) {
	return fmt.Sprintf("%s@%d", tenantID, len(w.histories[tenantID])), w.call("latest")
}

// Changes tells two users a page.
func (w *world) Changes(_ context.Context, tenantID, cursor string, each func([]sweep.Changed) error) (string, error) {
	if err := w.call("changes of " + tenantID); err != nil {
		return "", err
	}
	if w.expired {
		return "", fmt.Errorf("410: %w", sweep.ErrExpired)
	}
	of, at, _ := strings.Cut(cursor, "@")
	var from int
	if _, err := fmt.Sscan(at, &from); err != nil || of != tenantID {
		return "", fmt.Errorf("cursor %q of another tenant", cursor)
	}
	for page := range slices.Chunk(w.histories[tenantID][from:], 2) {
		if err := each(page); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s@%d", tenantID, len(w.histories[tenantID])), w.failing["last page"]
}

func (w *world) Cursor(_ context.Context, name string) (string, error) {
	return w.cursors[name], errors.Join(w.call("cursor"), w.failing["cursor "+name])
}

func (w *world) SaveCursor(_ context.Context, name, value string) error {
	if err := w.call("save"); err != nil {
		return err
	}
	w.cursors[name] = value
	return nil
}

func (w *world) Send(_ context.Context, queue string, changes []change.Change) error {
	if err := w.call("send"); err != nil {
		return err
	}
	if queue != change.QueueChanges {
		return errors.New("there is no queue " + queue)
	}
	for _, c := range changes {
		if _, err := change.Encode(c); err != nil {
			return err
		}
	}
	w.sent = append(w.sent, changes...)
	return nil
}

func (w *world) Take(_ context.Context, tenantID string, routes []tenant.Route, occasion string) error {
	w.censuses = append(w.censuses, fmt.Sprintf("%s, %d routes, %s", tenantID, len(routes), occasion))
	return w.call("census")
}

// lookedAt lists "user on route" of what was sent, and forgets it.
func (w *world) lookedAt() string {
	var out []string
	for _, c := range w.sent {
		one := c.User + " on " + c.Route
		if c.Deleted {
			one += " (gone)"
		}
		out = append(out, one)
	}
	w.sent = nil
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func newWorld(t *testing.T) (*world, *sweep.Sweeper) {
	t.Helper()
	topology, err := tenant.NewTopology([]tenant.Tenant{
		{Name: "mexico", ID: mexicoID}, {Name: "us", ID: usID},
		{Name: "contoso", ID: "00000000-0000-4000-8000-000000000003"}, {Name: "woodgrove", ID: "00000000-0000-4000-8000-000000000004"},
	}, []tenant.RouteSpec{{Source: "mexico", Target: "contoso"}, {Source: "us", Target: "contoso"}, {Source: "us", Target: "woodgrove"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{histories: map[string][]sweep.Changed{}, members: map[string][]sweep.Member{}, inside: map[string][]string{}, tracked: "city", cursors: map[string]string{}, failing: map[string]error{}}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tick := func() time.Time { now = now.Add(time.Second); return now }
	return w, &sweep.Sweeper{Topology: topology, Tracker: w, Store: w, Bus: w, Census: w, MemberTracker: w, Now: tick, Log: slog.New(slog.DiscardHandler)}
}

func (w *world) happens(tenantID string, users ...string) {
	for _, u := range users {
		user, gone := strings.CutSuffix(u, "!")
		w.histories[tenantID] = append(w.histories[tenantID], sweep.Changed{User: user, Deleted: gone})
	}
}

func run(t *testing.T, s *sweep.Sweeper) {
	t.Helper()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatChangedSinceTheLastSweepIsLookedAtOnEveryRoute(t *testing.T) {
	w, s := newWorld(t)
	w.happens(usID, "before")
	run(t, s)
	if got := w.lookedAt(); got != "" || len(w.censuses) > 0 {
		t.Errorf("the first sweep looks at %s, and takes the censuses %v", got, w.censuses)
	}
	w.happens(usID, "u1", "u2", "u3", "u4!")
	w.happens(mexicoID, "m1")
	run(t, s)
	want := "m1 on mexico→contoso, u1 on us→contoso, u1 on us→woodgrove, u2 on us→contoso, u2 on us→woodgrove, " +
		"u3 on us→contoso, u3 on us→woodgrove, u4 on us→contoso (gone), u4 on us→woodgrove (gone)"
	for _, c := range w.sent {
		if c.Cause != change.CauseSweep || !c.EventAt.IsZero() || c.ArrivedAt.IsZero() {
			t.Errorf("change %+v", c)
		}
	}
	if got := w.lookedAt(); got != want {
		t.Errorf("looked at %s\nwant %s", got, want)
	}
	run(t, s)
	if got := w.lookedAt(); got != "" {
		t.Errorf("nothing happened, and looked at %s", got)
	}
}

func TestACursorIsKeptOnlyWhenItsChangesAreOnTheBus(t *testing.T) {
	for _, failing := range []string{"send", "last page", "save", "changes of " + usID, "cursor"} {
		t.Run(failing, func(t *testing.T) {
			w, s := newWorld(t)
			run(t, s)
			w.happens(usID, "u1", "u2", "u3")
			away := errors.New("it is away")
			w.failing[failing] = away
			err := s.Run(t.Context())
			if !errors.Is(err, away) || !strings.Contains(err.Error(), usID) {
				t.Errorf("error %v, want one that names the tenant", err)
			}
			first := ids(w.sent)
			w.lookedAt()
			delete(w.failing, failing)
			run(t, s)
			second := ids(w.sent)
			if got := w.lookedAt(); strings.Count(got, "us→contoso") != 3 {
				t.Errorf("the next sweep looks at %s", got)
			}
			for id := range first {
				if second[id] {
					t.Errorf("a round that is repeated makes the same messages: what changed again meanwhile would be dropped as a duplicate")
				}
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

func TestTheSameUserInTwoRoundsIsTwoChanges(t *testing.T) {
	w, s := newWorld(t)
	run(t, s)
	w.happens(mexicoID, "m1")
	run(t, s)
	first := ids(w.sent)
	w.happens(mexicoID, "m1")
	run(t, s)
	if len(ids(w.sent)) != len(first)+1 {
		t.Errorf("%d messages, want one more than %d", len(ids(w.sent)), len(first))
	}
}

func TestOneSourceThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	w, s := newWorld(t)
	run(t, s)
	w.happens(mexicoID, "m1")
	w.happens(usID, "u1")
	w.failing["changes of "+mexicoID] = errors.New("it is away")
	if err := s.Run(t.Context()); err == nil || strings.Contains(err.Error(), usID) {
		t.Errorf("error %v", err)
	}
	if got, want := w.lookedAt(), "u1 on us→contoso, u1 on us→woodgrove"; got != want {
		t.Errorf("looked at %s, want %s", got, want)
	}
}

func TestEverybodyIsLookedAtWhenACursorIsNoLongerGood(t *testing.T) {
	for _, tracked := range []string{"city", "city,department"} {
		t.Run("tracked are "+tracked, func(t *testing.T) {
			w, s := newWorld(t)
			run(t, s)
			w.expired, w.tracked = true, tracked
			w.log = nil
			w.failing["census"] = errors.New("throttled")
			if err := s.Run(t.Context()); err == nil || len(w.censuses) != 2 {
				t.Fatalf("censuses %v, %v", w.censuses, err)
			}
			if latest, census := slices.Index(w.log, "latest"), slices.Index(w.log, "census"); latest < 0 || latest > census {
				t.Errorf("the cursor is asked for after the census began: %v", w.log)
			}
			if slices.Contains(w.log, "save") {
				t.Errorf("the cursor is kept although the census failed: %v", w.log)
			}
			delete(w.failing, "census")
			run(t, s)
			if want := usID + ", 2 routes, sweep "; len(w.censuses) != 4 || !strings.HasPrefix(w.censuses[3], want) {
				t.Errorf("censuses %v, want the last to begin with %s", w.censuses, want)
			}
			w.expired = false
			w.happens(usID, "u1")
			run(t, s)
			if got := w.lookedAt(); len(w.censuses) != 4 || !strings.Contains(got, "u1 on us→contoso") {
				t.Errorf("then looked at %s, censuses %v", got, w.censuses)
			}
		})
	}
}

func TestSweepsGoOnFromWhereTheyBegan(t *testing.T) {
	w, s := newWorld(t)
	if err := s.Begin(t.Context(), usID); err != nil {
		t.Fatal(err)
	}
	w.happens(usID, "u1")
	if err := s.Begin(t.Context(), usID); err != nil { // there is a place already
		t.Fatal(err)
	}
	run(t, s)
	if got, want := w.lookedAt(), "u1 on us→contoso, u1 on us→woodgrove"; got != want {
		t.Errorf("looked at %s, want %s", got, want)
	}
}

func TestACursorThatCannotBeReadIsAnError(t *testing.T) {
	w, s := newWorld(t)
	w.cursors["sweep/"+usID] = "{"
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "read the cursor of tenant "+usID) {
		t.Errorf("error %v", err)
	}
}

func TestWithOtherAttributesASweepGoesOnAndLosesNothing(t *testing.T) {
	w, s := newWorld(t)
	run(t, s)
	w.happens(usID, "u1")
	w.tracked, w.log = "city,department", nil
	run(t, s)
	if got, want := w.lookedAt(), "u1 on us→contoso, u1 on us→woodgrove"; got != want || len(w.censuses) > 0 {
		t.Errorf("looked at %s, want %s; censuses %v", got, want, w.censuses)
	}
	changes := slices.Index(w.log, "changes of "+usID)
	if latest := slices.Index(w.log[:changes], "latest"); latest < 0 {
		t.Errorf("what happens between the two cursors is not found: %v", w.log)
	}
	w.happens(usID, "u2")
	run(t, s)
	if got, want := w.lookedAt(), "u2 on us→contoso, u2 on us→woodgrove"; got != want {
		t.Errorf("then looked at %s, want %s", got, want)
	}
}
