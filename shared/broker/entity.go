package broker

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

// maxNap is the longest the timer of an entity sleeps while something is due later. It looks again this often because
// the clock may not be the machine's: tests move it by hand, and a suspended machine leaps.
const maxNap = 250 * time.Millisecond

// entity is a queue that runs: the state machine of the queue and of its dead-letter queue, the one lock of both, a
// timer that ticks them, the links that are attached, and the receivers that wait for a message.
//
// Its lock is the innermost one but the store's: it is taken with or without a connection's lock, and no connection's is
// taken under it.
type entity struct {
	now   func() time.Time
	store *store.Store // nil: in memory only
	id    int64        // in the store

	mu       sync.Mutex
	config   QueueConfig // defaults are set
	created  time.Time
	updated  time.Time
	accessed time.Time // last send or receive; zero if there was none
	idle     time.Time // since when no link is attached
	deleted  bool
	queue    *queue.Queue
	links    map[attached]bool
	hungry   map[*queue.Queue]map[*queueSource]bool // asked, found nothing, and want to be woken
	timer    *time.Timer
	wakeAt   time.Time // when timer fires; zero if it will not
	stopped  bool
}

// attached is a link of a queue that the queue can end.
type attached interface {
	// detach ends the link for a reason. No lock is held when it is called.
	detach(reason *amqp.Error)
	// managing tells that the link carries requests and not messages.
	managing() bool
	// end stops the link and lets go of what it has. Its connection's lock is held when it is called.
	end()
}

var (
	errDeleted = errors.New("broker: the queue was deleted")
	// errDisk is wrapped around the reason for which nothing can be stored now.
	errDisk = errors.New("broker: the store cannot be written")
)

func newEntity(config QueueConfig, now func() time.Time) *entity {
	at := now()
	e := &entity{
		now: now, config: config, created: at, updated: at, idle: at,
		queue: queue.New(config.rules()),
		links: map[attached]bool{},
	}
	e.hungry = map[*queue.Queue]map[*queueSource]bool{
		e.queue:               {},
		e.queue.DeadLetters(): {},
	}
	return e
}

// keep makes the store write what happens to the queue from now on.
func (e *entity) keep(in *store.Store, id int64) {
	e.store, e.id = in, id
	e.queue.Record()
}

// do runs one operation on the queues at the present moment, and then sees to what follows from it: the store, the timer
// and the receivers that wait. The commit is that of everything that has happened to the queue.
func (e *entity) do(operation func(now time.Time)) store.Commit {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	e.queue.Tick(now)
	operation(now)
	var commit store.Commit
	if e.store != nil && !e.deleted {
		commit = e.store.Submit(e.id, e.queue.TakeChanges())
	}
	e.arm(now)
	e.feed(e.queue)
	e.feed(e.queue.DeadLetters())
	return commit
}

// change is do for what a client will be told of. While the store cannot be written it does nothing: the error wraps
// errDisk. Another error comes from the operation.
func (e *entity) change(operation func(now time.Time) error) (commit store.Commit, err error) {
	if e.store != nil {
		if failure := e.store.Failure(); failure != nil {
			return commit, fmt.Errorf("%w: %w", errDisk, failure)
		}
	}
	commit = e.do(func(now time.Time) { err = e.try(now, operation) })
	return commit, err
}

// use is do for what needs no disk. Its error is errDeleted or comes from the operation.
func (e *entity) use(operation func(now time.Time) error) (err error) {
	e.do(func(now time.Time) { err = e.try(now, operation) })
	return err
}

// try runs an operation unless the queue is deleted. mu is held.
func (e *entity) try(now time.Time, operation func(now time.Time) error) error {
	if e.deleted {
		return errDeleted
	}
	e.accessed = now
	return operation(now)
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
	if e.deleted || q.Available() == 0 || len(e.hungry[q]) == 0 {
		return
	}
	for s := range e.hungry[q] {
		s.hungry.Store(false)
		s.wake()
	}
	clear(e.hungry[q])
}

// take gives a receiver its next message, or remembers that it wants one.
func (e *entity) take(s *queueSource) (m queue.Message, commit store.Commit, ok bool) {
	commit = e.do(func(now time.Time) {
		switch {
		case e.deleted: // nothing for now: its deletion may fail
		case s.destructive:
			m, ok = s.queue.ReceiveAndDelete()
		default:
			m, ok = s.queue.Receive(now)
		}
		if ok {
			e.accessed = now
			return
		}
		e.hungry[s.queue][s] = true
		s.hungry.Store(true)
	})
	return m, commit, ok
}

// forget drops a receiver that no longer wants messages.
func (e *entity) forget(s *queueSource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.hungry[s.queue], s)
}

// attach remembers a link, unless the queue does not let it in; the error is for the client.
func (e *entity) attach(link attached, need right) *amqp.Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.deleted:
		return &amqp.Error{Condition: conditionNotFound, Description: entityNotFound(e.config.Name)}
	case !link.managing(): // else it carries what needs any right, and each request is asked for its own
		if refusal := e.refusal(need); refusal != nil {
			return refusal
		}
	}
	e.links[link] = true
	return nil
}

// refuses tells why the queue, as it is configured now, does not allow what takes a right; nil if it does.
func (e *entity) refuses(need right) *amqp.Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusal(need)
}

// refusal is refuses with mu held.
func (e *entity) refusal(need right) *amqp.Error {
	switch {
	case e.config.RequiresSession:
		return &amqp.Error{Condition: conditionNotAllowed, Description: fmt.Sprintf("The entity '%s' requires sessions, which this broker does not model. "+
			"It is not possible for an entity that requires sessions to create a non-sessionful message receiver.", e.config.Name)}
	case !e.config.Status.allows(need):
		return &amqp.Error{Condition: conditionDisabled, Description: fmt.Sprintf("The entity '%s' is disabled for this operation: its status is %s.", e.config.Name, e.config.Status)}
	}
	return nil
}

func (e *entity) maxMessageSize() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config.MaxMessageSizeKB << 10
}

func (e *entity) release(link attached) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.links, link)
	if len(e.links) == 0 {
		e.idle = e.now()
	}
}

// detachAll ends links: all, or only those that carry messages.
func (e *entity) detachAll(reason *amqp.Error, managing bool) {
	e.mu.Lock()
	var links []attached
	for link := range e.links {
		if managing || !link.managing() {
			links = append(links, link)
		}
	}
	e.mu.Unlock()
	for _, link := range links {
		link.detach(reason)
	}
}

func (e *entity) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.timer != nil {
		e.timer.Stop()
	}
}
