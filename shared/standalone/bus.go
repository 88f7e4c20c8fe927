package standalone

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
)

// busKey is the name of the embedded bus's only key.
const busKey = "tenantsync"

// LockDuration is how long a message is locked for whoever received it. It is over provisioning.DefaultLease, so that
// a message which comes back because its lock ran out finds the lease of that worker over. After a restart of the bus
// no message is locked: it comes back at once, and waits for the lease of the worker that died.
const LockDuration = 30 * time.Second

// rules are those of each queue of the product.
func rules(name string) broker.QueueConfig {
	return broker.QueueConfig{Name: name, LockDuration: LockDuration, MaxDeliveryCount: 10, DuplicateDetectionWindow: 10 * time.Minute}
}

// Bus is the embedded broker, running, with the queues of the product.
type Bus struct {
	*broker.Server
	// Connection is the connection string for it. Its key is new at each start.
	Connection string
	// Fresh says that it was made just now and holds nothing from before.
	Fresh bool
}

// EmbeddedBus starts the embedded broker on a loopback address. What it accepts is kept in a folder, which is made when
// missing and which one process can use at a time; without one (""), in memory.
func EmbeddedBus(dir, addr string, log *slog.Logger) (*Bus, error) {
	server, err := broker.New(broker.Options{
		Dir:    dir,
		Keys:   map[string]broker.Key{busKey: {Secret: rand.Text(), Listen: true, Send: true, Manage: true}},
		Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("open the embedded bus: %w", err)
	}
	fresh, err := ensureQueues(server)
	if err == nil {
		err = server.Listen(addr)
	}
	if err != nil {
		return nil, fmt.Errorf("start the embedded bus: %w", errors.Join(err, server.Close()))
	}
	return &Bus{Server: server, Connection: server.ConnectionString(busKey), Fresh: fresh}, nil
}

// ensureQueues makes the queues, or gives those that are there the rules of this version. fresh: none was there.
func ensureQueues(server *broker.Server) (fresh bool, err error) {
	fresh = true
	for _, name := range change.Queues() {
		_, err := server.Queue(name)
		switch {
		case errors.Is(err, broker.ErrQueueNotFound):
			err = server.CreateQueue(rules(name))
		case err == nil:
			fresh, err = false, server.UpdateQueue(rules(name))
		}
		if err != nil {
			return false, err
		}
	}
	return fresh, nil
}
