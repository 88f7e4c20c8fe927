package servicebus_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
	"github.com/tenantsync/tenantsync/shared/servicebus"
)

// bury makes n dead letters, alternately "permission denied" and "ambiguous match".
func bury(t testing.TB, bus *servicebus.Bus, n int) {
	t.Helper()
	send(t, bus, changes(n)...)
	for i, d := range receive(t, bus, n) {
		if err := bus.DeadLetter(t.Context(), d, []string{"permission denied", "ambiguous match"}[i%2], "why"); err != nil {
			t.Fatal(err)
		}
	}
}

// buryGarbage makes a dead letter that is not a change.
func buryGarbage(t testing.TB, server *broker.Server, bus *servicebus.Bus) {
	t.Helper()
	client, err := azservicebus.NewClientFromConnectionString(server.ConnectionString("all"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(t.Context())
	sender, err := client.NewSender(queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.SendMessage(t.Context(), &azservicebus.Message{Body: []byte("hello")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := bus.DeadLetter(t.Context(), receive(t, bus, 1)[0], "unreadable", "not a change"); err != nil {
		t.Fatal(err)
	}
}

func TestReplay(t *testing.T) {
	for name, c := range map[string]struct {
		letters int
		request deadletter.Request
		want    deadletter.Report
		counts  broker.Counts
	}{
		"of an empty queue does nothing": {0, deadletter.Request{},
			deadletter.Report{ByReason: map[string]int{}}, broker.Counts{}},
		"takes all": {4, deadletter.Request{},
			deadletter.Report{Examined: 4, Replayed: 4, ByReason: map[string]int{"permission denied": 2, "ambiguous match": 2}}, broker.Counts{Active: 4}},
		"takes more than fit into one receive": {250, deadletter.Request{},
			deadletter.Report{Examined: 250, Replayed: 250, ByReason: map[string]int{"permission denied": 125, "ambiguous match": 125}}, broker.Counts{Active: 250}},
		"takes what the filter chooses": {4, deadletter.Request{Filter: deadletter.Filter{Reason: "ambiguous match"}},
			deadletter.Report{Examined: 4, Replayed: 2, Skipped: 2, ByReason: map[string]int{"ambiguous match": 2}}, broker.Counts{Active: 2, DeadLettered: 2}},
		"takes one user": {4, deadletter.Request{Filter: deadletter.Filter{User: "u3"}},
			deadletter.Report{Examined: 4, Replayed: 1, Skipped: 3, ByReason: map[string]int{"ambiguous match": 1}}, broker.Counts{Active: 1, DeadLettered: 3}},
		"takes no more than max": {4, deadletter.Request{Max: 3},
			deadletter.Report{Examined: 3, Replayed: 3, ByReason: map[string]int{"permission denied": 2, "ambiguous match": 1}}, broker.Counts{Active: 3, DeadLettered: 1}},
		"only counts in a dry run": {4, deadletter.Request{DryRun: true},
			deadletter.Report{Examined: 4, Replayed: 4, ByReason: map[string]int{"permission denied": 2, "ambiguous match": 2}, DryRun: true}, broker.Counts{DeadLettered: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
			bus := open(t, server)
			bury(t, bus, c.letters)
			c.request.Queue = queue
			if c.request.Max == 0 {
				c.request.Max = deadletter.MaxReplay
			}
			got, err := bus.Replay(t.Context(), c.request)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, c.want)
			}
			counts(t, server, c.counts)
		})
	}
	all := deadletter.Request{Queue: queue, Max: deadletter.MaxReplay}
	t.Run("sends the change as a replayed one", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		bury(t, bus, 1)
		if _, err := bus.Replay(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		if got, err := change.Decode(receive(t, bus, 1)[0].Body); err != nil || got != changes(1)[0].Replayed(noon) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("leaves what it cannot read", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := open(t, server)
		buryGarbage(t, server, bus)
		bury(t, bus, 1)
		got, err := bus.Replay(t.Context(), all)
		if err != nil || got.Examined != 2 || got.Broken != 1 || got.Replayed != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		counts(t, server, broker.Counts{Active: 1, DeadLettered: 1})
	})
	t.Run("gives back what it left, unlocked", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		bury(t, bus, 4)
		for _, reason := range []string{"ambiguous match", "permission denied"} {
			request := all
			request.Filter.Reason = reason
			if got, err := bus.Replay(t.Context(), request); err != nil || got.Replayed != 2 {
				t.Errorf("%s: got %+v, %v", reason, got, err)
			}
		}
	})
	t.Run("does not take a letter twice that fails again at once", func(t *testing.T) {
		const n = 150
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := open(t, server)
		bury(t, bus, n)
		worker, ctx := open(t, server), t.Context()
		var wg sync.WaitGroup
		wg.Go(func() {
			for buried := 0; buried < n; {
				ds, err := worker.Receive(ctx, queue, 10)
				if err != nil {
					t.Error(err)
					return
				}
				for _, d := range ds {
					if err := worker.DeadLetter(ctx, d, "permission denied", "again"); err != nil {
						t.Error(err)
					}
					buried++
				}
			}
		})
		got, err := bus.Replay(ctx, all)
		wg.Wait()
		if err != nil || got.Replayed != n {
			t.Errorf("got %+v, %v", got, err)
		}
		counts(t, server, broker.Counts{DeadLettered: n})
	})
	t.Run("two replays at the same time share the letters", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := open(t, server)
		bury(t, bus, 20)
		reports := make([]deadletter.Report, 2)
		var wg sync.WaitGroup
		for i := range reports {
			wg.Go(func() {
				var err error
				if reports[i], err = bus.Replay(t.Context(), all); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if reports[0].Replayed+reports[1].Replayed != 20 {
			t.Errorf("reports %+v", reports)
		}
		counts(t, server, broker.Counts{Active: 20})
	})
	t.Run("stops when the context has ended and loses nothing", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := open(t, server)
		bury(t, bus, 3)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := bus.Replay(ctx, all); err == nil {
			t.Error("no error")
		}
		counts(t, server, broker.Counts{DeadLettered: 3})
	})
	t.Run("refuses a request without a bound", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		if _, err := bus.Replay(t.Context(), deadletter.Request{Queue: queue}); err == nil {
			t.Error("no error")
		}
	})
}

func TestLetters(t *testing.T) {
	server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
	bus := open(t, server)
	buryGarbage(t, server, bus)
	bury(t, bus, 120)
	for name, c := range map[string]struct {
		filter deadletter.Filter
		max    int
		want   int
	}{
		"all, over several pages":   {deadletter.Filter{}, 1000, 120},
		"the first few":             {deadletter.Filter{}, 7, 7},
		"of one reason":             {deadletter.Filter{Reason: "ambiguous match"}, 1000, 60},
		"of a user nobody heard of": {deadletter.Filter{User: "nobody"}, 1000, 0},
		"none":                      {deadletter.Filter{}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := bus.Letters(t.Context(), queue, c.filter, c.max)
			if err != nil || len(got) != c.want {
				t.Errorf("got %d, %v", len(got), err)
			}
		})
	}
	t.Run("with everything that was said about them", func(t *testing.T) {
		got, err := bus.Letters(t.Context(), queue, deadletter.Filter{User: "u1"}, 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
		if got[0].EnqueuedAt.IsZero() || time.Since(got[0].EnqueuedAt) > time.Minute {
			t.Errorf("enqueued at %v", got[0].EnqueuedAt)
		}
		got[0].EnqueuedAt = time.Time{}
		if want := (deadletter.Letter{Change: changes(2)[1], Reason: "ambiguous match", Description: "why"}); got[0] != want {
			t.Errorf("got %+v, want %+v", got[0], want)
		}
	})
	t.Run("looking takes none away", func(t *testing.T) { counts(t, server, broker.Counts{DeadLettered: 121}) })
}
