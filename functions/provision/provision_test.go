package provision_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions/provision"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const (
	sourceID = "00000000-0000-4000-8000-000000000001"
	targetID = "00000000-0000-4000-8000-000000000002"
	userID   = "11111111-1111-4111-8111-111111111111"
	route    = "source→target"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// bus is a queue with one locked message. It knows what a real bus would hold: the message until it is settled, the
// copies that wait, the dead letter.
type bus struct {
	locked      map[[16]byte]bool
	waiting     []copied
	dead        []string // "reason: description"
	log         []string // what happened, in order
	unavailable map[string]error
}

type copied struct {
	queue string
	at    time.Time
	change.Change
}

func (b *bus) settle(verb string, d change.Delivery) error {
	if err := b.unavailable[verb]; err != nil {
		return err
	}
	if !b.locked[d.LockToken] {
		return errors.New("the lock is not held")
	}
	delete(b.locked, d.LockToken)
	b.log = append(b.log, verb)
	return nil
}

func (b *bus) Complete(_ context.Context, d change.Delivery) error { return b.settle("complete", d) }

func (b *bus) DeadLetter(_ context.Context, d change.Delivery, reason, description string) error {
	if err := b.settle("dead-letter", d); err != nil {
		return err
	}
	b.dead = append(b.dead, reason+": "+description)
	return nil
}

func (b *bus) Schedule(_ context.Context, queue string, at time.Time, c change.Change) error {
	if err := b.unavailable["schedule"]; err != nil {
		return err
	}
	b.waiting = append(b.waiting, copied{queue, at, c})
	b.log = append(b.log, "schedule")
	return nil
}

// work is a Reconciler that ends the way the test says, and notes what it was given.
type work struct {
	err    error
	route  tenant.Route
	holder string
	runs   int
}

func (w *work) Reconcile(_ context.Context, r tenant.Route, _ change.Change, holder string) error {
	w.route, w.holder, w.runs = r, holder, w.runs+1
	return w.err
}

type bench struct {
	bus     *bus
	work    *work
	logs    bytes.Buffer
	handler *provision.Handler
}

var token = [16]byte{1}

func newBench(t *testing.T, result error) *bench {
	t.Helper()
	topology, err := tenant.NewTopology([]tenant.Tenant{{Name: "source", ID: sourceID}, {Name: "target", ID: targetID}},
		[]tenant.RouteSpec{{Source: "source", Target: "target"}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{bus: &bus{locked: map[[16]byte]bool{token: true}, unavailable: map[string]error{}}, work: &work{err: result}}
	b.handler = &provision.Handler{Topology: topology, Reconciler: b.work, Bus: b.bus, Now: func() time.Time { return now },
		Jitter: func() float64 { return 0 }, Log: slog.New(slog.NewTextHandler(&b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	return b
}

// arrived is a change that came in a minute ago.
func arrived() change.Change {
	return change.Change{Route: route, User: userID, Cause: change.CauseNotification, Key: "key", ArrivedAt: now.Add(-time.Minute)}
}

func delivery(t *testing.T, c change.Change) change.Delivery {
	t.Helper()
	body, err := change.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return change.Delivery{Queue: change.QueueChanges, MessageID: c.MessageID(), LockToken: token, DeliveryCount: 1, Body: body}
}

var errGraph = errors.New("graph answered 503")

func TestWhatBecomesOfAMessage(t *testing.T) {
	tooEarly := errors.New("the external user is not there yet")
	for _, tt := range []struct {
		name   string
		change func(*change.Change)
		result error

		log     string        // what happens to the message, in order
		wait    time.Duration // of the copy, when there is one
		attempt int           // of the copy
		dead    string
	}{
		{name: "done completes it", log: "complete"},
		{name: "later puts a copy off and counts no attempt", result: outcome.LaterAfter(7*time.Second, tooEarly),
			log: "schedule complete", wait: 7 * time.Second},
		{name: "later goes on however long it takes, for nothing failed", change: func(c *change.Change) { c.Attempt, c.ArrivedAt = 11, now.Add(-48*time.Hour) },
			result: outcome.LaterAfter(time.Minute, tooEarly), log: "schedule complete", wait: time.Minute, attempt: 0},
		{name: "the first retry comes after one to two seconds", result: outcome.RetryAfter(0, "graph unavailable", errGraph),
			log: "schedule complete", wait: time.Second, attempt: 1},
		{name: "the fifth retry waits longer", change: func(c *change.Change) { c.Attempt = 4 },
			result: outcome.RetryAfter(0, "graph unavailable", errGraph), log: "schedule complete", wait: 16 * time.Second, attempt: 5},
		{name: "a retry waits as long as the other side asks", result: outcome.RetryAfter(90*time.Second, "throttled", errGraph),
			log: "schedule complete", wait: 90 * time.Second, attempt: 1},
		{name: "a retry waits for our own backoff when the other side asks for less", change: func(c *change.Change) { c.Attempt = 4 },
			result: outcome.RetryAfter(time.Second, "throttled", errGraph), log: "schedule complete", wait: 16 * time.Second, attempt: 5},
		{name: "an error that nobody classified is tried again", result: errors.New("surprise"),
			log: "schedule complete", wait: time.Second, attempt: 1},
		{name: "terminal makes a dead letter with its code and sentence", result: outcome.Fail("ambiguous match", errors.New("two users have the address")),
			log: "dead-letter", dead: "ambiguous match: two users have the address"},
		{name: "the last attempt but one is tried again", change: func(c *change.Change) { c.Attempt = provision.MaxAttempts - 2 },
			result: outcome.RetryAfter(0, "graph unavailable", errGraph), log: "schedule complete", wait: 30 * time.Minute, attempt: provision.MaxAttempts - 1},
		{name: "the last attempt makes a dead letter under the code of its failure", change: func(c *change.Change) { c.Attempt = provision.MaxAttempts - 1 },
			result: outcome.RetryAfter(0, "graph unavailable", errGraph),
			log:    "dead-letter", dead: "graph unavailable: given up after 60 attempts in 1m0s: graph answered 503"},
		{name: "just under a day old it is tried again", change: func(c *change.Change) { c.ArrivedAt = now.Add(-provision.MaxAge + time.Second) },
			result: outcome.RetryAfter(0, "graph unavailable", errGraph), log: "schedule complete", wait: time.Second, attempt: 1},
		{name: "a failure after a day makes a dead letter", change: func(c *change.Change) { c.ArrivedAt = now.Add(-provision.MaxAge) },
			result: outcome.RetryAfter(0, "graph unavailable", errGraph),
			log:    "dead-letter", dead: "graph unavailable: given up after 1 attempts in 24h0m0s: graph answered 503"},
		{name: "a route that is not configured any more makes a dead letter", change: func(c *change.Change) { c.Route = "old" },
			log: "dead-letter", dead: `unknown route: there is no route "old" in the configuration any more; add it and replay, or discard`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := arrived()
			if tt.change != nil {
				tt.change(&c)
			}
			b := newBench(t, tt.result)
			if err := b.handler.Handle(t.Context(), delivery(t, c)); err != nil {
				t.Fatalf("Handle: %v", err)
			}
			if got := strings.Join(b.bus.log, " "); got != tt.log {
				t.Errorf("what happened: %q, want %q", got, tt.log)
			}
			if got := strings.Join(b.bus.dead, "\n"); got != tt.dead {
				t.Errorf("dead letter %q, want %q", got, tt.dead)
			}
			if tt.wait == 0 {
				return
			}
			got, want := b.bus.waiting[0], c
			want.Attempt, want.Hop, want.Key, want.TraceID = tt.attempt, got.Hop, got.Key, c.Trace()
			if got != (copied{change.QueueChanges, now.Add(tt.wait), want}) {
				t.Errorf("the copy is %+v\nwant %+v after %s", got, want, tt.wait)
			}
			if got.MessageID() == c.MessageID() {
				t.Error("the copy has the message id of the original: duplicate detection would drop it")
			}
		})
	}
}

func TestAMessageOfAPausedRouteWaitsAndGrowsNoOlder(t *testing.T) {
	c := arrived()
	c.Attempt, c.ArrivedAt = 11, now.Add(-48*time.Hour)
	b := newBench(t, outcome.PausedAfter(5*time.Minute, errors.New("the target does not trust the source")))
	if err := b.handler.Handle(t.Context(), delivery(t, c)); err != nil {
		t.Fatal(err)
	}
	back := now.Add(5 * time.Minute)
	if want := (copied{change.QueueChanges, back, c.PausedUntil(1, back)}); len(b.bus.waiting) != 1 || b.bus.waiting[0] != want || len(b.bus.dead) > 0 {
		t.Fatalf("waiting %+v, dead %v; want %+v", b.bus.waiting, b.bus.dead, want)
	}
	if strings.Contains(b.logs.String(), "level=WARN") || strings.Contains(b.logs.String(), "level=ERROR") {
		t.Errorf("each message is logged: %s", b.logs.String())
	}
	after := newBench(t, outcome.RetryAfter(0, "graph unavailable", errGraph))
	after.handler.Now = func() time.Time { return back }
	if err := after.handler.Handle(t.Context(), delivery(t, b.bus.waiting[0].Change)); err != nil {
		t.Fatal(err)
	}
	if len(after.bus.waiting) != 1 || after.bus.waiting[0].Attempt != 1 {
		t.Errorf("its first failure after the pause: waiting %+v, dead %v; want another try", after.bus.waiting, after.bus.dead)
	}
}

func TestTheWorkIsDoneOnTheRouteOfTheMessageUnderItsID(t *testing.T) {
	b := newBench(t, nil)
	d := delivery(t, arrived())
	if err := b.handler.Handle(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if b.work.runs != 1 || b.work.route.Name != route || b.work.route.Target.ID != targetID || b.work.holder != d.MessageID {
		t.Errorf("reconciled %d times on %+v for %q", b.work.runs, b.work.route, b.work.holder)
	}
}

func TestAnUnreadableBodyMakesADeadLetterAndNoWork(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON":             "garbage",
		"empty":                "",
		"of another version":   `{"v":99,"route":"r","user":"u","cause":"replay","key":"k","arrivedAt":"2026-11-24T12:00:00Z"}`,
		"without a user":       `{"v":1,"route":"source→target","cause":"replay","key":"k","arrivedAt":"2026-11-24T12:00:00Z"}`,
		"larger than a change": `{"v":1,"route":"` + strings.Repeat("r", change.MaxSize) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			if err := b.handler.Handle(t.Context(), change.Delivery{Queue: change.QueueChanges, MessageID: "m", LockToken: token, Body: []byte(body)}); err != nil {
				t.Fatal(err)
			}
			if len(b.bus.dead) != 1 || !strings.HasPrefix(b.bus.dead[0], "unreadable message: decode change: ") {
				t.Errorf("dead letters: %q", b.bus.dead)
			}
			if b.work.runs != 0 {
				t.Error("somebody was reconciled")
			}
		})
	}
}

func TestASettlementThatFailsIsReturnedSoThatTheMessageComesAgain(t *testing.T) {
	errBus := errors.New("the bus is away")
	for _, tt := range []struct {
		name, fails string
		result      error
		log         []string
	}{
		{name: "completing", fails: "complete"},
		{name: "dead-lettering", fails: "dead-letter", result: outcome.Fail("ambiguous match", errors.New("two users"))},
		{name: "scheduling a copy: the original is then not completed", fails: "schedule", result: outcome.RetryAfter(0, "graph unavailable", errGraph)},
		{name: "scheduling a later look: the original is then not completed", fails: "schedule", result: outcome.LaterAfter(time.Second, errGraph)},
		{name: "completing after the copy was scheduled: one message too many, never one too few", fails: "complete",
			result: outcome.RetryAfter(0, "graph unavailable", errGraph), log: []string{"schedule"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.result)
			b.bus.unavailable[tt.fails] = errBus
			d := delivery(t, arrived())
			err := b.handler.Handle(t.Context(), d)
			if !errors.Is(err, errBus) || !strings.Contains(err.Error(), d.MessageID) {
				t.Errorf("error %v, want one that wraps %q and names the message", err, errBus)
			}
			if !b.bus.locked[token] || !slices.Equal(b.bus.log, tt.log) {
				t.Errorf("still locked: %v, happened: %v, want %v", b.bus.locked[token], b.bus.log, tt.log)
			}
			if !strings.Contains(b.logs.String(), "level=ERROR") || !strings.Contains(b.logs.String(), errBus.Error()) {
				t.Errorf("the log does not tell: %s", b.logs.String())
			}
		})
	}
}

func TestWhoWaitsTogetherDoesNotComeBackTogether(t *testing.T) {
	b := newBench(t, outcome.LaterAfter(time.Minute, errGraph))
	b.handler.Jitter = func() float64 { return 0.8 }
	if err := b.handler.Handle(t.Context(), delivery(t, arrived())); err != nil {
		t.Fatal(err)
	}
	if got, want := b.bus.waiting[0].at.Sub(now), 72*time.Second; got != want {
		t.Errorf("with a jitter of 0.8 the copy waits %s, want %s: 0.8 of a quarter more", got, want)
	}
}

func TestAMessageThatComesAgainMakesAnotherCopyThanBefore(t *testing.T) {
	b := newBench(t, outcome.RetryAfter(0, "graph unavailable", errGraph))
	d := delivery(t, arrived())
	for d.DeliveryCount = 1; d.DeliveryCount <= 2; d.DeliveryCount++ {
		b.bus.locked[token] = true
		if err := b.handler.Handle(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := b.bus.waiting[0], b.bus.waiting[1]; first.MessageID() == second.MessageID() {
		t.Error("duplicate detection would drop the second copy, although the first may be used up")
	}
}

func TestTwoCopiesOfOneMessageNeverHaveItsID(t *testing.T) {
	b := newBench(t, outcome.RetryAfter(0, "graph unavailable", errGraph))
	c, ids := arrived(), map[string]bool{}
	for range provision.MaxAttempts {
		if ids[c.MessageID()] {
			t.Fatalf("duplicate detection would drop copy %d: it has an id that was used before", c.Hop)
		}
		ids[c.MessageID()] = true
		b.bus.locked[token] = true
		if err := b.handler.Handle(t.Context(), delivery(t, c)); err != nil {
			t.Fatal(err)
		}
		c = b.bus.waiting[len(b.bus.waiting)-1].Change
	}
	if len(b.bus.dead) != 1 || len(b.bus.waiting) != provision.MaxAttempts-1 {
		t.Errorf("%d copies and %d dead letters of one change that always fails, want %d and 1", len(b.bus.waiting), len(b.bus.dead), provision.MaxAttempts-1)
	}
}

func TestTheLogHasOneLinePerMessageAndIDsOnly(t *testing.T) {
	for _, tt := range []struct {
		result error
		level  string
	}{
		{nil, "DEBUG"},
		{outcome.LaterAfter(time.Second, errGraph), "DEBUG"},
		{outcome.RetryAfter(0, "graph unavailable", errGraph), "WARN"},
		{outcome.Fail("ambiguous match", errGraph), "ERROR"},
	} {
		b := newBench(t, tt.result)
		if err := b.handler.Handle(t.Context(), delivery(t, arrived())); err != nil {
			t.Fatal(err)
		}
		line := b.logs.String()
		if strings.Count(line, "\n") != 1 || !strings.Contains(line, "level="+tt.level) || !strings.Contains(line, "user="+userID) {
			t.Errorf("after %v the log says %s", fmt.Sprint(tt.result), line)
		}
	}
}
