package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// A receiver may look while its queue is being deleted, and the deletion may then fail because the disk is full.
func TestAReceiverIsWokenThoughItAskedWhileItsQueueWasBeingDeleted(t *testing.T) {
	for name, c := range map[string]struct{ before, after bool }{
		"for a message that was there": {before: true},
		"for a message that comes":     {after: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEntity(QueueConfig{Name: "orders"}.withDefaults(), time.Now)
			send := func() {
				if _, _, err := e.send([]queue.Message{{ID: "1"}}); err != nil {
					t.Fatal(err)
				}
			}
			if c.before {
				send()
			}
			woken := 0
			s := &queueSource{entity: e, queue: e.queue, wake: func() { woken++ }}
			e.retire(func(*entity) bool { return true })
			if _, _, ok := e.take(s); ok || woken > 0 {
				t.Fatalf("a queue that is being deleted gave a message (%v) or woke its receiver (%d times)", ok, woken)
			}
			if _, _, err := e.send(nil); !errors.Is(err, errDeleted) {
				t.Fatalf("error %v, want %v", err, errDeleted)
			}
			e.revive()
			if c.after {
				send()
			}
			if woken != 1 {
				t.Errorf("woken %d times, want once", woken)
			}
		})
	}
}
