package subscription

import (
	"slices"
	"sync"
	"time"
)

// delivery is an item on its way.
type delivery struct {
	item         any    // a notification or a lifecycleItem
	subscription string // its id
	about        string // id of the object, "" for a lifecycle item
	lifecycle    bool
	gone         bool      // the subscription is no more: it goes where it was to go
	due          time.Time // on the machine's clock, as every pause
	attempts     int
	giveUp       time.Time // on the simulated clock; set by the first attempt
}

// lane delivers to one endpoint, one request at a time: whatever is due goes together. It lives as long as it has
// something to deliver.
type lane struct {
	way
	notifier *Notifier
	wake     chan struct{} // holds one token when pending grew

	mu      sync.Mutex
	pending []delivery
}

func newLane(n *Notifier, w way) *lane {
	return &lane{way: w, notifier: n, wake: make(chan struct{}, 1)}
}

func (l *lane) push(deliveries ...delivery) {
	l.mu.Lock()
	l.pending = append(l.pending, deliveries...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) == 0
}

// run delivers until nothing is left or the notifier is closed.
func (l *lane) run() {
	for l.notifier.ctx.Err() == nil {
		batch, pause := l.take(time.Now())
		if len(batch) > 0 {
			if batch = l.present(batch); len(batch) > 0 {
				l.deliver(batch)
			}
			continue
		}
		if l.notifier.retire(l) {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-l.wake:
		case <-timer.C:
		case <-l.notifier.ctx.Done():
		}
		timer.Stop()
	}
}

// present drops what belongs to subscriptions that are gone, and passes on what belongs to ones that moved.
func (l *lane) present(batch []delivery) []delivery {
	if l.notifier.where == nil {
		return batch
	}
	kept := batch[:0]
	for _, d := range batch {
		if d.gone {
			kept = append(kept, d)
			continue
		}
		switch endpoint, is := l.notifier.where(d.subscription, d.lifecycle); {
		case !is:
		case endpoint != l.endpoint:
			l.notifier.send(way{endpoint, l.again}, d)
		default:
			kept = append(kept, d)
		}
	}
	return kept
}

// take removes a batch of what is due, or says how long nothing will be.
func (l *lane) take(now time.Time) (batch []delivery, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.pending, func(a, b delivery) int { return a.due.Compare(b.due) })
	rest := l.pending[:0]
	for _, d := range l.pending {
		if len(batch) < l.notifier.MaxBatch && !d.due.After(now) {
			batch = append(batch, d)
		} else {
			rest = append(rest, d)
		}
	}
	clear(l.pending[len(rest):])
	l.pending = rest
	if len(rest) > 0 {
		pause = rest[0].due.Sub(now)
	}
	return batch, pause
}

// deliver makes one attempt with the batch and puts it back if that fails.
func (l *lane) deliver(batch []delivery) {
	timeout := firstAttempt
	if batch[0].attempts > 0 {
		timeout = laterAttempt
	}
	items := make([]any, len(batch))
	for i := range batch {
		items[i] = batch[i].item
		if batch[i].attempts++; batch[i].attempts == 1 {
			batch[i].giveUp = l.notifier.now().Add(l.notifier.Pace.Span(giveUpAfter))
		}
	}
	err := l.notifier.post(l.endpoint, items, timeout)
	if err == nil || l.notifier.ctx.Err() != nil {
		return
	}
	l.notifier.logger.Warn("notifications were not accepted", "count", len(batch), "attempt", batch[0].attempts, "error", err)
	l.retry(batch)
}

func (l *lane) retry(batch []delivery) {
	now := time.Now()
	kept := batch[:0]
	for _, d := range batch {
		pause := l.notifier.Pace.Span(min(l.notifier.Backoff<<min(d.attempts-1, 20), maxBackoff))
		if l.notifier.now().Add(pause).After(d.giveUp) {
			l.notifier.logger.Warn("notification given up", "subscription", d.subscription, "object", d.about)
			continue
		}
		d.due = now.Add(pause)
		kept = append(kept, d)
	}
	l.notifier.send(way{l.endpoint, true}, kept...)
}
