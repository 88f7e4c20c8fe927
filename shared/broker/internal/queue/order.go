package queue

import (
	"container/heap"
	"slices"
)

// line is the messages that a receiver could get, lowest sequence number first. New messages stand in the order they
// came; only those that were given back need a heap. So a message costs the same in a long line as in a short one.
type line struct {
	fresh    []*entry // ascending; those that are not fresh any more are skipped when they come to the front
	returned index
	n        int
}

// standing is where an entry stands in a line.
type standing uint8

const (
	standsNowhere standing = iota
	standsFresh
	standsReturned
)

func newLine() line {
	return line{returned: index{less: bySequence, slot: func(e *entry) *int32 { return &e.returnedSlot }}}
}

func (l *line) len() int { return l.n }

// set puts e into the line or takes it out.
func (l *line) set(e *entry, in bool) {
	switch {
	case in == (e.standing != standsNowhere):
		return
	case !in && e.standing == standsReturned:
		l.returned.set(e, false)
		e.standing = standsNowhere
		l.n--
	case !in:
		e.standing = standsNowhere
		l.n--
		l.trim()
	case len(l.fresh) == 0 || l.fresh[len(l.fresh)-1].SequenceNumber < e.SequenceNumber:
		e.standing = standsFresh
		l.fresh = append(l.fresh, e)
		l.n++
	default:
		e.standing = standsReturned
		l.returned.set(e, true)
		l.n++
	}
}

// trim drops what does not stand at the front any more, and what left from the middle once that is most of it: messages
// expire behind one that stays.
func (l *line) trim() {
	for len(l.fresh) > 0 && l.fresh[0].standing != standsFresh {
		l.fresh[0] = nil
		l.fresh = l.fresh[1:]
	}
	const few = 64 // not worth a pass
	if stand := l.n - len(l.returned.entries); len(l.fresh) > few && len(l.fresh) > 2*stand {
		l.fresh = slices.DeleteFunc(l.fresh, func(e *entry) bool { return e.standing != standsFresh })
	}
}

// first is the entry with the lowest sequence number, nil if there is none.
func (l *line) first() *entry {
	least := l.returned.first()
	if len(l.fresh) > 0 && (least == nil || bySequence(l.fresh[0], least)) {
		return l.fresh[0]
	}
	return least
}

// index is a heap of entries that knows where each of them stands, so that any can be moved or taken out.
type index struct {
	entries []*entry
	less    func(a, b *entry) bool
	slot    func(*entry) *int32 // the entry's position in this index, counted from 1; 0 if it is not in
}

func bySequence(a, b *entry) bool { return a.SequenceNumber < b.SequenceNumber }

// byDue lets what is due at the same moment happen in the order it was sent.
func byDue(a, b *entry) bool {
	if order := a.due().Compare(b.due()); order != 0 {
		return order < 0
	}
	return bySequence(a, b)
}

// first is the least entry, nil if there is none.
func (x *index) first() *entry {
	if len(x.entries) == 0 {
		return nil
	}
	return x.entries[0]
}

// set puts e in or takes it out, and moves it if what it is ordered by changed.
func (x *index) set(e *entry, in bool) {
	at := int(*x.slot(e)) - 1
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
	*h.slot(h.entries[i]), *h.slot(h.entries[j]) = int32(i+1), int32(j+1)
}

func (h *indexHeap) Push(x any) {
	e := x.(*entry)
	h.entries = append(h.entries, e)
	*h.slot(e) = int32(len(h.entries))
}

func (h *indexHeap) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = nil
	h.entries = h.entries[:last]
	*h.slot(e) = 0
	return e
}
