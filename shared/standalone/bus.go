package standalone

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
)

// busKey is the name of the embedded bus's only key.
const busKey = "tenantsync"

// LockDuration is how long a message is locked for whoever received it. It is over provisioning.DefaultLease, so that
// a message which comes back because its worker died finds the lease of that worker over.
const LockDuration = 30 * time.Second

// EmbeddedBus starts the embedded broker with the queues of the product, on a loopback address, and returns it with the connection string
// for it. Its key is new at each start. What it holds is in memory.
func EmbeddedBus(addr string, log *slog.Logger) (*broker.Server, string, error) {
	server, err := broker.New(broker.Options{
		Queues: []broker.QueueConfig{{
			Name: change.QueueChanges, LockDuration: LockDuration, MaxDeliveryCount: 10,
			DuplicateDetectionWindow: 10 * time.Minute,
		}},
		Keys:   map[string]broker.Key{busKey: {Secret: rand.Text(), Listen: true, Send: true, Manage: true}},
		Logger: log,
	})
	if err != nil {
		return nil, "", fmt.Errorf("make the embedded bus: %w", err)
	}
	if err := server.Listen(addr); err != nil {
		return nil, "", fmt.Errorf("start the embedded bus: %w", err)
	}
	return server, server.ConnectionString(busKey), nil
}
