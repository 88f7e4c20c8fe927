package servicebus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
	"github.com/tenantsync/tenantsync/shared/servicebus"
)

const queue = "changes"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patience bounds a test that hangs; nothing waits this long when things work.
const patience = 10 * time.Second

// serve starts a broker with one queue on addr.
func serve(t testing.TB, addr string, config broker.QueueConfig) *broker.Server {
	t.Helper()
	config.Name = queue
	server, err := broker.New(broker.Options{
		Queues: []broker.QueueConfig{config},
		Keys: map[string]broker.Key{
			"all":    {Secret: "c2VjcmV0", Listen: true, Send: true, Manage: true},
			"listen": {Secret: "bGlzdGVu", Listen: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func open(t testing.TB, server *broker.Server) *servicebus.Bus {
	t.Helper()
	return openWith(t, servicebus.Options{ConnectionString: server.ConnectionString("all")})
}

func openWith(t testing.TB, o servicebus.Options) *servicebus.Bus {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	bus, err := servicebus.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		bus.Close(ctx)
	})
	return bus
}

// changes makes n changes of different users, u0 and up.
func changes(n int) []change.Change {
	out := make([]change.Change, n)
	for i := range out {
		user := fmt.Sprintf("u%d", i)
		out[i] = change.Change{Route: "us→contoso", User: user, Cause: change.CauseNotification, Key: change.Key(user), ArrivedAt: noon}
	}
	return out
}

func send(t testing.TB, bus *servicebus.Bus, cs ...change.Change) {
	t.Helper()
	if err := bus.Send(t.Context(), queue, cs); err != nil {
		t.Fatal(err)
	}
}

// receive takes n deliveries, in as many calls as it needs.
func receive(t testing.TB, bus *servicebus.Bus, n int) []change.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []change.Delivery
	for len(all) < n {
		some, err := bus.Receive(ctx, queue, n-len(all))
		if err != nil {
			t.Fatalf("after %d of %d deliveries: %v", len(all), n, err)
		}
		all = append(all, some...)
	}
	return all
}

func counts(t testing.TB, server *broker.Server, want broker.Counts) {
	t.Helper()
	if got, err := server.Counts(queue); err != nil || got != want {
		t.Errorf("the queue holds %+v (%v), want %+v", got, err, want)
	}
}

func TestOpen(t *testing.T) {
	for name, c := range map[string]struct {
		options servicebus.Options
		want    string
	}{
		"nothing":                     {servicebus.Options{}, "neither"},
		"two addresses":               {servicebus.Options{ConnectionString: "Endpoint=sb://x/", Namespace: "x.servicebus.windows.net"}, "both"},
		"a short namespace":           {servicebus.Options{Namespace: "contoso"}, "full host name"},
		"a URL":                       {servicebus.Options{Namespace: "sb://contoso.servicebus.windows.net"}, "full host name"},
		"a torn connection string":    {servicebus.Options{ConnectionString: "Endpoint"}, "connection string"},
		"a string without a key name": {servicebus.Options{ConnectionString: "Endpoint=sb://x.example/"}, "SharedAccessKey"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := servicebus.Open(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
	t.Run("asks nobody, not even for an identity", func(t *testing.T) {
		for _, o := range []servicebus.Options{
			{ConnectionString: "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true"},
			{Namespace: "contoso.servicebus.windows.net", ManagedIdentityClientID: "22222222-2222-2222-2222-222222222222"},
		} {
			openWith(t, o)
		}
	})
}

func TestSend(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1500} {
		t.Run(fmt.Sprintf("%d changes arrive as they were", n), func(t *testing.T) {
			server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
			bus, want := open(t, server), changes(n)
			send(t, bus, want...)
			counts(t, server, broker.Counts{Active: n})
			got := map[string]change.Change{} // the order is nobody's promise
			for _, d := range receive(t, bus, n) {
				c, err := change.Decode(d.Body)
				if err != nil || d.Queue != queue || d.DeliveryCount != 1 {
					t.Fatalf("delivery %+v: %v", d, err)
				}
				got[d.MessageID] = c
			}
			for _, c := range want {
				if got[c.MessageID()] != c {
					t.Fatalf("got %+v, want %+v", got[c.MessageID()], c)
				}
			}
		})
	}
	t.Run("nothing when one of them is not a change", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		if err := open(t, server).Send(t.Context(), queue, append(changes(2), change.Change{})); err == nil {
			t.Error("no error")
		}
		counts(t, server, broker.Counts{})
	})
	t.Run("sent twice is there once, as the queue detects duplicates", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{DuplicateDetectionWindow: time.Minute})
		bus := open(t, server)
		for range 2 {
			send(t, bus, changes(3)...)
		}
		counts(t, server, broker.Counts{Active: 3})
	})
	t.Run("many goroutines share a bus", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := open(t, server)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := bus.Send(t.Context(), queue, changes(5)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		counts(t, server, broker.Counts{Active: 40})
	})
	t.Run("an unknown queue is named", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		if err := bus.Send(t.Context(), "chnages", changes(1)); err == nil || !strings.Contains(err.Error(), "no such queue") || !strings.Contains(err.Error(), "chnages") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a key without the right to send is told so", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := openWith(t, servicebus.Options{ConnectionString: server.ConnectionString("listen")})
		if err := bus.Send(t.Context(), queue, changes(1)); err == nil || !strings.Contains(err.Error(), "credential") {
			t.Errorf("error %v", err)
		}
	})
}

func TestSchedule(t *testing.T) {
	server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
	bus := open(t, server)
	c := changes(1)[0].Retry(1)
	at := time.Now().Add(150 * time.Millisecond)
	if err := bus.Schedule(t.Context(), queue, at, c); err != nil {
		t.Fatal(err)
	}
	counts(t, server, broker.Counts{Scheduled: 1})
	d := receive(t, bus, 1)[0]
	if early := time.Until(at); early > 0 {
		t.Errorf("it came %v early", early)
	}
	if got, err := change.Decode(d.Body); err != nil || got != c || d.MessageID != c.MessageID() {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSettle(t *testing.T) {
	type step func(ctx context.Context, bus *servicebus.Bus, d change.Delivery) error
	complete := func(ctx context.Context, bus *servicebus.Bus, d change.Delivery) error { return bus.Complete(ctx, d) }
	bury := func(ctx context.Context, bus *servicebus.Bus, d change.Delivery) error {
		return bus.DeadLetter(ctx, d, "ambiguous match", "two users have this address")
	}
	for name, c := range map[string]struct {
		do   step
		want broker.Counts
	}{
		"completing removes the message":  {complete, broker.Counts{}},
		"dead-lettering puts it aside":    {bury, broker.Counts{DeadLettered: 1}},
		"also after the caller has ended": {ended(complete), broker.Counts{}},
	} {
		// The receiver and the settler are different programs, as on a host that delivers by itself.
		t.Run(name, func(t *testing.T) {
			server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
			host, worker := open(t, server), open(t, server)
			send(t, host, changes(1)...)
			if err := c.do(t.Context(), worker, receive(t, host, 1)[0]); err != nil {
				t.Fatal(err)
			}
			counts(t, server, c.want)
		})
	}
	t.Run("a delivery that comes again is counted", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{LockDuration: 20 * time.Millisecond}))
		send(t, bus, changes(1)...)
		receive(t, bus, 1) // and its lock runs out
		if d := receive(t, bus, 1)[0]; d.DeliveryCount != 2 {
			t.Errorf("delivery count %d", d.DeliveryCount)
		}
	})
	t.Run("a lock that ran out is lost", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{LockDuration: 20 * time.Millisecond}))
		send(t, bus, changes(1)...)
		first := receive(t, bus, 1)[0]
		receive(t, bus, 1) // it comes again only when the lock has run out
		if err := bus.Complete(t.Context(), first); !errors.Is(err, servicebus.ErrLockLost) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a bus that is away ends it at its own deadline", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus := openWith(t, servicebus.Options{ConnectionString: server.ConnectionString("all"), SettleTimeout: 100 * time.Millisecond})
		send(t, bus, changes(1)...)
		d := receive(t, bus, 1)[0]
		server.Close()
		begin := time.Now()
		if err := bus.Complete(t.Context(), d); err == nil || time.Since(begin) > 2*time.Second {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
	})
}

// ended runs a step with a context that is over.
func ended(do func(context.Context, *servicebus.Bus, change.Delivery) error) func(context.Context, *servicebus.Bus, change.Delivery) error {
	return func(ctx context.Context, bus *servicebus.Bus, d change.Delivery) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return do(ctx, bus, d)
	}
}

func TestDeadLetterText(t *testing.T) {
	bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
	for name, text := range map[string]string{
		"short":                           "two users have this address",
		"as long as the bus allows":       strings.Repeat("x", 4096),
		"too long, of one-byte letters":   strings.Repeat("x", 5000),
		"too long, of two-byte letters":   strings.Repeat("é", 4000),
		"too long, of three-byte letters": "x" + strings.Repeat("→", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			send(t, bus, changes(1)...)
			if err := bus.DeadLetter(t.Context(), receive(t, bus, 1)[0], name, text); err != nil {
				t.Fatal(err)
			}
			letters, err := bus.Letters(t.Context(), queue, deadletter.Filter{Reason: name}, 10)
			if err != nil || len(letters) != 1 {
				t.Fatalf("letters %v, %v", letters, err)
			}
			got := letters[0].Description
			if !utf8.ValidString(got) || !strings.HasPrefix(text, got) || len(got) < min(len(text), 4093) || len(got) > 4096 {
				t.Errorf("%d bytes became %d", len(text), len(got))
			}
		})
	}
}

func TestReceive(t *testing.T) {
	t.Run("ends with the context", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := bus.Receive(ctx, queue, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a second receiver waits for its turn, not longer than its context", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { bus.Receive(first, queue, 1) })
		second, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		_, err := bus.Receive(second, queue, 1)
		cancel()
		wg.Wait()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no more than asked for", func(t *testing.T) {
		bus := open(t, serve(t, "127.0.0.1:0", broker.QueueConfig{}))
		send(t, bus, changes(5)...)
		if got, err := bus.Receive(t.Context(), queue, 3); err != nil || len(got) < 1 || len(got) > 3 {
			t.Errorf("got %d, %v", len(got), err)
		}
	})
}

func BenchmarkSend(b *testing.B) {
	bus := open(b, serve(b, "127.0.0.1:0", broker.QueueConfig{}))
	for _, n := range []int{1, 10, 100} {
		batch := changes(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				send(b, bus, batch...)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
