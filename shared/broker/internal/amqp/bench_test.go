package amqp_test

import (
	"bytes"
	"fmt"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// hot are the performatives of which every message takes some.
var hot = []amqp.Performative{
	&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(100_000)), DeliveryTag: make([]byte, 16), MessageFormat: new(uint32(0))},
	&amqp.Disposition{Role: amqp.RoleReceiver, First: 100_000, Last: new(uint32(100_000)), Settled: true, State: amqp.Accepted{}.Value()},
	&amqp.Flow{
		NextIncomingID: new(uint32(100_000)), IncomingWindow: 5000, NextOutgoingID: 7, OutgoingWindow: 5000, Handle: new(uint32(0)),
		DeliveryCount: new(uint32(100_000)), LinkCredit: new(uint32(1000)),
	},
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, p := range hot {
		b.Run(fmt.Sprintf("%T", p), func(b *testing.B) {
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = amqp.AppendFrame(out[:0], amqp.FrameAMQP, 1, p, nil)
			}
		})
	}
}

func BenchmarkDecodePerformative(b *testing.B) {
	for _, p := range hot {
		b.Run(fmt.Sprintf("%T", p), func(b *testing.B) {
			b.ReportAllocs()
			body := amqp.AppendFrame(nil, amqp.FrameAMQP, 1, p, nil)[8:]
			for b.Loop() {
				if _, _, err := amqp.DecodePerformative(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseMessage(b *testing.B) {
	b.ReportAllocs()
	encoded, err := (&goamqp.Message{
		Header:                &goamqp.MessageHeader{TTL: 1e9},
		Annotations:           goamqp.Annotations{},
		Properties:            &goamqp.MessageProperties{MessageID: "00000000-0000-0000-0000-000000000000"},
		ApplicationProperties: map[string]any{"tenant": "contoso", "attempt": int32(1)},
		Data:                  [][]byte{bytes.Repeat([]byte("x"), 1000)},
	}).MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := amqp.ParseMessage(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
