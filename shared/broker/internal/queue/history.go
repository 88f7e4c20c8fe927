package queue

import "time"

// history remembers message ids for duplicate detection.
type history struct {
	at    map[string]time.Time
	order []Seen // from the oldest on
	size  *int64 // of the queue
}

// Seen is a message id and when it was accepted.
type Seen struct {
	ID string
	At time.Time
}

// seenCost is what an id counts in the size of a queue.
func seenCost(id string) int64 { return seenOverhead + int64(len(id)) }

// forget drops what is older than the window, and tells whether that was anything.
func (h *history) forget(now time.Time, window time.Duration) (any bool) {
	for len(h.order) > 0 && now.Sub(h.order[0].At) >= window {
		delete(h.at, h.order[0].ID)
		*h.size -= seenCost(h.order[0].ID)
		h.order = h.order[1:]
		any = true
	}
	return any
}

func (h *history) knows(id string) bool {
	_, seen := h.at[id]
	return seen
}

func (h *history) remember(s Seen) {
	h.at[s.ID] = s.At
	h.order = append(h.order, s)
	*h.size += seenCost(s.ID)
}
