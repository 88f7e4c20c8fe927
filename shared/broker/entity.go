package broker

import (
	"strings"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// maxNap is the longest the timer of an entity sleeps while something is due later. It looks again this often because
// the clock may not be the machine's: tests move it by hand, and a suspended machine leaps.
const maxNap = 250 * time.Millisecond

// entity is a queue that runs: the state machine of the queue and of its dead-letter queue, the one lock of both, a
// timer that ticks them, and the receivers that wait for a message.
//
// Its lock is the innermost one: it is taken with or without a connection's lock, and no other is taken under it.
type entity struct {
	name string
	now  func() time.Time

	mu      sync.Mutex
	queue   *queue.Queue
	hungry  map[*queue.Queue]map[*queueSource]bool // asked, found nothing, and want to be woken
	timer   *time.Timer
	wakeAt  time.Time // when timer fires; zero if it will not
	stopped bool
}

func newEntity(config QueueConfig, now func() time.Time) *entity {
	e := &entity{name: config.Name, now: now, queue: queue.New(config.rules())}
	e.hungry = map[*queue.Queue]map[*queueSource]bool{
		e.queue:               {},
		e.queue.DeadLetters(): {},
	}
	return e
}

// do runs one operation on the queues at the present moment, and then sees to what follows from it: the timer and the
// receivers that wait.
func (e *entity) do(operation func(now time.Time)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	e.queue.Tick(now)
	operation(now)
	e.arm(now)
	e.feed(e.queue)
	e.feed(e.queue.DeadLetters())
}

// arm sets the timer for the next thing that time alone will change.
func (e *entity) arm(now time.Time) {
	next := e.queue.NextTick()
	if next.IsZero() || e.stopped {
		return
	}
	if limit := now.Add(maxNap); next.After(limit) {
		next = limit
	}
	if !e.wakeAt.IsZero() && !next.Before(e.wakeAt) {
		return
	}
	e.wakeAt = next
	if nap := max(next.Sub(now), 0); e.timer == nil {
		e.timer = time.AfterFunc(nap, e.tick)
	} else {
		e.timer.Reset(nap)
	}
}

// tick is what the timer calls.
func (e *entity) tick() {
	e.do(func(time.Time) { e.wakeAt = time.Time{} })
}

// feed wakes every receiver that waits for q, if q has something for one. Those that come too late will wait again.
func (e *entity) feed(q *queue.Queue) {
	if q.Available() == 0 || len(e.hungry[q]) == 0 {
		return
	}
	for s := range e.hungry[q] {
		s.wake()
	}
	clear(e.hungry[q])
}

// take gives a receiver its next message, or remembers that it wants one.
func (e *entity) take(s *queueSource) (m queue.Message, ok bool) {
	e.do(func(now time.Time) {
		if s.destructive {
			m, ok = s.queue.ReceiveAndDelete()
		} else {
			m, ok = s.queue.Receive(now)
		}
		if !ok {
			e.hungry[s.queue][s] = true
		}
	})
	return m, ok
}

// forget drops a receiver that no longer wants messages.
func (e *entity) forget(s *queueSource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.hungry[s.queue], s)
}

func (e *entity) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.timer != nil {
		e.timer.Stop()
	}
}

// address is what an entity path names: a queue or a dead-letter queue, or the management node of one of them.
type address struct {
	path       string // in lower case, the key of a grant
	entity     *entity
	queue      *queue.Queue
	management bool
}

// The nodes below a queue, and the one of the connection itself.
const (
	cbsNode          = "$cbs"
	managementSuffix = "/$management"
	deadLetterSuffix = "/$deadletterqueue"
)

// resolve finds what a path names. Case does not matter.
func (s *Server) resolve(path string) (address, bool) {
	a := address{path: strings.ToLower(strings.Trim(path, "/"))}
	name, management := strings.CutSuffix(a.path, managementSuffix)
	name, dead := strings.CutSuffix(name, deadLetterSuffix)
	e := s.entities[name]
	if e == nil {
		return a, false
	}
	a.entity, a.queue, a.management = e, e.queue, management
	if dead {
		a.queue = e.queue.DeadLetters()
	}
	return a, true
}
