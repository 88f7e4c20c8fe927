package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// The benchmarks count client and server, which run in one process, over loopback. Bodies have 1 kB. "disk" keeps every
// message on a disk before it is acknowledged, "memory" does not.
var kilobyte = string(bytes.Repeat([]byte("x"), 1000))

// at32 is the number of goroutines that use one sender or receiver at a time in parallel benchmarks.
const at32 = 32

// stores runs a benchmark in memory and on a disk.
func stores(b *testing.B, run func(b *testing.B, r *rig)) {
	for _, disk := range []bool{false, true} {
		name := "memory"
		if disk {
			name = "disk"
		}
		b.Run(name, func(b *testing.B) {
			options := queueOptions(broker.QueueConfig{MaxSizeMB: 10 << 10, LockDuration: 5 * time.Minute})
			if disk {
				options.Dir = b.TempDir() // each time another: what the last run left behind would have to be read first
			}
			r := connect(b, start(b, options), "all")
			r.ctx = context.Background()
			b.ReportAllocs()
			run(b, r)
		})
	}
}

// each does something b.N times, by a number of goroutines, and reports how fast and how evenly it went.
func each(b *testing.B, goroutines int, do func(i int) error) {
	took := make([]time.Duration, b.N)
	work := make(chan int, goroutines)
	var all sync.WaitGroup
	b.ResetTimer()
	for range goroutines {
		all.Go(func() {
			for i := range work {
				begin := time.Now()
				if err := do(i); err != nil {
					b.Error(err)
				}
				took[i] = time.Since(begin)
			}
		})
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	all.Wait()
	report(b, b.N, took)
}

func report(b *testing.B, messages int, took []time.Duration) {
	b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "msgs/s")
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkSend(b *testing.B) {
	stores(b, func(b *testing.B, r *rig) {
		s := r.sender()
		each(b, 1, func(int) error { return s.SendMessage(r.ctx, message(kilobyte), nil) })
	})
}

func BenchmarkSendParallel(b *testing.B) {
	stores(b, func(b *testing.B, r *rig) {
		s := r.sender()
		each(b, at32, func(int) error { return s.SendMessage(r.ctx, message(kilobyte), nil) })
	})
}

// fill sends n messages in batches of at most 100, as fast as one sender can, and returns the time each batch took.
func (r *rig) fill(n int) (took []time.Duration) {
	r.t.Helper()
	s := r.sender()
	for sent := 0; sent < n; {
		batch, err := s.NewMessageBatch(r.ctx, nil)
		r.must(err)
		for sent < n && batch.NumMessages() < 100 {
			r.must(batch.AddMessage(message(kilobyte), nil))
			sent++
		}
		begin := time.Now()
		r.must(s.SendMessageBatch(r.ctx, batch, nil))
		took = append(took, time.Since(begin))
	}
	return took
}

func BenchmarkSendBatch(b *testing.B) {
	stores(b, func(b *testing.B, r *rig) {
		b.ResetTimer()
		took := r.fill(b.N)
		report(b, b.N, took)
	})
}

func BenchmarkSendBatchParallel(b *testing.B) {
	const senders = 4
	stores(b, func(b *testing.B, r *rig) {
		var all sync.WaitGroup
		took := make([][]time.Duration, senders)
		b.ResetTimer()
		for i := range senders {
			all.Go(func() { took[i] = r.fill((b.N + i) / senders) })
		}
		all.Wait()
		report(b, b.N, slices.Concat(took...))
	})
}

func BenchmarkReceiveAndComplete(b *testing.B) {
	stores(b, func(b *testing.B, r *rig) {
		r.fill(b.N)
		recv := r.receiver(nil)
		var got []*sb.ReceivedMessage
		each(b, 1, func(int) (err error) {
			if len(got) == 0 {
				if got, err = recv.ReceiveMessages(r.ctx, 100, nil); err != nil {
					return err
				}
			}
			err = recv.CompleteMessage(r.ctx, got[0], nil)
			got = got[1:]
			return err
		})
	})
}

func BenchmarkReceiveAndCompleteParallel(b *testing.B) {
	stores(b, func(b *testing.B, r *rig) {
		r.fill(b.N)
		recv := r.receiver(nil)
		took := make([]time.Duration, b.N)
		b.ResetTimer()
		for done := 0; done < b.N; {
			got, err := recv.ReceiveMessages(r.ctx, 500, nil)
			r.must(err)
			var all sync.WaitGroup
			for i, m := range got {
				all.Go(func() {
					begin := time.Now()
					if err := recv.CompleteMessage(r.ctx, m, nil); err != nil {
						b.Error(err)
					}
					took[done+i] = time.Since(begin)
				})
			}
			all.Wait()
			done += len(got)
		}
		report(b, b.N, took)
	})
}

// BenchmarkDepth is one message through a queue that holds many others: what it costs must not depend on how many.
func BenchmarkDepth(b *testing.B) {
	for _, depth := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(depth), func(b *testing.B) {
			stores(b, func(b *testing.B, r *rig) {
				before := heap()
				r.fill(depth)
				perMessage := float64(heap()-before) / float64(depth)
				s, recv := r.sender(), r.receiver(nil)
				for b.Loop() {
					r.must(s.SendMessage(r.ctx, message(kilobyte), nil))
					got, err := recv.ReceiveMessages(r.ctx, 1, nil)
					r.must(err)
					r.must(recv.CompleteMessage(r.ctx, got[0], nil))
				}
				b.ReportMetric(perMessage, "B/queued")
			})
		})
	}
}

// heap is the memory in use, after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
