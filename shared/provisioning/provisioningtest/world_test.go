package provisioningtest_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

const address = "ana@fabrikam.example"

func newTarget(t *testing.T) (*provisioningtest.World, provisioning.Target) {
	t.Helper()
	w := provisioningtest.New()
	target, err := w.Target(provisioningtest.Route.Target.ID)
	if err != nil {
		t.Fatal(err)
	}
	return w, target
}

func TestOneOfManyWorkersGetsTheLease(t *testing.T) {
	w := provisioningtest.New()
	key, until := provisioningtest.Key("u"), w.Now().Add(time.Minute)
	var winners atomic.Int32
	var won provisioning.Lease
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			lease, _, err := w.Acquire(t.Context(), key, strconv.Itoa(i), w.Now(), until)
			switch {
			case err == nil:
				winners.Add(1)
				won = lease
			case !errors.Is(err, provisioning.ErrLeaseHeld):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if winners.Load() != 1 {
		t.Fatalf("%d workers hold the lease", winners.Load())
	}
	later, again, err := w.Release(t.Context(), won, until.Add(time.Minute))
	if err != nil || !again || !later.Until.Equal(until.Add(time.Minute)) {
		t.Errorf("release: %+v, again %t, %v; want an extended lease, for nine wait", later, again, err)
	}
	if _, again, err := w.Release(t.Context(), later, until); again || err != nil {
		t.Errorf("second release: again %t, %v; want the end", again, err)
	}
	if err := w.Save(t.Context(), later, provisioning.Link{}); !errors.Is(err, provisioning.ErrLeaseLost) {
		t.Errorf("save after the end: %v, want %v", err, provisioning.ErrLeaseLost)
	}
}

func TestACrashKeepsItsWriteAndStopsTheRest(t *testing.T) {
	w, target := newTarget(t)
	w.CrashAfter(1)
	if _, err := target.Invite(t.Context(), address, "Ana"); !errors.Is(err, provisioningtest.ErrCrashed) {
		t.Fatalf("error %v, want the crash", err)
	}
	if _, err := target.ByMail(t.Context(), address); !errors.Is(err, provisioningtest.ErrCrashed) {
		t.Errorf("a dead process reads: %v", err)
	}
	w.Restart()
	if found, err := target.ByMail(t.Context(), address); err != nil || len(found) != 1 {
		t.Errorf("after the restart %v, %v; want the invited user", found, err)
	}
}

func TestSearchesLagBehindAndTheDirectoryDoesNot(t *testing.T) {
	w, target := newTarget(t)
	w.LagReads()
	id, err := target.Invite(t.Context(), address, "Ana")
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := target.ByMail(t.Context(), address); len(found) != 0 {
		t.Errorf("the search finds %v already", found)
	}
	if _, err := target.External(t.Context(), id); !errors.Is(err, provisioning.ErrNotFound) {
		t.Errorf("the read finds it already: %v", err)
	}
	var exists provisioning.Exists
	if _, err := target.Invite(t.Context(), address, "Ana"); !errors.As(err, &exists) || exists.ID != id {
		t.Errorf("a second invitation: %v, want that %s exists", err, id)
	}
	w.CatchUp()
	w.DuplicateResults()
	if found, _ := target.ByMail(t.Context(), address); len(found) != 2 {
		t.Errorf("the search finds %v, want it twice", found)
	}
}

func TestFaultsEndAfterTheirNumber(t *testing.T) {
	w, target := newTarget(t)
	down := errors.New("503 ServiceUnavailable")
	w.Fail(provisioningtest.Invite, 2, down)
	for range 2 {
		if _, err := target.Invite(t.Context(), address, "Ana"); !errors.Is(err, down) {
			t.Errorf("error %v, want %v", err, down)
		}
	}
	w.After(provisioningtest.Invite, 1, func() error { return down })
	if _, err := target.Invite(t.Context(), address, "Ana"); !errors.Is(err, down) || len(w.Live()) != 1 {
		t.Errorf("error %v, live %v; want the effect without the answer", err, w.Live())
	}
}
