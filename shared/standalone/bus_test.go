package standalone

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

func TestTheLockOfAMessageOutlivesTheLeaseOfItsWorker(t *testing.T) {
	if LockDuration <= provisioning.DefaultLease {
		t.Errorf("a message comes back after %s and finds the lease of a dead worker held for %s", LockDuration, provisioning.DefaultLease)
	}
	if drainTime <= provisioning.DefaultLease {
		t.Errorf("work is aborted %s after the order to stop, and one message may take %s", drainTime, provisioning.DefaultLease)
	}
}

func TestTheEmbeddedBusHasANewKeyAtEachStart(t *testing.T) {
	connections := map[string]bool{}
	for range 2 {
		bus, connection, err := EmbeddedBus("127.0.0.1:0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
		_, key, ok := strings.Cut(connection, "SharedAccessKey=")
		if !ok || connections[key] {
			t.Errorf("connection string with key %q", key)
		}
		connections[key] = true
	}
}

func TestAnAddressThatIsTakenIsTold(t *testing.T) {
	bus, _, err := EmbeddedBus("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	if _, _, err := EmbeddedBus(bus.Addr(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "start the embedded bus") {
		t.Errorf("error %v, want one that says what failed", err)
	}
}
