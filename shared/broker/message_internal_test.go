package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// common is a message of 1 kB as azservicebus writes it.
func common(t testing.TB, id any) []byte {
	t.Helper()
	encoded, err := (&goamqp.Message{
		Annotations:           goamqp.Annotations{},
		Properties:            &goamqp.MessageProperties{MessageID: id},
		ApplicationProperties: map[string]any{"tenant": "contoso", "attempt": int32(1)},
		Data:                  [][]byte{bytes.Repeat([]byte("x"), 1000)},
	}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// inHands is a message in the hands of a receiver.
func inHands(t testing.TB) queue.Message {
	t.Helper()
	m, err := parse(common(t, "id"))
	if err != nil {
		t.Fatal(err)
	}
	m.SequenceNumber, m.EnqueuedSequenceNumber, m.EnqueuedAt = 100_000, 99_999, time.Unix(1_700_000_000, 0)
	m.LockToken, m.LockedUntil = queue.Token{1}, m.EnqueuedAt.Add(time.Minute)
	return m
}

func TestACommonMessageTakesFewAllocations(t *testing.T) {
	withID, withoutID, m := common(t, "id"), common(t, nil), inHands(t)
	for name, c := range map[string]struct {
		run    func()
		atMost float64
	}{
		"parsed":                   {func() { _, _ = parse(withID) }, 4},
		"parsed and given an id":   {func() { _, _ = parse(withoutID) }, 8},
		"rendered for a receiver":  {func() { render(nil, m) }, 10},
		"appended for the storage": {func() { m.Content.Append(nil) }, 1},
	} {
		if got := testing.AllocsPerRun(100, c.run); got > c.atMost {
			t.Errorf("%s: %.0f allocations, want at most %.0f", name, got, c.atMost)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, id := range []any{"00000000-0000-0000-0000-000000000000", nil} {
		b.Run(fmt.Sprintf("id=%v", id), func(b *testing.B) {
			encoded := common(b, id)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(encoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRender(b *testing.B) {
	m := inHands(b)
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = render(out[:0], m)
	}
}
