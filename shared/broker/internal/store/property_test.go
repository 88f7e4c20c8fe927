package store

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// rules of the queue that the machine drives. It forgets ids, and keeps what expires.
var rules = queue.Config{
	Name: "orders", LockDuration: 30 * time.Second, MaxDeliveryCount: 3, DuplicateDetectionWindow: 2 * time.Minute,
	DefaultTTL: 90 * time.Second, DeadLetterOnExpiration: true,
}

// machine drives a queue with arbitrary operations, and a store that is closed, or cut off from its files, at any moment.
type machine struct {
	t     *testing.T
	dirs  string
	n     int // directories so far
	dir   string
	store *Store
	id    int64
	q     *queue.Queue
	now   time.Time
	held  []queue.Message
	// kept are what the store may have after a crash: what it had when it last said that all was written, and what it was
	// handed in since, one after the other.
	kept []disk
}

// disk is what a store is meant to have, as the contract of queue.Changes describes it.
type disk struct {
	messages map[queue.Key]flat
	seen     map[string]int64
	last     queue.Last
}

// flat is a message that can be compared.
type flat struct {
	queue.Message
	encoded string
}

func flatten(m queue.Message) flat {
	f := flat{m, string(m.Content.Append(nil))}
	f.Content, f.LockToken, f.LockedUntil = nil, queue.Token{}, time.Time{}
	if len(f.Properties) == 0 {
		f.Properties = nil
	}
	return f
}

func (d disk) with(c queue.Changes) disk {
	next := disk{maps.Clone(d.messages), maps.Clone(d.seen), d.last}
	for _, key := range c.Gone {
		delete(next.messages, key)
	}
	for _, s := range c.Put {
		next.messages[queue.Key{DeadLetter: s.DeadLetter, SequenceNumber: s.SequenceNumber}] = flatten(s.Message)
	}
	for _, s := range c.Seen {
		next.seen[s.ID] = s.At.UnixNano()
	}
	if !c.Forgotten.IsZero() {
		maps.DeleteFunc(next.seen, func(_ string, at int64) bool { return at <= c.Forgotten.UnixNano() })
	}
	if !c.Empty() {
		next.last = c.Last
	}
	return next
}

// diskOf is what a store really has.
func diskOf(saved queue.Saved) disk {
	d := disk{messages: map[queue.Key]flat{}, seen: map[string]int64{}, last: saved.Last}
	for _, s := range saved.Messages {
		d.messages[queue.Key{DeadLetter: s.DeadLetter, SequenceNumber: s.SequenceNumber}] = flatten(s.Message)
	}
	for _, s := range saved.Seen {
		d.seen[s.ID] = s.At.UnixNano()
	}
	return d
}

// ids are what senders call their messages: any text.
var ids = rapid.OneOf(rapid.StringN(0, 8, -1), rapid.SampledFrom([]string{"", "\x00", "a\x00b", "'; --", "ü"}))

// values are what settlements set, in all types that a store has to bring back as they were.
var values = rapid.OneOf(
	rapid.Map(rapid.String(), func(v string) any { return v }),
	rapid.Map(rapid.Int64(), func(v int64) any { return v }),
	rapid.Map(rapid.Int32(), func(v int32) any { return v }),
	rapid.Map(rapid.Bool(), func(v bool) any { return v }),
	rapid.Map(rapid.SliceOf(rapid.Byte()), func(v []byte) any { return slices.Concat([]byte{0}, v) }),
	rapid.Just[any](nil),
)

func (m *machine) send(t *rapid.T) {
	id := ids.Draw(t, "id")
	c := content(m.t, id, rapid.IntRange(0, 5000).Draw(t, "size"))
	message := queue.Message{ID: id, Content: c, Size: c.Size()}
	if seconds := rapid.IntRange(-60, 90).Draw(t, "scheduled in"); seconds > 0 {
		message.ScheduledFor = m.now.Add(time.Duration(seconds) * time.Second)
	}
	if _, err := m.q.Enqueue(m.now, message); err != nil {
		t.Fatal(err)
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
	if !ok || !rapid.Bool().Draw(t, "got by nobody") {
		return
	}
	if rapid.Bool().Draw(t, "later") {
		m.submit()
	}
	q.Return(got)
}

func (m *machine) settle(t *rapid.T) {
	if len(m.held) == 0 {
		return
	}
	got := rapid.SampledFrom(m.held).Draw(t, "message")
	outcome := queue.Outcome(rapid.IntRange(int(queue.Complete), int(queue.DeadLetter)).Draw(t, "outcome"))
	properties := rapid.MapOfN(rapid.StringN(1, 4, -1), values, 0, 2).Draw(t, "properties")
	_ = m.pick(t).Settle(m.now, []queue.Token{got.LockToken}, outcome, properties) // the lock may be lost
}

func (m *machine) receiveDeferred(t *rapid.T) {
	q := m.pick(t)
	for _, p := range q.Peek(0, 100) {
		if p.State == queue.Deferred {
			got, _ := q.ReceiveDeferred(m.now, []int64{p.SequenceNumber}, rapid.Bool().Draw(t, "remove"))
			m.held = append(m.held, got...)
			return
		}
	}
}

func (m *machine) cancel(*rapid.T) {
	for _, p := range m.q.Peek(0, 100) {
		if p.State == queue.Scheduled {
			_ = m.q.CancelScheduled([]int64{p.SequenceNumber})
			return
		}
	}
}

func (m *machine) pass(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 60_000).Draw(t, "milliseconds")) * time.Millisecond)
	m.q.Tick(m.now)
}

// pick is the queue or its dead-letter queue.
func (m *machine) pick(t *rapid.T) *queue.Queue {
	if rapid.Bool().Draw(t, "dead letters") {
		return m.q.DeadLetters()
	}
	return m.q
}

// submit hands in what changed, as is done after every operation.
func (m *machine) submit() Commit {
	changes := m.q.TakeChanges()
	m.kept = append(m.kept, m.kept[len(m.kept)-1].with(changes))
	return m.store.Submit(m.id, changes)
}

func (m *machine) check(t *rapid.T) { m.submit() }

func (m *machine) wait(t *rapid.T) {
	m.submit()
	if err := m.store.do(func(*writer) error { return nil }); err != nil { // which tries again what failed
		t.Fatal(err)
	}
	m.kept = m.kept[len(m.kept)-1:]
}

// fail makes the writes of the store fail until the next one.
func (m *machine) fail(t *rapid.T) {
	commit := m.submit()
	if err := refuse(m.store).Wait(); err == nil {
		t.Fatal("a write that must fail did not")
	}
	_ = commit.Wait()
}

// end is one of the two ways in which a store ends.
func (m *machine) end(t *rapid.T) {
	if rapid.Bool().Draw(t, "crash") {
		m.crash(t)
	} else {
		m.restart(t)
	}
}

// restart closes the store and goes on with what it has, which is all there was.
func (m *machine) restart(t *rapid.T) {
	m.submit()
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	m.kept = m.kept[len(m.kept)-1:]
	was := [2][]queue.Message{m.q.Peek(0, 1000), m.q.DeadLetters().Peek(0, 1000)}
	counts, size := m.q.Counts(), m.q.Size()
	m.open(t, m.dir)
	for i, q := range []*queue.Queue{m.q, m.q.DeadLetters()} {
		if got := q.Peek(0, 1000); !slices.EqualFunc(got, was[i], func(a, b queue.Message) bool { return reflect.DeepEqual(flatten(a), flatten(b)) }) {
			t.Fatalf("after the restart there is\n%+v, want\n%+v", got, was[i])
		}
	}
	if m.q.Counts() != counts || m.q.Size() != size {
		t.Fatalf("after the restart the queue counts %+v, %d bytes; want %+v, %d", m.q.Counts(), m.q.Size(), counts, size)
	}
}

// crash goes on with the files as they are while the store may be writing them.
func (m *machine) crash(t *rapid.T) {
	next := m.fresh()
	if err := os.CopyFS(next, os.DirFS(m.dir)); err != nil { // first the main file, then its log
		t.Fatal(err)
	}
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t, next)
}

func (m *machine) fresh() string {
	m.n++
	return filepath.Join(m.dirs, fmt.Sprint(m.n))
}

// open opens a store and makes the queue what it has, which must be one of kept.
func (m *machine) open(t *rapid.T, dir string) {
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	queues, err := s.Load(parse)
	if err != nil {
		t.Fatal(err)
	}
	if m.kept == nil { // the first time
		if m.id, err = s.Create([]byte(`{}`), epoch); err != nil {
			t.Fatal(err)
		}
		queues, m.kept = []Queue{{ID: m.id}}, []disk{diskOf(queue.Saved{})}
	}
	if len(queues) != 1 || queues[0].ID != m.id {
		t.Fatalf("the queues are %+v, want the one with the id %d", queues, m.id)
	}
	saved := queues[0].Saved
	got := diskOf(saved)
	if !slices.ContainsFunc(m.kept, func(d disk) bool { return reflect.DeepEqual(d, got) }) {
		t.Fatalf("the store has\n%+v\nwhich is none of %d it was given, the last of them\n%+v", got, len(m.kept), m.kept[len(m.kept)-1])
	}
	if !slices.IsSortedFunc(saved.Seen, func(a, b queue.Seen) int { return a.At.Compare(b.At) }) {
		t.Fatalf("the history is not in order: %v", saved.Seen)
	}
	if !slices.IsSortedFunc(saved.Messages, func(a, b queue.Stored) int { return cmp.Compare(rank(a), rank(b)) }) {
		t.Fatalf("the messages are not in order: %v", saved.Messages)
	}
	m.dir, m.store, m.kept, m.held = dir, s, []disk{got}, nil
	m.q = queue.New(rules)
	m.q.Restore(saved)
	m.q.Record()
}

func rank(s queue.Stored) int64 {
	return row(0, queue.Key{DeadLetter: s.DeadLetter, SequenceNumber: s.SequenceNumber})
}

func TestAQueueIsWhatItsStoreHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{t: t, dirs: t.TempDir(), now: epoch}
		m.open(rt, m.fresh())
		defer func() { _ = m.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"send":             m.send,
			"send more":        m.send,
			"receive":          m.receive,
			"receive more":     m.receive,
			"take":             m.take,
			"settle":           m.settle,
			"settle more":      m.settle,
			"receive deferred": m.receiveDeferred,
			"cancel":           m.cancel,
			"pass":             m.pass,
			"wait":             m.wait,
			"fail":             m.fail,
			"end":              m.end,
			"":                 m.check,
		})
	})
}
