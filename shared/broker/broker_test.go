package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestNewRefusesHalfBuiltOptions(t *testing.T) {
	queues := func(configs ...broker.QueueConfig) broker.Options { return broker.Options{Queues: configs} }
	for _, c := range []struct {
		name    string
		options broker.Options
		want    []string // parts of the error
	}{
		{"a negative idle timeout", broker.Options{IdleTimeout: -1}, []string{"idle timeout"}},
		{"a queue without a name", queues(broker.QueueConfig{}), []string{"give it a name"}},
		{"a name with a space", queues(broker.QueueConfig{Name: "a b"}), []string{`"a b"`, "letters, digits"}},
		{"a name that a URL cannot hold", queues(broker.QueueConfig{Name: "a/../b"}), []string{"empty, . or .."}},
		{"a name that would be a node", queues(broker.QueueConfig{Name: "q/$management"}), []string{"letters, digits"}},
		{"two names that differ by case", queues(broker.QueueConfig{Name: "orders"}, broker.QueueConfig{Name: "Orders"}), []string{`"Orders"`, "same name"}},
		{"a lock that is too long", queues(broker.QueueConfig{Name: "q", LockDuration: 6 * time.Minute}), []string{"6m0s"}},
		{"a lock that is too short", queues(broker.QueueConfig{Name: "q", LockDuration: time.Microsecond}), []string{"1µs"}},
		{"a negative count", queues(broker.QueueConfig{Name: "q", MaxDeliveryCount: -1}), []string{"delivery count -1"}},
		{"a status of one's own", queues(broker.QueueConfig{Name: "q", Status: "Asleep"}), []string{`"Asleep"`, "SendDisabled"}},
		{"a quota that is too large", queues(broker.QueueConfig{Name: "q", MaxSizeMB: 1 << 20}), []string{"maximum size", "81920"}},
		{"a key without a secret", broker.Options{
			Queues: []broker.QueueConfig{{Name: "q"}}, Keys: map[string]broker.Key{"k": {Send: true}},
		}, []string{`key "k"`}},
		{"all mistakes at once", queues(broker.QueueConfig{Name: "a b"}, broker.QueueConfig{Name: "q", LockDuration: -1, DefaultTTL: -1}),
			[]string{`"a b"`, "lock duration", "a duration is negative"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := broker.New(c.options)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %q", err, part)
				}
			}
		})
	}
}

func TestListen(t *testing.T) {
	s := start(t, broker.Options{})
	if err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("a server listened twice")
	}
	other := newServer(t, broker.Options{})
	if err := other.Listen(s.Addr()); err == nil {
		t.Error("two servers listen on one port")
	}
	if other.Addr() != "" {
		t.Errorf("a server that does not listen has the address %q", other.Addr())
	}
}

func TestCountsOfAnUnknownQueueIsAnError(t *testing.T) {
	if _, err := start(t, broker.Options{}).Counts("nope"); err == nil {
		t.Error("counted")
	}
}
