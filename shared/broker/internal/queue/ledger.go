package queue

import (
	"iter"
	"slices"
)

// ledger holds every message of a queue by sequence number, and in its order. Sequence numbers come one after the other,
// so they are kept in chunks of neighbours: finding, adding and removing one costs the same however many there are, and
// a few messages that stay behind keep no more than their own chunks.
type ledger struct {
	chunks map[int64]*chunk // by number: a sequence number divided by chunkSize
	order  []int64          // numbers of chunks, ascending; some are gone already
	n      int
}

const chunkSize = 256

type chunk struct {
	entries [chunkSize]*entry
	n       int
}

func newLedger() ledger { return ledger{chunks: map[int64]*chunk{}} }

func (l *ledger) len() int { return l.n }

func (l *ledger) get(sequence int64) *entry {
	if c := l.chunks[sequence/chunkSize]; c != nil && sequence >= 0 {
		return c.entries[sequence%chunkSize]
	}
	return nil
}

// add enters e, whose sequence number is mostly the highest so far.
func (l *ledger) add(e *entry) {
	number := e.SequenceNumber / chunkSize
	c := l.chunks[number]
	if c == nil {
		c = &chunk{}
		l.chunks[number] = c
		if at, emptied := slices.BinarySearch(l.order, number); !emptied {
			l.order = slices.Insert(l.order, at, number)
		}
	}
	c.entries[e.SequenceNumber%chunkSize] = e
	c.n++
	l.n++
}

func (l *ledger) remove(e *entry) {
	number := e.SequenceNumber / chunkSize
	c := l.chunks[number]
	c.entries[e.SequenceNumber%chunkSize] = nil
	c.n--
	l.n--
	if c.n > 0 {
		return
	}
	delete(l.chunks, number)
	const few = 64 // not worth a pass over order
	if len(l.order) > few && len(l.order) > 2*len(l.chunks) {
		l.order = slices.DeleteFunc(l.order, func(number int64) bool { return l.chunks[number] == nil })
	}
}

// from yields the messages from a sequence number on.
func (l *ledger) from(sequence int64) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		start, _ := slices.BinarySearch(l.order, sequence/chunkSize)
		for _, number := range l.order[start:] {
			c := l.chunks[number]
			if c == nil {
				continue
			}
			for _, e := range c.entries {
				if e != nil && e.SequenceNumber >= sequence && !yield(e) {
					return
				}
			}
		}
	}
}
