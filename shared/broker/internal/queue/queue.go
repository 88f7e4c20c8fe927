// Package queue decides what happens to a message: who gets it next, what a settlement or a passing moment makes of it,
// and when it becomes a dead letter. It is one pure state machine: no goroutine, no network, no clock.
//
// Every method that depends on time takes now. NextTick tells when time alone will change something; the owner calls
// Tick then, and before every other operation, so that locks and lifetimes end exactly when they end. The owner also
// guards a Queue and its dead letters with one lock.
//
// A message is always in exactly one place: scheduled, active (free or locked by a receiver), deferred, or one of these
// in the dead-letter queue. Accepting it puts it in one; completing, cancelling or dropping it removes it.
package queue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Config is one queue's rules.
type Config struct {
	// Name is what dead letters say about where they came from.
	Name string
	// LockDuration is how long a receiver holds a message before it goes back.
	LockDuration time.Duration
	// MaxDeliveryCount is the number of failed deliveries that makes a message a dead letter.
	MaxDeliveryCount int
	// DuplicateDetectionWindow is how long a message id is remembered; 0 keeps duplicates.
	DuplicateDetectionWindow time.Duration
	// DefaultTTL limits the life of every message; 0 is forever.
	DefaultTTL time.Duration
	// DeadLetterOnExpiration keeps an expired message as a dead letter; otherwise it is dropped.
	DeadLetterOnExpiration bool
	// MaxSize is how large the queue may be, see Queue.Size; 0 is no limit.
	MaxSize int64
}

// Reasons and descriptions that the queue itself gives, as Service Bus words them.
const (
	ReasonMaxDeliveryCount = "MaxDeliveryCountExceeded"
	ReasonExpired          = "TTLExpiredException"

	// PropertyReason and PropertyDescription are the application properties that tell why a message is a dead letter.
	PropertyReason      = "DeadLetterReason"
	PropertyDescription = "DeadLetterErrorDescription"
)

// MaxProperties is how many bytes of properties settlements may set on a message. They count in the size of the queue, but are
// taken even if it is full: a message that cannot be handled must be able to become a dead letter.
const MaxProperties = 64 << 10

// overhead is what a message counts in the size of a queue besides its content, and seenOverhead an id that is remembered for
// duplicate detection besides its text: about what they take in memory, as the benchmarks of the broker measure it.
const (
	overhead     = 300
	seenOverhead = 110
)

var (
	// ErrLockLost means that no message is locked under a token: the lock expired or the message is gone.
	ErrLockLost = errors.New("queue: the lock expired or the message is gone")
	// ErrNotFound means that no message with a sequence number is in the state the operation needs.
	ErrNotFound = errors.New("queue: no such message")
	// ErrProperties means that settlements would set more than MaxProperties bytes of properties on a message.
	ErrProperties = errors.New("queue: the properties that settlements set on the message are too large")
	// ErrFull means that messages would exceed MaxSize.
	ErrFull = errors.New("the maximum entity size has been reached or exceeded")
)

// Queue is one queue, or the dead-letter queue of one.
type Queue struct {
	config       Config
	deadLetters  *Queue // nil on a dead-letter queue
	lastSequence int64
	ledger       ledger
	locked       map[Token]*entry
	available    line
	due          index // by the moment at which time alone changes a message
	seen         history
	counts       [3]int // by State
	size         *int64 // see Size; shared with the dead-letter queue
	recorder     *recorder
}

// New returns an empty queue with an empty dead-letter queue. The dead-letter queue has the same lock duration, but
// nothing expires or fails there.
func New(config Config) *Queue {
	q := newQueue(new(int64), &recorder{})
	q.deadLetters = newQueue(q.size, q.recorder)
	q.SetConfig(config)
	return q
}

func newQueue(size *int64, recorder *recorder) *Queue {
	return &Queue{
		ledger:    newLedger(),
		locked:    map[Token]*entry{},
		available: newLine(),
		due:       index{less: byDue, slot: func(e *entry) *int32 { return &e.dueSlot }},
		seen:      history{at: map[string]time.Time{}, size: size},
		size:      size,
		recorder:  recorder,
	}
}

// SetConfig changes the rules for what happens from now on.
func (q *Queue) SetConfig(config Config) {
	q.config = config
	q.deadLetters.config = Config{Name: config.Name, LockDuration: config.LockDuration}
}

// DeadLetters is the queue's dead-letter queue, nil if it is one itself.
func (q *Queue) DeadLetters() *Queue { return q.deadLetters }

// Available is the number of messages a receiver could get now.
func (q *Queue) Available() int { return q.available.len() }

// Counts are the messages by place. Active includes locked messages.
type Counts struct{ Active, Scheduled, Deferred, DeadLettered int }

// Counts counts; dead letters in all their states count as dead-lettered.
func (q *Queue) Counts() Counts {
	c := Counts{Active: q.counts[Active], Scheduled: q.counts[Scheduled], Deferred: q.counts[Deferred]}
	if q.deadLetters != nil {
		c.DeadLettered = q.deadLetters.ledger.len()
	}
	return c
}

// Size is about how many bytes of memory the queue takes: the messages with the properties that settlements set, dead letters
// included, and the ids that are remembered for duplicate detection.
func (q *Queue) Size() int64 { return *q.size }

// Enqueue accepts messages, all or, with ErrFull, none. The queue fills the fields that belong to it. It returns their
// sequence numbers: 0 for a duplicate, which is dropped silently as Service Bus does.
func (q *Queue) Enqueue(now time.Time, messages ...Message) ([]int64, error) {
	detect := q.config.DuplicateDetectionWindow > 0
	if detect && q.seen.forget(now, q.config.DuplicateDetectionWindow) {
		q.recorder.forgotten = now.Add(-q.config.DuplicateDetectionWindow)
	}
	var size int64
	for i := range messages {
		size += overhead + int64(messages[i].Size)
		if detect {
			size += seenCost(messages[i].ID)
		}
	}
	if q.config.MaxSize > 0 && *q.size+size > q.config.MaxSize {
		return nil, ErrFull
	}
	numbers := make([]int64, len(messages))
	for i := range messages {
		numbers[i] = q.enqueue(now, messages[i])
	}
	return numbers, nil
}

func (q *Queue) enqueue(now time.Time, m Message) int64 {
	if q.config.DuplicateDetectionWindow > 0 && q.duplicate(now, m.ID) {
		return 0
	}
	if !m.ScheduledFor.After(now) {
		return q.activate(now, m)
	}
	e := &entry{Message: m}
	e.State = Scheduled
	q.insert(e)
	return e.SequenceNumber
}

// duplicate tells whether id is remembered, and remembers it if not.
func (q *Queue) duplicate(now time.Time, id string) bool {
	if q.seen.knows(id) {
		return true
	}
	s := Seen{ID: id, At: now}
	q.seen.remember(s)
	if q.recorder.on {
		q.recorder.seen = append(q.recorder.seen, s)
	}
	return false
}

// Receive locks the first available message for the caller, who must settle it before Message.LockedUntil.
func (q *Queue) Receive(now time.Time) (Message, bool) {
	e := q.available.first()
	if e == nil {
		return Message{}, false
	}
	q.lock(now, e)
	return e.Message, true
}

// ReceiveAndDelete takes the first available message out of the queue.
func (q *Queue) ReceiveAndDelete() (Message, bool) {
	e := q.available.first()
	if e == nil {
		return Message{}, false
	}
	q.remove(e)
	return e.Message, true
}

// Return puts messages that ReceiveAndDelete took, and that nobody got, back to where they were.
func (q *Queue) Return(messages ...Message) {
	for _, m := range messages {
		q.place(&entry{Message: m, propertyBytes: measure(m.Properties)})
	}
}

// ReceiveDeferred locks the deferred messages with the given sequence numbers, or with remove takes them out of the
// queue. It is all or nothing: ErrNotFound if one of them is not there, not deferred or locked.
func (q *Queue) ReceiveDeferred(now time.Time, sequenceNumbers []int64, remove bool) ([]Message, error) {
	entries, err := q.find(sequenceNumbers, func(e *entry) bool { return e.State == Deferred && !e.locked() })
	if err != nil {
		return nil, err
	}
	messages := make([]Message, len(entries))
	for i, e := range entries {
		if remove {
			q.remove(e)
		} else {
			q.lock(now, e)
		}
		messages[i] = e.Message
	}
	return messages, nil
}

// Measure is how many bytes the messages with the given sequence numbers have together, as far as they are there.
func (q *Queue) Measure(sequenceNumbers []int64) (size int64) {
	for _, n := range sequenceNumbers {
		if e := q.ledger.get(n); e != nil {
			size += int64(e.Size)
		}
	}
	return size
}

// CancelScheduled removes scheduled messages, all or, with ErrNotFound, none.
func (q *Queue) CancelScheduled(sequenceNumbers []int64) error {
	entries, err := q.find(sequenceNumbers, func(e *entry) bool { return e.State == Scheduled })
	if err != nil {
		return err
	}
	for _, e := range entries {
		q.remove(e)
	}
	return nil
}

func (q *Queue) find(sequenceNumbers []int64, fits func(*entry) bool) ([]*entry, error) {
	found := make([]*entry, 0, len(sequenceNumbers))
	named := make(map[int64]bool, len(sequenceNumbers))
	for _, n := range sequenceNumbers {
		e := q.ledger.get(n)
		if e == nil || !fits(e) || named[n] {
			return nil, fmt.Errorf("%w: sequence number %d", ErrNotFound, n)
		}
		named[n] = true
		found = append(found, e)
	}
	return found, nil
}

// Peek returns up to limit messages from a sequence number on, in order, whatever their state. It shows no lock: who
// only looks must not be able to settle.
func (q *Queue) Peek(from int64, limit int) []Message {
	var messages []Message
	for e := range q.ledger.from(from) {
		if len(messages) >= limit {
			break
		}
		m := e.Message
		m.LockToken, m.LockedUntil = Token{}, time.Time{}
		messages = append(messages, m)
	}
	return messages
}

// insert gives e its sequence number and places it. An entry is in one queue for its life: a message that moves on, gets
// another number or comes back gets another entry.
func (q *Queue) insert(e *entry) {
	q.lastSequence++
	e.SequenceNumber = q.lastSequence
	if e.EnqueuedSequenceNumber == 0 {
		e.EnqueuedSequenceNumber = e.SequenceNumber
	}
	q.place(e)
}

// place enters e under its sequence number.
func (q *Queue) place(e *entry) {
	e.deadLetter = q.deadLetters == nil
	q.ledger.add(e)
	q.counts[e.State]++
	*q.size += e.cost()
	q.recorder.touch(e)
	q.file(e)
}

// remove takes e out of the queue.
func (q *Queue) remove(e *entry) {
	q.unlock(e)
	q.ledger.remove(e)
	q.counts[e.State]--
	*q.size -= e.cost()
	e.gone = true
	q.recorder.touch(e)
	q.available.set(e, false)
	q.due.set(e, false)
}

// activate makes a message, which is in no queue, receivable from now on.
func (q *Queue) activate(now time.Time, m Message) int64 {
	e := &entry{Message: m}
	e.State, e.EnqueuedAt, e.ExpiresAt = Active, now, time.Time{}
	ttl := q.config.DefaultTTL
	if e.TTL > 0 && (ttl == 0 || e.TTL < ttl) {
		ttl = e.TTL
	}
	if ttl > 0 {
		e.ExpiresAt = now.Add(ttl)
	}
	q.insert(e)
	return e.SequenceNumber
}

// lock gives e to a receiver.
func (q *Queue) lock(now time.Time, e *entry) {
	_, _ = rand.Read(e.LockToken[:]) // never fails
	e.LockToken[6] = e.LockToken[6]&0x0f | 0x40
	e.LockToken[8] = e.LockToken[8]&0x3f | 0x80
	e.LockedUntil = now.Add(q.config.LockDuration)
	q.locked[e.LockToken] = e
	q.file(e)
}

func (q *Queue) unlock(e *entry) {
	delete(q.locked, e.LockToken)
	e.LockToken, e.LockedUntil = Token{}, time.Time{}
}

// file enters e in the indexes its state calls for. Every transition of a message that stays ends here.
func (q *Queue) file(e *entry) {
	q.available.set(e, e.State == Active && !e.locked())
	q.due.set(e, !e.due().IsZero())
}
