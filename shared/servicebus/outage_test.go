package servicebus_test

import (
	"context"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/servicebus"
)

// unhurried tells an end at the context's deadline, on a busy machine, from the SDK's own patience: a dozen seconds and more.
const unhurried = 5 * time.Second

func TestOutage(t *testing.T) {
	t.Run("a send to a bus that is away ends in time, and works when the bus is back", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus, addr := open(t, server), server.Addr()
		send(t, bus, changes(1)...)
		server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := bus.Send(ctx, queue, changes(1)); err == nil || time.Since(begin) > unhurried {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
		again := serve(t, addr, broker.QueueConfig{})
		send(t, bus, changes(2)...)
		for _, d := range receive(t, bus, 2) {
			if err := bus.Complete(t.Context(), d); err != nil {
				t.Error(err)
			}
		}
		counts(t, again, broker.Counts{})
	})
	t.Run("a server that says nothing does not hold a send, nor the sends behind it", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		bus := openWith(t, servicebus.Options{ConnectionString: "Endpoint=sb://" + silent.Addr().String() + ";SharedAccessKeyName=all;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true"})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				begin := time.Now()
				if err := bus.Send(ctx, queue, changes(1)); err == nil || time.Since(begin) > unhurried {
					t.Errorf("error %v after %v", err, time.Since(begin))
				}
			})
		}
		wg.Wait()
	})
	t.Run("a receive goes on when the bus is back", func(t *testing.T) {
		server := serve(t, "127.0.0.1:0", broker.QueueConfig{})
		bus, addr := open(t, server), server.Addr()
		send(t, bus, changes(1)...)
		receive(t, bus, 1)
		received := make(chan []change.Delivery)
		go func() {
			for t.Context().Err() == nil {
				if got, err := bus.Receive(t.Context(), queue, 1); err == nil {
					received <- got
					return
				}
			}
		}()
		server.Close()
		serve(t, addr, broker.QueueConfig{})
		send(t, open(t, server), changes(1)...)
		select {
		case got := <-received:
			if c, err := change.Decode(got[0].Body); err != nil || !reflect.DeepEqual(c, changes(1)[0]) {
				t.Errorf("got %+v, %v", c, err)
			}
		case <-time.After(patience):
			t.Error("nothing was received")
		}
	})
}
