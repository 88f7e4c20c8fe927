package queue

import (
	"container/heap"
	"iter"
	"slices"
	"time"
)

// ledger holds every message of a queue, by sequence number and in its order. Removed messages leave holes, which are
// closed when they are the greater part.
type ledger struct {
	bySequence map[int64]*entry
	ordered    []slot
}

type slot struct {
	sequence int64
	entry    *entry // nil once removed
}

func newLedger() ledger { return ledger{bySequence: map[int64]*entry{}} }

func (l *ledger) len() int { return len(l.bySequence) }

func (l *ledger) get(sequence int64) *entry { return l.bySequence[sequence] }

// add appends e, whose sequence number is the highest so far.
func (l *ledger) add(e *entry) {
	l.bySequence[e.SequenceNumber] = e
	l.ordered = append(l.ordered, slot{e.SequenceNumber, e})
}

func (l *ledger) remove(e *entry) {
	delete(l.bySequence, e.SequenceNumber)
	l.ordered[l.position(e.SequenceNumber)].entry = nil
	const small = 64 // not worth closing holes
	if len(l.ordered) > small && len(l.ordered) > 2*len(l.bySequence) {
		l.ordered = slices.DeleteFunc(l.ordered, func(s slot) bool { return s.entry == nil })
	}
}

// position is where a sequence number is or would be.
func (l *ledger) position(sequence int64) int {
	i, _ := slices.BinarySearchFunc(l.ordered, sequence, func(s slot, n int64) int {
		switch {
		case s.sequence < n:
			return -1
		case s.sequence > n:
			return 1
		}
		return 0
	})
	return i
}

// from yields the messages from a sequence number on.
func (l *ledger) from(sequence int64) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, s := range l.ordered[l.position(sequence):] {
			if s.entry != nil && !yield(s.entry) {
				return
			}
		}
	}
}

// index is a heap of entries that knows where each of them stands, so that any can be moved or taken out.
type index struct {
	entries []*entry
	less    func(a, b *entry) bool
	slot    func(*entry) *int // the entry's position in this index, counted from 1; 0 if it is not in
}

func bySequence(a, b *entry) bool { return a.SequenceNumber < b.SequenceNumber }

// byDue lets what is due at the same moment happen in the order it was sent.
func byDue(a, b *entry) bool {
	if order := a.due().Compare(b.due()); order != 0 {
		return order < 0
	}
	return bySequence(a, b)
}

func (x *index) len() int { return len(x.entries) }

// first is the least entry, nil if there is none.
func (x *index) first() *entry {
	if len(x.entries) == 0 {
		return nil
	}
	return x.entries[0]
}

// set puts e in or takes it out, and moves it if what it is ordered by changed.
func (x *index) set(e *entry, in bool) {
	at := *x.slot(e) - 1
	switch {
	case in && at < 0:
		heap.Push((*indexHeap)(x), e)
	case in:
		heap.Fix((*indexHeap)(x), at)
	case at >= 0:
		heap.Remove((*indexHeap)(x), at)
	}
}

// indexHeap is an index as container/heap sees it.
type indexHeap index

func (h *indexHeap) Len() int           { return len(h.entries) }
func (h *indexHeap) Less(i, j int) bool { return h.less(h.entries[i], h.entries[j]) }

func (h *indexHeap) Swap(i, j int) {
	h.entries[i], h.entries[j] = h.entries[j], h.entries[i]
	*h.slot(h.entries[i]), *h.slot(h.entries[j]) = i+1, j+1
}

func (h *indexHeap) Push(x any) {
	e := x.(*entry)
	h.entries = append(h.entries, e)
	*h.slot(e) = len(h.entries)
}

func (h *indexHeap) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = nil
	h.entries = h.entries[:last]
	*h.slot(e) = 0
	return e
}

// history remembers message ids for duplicate detection.
type history struct {
	at    map[string]time.Time
	order []string
}

func newHistory() history { return history{at: map[string]time.Time{}} }

// duplicate tells whether id was seen within the window, and remembers it if not.
func (h *history) duplicate(now time.Time, window time.Duration, id string) bool {
	for len(h.order) > 0 && now.Sub(h.at[h.order[0]]) >= window {
		delete(h.at, h.order[0])
		h.order = h.order[1:]
	}
	if _, seen := h.at[id]; seen {
		return true
	}
	h.at[id] = now
	h.order = append(h.order, id)
	return false
}
