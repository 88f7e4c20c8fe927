package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Links are links that can be listed.
type Links interface {
	provisioning.Links
	Linked(ctx context.Context, route string, each func(provisioning.Link) error) error
}

// TestLinks checks Links. open returns two stores on the same data, as two processes have them.
func TestLinks(t *testing.T, open func(t *testing.T) (a, b Links)) {
	a, b := open(t)
	t.Run("a link and its lease", func(t *testing.T) { testLease(t, a, b) })
	t.Run("what is refused", func(t *testing.T) { testRefused(t, a) })
	t.Run("a route lists its links", func(t *testing.T) { testLinked(t, a, b) })
	t.Run("a manager's reports", func(t *testing.T) { testReports(t, a, b) })
	t.Run("any order of calls", func(t *testing.T) { testAnyOrder(t, a, b) })
	t.Run("many workers lose no change", func(t *testing.T) { testManyWorkers(t, a, b) })
}

func testLease(t *testing.T, a, b Links) {
	const minute = time.Minute
	ctx, now := t.Context(), start
	acquired := func(t *testing.T, s Links, key provisioning.LinkKey, holder string) (provisioning.Lease, provisioning.Link) {
		t.Helper()
		lease, link, err := s.Acquire(ctx, key, holder, now, now.Add(minute))
		ok(t, err)
		return lease, link
	}
	t.Run("a new link has only its key", func(t *testing.T) {
		key := newKey()
		lease, link := acquired(t, a, key, "m1")
		equal(t, link, provisioning.Link{Key: key})
		equal(t, lease, provisioning.Lease{Key: key, Holder: "m1", Token: lease.Token, Until: now.Add(minute)})
	})
	t.Run("what was saved is there for the next holder", func(t *testing.T) {
		key := newKey()
		lease, _ := acquired(t, a, key, "m1")
		want := provisioning.Link{Key: key, State: provisioning.LinkActive, External: "e1", Inviting: "a@b.example", Blocked: true, LeftAt: start.Add(-minute), UpdatedAt: start,
			Ties: provisioning.Ties{Manager: "u2", ManagerAs: "e2", Granted: []provisioning.Grant{{Group: "g1"}, {App: "a1", Role: provisioning.DefaultRole}},
				Revoked: []provisioning.Grant{{Group: "g2"}}}, Dead: "ambiguous match"}
		ok(t, a.Save(ctx, lease, want))
		_, again, err := a.Release(ctx, lease, now.Add(minute))
		ok(t, err)
		equal(t, again, false)
		_, link := acquired(t, b, key, "m2")
		equal(t, link, want)
		found, known, err := b.Find(ctx, key)
		ok(t, err)
		equal(t, known, true)
		equal(t, found, want)
		want.Ties, want.Dead = provisioning.Ties{}, ""
		lease, _, err = a.Acquire(ctx, key, "m3", now.Add(minute), now.Add(2*minute))
		ok(t, err)
		ok(t, a.Save(ctx, lease, want))
		found, _, err = b.Find(ctx, key)
		ok(t, err)
		equal(t, found, want)
	})
	t.Run("a link is found once somebody acquired it", func(t *testing.T) {
		key := newKey()
		_, known, err := a.Find(ctx, key)
		ok(t, err)
		equal(t, known, false)
		acquired(t, a, key, "m1")
		link, known, err := b.Find(ctx, key)
		ok(t, err)
		equal(t, known, true)
		equal(t, link, provisioning.Link{Key: key})
	})
	t.Run("another holder is told so, and the first looks again", func(t *testing.T) {
		key := newKey()
		lease, _ := acquired(t, a, key, "m1")
		_, _, err := b.Acquire(ctx, key, "m2", now, now.Add(minute))
		isError(t, err, provisioning.ErrLeaseHeld)
		extended, again, err := a.Release(ctx, lease, now.Add(2*minute))
		ok(t, err)
		equal(t, again, true)
		equal(t, extended.Until, now.Add(2*minute))
		_, _, err = b.Acquire(ctx, key, "m3", now.Add(minute), now.Add(3*minute)) // the extension counts
		isError(t, err, provisioning.ErrLeaseHeld)
		extended, again, err = a.Release(ctx, extended, now.Add(3*minute))
		ok(t, err)
		equal(t, again, true)
		_, again, err = a.Release(ctx, extended, now.Add(3*minute)) // a mark is told once
		ok(t, err)
		equal(t, again, false)
	})
	t.Run("the same message marks nothing", func(t *testing.T) {
		key := newKey()
		lease, _ := acquired(t, a, key, "m1")
		_, _, err := b.Acquire(ctx, key, "m1", now.Add(time.Second), now.Add(2*minute))
		var same provisioning.HeldBySame
		if !errors.As(err, &same) || !same.Until.Equal(now.Add(minute)) {
			t.Fatalf("got error %v, want HeldBySame until %s", err, now.Add(minute))
		}
		_, again, err := a.Release(ctx, lease, now.Add(minute))
		ok(t, err)
		equal(t, again, false)
	})
	t.Run("a lease that ran out is taken over, and its holder hears of it", func(t *testing.T) {
		key := newKey()
		lost, _ := acquired(t, a, key, "m1")
		_, _, err := b.Acquire(ctx, key, "m2", now, now.Add(minute))
		isError(t, err, provisioning.ErrLeaseHeld)
		lease, _, err := b.Acquire(ctx, key, "m3", now.Add(minute), now.Add(2*minute)) // at its very end
		ok(t, err)
		isError(t, a.Save(ctx, lost, provisioning.Link{Key: key, State: provisioning.LinkActive}), provisioning.ErrLeaseLost)
		_, _, err = a.Release(ctx, lost, now.Add(minute))
		isError(t, err, provisioning.ErrLeaseLost)
		_, again, err := b.Release(ctx, lease, now.Add(2*minute))
		ok(t, err)
		equal(t, again, false) // the mark asked for a look after it was set; this was one
	})
	t.Run("a lease can be released once", func(t *testing.T) {
		key := newKey()
		lease, _ := acquired(t, a, key, "m1")
		_, _, err := a.Release(ctx, lease, now.Add(minute))
		ok(t, err)
		_, _, err = a.Release(ctx, lease, now.Add(minute))
		isError(t, err, provisioning.ErrLeaseLost)
		isError(t, a.Save(ctx, lease, provisioning.Link{Key: key}), provisioning.ErrLeaseLost)
	})
}

func testRefused(t *testing.T, s Links) {
	ctx, key := t.Context(), newKey()
	lease, _, err := s.Acquire(ctx, key, "m1", start, start.Add(time.Minute))
	ok(t, err)
	for name, call := range map[string]func() error{
		"no holder": func() error { _, _, err := s.Acquire(ctx, newKey(), "", start, start.Add(1)); return err },
		"no user": func() error {
			_, _, err := s.Acquire(ctx, provisioning.LinkKey{Route: "r"}, "m", start, start.Add(1))
			return err
		},
		"no route": func() error {
			_, _, err := s.Acquire(ctx, provisioning.LinkKey{User: "u"}, "m", start, start.Add(1))
			return err
		},
		"no time":     func() error { _, _, err := s.Acquire(ctx, newKey(), "m", start, start); return err },
		"other link":  func() error { return s.Save(ctx, lease, provisioning.Link{Key: newKey()}) },
		"empty lease": func() error { return s.Save(ctx, provisioning.Lease{Key: key}, provisioning.Link{Key: key}) },
		"unknown key": func() error { _, _, err := s.Release(ctx, provisioning.Lease{Key: newKey()}, start); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if call() == nil {
				t.Fatal("it was accepted")
			}
		})
	}
}

func testLinked(t *testing.T, a, b Links) {
	const n = 1203 // more than a page of any store
	ctx, until := t.Context(), start.Add(time.Minute)
	for i := range n {
		key := provisioning.LinkKey{Route: "many", User: fmt.Sprintf("user-%04d", i)}
		lease, link, err := a.Acquire(ctx, key, "m", start, until)
		ok(t, err)
		if i%400 == 0 {
			continue // leased, but never saved: no link yet
		}
		link.State, link.External = provisioning.LinkActive, "external-"+strconv.Itoa(i)
		ok(t, a.Save(ctx, lease, link))
	}
	seen := 0
	ok(t, b.Linked(ctx, "many", func(l provisioning.Link) error {
		if seen%400 == 0 {
			seen++
		}
		equal(t, l, provisioning.Link{Key: provisioning.LinkKey{Route: "many", User: fmt.Sprintf("user-%04d", seen)},
			State: provisioning.LinkActive, External: "external-" + strconv.Itoa(seen)})
		seen++
		return nil
	}))
	equal(t, seen, n)

	enough := errors.New("enough")
	isError(t, b.Linked(ctx, "many", func(provisioning.Link) error { return enough }), enough)
	ok(t, b.Linked(ctx, "man", func(l provisioning.Link) error { return fmt.Errorf("a link of another route: %v", l.Key) }))
}

func testReports(t *testing.T, a, b Links) {
	ctx := t.Context()
	for user, link := range map[string]provisioning.Link{
		"waits":     {State: provisioning.LinkActive, Ties: provisioning.Ties{Manager: "boss"}},
		"has":       {State: provisioning.LinkActive, Ties: provisioning.Ties{Manager: "boss", ManagerAs: "e-boss"}},
		"had":       {State: provisioning.LinkActive, Ties: provisioning.Ties{Manager: "boss", ManagerAs: "e-before"}},
		"left":      {State: provisioning.LinkRemoved, Ties: provisioning.Ties{Manager: "boss"}},
		"of others": {State: provisioning.LinkActive, Ties: provisioning.Ties{Manager: "another"}},
		"of nobody": {State: provisioning.LinkActive},
	} {
		link.Key = provisioning.LinkKey{Route: "reports", User: user}
		lease, _, err := a.Acquire(ctx, link.Key, "m", start, start.Add(time.Minute))
		ok(t, err)
		ok(t, a.Save(ctx, lease, link))
	}
	for external, want := range map[string][]string{"e-boss": {"had", "waits"}, "": {"had", "has", "waits"}} {
		got, err := b.Reports(ctx, provisioning.LinkKey{Route: "reports", User: "boss"}, external)
		ok(t, err)
		equal(t, got, want)
	}
	got, err := b.Reports(ctx, provisioning.LinkKey{Route: "elsewhere", User: "boss"}, "")
	ok(t, err)
	equal(t, len(got), 0)
}

// testManyWorkers: every change raises the truth and then asks for a look. A look copies the truth into the link. When
// all is quiet, the link must show the last truth, and never may two have looked at the same time.
func testManyWorkers(t *testing.T, a, b Links) {
	const workers, changes = 16, 25
	ctx, key := t.Context(), newKey()
	var truth, inside atomic.Int64
	work := func(s Links, holder string) error {
		truth.Add(1)
		until := start.Add(time.Hour)
		lease, link, err := s.Acquire(ctx, key, holder, start, until)
		if errors.Is(err, provisioning.ErrLeaseHeld) {
			return nil
		}
		again := true
		for looks := 0; again && err == nil; looks++ {
			if looks > workers*changes {
				return errors.New("it is told to look again more often than anything changed")
			}
			if n := inside.Add(1); n != 1 {
				return fmt.Errorf("%d workers hold the link", n)
			}
			link.State, link.External = provisioning.LinkActive, strconv.FormatInt(truth.Load(), 10)
			err = s.Save(ctx, lease, link)
			inside.Add(-1)
			if err == nil {
				lease, again, err = s.Release(ctx, lease, until)
			}
		}
		return err
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			s := []Links{a, b}[w%2]
			for c := range changes {
				if err := work(s, fmt.Sprintf("m-%d-%d", w, c)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, link, err := a.Acquire(ctx, key, "last", start, start.Add(time.Hour))
	ok(t, err)
	equal(t, link.External, strconv.Itoa(workers*changes))
}
