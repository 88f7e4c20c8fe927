package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"pgregory.net/rapid"
)

// world is what the ports promise of one link, as simple as it can be said.
type world struct {
	now    time.Time
	holder string // "" when nobody holds it
	token  string
	until  time.Time
	dirty  bool
	link   provisioning.Link
	// leases are all that were ever given, lost ones included: a worker may come back late.
	leases []provisioning.Lease
}

// testAnyOrder plays any order of calls, by workers that may be slow, dead or late, against the world.
func testAnyOrder(t *testing.T, a, b Links) {
	rapid.Check(t, func(t *rapid.T) {
		key := newKey()
		w := &world{now: start, link: provisioning.Link{Key: key}}
		store := func() Links { return rapid.SampledFrom([]Links{a, b}).Draw(t, "store") }
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) { w.acquire(t, store(), key) },
			"save":    func(t *rapid.T) { w.save(t, store()) },
			"release": func(t *rapid.T) { w.release(t, store()) },
			"wait": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			},
		})
	})
}

func (w *world) acquire(t *rapid.T, s Links, key provisioning.LinkKey) {
	holder := rapid.SampledFrom([]string{"m1", "m2", "m3"}).Draw(t, "holder")
	until := w.now.Add(time.Minute)
	lease, link, err := s.Acquire(t.Context(), key, holder, w.now, until)
	var same provisioning.HeldBySame
	switch held := w.holder != "" && w.until.After(w.now); {
	case held && holder == w.holder:
		if !errors.As(err, &same) || !same.Until.Equal(w.until) {
			t.Fatalf("its own message came again: got %v, want HeldBySame until %s", err, w.until)
		}
	case held:
		if !errors.Is(err, provisioning.ErrLeaseHeld) || errors.As(err, &same) {
			t.Fatalf("%s holds it: %s got %v", w.holder, holder, err)
		}
		w.dirty = true
	default:
		ok(t, err)
		equal(t, link, w.link)
		for _, old := range w.leases {
			if old.Token == lease.Token {
				t.Fatalf("two acquisitions have the token %s", old.Token)
			}
		}
		w.holder, w.token, w.until, w.dirty = holder, lease.Token, until, false
		w.leases = append(w.leases, lease)
	}
}

// some picks a lease of now or of long ago, and says whether it is the one that counts.
func (w *world) some(t *rapid.T) (provisioning.Lease, bool) {
	if len(w.leases) == 0 {
		t.Skip("nobody has a lease yet")
	}
	lease := rapid.SampledFrom(w.leases).Draw(t, "lease")
	return lease, w.holder != "" && lease.Token == w.token
}

func (w *world) save(t *rapid.T, s Links) {
	lease, ours := w.some(t)
	link := provisioning.Link{
		Key: lease.Key, State: rapid.SampledFrom([]provisioning.LinkState{provisioning.LinkActive, provisioning.LinkRemoved}).Draw(t, "state"),
		External: fmt.Sprint("e", rapid.IntRange(0, 9).Draw(t, "external")), Blocked: rapid.Bool().Draw(t, "blocked"), UpdatedAt: w.now,
	}
	err := s.Save(t.Context(), lease, link)
	if !ours {
		isError(t, err, provisioning.ErrLeaseLost)
		return
	}
	ok(t, err)
	w.link = link
}

func (w *world) release(t *rapid.T, s Links) {
	lease, ours := w.some(t)
	until := w.now.Add(time.Minute)
	extended, again, err := s.Release(t.Context(), lease, until)
	if !ours {
		isError(t, err, provisioning.ErrLeaseLost)
		return
	}
	ok(t, err)
	equal(t, again, w.dirty)
	if !again {
		w.holder, w.token = "", ""
		return
	}
	equal(t, extended, provisioning.Lease{Key: lease.Key, Holder: w.holder, Token: w.token, Until: until})
	w.until, w.dirty = until, false
}
