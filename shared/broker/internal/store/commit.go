package store

import (
	"errors"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// retryAfter is the pause after a write that failed.
const retryAfter = time.Second

var errClosed = errors.New("the broker's store is closed")

// group is what one transaction will write.
type group struct {
	store *Store
	steps []step
	then  []func(error)
	done  bool
	err   error
}

// step is one part of a group: what a queue changed, or something that is done to the table of queues.
type step struct {
	queue   int64
	changes queue.Changes
	special func(*writer) error
}

// Commit is something that was handed in. The zero Commit was written already.
type Commit struct{ group *group }

// Done tells whether it is on disk.
func (c Commit) Done() bool {
	if c.group == nil {
		return true
	}
	c.group.store.mu.Lock()
	defer c.group.store.mu.Unlock()
	return c.group.done && c.group.err == nil
}

// Then calls f with the outcome: nil once it is on disk, or the error for which it is not there yet. After an error the
// store tries again by itself, but whoever asked must not rely on it. f is called once, by the goroutine that writes or
// by the caller, and must not block.
func (c Commit) Then(f func(error)) {
	if c.group == nil {
		f(nil)
		return
	}
	s := c.group.store
	s.mu.Lock()
	if !c.group.done {
		c.group.then = append(c.group.then, f)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f(c.group.err)
}

// Wait is Then for those who can wait.
func (c Commit) Wait() error {
	if c.group == nil {
		return nil
	}
	result := make(chan error, 1)
	c.Then(func(err error) { result <- err })
	return <-result
}

// Submit hands in what a queue changed. The changes of one queue must come in the order in which they happened. Without
// changes the Commit is that of all that was handed in before.
func (s *Store) Submit(queueID int64, changes queue.Changes) Commit {
	return s.submit(step{queue: queueID, changes: changes}, changes.Empty())
}

func (s *Store) submit(one step, empty bool) Commit {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return Commit{&group{store: s, done: true, err: errClosed}}
	case !empty:
	case len(s.open.steps) > 0:
		return Commit{s.open}
	case s.writing != nil:
		return Commit{s.writing}
	case s.failure != nil:
		return Commit{&group{store: s, done: true, err: s.failure}}
	default:
		return Commit{}
	}
	s.open.steps = append(s.open.steps, one)
	s.wake()
	return Commit{s.open}
}

// write writes one group after the other until the store is closed.
func (s *Store) write() {
	defer close(s.stopped)
	var unwritten []step // of groups that failed
	retry := time.NewTimer(0)
	retry.Stop()
	for {
		select {
		case <-s.work:
		case <-retry.C:
		}
		g, closed := s.next()
		unwritten = append(unwritten, g.steps...)
		err := s.tx.write(unwritten)
		if err == nil {
			clear(unwritten)
			unwritten = unwritten[:0]
		} else {
			unwritten = slices.DeleteFunc(unwritten, func(one step) bool { return one.special != nil }) // the caller gives up
			retry.Reset(retryAfter)
		}
		s.finish(g, err)
		if closed {
			return
		}
	}
}

// next takes the open group. closed tells that it is the last one.
func (s *Store) next() (g *group, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.open = s.open, &group{store: s}
	return s.writing, s.closed
}

func (s *Store) finish(g *group, err error) {
	s.mu.Lock()
	s.failure, s.writing = err, nil
	g.done, g.err = true, err
	s.mu.Unlock()
	for _, f := range g.then {
		f(err)
	}
	g.steps, g.then = nil, nil
}
