package broker_test

import (
	"sync"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// A change of a queue ends links, for which it needs connections; a link that attaches looks for its queue, for which it needs
// the table of queues. Neither may wait for the other.
func TestQueuesChangeWhileClientsAttach(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	var clients sync.WaitGroup
	for range 4 {
		conn := dial(t, r.server, goamqp.SASLTypePlain("all", keys["all"].Secret))
		clients.Go(func() {
			for range 200 { // each update ends the links of that moment
				session, err := conn.NewSession(r.ctx, nil)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = session.NewSender(r.ctx, "orders", nil)
				_, _ = session.NewReceiver(r.ctx, "orders", nil)
				_ = session.Close(r.ctx)
			}
		})
	}
	attached := make(chan struct{})
	go func() {
		clients.Wait()
		close(attached)
	}()
	updated := make(chan struct{})
	go func() {
		defer close(updated)
		for i := 1; ; i++ {
			select {
			case <-attached:
				return
			default:
			}
			if err := r.server.UpdateQueue(broker.QueueConfig{Name: "orders", MaxDeliveryCount: i}); err != nil {
				t.Error(err)
			}
		}
	}()
	select {
	case <-updated:
	case <-r.ctx.Done():
		t.Fatal("clients and the change of a queue wait for each other")
	}
	r.send("1")
	r.want(broker.Counts{Active: 1})
}
