package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Guard is a guard that people decide with.
type Guard interface {
	provisioning.Links
	provisioning.Guard
	Held(ctx context.Context, route string) ([]guard.Held, error)
	Decide(ctx context.Context, route string, users []string, approve bool) ([]string, error)
}

// desk is a route with people on it, and the guard before its door.
type desk struct {
	t     *testing.T
	Guard Guard
	route string
	now   time.Time
}

// two is what every route of these tests may lose in an hour.
var two = guard.Limits{Removals: 2, Window: time.Hour}

var desks atomic.Int64

// newDesk links so many people, u1, u2 and so on, on a route of their own.
func newDesk(t *testing.T, g Guard, people int) *desk {
	t.Helper()
	d := &desk{t, g, fmt.Sprintf("guarded-%d", desks.Add(1)), start}
	for i := range people {
		d.link(fmt.Sprintf("u%d", i+1), provisioning.LinkActive)
	}
	return d
}

func (d *desk) link(user string, state provisioning.LinkState) {
	d.t.Helper()
	key := provisioning.LinkKey{Route: d.route, User: user}
	lease, link, err := d.Guard.Acquire(d.t.Context(), key, "m", d.now, d.now.Add(time.Minute))
	ok(d.t, err)
	link.State, link.External = state, "external of "+user
	ok(d.t, d.Guard.Save(d.t.Context(), lease, link))
	_, _, err = d.Guard.Release(d.t.Context(), lease, d.now)
	ok(d.t, err)
}

// asks lets a user ask to leave and tells whether the guard holds it.
func (d *desk) asks(user string, edits ...func(*guard.Departure)) (held bool) {
	d.t.Helper()
	departure := guard.Departure{Route: d.route, User: user, Reason: "the source user is deleted", At: d.now}
	for _, edit := range edits {
		edit(&departure)
	}
	v, err := d.Guard.Admit(d.t.Context(), departure, two)
	ok(d.t, err)
	if v.Allowed != two.Removals {
		d.t.Fatalf("%d may leave, want %d", v.Allowed, two.Removals)
	}
	return v.Held
}

func forced(d *guard.Departure) { d.Forced = true }

// wantHeld checks who is held; a name with an exclamation mark was rejected.
func (d *desk) wantHeld(want ...string) {
	d.t.Helper()
	list, err := d.Guard.Held(d.t.Context(), d.route)
	ok(d.t, err)
	var got []string
	for _, h := range list {
		if h.Route != d.route || h.External != "external of "+h.User || h.Reason == "" || h.Since.IsZero() {
			d.t.Fatalf("incomplete: %+v", h)
		}
		name := h.User
		if h.Rejected {
			name += "!"
		}
		got = append(got, name)
	}
	equal(d.t, got, want)
}

// decide decides and checks whose departures that were.
func (d *desk) decide(approve bool, users []string, want ...string) {
	d.t.Helper()
	got, err := d.Guard.Decide(d.t.Context(), d.route, users, approve)
	ok(d.t, err)
	slices.Sort(got)
	equal(d.t, got, want)
}

func (d *desk) let(users ...string) {
	d.t.Helper()
	for _, user := range users {
		if d.asks(user) {
			d.t.Fatalf("%s is held", user)
		}
	}
}

func (d *desk) holds(users ...string) {
	d.t.Helper()
	for _, user := range users {
		if !d.asks(user) {
			d.t.Fatalf("%s is let go", user)
		}
	}
}

// TestGuard checks Guard. open returns two stores on the same data, as two processes have them.
func TestGuard(t *testing.T, open func(t *testing.T) (a, b Guard)) {
	a, b := open(t)
	for name, test := range map[string]func(*testing.T, Guard){
		"the limits are those of a window":            testWindow,
		"who was admitted may ask again":              testAgain,
		"blocks count and are never held":             testForced,
		"a person approves":                           testApprove,
		"what was approved does not count":            testApprovedDoesNotCount,
		"an approval is good for one departure":       testApprovalOnce,
		"a person rejects":                            testReject,
		"who stays is withdrawn":                      testWithdraw,
		"percentages are of the people who are there": testPercent,
		"routes have limits of their own":             testRoutes,
		"a link says that its departure is held":      testLinkHeld,
	} {
		t.Run(name, func(t *testing.T) { test(t, a) })
	}
	t.Run("many at once are not too many", func(t *testing.T) { testManyDepartures(t, a, b) })
	t.Run("a departure of nobody", func(t *testing.T) {
		if _, err := a.Admit(t.Context(), guard.Departure{Route: "r", User: "nobody", At: start}, two); err == nil {
			t.Error("it was admitted")
		}
	})
}

func testWindow(t *testing.T, g Guard) {
	d := newDesk(t, g, 5)
	d.let("u1", "u2")
	d.holds("u3")
	d.now = d.now.Add(time.Minute)
	d.holds("u4", "u3")
	d.wantHeld("u3", "u4")       // the oldest first
	d.now = start.Add(time.Hour) // the first two are out of the window
	d.holds("u3")                // and who is held still waits for somebody
	d.let("u5")
	d.wantHeld("u3", "u4")
}

func testAgain(t *testing.T, g Guard) {
	d := newDesk(t, g, 5)
	d.let("u1", "u1", "u1", "u2", "u1")
	d.holds("u3")
	d.let("u2")
}

func testForced(t *testing.T, g Guard) {
	d := newDesk(t, g, 5)
	for _, user := range []string{"u1", "u2", "u3"} {
		if d.asks(user, forced) {
			t.Fatalf("the block of %s is held", user)
		}
	}
	d.holds("u4")
	d.holds("u1", "u1") // a removal is another departure than the block before it, as often as it is asked for
	d.decide(false, []string{"u1"}, "u1")
	d.holds("u1")
	ok(t, g.Withdraw(t.Context(), provisioning.LinkKey{Route: d.route, User: "u1"}))
	d.holds("u1")
	d.decide(false, []string{"u1"}, "u1")
	if d.asks("u1", forced) {
		t.Fatal("the block is held because the removal is")
	}
	d.wantHeld("u1!", "u4") // and does not answer for it
	d.decide(true, []string{"u1"}, "u1")
	if d.asks("u1", forced) {
		t.Fatal("the block is held although the removal is approved")
	}
	d.let("u1")
	d.wantHeld("u4")
}

func testApprove(t *testing.T, g Guard) {
	d := newDesk(t, g, 5)
	d.let("u1", "u2")
	d.holds("u3", "u4", "u5")
	d.decide(true, []string{"u4", "u1", "stranger"}, "u4")
	d.let("u4", "u4") // as often as it takes
	d.wantHeld("u3", "u5")
	d.decide(true, nil, "u3", "u5")
	d.decide(true, nil, "u3", "u5") // again, if the answer was lost
	d.let("u5", "u3")
	d.wantHeld()
}

func testApprovalOnce(t *testing.T, g Guard) {
	d := newDesk(t, g, 6)
	d.let("u1", "u2")
	d.holds("u3", "u4")
	d.decide(true, nil, "u3", "u4")
	d.let("u3", "u4")
	for _, user := range []string{"u3", "u4"} {
		link, _, err := g.Find(t.Context(), provisioning.LinkKey{Route: d.route, User: user})
		ok(t, err)
		equal(t, link.Approved, true)
		ok(t, g.Withdraw(t.Context(), link.Key)) // they are back
	}
	d.holds("u3", "u4") // and leave again within the window
	d.now = start.Add(2 * time.Hour)
	d.let("u1", "u2")
	d.holds("u5", "u3")
}

func testApprovedDoesNotCount(t *testing.T, g Guard) {
	d := newDesk(t, g, 6)
	d.let("u1", "u2")
	d.holds("u3", "u4", "u5")
	d.decide(true, nil, "u3", "u4", "u5")
	d.let("u3", "u4", "u5")
	d.now = start.Add(time.Hour)
	d.let("u1")
	d.now = d.now.Add(time.Minute)
	d.let("u6")
	d.holds("u2")
}

func testReject(t *testing.T, g Guard) {
	d := newDesk(t, g, 5)
	d.let("u1", "u2")
	d.holds("u3", "u4")
	d.decide(false, []string{"u3"}, "u3")
	d.holds("u3")
	d.now = start.Add(3 * time.Hour)
	d.holds("u3") // however much room there is by now
	d.wantHeld("u3!", "u4")
	d.decide(true, nil, "u4") // all of them are not those who were rejected
	d.holds("u3")
	d.decide(true, []string{"u3"}, "u3")
	d.let("u3", "u4")
}

func testWithdraw(t *testing.T, g Guard) {
	d := newDesk(t, g, 5)
	d.let("u1", "u2")
	d.holds("u3", "u4")
	d.decide(false, []string{"u3"}, "u3")
	for _, user := range []string{"u3", "u5"} {
		ok(t, g.Withdraw(t.Context(), provisioning.LinkKey{Route: d.route, User: user}))
	}
	d.wantHeld("u4")
	d.decide(true, nil, "u4")
	d.holds("u3") // anew, and nobody has rejected it
	d.wantHeld("u3", "u4")
}

func testPercent(t *testing.T, g Guard) {
	d := newDesk(t, g, 20)
	d.link("gone", provisioning.LinkRemoved)
	limits := guard.Limits{Percent: 10, Window: time.Hour}
	for i := range 4 {
		v, err := g.Admit(t.Context(), guard.Departure{Route: d.route, User: fmt.Sprintf("u%d", i+1), Reason: "r", At: d.now}, limits)
		ok(t, err)
		equal(t, v, guard.Verdict{Held: i >= 2, Departed: min(i+1, 2), Allowed: 2})
		if !v.Held {
			d.link(fmt.Sprintf("u%d", i+1), provisioning.LinkRemoved) // who has left still counts among those who were there
		}
	}
}

func testRoutes(t *testing.T, g Guard) {
	d, other := newDesk(t, g, 3), newDesk(t, g, 3)
	d.let("u1", "u2")
	d.holds("u3")
	other.let("u1", "u2")
	other.wantHeld()
	all, err := g.Held(t.Context(), "")
	ok(t, err)
	if !slices.ContainsFunc(all, func(h guard.Held) bool { return h.Route == d.route }) {
		t.Fatal("the list of all routes has nobody of this one")
	}
}

func testLinkHeld(t *testing.T, g Guard) {
	d := newDesk(t, g, 3)
	d.let("u1", "u2")
	d.holds("u3")
	for user, want := range map[string]bool{"u1": false, "u3": true} {
		_, link, err := g.Acquire(t.Context(), provisioning.LinkKey{Route: d.route, User: user}, "m2", d.now, d.now.Add(time.Minute))
		ok(t, err)
		equal(t, link.Held, want)
	}
}

func testManyDepartures(t *testing.T, a, b Guard) {
	const people = 40
	d := newDesk(t, a, people)
	var let atomic.Int64
	var all sync.WaitGroup
	for i := range people {
		g := a
		if i%2 == 1 {
			g = b
		}
		all.Go(func() {
			v, err := g.Admit(t.Context(), guard.Departure{Route: d.route, User: fmt.Sprintf("u%d", i+1), Reason: "r", At: d.now}, two)
			if err != nil {
				t.Error(err)
			} else if !v.Held {
				let.Add(1)
			}
		})
	}
	all.Wait()
	if let.Load() != int64(two.Removals) {
		t.Errorf("%d left, want %d", let.Load(), two.Removals)
	}
}
