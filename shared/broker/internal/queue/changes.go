package queue

import "time"

// Stored is a message that stays, in the queue or in its dead-letter queue.
type Stored struct {
	DeadLetter bool
	Message    // without its lock: a lock does not outlive the process that gave it
}

// Key names a message: sequence numbers of a queue and of its dead-letter queue are counted apart.
type Key struct {
	DeadLetter     bool
	SequenceNumber int64
}

// Changes are what a store has to write so that Restore makes the queue what it is now, in this order.
type Changes struct {
	Gone []Key
	Put  []Stored // new, or not as they were, or back again
	// Last are the highest sequence numbers given out.
	Last Last
	// Seen are new in the history of duplicate detection, which has forgotten what came at or before Forgotten.
	Seen      []Seen
	Forgotten time.Time // zero: nothing
}

// Last are the highest sequence numbers given out in a queue and in its dead-letter queue.
type Last struct{ Queue, DeadLetters int64 }

// Empty tells that there is nothing to write.
func (c *Changes) Empty() bool {
	return len(c.Put) == 0 && len(c.Gone) == 0 && len(c.Seen) == 0 && c.Forgotten.IsZero()
}

// Saved is a queue as a store kept it. Messages are in the order of their sequence numbers, Seen in the order of time.
type Saved struct {
	Messages []Stored
	Last     Last
	Seen     []Seen
}

// recorder collects changes, for a queue and its dead-letter queue together. The zero recorder ignores them.
type recorder struct {
	on        bool
	entries   []*entry
	seen      []Seen
	forgotten time.Time
}

func (r *recorder) touch(e *entry) {
	if r.on && !e.touched {
		e.touched = true
		r.entries = append(r.entries, e)
	}
}

// Record makes the queue collect changes for TakeChanges.
func (q *Queue) Record() { q.recorder.on = true }

// TakeChanges returns the changes since the last call.
func (q *Queue) TakeChanges() Changes {
	r := q.recorder
	c := Changes{Last: Last{q.lastSequence, q.deadLetters.lastSequence}, Seen: r.seen, Forgotten: r.forgotten}
	for _, e := range r.entries {
		e.touched = false
		switch {
		case !e.gone:
			e.stored = true
			s := Stored{e.deadLetter, e.Message}
			s.LockToken, s.LockedUntil = Token{}, time.Time{}
			c.Put = append(c.Put, s)
		case e.stored:
			c.Gone = append(c.Gone, Key{e.deadLetter, e.SequenceNumber})
		}
	}
	clear(r.entries)
	r.entries, r.seen, r.forgotten = r.entries[:0], nil, time.Time{}
	return c
}

// Restore fills an empty queue. No message is locked, and delivery counts are what they were: the deliveries that a
// crash cut short do not count as failed.
func (q *Queue) Restore(saved Saved) {
	for _, s := range saved.Messages {
		in := q
		if s.DeadLetter {
			in = q.deadLetters
		}
		e := &entry{Message: s.Message, deadLetter: s.DeadLetter, stored: true, propertyBytes: measure(s.Properties)}
		in.ledger.add(e)
		in.counts[e.State]++
		*in.size += e.cost()
		in.file(e)
	}
	q.lastSequence, q.deadLetters.lastSequence = saved.Last.Queue, saved.Last.DeadLetters
	for _, s := range saved.Seen {
		q.seen.remember(s)
	}
}
