package broker_test

import (
	"bytes"
	"testing"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// The benchmarks count client and server, which run in one process. Bodies have 1 kB.
var kilobyte = string(bytes.Repeat([]byte("x"), 1000))

func BenchmarkSend(b *testing.B) {
	r := setup(b, broker.QueueConfig{})
	s := r.sender()
	for b.Loop() {
		r.must(s.SendMessage(b.Context(), message(kilobyte), nil))
	}
}

func BenchmarkSendParallel(b *testing.B) {
	r := setup(b, broker.QueueConfig{})
	s := r.sender()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.SendMessage(b.Context(), message(kilobyte), nil); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkReceiveAndComplete(b *testing.B) {
	r := setup(b, broker.QueueConfig{})
	s := r.sender()
	batch, err := s.NewMessageBatch(b.Context(), nil)
	r.must(err)
	for range 100 {
		r.must(batch.AddMessage(message(kilobyte), nil))
	}
	recv := r.receiver(nil)
	var got []*sb.ReceivedMessage
	for b.Loop() {
		if len(got) == 0 {
			b.StopTimer()
			r.must(s.SendMessageBatch(b.Context(), batch, nil))
			b.StartTimer()
			got, err = recv.ReceiveMessages(b.Context(), 100, nil)
			r.must(err)
		}
		r.must(recv.CompleteMessage(b.Context(), got[0], nil))
		got = got[1:]
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	r := setup(b, broker.QueueConfig{})
	s, recv := r.sender(), r.receiver(nil)
	for b.Loop() {
		r.must(s.SendMessage(b.Context(), message(kilobyte), nil))
		got, err := recv.ReceiveMessages(b.Context(), 1, nil)
		r.must(err)
		r.must(recv.CompleteMessage(b.Context(), got[0], nil))
	}
}
