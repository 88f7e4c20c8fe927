package queue

import (
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// Outcome is what a receiver makes of a message it holds.
type Outcome int

const (
	// Complete removes the message.
	Complete Outcome = iota
	// Abandon gives it back as a failed delivery.
	Abandon
	// Release gives it back as if it had never been delivered.
	Release
	// Defer sets it aside until it is asked for by sequence number.
	Defer
	// DeadLetter moves it to the dead-letter queue.
	DeadLetter
)

// Settle ends locks with an outcome; properties are merged into the messages' application properties. It is all or
// nothing: ErrLockLost if one of the tokens holds no lock, ErrProperties if a message would get too many of them. Then the
// locks last.
func (q *Queue) Settle(now time.Time, tokens []Token, outcome Outcome, properties map[string]any) error {
	entries, err := q.holding(tokens)
	if err != nil {
		return err
	}
	if outcome != Complete && len(properties) > 0 {
		if err := q.setAll(entries, properties); err != nil {
			return err
		}
	}
	for _, e := range entries {
		q.settle(now, e, outcome)
	}
	return nil
}

// setAll merges properties into those of messages, all or, with ErrProperties, none. Messages that had none share one map.
func (q *Queue) setAll(entries []*entry, properties map[string]any) error {
	size := measure(properties)
	merged, sizes := make([]map[string]any, len(entries)), make([]int, len(entries))
	for i, e := range entries {
		merged[i], sizes[i] = merge(e.Properties, properties), size
		if e.Properties != nil {
			sizes[i] = measure(merged[i])
		}
		if sizes[i] > MaxProperties {
			return ErrProperties
		}
	}
	for i, e := range entries {
		q.set(e, merged[i], sizes[i])
	}
	return nil
}

// set gives a message other properties, which have so many bytes.
func (q *Queue) set(e *entry, properties map[string]any, size int) {
	*q.size += int64(size - e.propertyBytes)
	e.Properties, e.propertyBytes = properties, size
	q.recorder.touch(e)
}

// explain sets why a message is about to become a dead letter.
func (q *Queue) explain(e *entry, reason, description string) {
	properties := merge(e.Properties, map[string]any{PropertyReason: reason, PropertyDescription: description})
	q.set(e, properties, measure(properties))
}

// measure is how many bytes properties have, about.
func measure(properties map[string]any) (size int) {
	var encoded []byte
	for name, value := range properties {
		encoded = amqp.Append(encoded[:0], value)
		size += len(name) + len(encoded)
	}
	return size
}

func (q *Queue) settle(now time.Time, e *entry, outcome Outcome) {
	switch outcome {
	case Complete:
		q.remove(e)
	case Abandon:
		q.fail(now, e)
	case Release:
		q.giveBack(now, e)
	case Defer:
		q.counts[e.State]--
		e.State = Deferred
		q.counts[e.State]++
		q.recorder.touch(e)
		q.giveBack(now, e)
	case DeadLetter:
		q.deadLetter(now, e)
	}
}

// Renew makes locks last a full lock duration from now and returns their new ends, all or, with ErrLockLost, none.
func (q *Queue) Renew(now time.Time, tokens []Token) ([]time.Time, error) {
	entries, err := q.holding(tokens)
	if err != nil {
		return nil, err
	}
	until := make([]time.Time, len(entries))
	for i, e := range entries {
		e.LockedUntil = now.Add(q.config.LockDuration)
		q.file(e)
		until[i] = e.LockedUntil
	}
	return until, nil
}

// Holds tells whether a lock still lasts.
func (q *Queue) Holds(token Token) bool { return q.locked[token] != nil }

func (q *Queue) holding(tokens []Token) ([]*entry, error) {
	entries := make([]*entry, 0, len(tokens))
	named := make(map[Token]bool, len(tokens))
	for _, t := range tokens {
		e := q.locked[t]
		if e == nil || named[t] {
			return nil, ErrLockLost
		}
		named[t] = true
		entries = append(entries, e)
	}
	return entries, nil
}

// Tick does what is due at now: ends locks, activates scheduled messages, expires others.
func (q *Queue) Tick(now time.Time) {
	for {
		e := q.due.first()
		if e == nil || e.due().After(now) {
			break
		}
		switch {
		case e.locked():
			q.fail(now, e)
		case e.State == Scheduled:
			q.remove(e)
			q.activate(now, e.Message) // under a new sequence number
		default:
			q.expire(now, e)
		}
	}
	if q.deadLetters != nil {
		q.deadLetters.Tick(now)
	}
}

// NextTick is when Tick has to be called next, zero if time alone changes nothing.
func (q *Queue) NextTick() time.Time {
	var next time.Time
	if e := q.due.first(); e != nil {
		next = e.due()
	}
	if q.deadLetters != nil {
		if d := q.deadLetters.NextTick(); next.IsZero() || (!d.IsZero() && d.Before(next)) {
			next = d
		}
	}
	return next
}

// fail gives e back as a failed delivery. In the dead-letter queue failures are not counted.
func (q *Queue) fail(now time.Time, e *entry) {
	if q.deadLetters != nil {
		e.DeliveryCount++
		q.recorder.touch(e)
		if e.DeliveryCount >= q.config.MaxDeliveryCount {
			q.explain(e, ReasonMaxDeliveryCount, fmt.Sprintf("Message could not be consumed after %d delivery attempts.", e.DeliveryCount))
			q.deadLetter(now, e)
			return
		}
	}
	q.giveBack(now, e)
}

// giveBack ends the lock on e, which may have outlived its time to live under it.
func (q *Queue) giveBack(now time.Time, e *entry) {
	q.unlock(e)
	if e.State == Active && !e.ExpiresAt.IsZero() && !e.ExpiresAt.After(now) {
		q.expire(now, e)
		return
	}
	q.file(e)
}

func (q *Queue) expire(now time.Time, e *entry) {
	if !q.config.DeadLetterOnExpiration {
		q.remove(e)
		return
	}
	q.explain(e, ReasonExpired, "The message expired and was dead lettered.")
	q.deadLetter(now, e)
}

// deadLetter moves e to the dead-letter queue. A dead letter stays where it is.
func (q *Queue) deadLetter(now time.Time, e *entry) {
	if q.deadLetters == nil {
		q.giveBack(now, e)
		return
	}
	q.remove(e)
	d := &entry{Message: e.Message, propertyBytes: e.propertyBytes}
	d.State, d.EnqueuedAt, d.ExpiresAt, d.DeadLetterSource = Active, now, time.Time{}, q.config.Name
	q.deadLetters.insert(d)
}
