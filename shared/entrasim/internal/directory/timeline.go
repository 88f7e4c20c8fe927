package directory

import (
	"iter"
	"slices"
	"sort"
)

// timeline holds items in the order of their marks, which only grow. An item that gets a new mark is added again, and its old
// entry is skipped from then on; entries that are of no use any more are swept out when they could be half of all, so that
// adding takes constant time on average and the memory stays within twice of what is needed.
type timeline[T any] struct {
	mark    func(T) int64 // of an item now; 0: it is gone
	entries []entry[T]
	full    int // length at which to sweep
}

type entry[T any] struct {
	item T
	mark int64
}

const smallest = 64 // timelines up to this length are not swept

func (l *timeline[T]) add(item T, mark int64) {
	if len(l.entries) >= max(l.full, smallest) {
		l.entries = slices.DeleteFunc(l.entries, func(e entry[T]) bool { return l.mark(e.item) != e.mark })
		l.full = 2 * len(l.entries)
	}
	l.entries = append(l.entries, entry[T]{item, mark})
}

// after yields the items with a mark beyond the given one, in order, each with its mark.
func (l *timeline[T]) after(mark int64) iter.Seq2[T, int64] {
	return func(yield func(T, int64) bool) {
		first := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].mark > mark })
		for _, e := range l.entries[first:] {
			if l.mark(e.item) == e.mark && !yield(e.item, e.mark) {
				return
			}
		}
	}
}

// first is the item with the lowest mark, if there is one. Entries before it are dropped.
func (l *timeline[T]) first() (item T, is bool) {
	for len(l.entries) > 0 {
		if e := l.entries[0]; l.mark(e.item) == e.mark {
			return e.item, true
		}
		l.entries = l.entries[1:]
	}
	return item, false
}
