package queue

import (
	"fmt"
	"testing"
	"time"
)

func TestMessagesThatExpireBehindOneThatStaysAreForgotten(t *testing.T) {
	b := newBench(t, nil)
	b.send("stays")
	for i := range 10_000 {
		b.enqueue(Message{ID: fmt.Sprint(i), TTL: time.Second})
		b.pass(time.Second)
	}
	if n := len(b.q.available.fresh); n > 100 {
		t.Errorf("the line still has %d entries for 1 message", n)
	}
	b.send("comes")
	for _, want := range []string{"stays", "comes"} {
		if m := b.receive(b.q); m.ID != want {
			t.Errorf("received %s, want %s", m.ID, want)
		}
	}
}

func TestMessagesThatLeaveTheMiddleOfALineAndComeBackKeepTheirOrder(t *testing.T) {
	const n = 300
	b := newBench(t, func(c *Config) { c.MaxDeliveryCount = 100 })
	for i := range n {
		b.enqueue(Message{ID: fmt.Sprint(i)})
	}
	var tokens []Token
	for range n {
		tokens = append(tokens, b.receive(b.q).LockToken)
	}
	for i := n - 1; i >= 0; i-- { // the last first: they come back behind nobody
		if err := b.q.Settle(b.now, tokens[i:i+1], Abandon, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if m := b.receive(b.q); m.ID != fmt.Sprint(i) {
			t.Fatalf("message %s came as number %d", m.ID, i)
		}
	}
}
