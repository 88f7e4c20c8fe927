package standalone

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/servicebus"
)

func TestTheLockOfAMessageOutlivesTheLeaseOfItsWorker(t *testing.T) {
	if LockDuration <= provisioning.DefaultLease {
		t.Errorf("a message comes back after %s and finds the lease of a dead worker held for %s", LockDuration, provisioning.DefaultLease)
	}
	if drainTime <= provisioning.DefaultLease {
		t.Errorf("work is aborted %s after the order to stop, and one message may take %s", drainTime, provisioning.DefaultLease)
	}
}

// embedded starts a bus that ends with the test at the latest.
func embedded(t *testing.T, dir string) *Bus {
	t.Helper()
	bus, err := EmbeddedBus(dir, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	return bus
}

func TestTheEmbeddedBusHasANewKeyAtEachStart(t *testing.T) {
	dir := t.TempDir()
	connections := map[string]bool{}
	for range 2 {
		bus := embedded(t, dir)
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
		_, key, ok := strings.Cut(bus.Connection, "SharedAccessKey=")
		if !ok || connections[key] {
			t.Errorf("connection string with key %q", key)
		}
		connections[key] = true
	}
}

func TestAnAddressThatIsTakenIsTold(t *testing.T) {
	bus := embedded(t, "")
	if _, err := EmbeddedBus("", bus.Addr(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "start the embedded bus") {
		t.Errorf("error %v, want one that says what failed", err)
	}
}

func TestAFolderThatAnotherBusUsesIsTold(t *testing.T) {
	dir := t.TempDir()
	embedded(t, dir)
	_, err := EmbeddedBus(dir, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another process has it open") || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one that says who has what", err)
	}
}

func TestABusIsFreshOnlyWhileItsFolderHoldsNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "bus")
	for _, tt := range []struct {
		name, dir string
		fresh     bool
	}{
		{"in a folder that is not there yet", dir, true},
		{"in a folder that a bus was in", dir, false},
		{"in memory", "", true},
		{"in memory again", "", true},
	} {
		bus := embedded(t, tt.dir)
		if bus.Fresh != tt.fresh {
			t.Errorf("a bus %s: fresh is %v", tt.name, bus.Fresh)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestABusThatIsOpenedAgainHoldsWhatItTookAndWhoeverHadAMessageLosesItAtOnce(t *testing.T) {
	dir := t.TempDir()
	sent := change.Change{Route: "route", User: "user", Cause: change.CauseNotification, Key: "key", ArrivedAt: time.Now()}
	first := embedded(t, dir)
	client := open(t, first)
	if err := client.Send(t.Context(), change.QueueChanges, []change.Change{sent}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Receive(t.Context(), change.QueueChanges, 1); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	client = open(t, embedded(t, dir))
	if err := client.Send(t.Context(), change.QueueChanges, []change.Change{sent}); err != nil { // a duplicate
		t.Fatal(err)
	}
	began := time.Now()
	got, err := client.Receive(t.Context(), change.QueueChanges, 2)
	if err != nil || len(got) != 1 || got[0].MessageID != sent.MessageID() || got[0].DeliveryCount != 1 {
		t.Fatalf("received %+v, %v; want the message once, as if for the first time", got, err)
	}
	if took := time.Since(began); took > LockDuration/2 {
		t.Errorf("it came after %s: its lock outlived the bus", took)
	}
}

// open connects to a bus, until the test ends.
func open(t *testing.T, bus *Bus) *servicebus.Bus {
	t.Helper()
	client, err := servicebus.Open(servicebus.Options{ConnectionString: bus.Connection})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(context.Background()) })
	return client
}
