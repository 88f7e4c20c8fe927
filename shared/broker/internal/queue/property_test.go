package queue

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machine drives a queue with arbitrary operations and remembers only which messages it must still hold.
type machine struct {
	config Config
	q      *Queue
	disk   disk
	now    time.Time
	sent   int
	stored map[string]bool // accepted and neither completed, cancelled, taken nor expired
	held   []Message       // received at some time; their locks may have ended
	taken  []taken         // may come back
}

// taken is a message on its way to somebody.
type taken struct {
	from *Queue
	Message
}

func (m *machine) send(t *rapid.T) {
	m.sent++
	message := Message{ID: fmt.Sprint(m.sent), Size: m.sent}
	if seconds := rapid.IntRange(-1, 90).Draw(t, "scheduled in"); seconds > 0 {
		message.ScheduledFor = m.now.Add(time.Duration(seconds) * time.Second)
	}
	if numbers, err := m.q.Enqueue(m.now, message); err != nil || numbers[0] == 0 {
		t.Fatalf("a new message was refused: sequence number %d, %v", numbers, err)
	}
	m.stored[message.ID] = true
}

func (m *machine) sendAgain(t *rapid.T) {
	if m.sent == 0 {
		return
	}
	if numbers, err := m.q.Enqueue(m.now, Message{ID: fmt.Sprint(m.sent)}); err != nil || numbers[0] != 0 {
		t.Fatalf("a duplicate was accepted under %d, %v", numbers, err)
	}
}

func (m *machine) receive(t *rapid.T) {
	if got, ok := m.pick(t).Receive(m.now); ok {
		m.held = append(m.held, got)
	}
}

func (m *machine) take(t *rapid.T) {
	q := m.pick(t)
	got, ok := q.ReceiveAndDelete()
	switch {
	case !ok:
	case rapid.Bool().Draw(t, "got by nobody"):
		m.taken = append(m.taken, taken{q, got})
	default:
		delete(m.stored, got.ID)
	}
}

// give puts back what was taken and got by nobody.
func (m *machine) give(*rapid.T) {
	for _, one := range m.taken {
		one.from.Return(one.Message)
	}
	m.taken = nil
	m.q.Tick(m.now)
}

func (m *machine) settle(t *rapid.T) {
	if len(m.held) == 0 {
		return
	}
	got := rapid.SampledFrom(m.held).Draw(t, "message")
	outcome := Outcome(rapid.IntRange(int(Complete), int(DeadLetter)).Draw(t, "outcome"))
	properties := rapid.MapOfN(rapid.StringN(1, 4, -1), rapid.Map(rapid.String(), func(v string) any { return v }), 0, 2).Draw(t, "properties")
	if m.pick(t).Settle(m.now, []Token{got.LockToken}, outcome, properties) == nil && outcome == Complete {
		delete(m.stored, got.ID)
	}
}

func (m *machine) renew(t *rapid.T) {
	if len(m.held) > 0 {
		_, _ = m.pick(t).Renew(m.now, []Token{rapid.SampledFrom(m.held).Draw(t, "message").LockToken})
	}
}

func (m *machine) receiveDeferred(t *rapid.T) {
	q := m.pick(t)
	for _, p := range q.Peek(0, 100) {
		if p.State != Deferred {
			continue
		}
		remove := rapid.Bool().Draw(t, "remove")
		got, err := q.ReceiveDeferred(m.now, []int64{p.SequenceNumber}, remove)
		switch {
		case err != nil: // locked
		case remove:
			delete(m.stored, p.ID)
		default:
			m.held = append(m.held, got...)
		}
		return
	}
}

func (m *machine) cancel(t *rapid.T) {
	for _, p := range m.q.Peek(0, 100) {
		if p.State == Scheduled && m.q.CancelScheduled([]int64{p.SequenceNumber}) == nil {
			delete(m.stored, p.ID)
			return
		}
	}
}

func (m *machine) pass(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second)
	m.q.Tick(m.now)
}

// crash loses the queue and makes it anew from what a store was told.
func (m *machine) crash(*rapid.T) {
	for _, one := range m.taken {
		delete(m.stored, one.ID)
	}
	m.taken = nil
	m.disk.write(m.q.TakeChanges())
	m.q = New(m.config)
	m.q.Restore(m.disk.saved())
	m.q.Record()
	m.q.Tick(m.now)
}

// disk is a store as the contract of Changes describes it.
type disk struct {
	messages map[Key]Stored
	seen     []Seen
	last     Last
}

func (d *disk) write(c Changes) {
	for _, key := range c.Gone {
		delete(d.messages, key)
	}
	for _, s := range c.Put {
		d.messages[Key{s.DeadLetter, s.SequenceNumber}] = s
	}
	d.seen = slices.DeleteFunc(append(d.seen, c.Seen...), func(s Seen) bool { return !s.At.After(c.Forgotten) })
	d.last = c.Last
}

func (d *disk) saved() Saved {
	return Saved{
		Messages: slices.SortedFunc(maps.Values(d.messages), func(a, b Stored) int { return cmp.Compare(a.SequenceNumber, b.SequenceNumber) }),
		Last:     d.last,
		Seen:     d.seen,
	}
}

// compare tells how what a store was told differs from the queue.
func (m *machine) compare(t *rapid.T) {
	m.disk.write(m.q.TakeChanges())
	n := 0
	var size int64
	for _, q := range []*Queue{m.q, m.q.DeadLetters()} {
		for _, p := range q.Peek(0, m.sent+1) {
			n++
			size += overhead + int64(p.Size) + int64(measure(p.Properties))
			if s, ok := m.disk.messages[Key{q == m.q.DeadLetters(), p.SequenceNumber}]; !ok || !reflect.DeepEqual(s.Message, p) {
				t.Fatalf("the store has %+v (%v), want %+v", s.Message, ok, p)
			}
		}
	}
	if len(m.disk.messages) != n {
		t.Fatalf("the store has %d messages, want %d", len(m.disk.messages), n)
	}
	for _, seen := range m.disk.seen {
		size += seenCost(seen.ID)
	}
	if size != m.q.Size() {
		t.Fatalf("the queue says it has %d bytes, it has %d", m.q.Size(), size)
	}
}

// pick is the queue or its dead-letter queue.
func (m *machine) pick(t *rapid.T) *Queue {
	if rapid.Bool().Draw(t, "dead letters") {
		return m.q.DeadLetters()
	}
	return m.q
}

// check compares the world with the model: every stored message is there once, in the place its state says.
func (m *machine) check(t *rapid.T) {
	places := map[string]int{}
	for _, q := range []*Queue{m.q, m.q.DeadLetters()} {
		var available, locked int
		var counts [3]int
		last := int64(0)
		for _, p := range q.Peek(0, m.sent+1) {
			places[p.ID]++
			counts[p.State]++
			if p.SequenceNumber <= last {
				t.Fatalf("sequence number %d after %d", p.SequenceNumber, last)
			}
			last = p.SequenceNumber
			e := q.ledger.get(p.SequenceNumber)
			if e.locked() {
				locked++
			} else if e.State == Active {
				available++
			}
			if e.locked() == (e.standing != standsNowhere) && e.State == Active {
				t.Fatalf("message %s: locked %v and stands %v in the line", p.ID, e.locked(), e.standing)
			}
			if e.due().IsZero() == (e.dueSlot > 0) {
				t.Fatalf("message %s is due at %v but its slot is %d", p.ID, e.due(), e.dueSlot)
			}
		}
		if counts != q.counts || available != q.Available() || locked != len(q.locked) {
			t.Fatalf("counted %v, %d available, %d locked; the queue says %v, %d, %d",
				counts, available, locked, q.counts, q.Available(), len(q.locked))
		}
	}
	for _, one := range m.taken {
		places[one.ID]++
	}
	for id := range m.stored {
		if places[id] != 1 {
			t.Fatalf("message %s is in %d places, want 1", id, places[id])
		}
	}
	if len(places) != len(m.stored) {
		t.Fatalf("%d messages are stored, want %d", len(places), len(m.stored))
	}
	m.compare(t)
	if next := m.q.NextTick(); !next.IsZero() && !next.After(m.now) {
		t.Fatalf("overdue since %v", m.now.Sub(next))
	}
}

func TestEveryAcceptedMessageIsInExactlyOnePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := Config{
			Name: "q", LockDuration: 30 * time.Second, MaxDeliveryCount: 3, DuplicateDetectionWindow: 1000 * time.Hour,
		}
		if rapid.Bool().Draw(t, "expiring") { // into the dead-letter queue, so that nothing is dropped
			config.DefaultTTL, config.DeadLetterOnExpiration = time.Minute, true
		}
		m := &machine{config: config, q: New(config), now: epoch, stored: map[string]bool{}}
		m.disk.messages = map[Key]Stored{}
		m.q.Record()
		t.Repeat(map[string]func(*rapid.T){
			"send":             m.send,
			"send again":       m.sendAgain,
			"receive":          m.receive,
			"take":             m.take,
			"give":             m.give,
			"settle":           m.settle,
			"renew":            m.renew,
			"receive deferred": m.receiveDeferred,
			"cancel":           m.cancel,
			"pass":             m.pass,
			"crash":            m.crash,
			"":                 m.check,
		})
	})
}
