package servicebus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/servicebus"
	"github.com/tenantsync/tenantsync/shared/status"
)

func TestTheDepthOfAQueueIsWhatItHolds(t *testing.T) {
	server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
	bus := open(t, server)
	some := func(n int) (changes []change.Change) {
		for i := range n {
			changes = append(changes, change.Change{Route: "r", User: "u", Cause: change.CauseNotification, Key: change.Key("depth", time.Duration(i).String()), ArrivedAt: noon})
		}
		return changes
	}
	if err := bus.Send(t.Context(), queue, some(3)); err != nil {
		t.Fatal(err)
	}
	if err := bus.Schedule(t.Context(), queue, time.Now().Add(time.Hour), some(1)[0]); err != nil {
		t.Fatal(err)
	}
	got, err := bus.Receive(t.Context(), queue, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.DeadLetter(t.Context(), got[0], "no reason", "none at all"); err != nil {
		t.Fatal(err)
	}
	depth, err := bus.Depth(t.Context(), queue)
	if want := (status.Queue{Name: queue, Active: 2, Scheduled: 1, DeadLettered: 1}); err != nil || depth != want {
		t.Errorf("%+v, %v; want %+v", depth, err, want)
	}
	if _, err := bus.Depth(t.Context(), "another"); err == nil || !strings.Contains(err.Error(), "there is no such queue") {
		t.Errorf("of a queue that is not there: %v", err)
	}
	reader := openWith(t, servicebus.Options{ConnectionString: server.ConnectionString("listen")})
	if _, err := reader.Depth(t.Context(), queue); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("without the right to manage: %v", err)
	}
}
