package broker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

var (
	// ErrQueueExists is wrapped by CreateQueue's error if a queue has the name already.
	ErrQueueExists = errors.New("the queue exists already")
	// ErrQueueNotFound is wrapped by the error for a name that no queue has.
	ErrQueueNotFound = errors.New("no such queue")
)

// ImmutableError is wrapped by UpdateQueue's error for a property that a queue keeps for life.
type ImmutableError struct{ Property string }

func (e *ImmutableError) Error() string {
	return fmt.Sprintf("the value for the %s property of an existing Queue cannot be changed", e.Property)
}

// Counts are the messages of a queue by place. Active includes locked messages.
type Counts struct{ Active, Scheduled, Deferred, DeadLettered int }

// QueueInfo is a queue as it stands. Times are in UTC.
type QueueInfo struct {
	QueueConfig // every field set
	Counts
	SizeBytes  int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
	AccessedAt time.Time // last send or receive since the start; zero if there was none
}

// CreateQueue makes a new, empty queue. With a store it is on disk when CreateQueue returns.
func (s *Server) CreateQueue(config QueueConfig) error {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	key := strings.ToLower(config.Name)
	if s.entity(key) != nil {
		return fmt.Errorf("broker: create queue %q: %w (names do not differ by case alone)", config.Name, ErrQueueExists)
	}
	e := newEntity(config, s.options.Now)
	if s.store != nil {
		id, err := s.store.Create(describe(config), e.created)
		if err != nil {
			return fmt.Errorf("broker: create queue %q: %w", config.Name, err)
		}
		e.keep(s.store, id)
	}
	s.queuesMu.Lock()
	defer s.queuesMu.Unlock()
	s.entities[key] = e
	return nil
}

// UpdateQueue changes the rules of a queue, and ends the links to it so that clients attach anew under the new rules.
// Messages that are there keep their lifetimes.
func (s *Server) UpdateQueue(config QueueConfig) error {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	e := s.entity(strings.ToLower(config.Name))
	if e == nil {
		return fmt.Errorf("broker: update queue %q: %w", config.Name, ErrQueueNotFound)
	}
	config.Name = e.name()
	if err := e.immutable(config); err != nil {
		return fmt.Errorf("broker: update queue %q: %w", config.Name, err)
	}
	at := e.now()
	if s.store != nil {
		if err := s.store.Update(e.id, describe(config), at); err != nil {
			return fmt.Errorf("broker: update queue %q: %w", config.Name, err)
		}
	}
	e.do(func(now time.Time) {
		e.config, e.updated = config, at
		e.queue.SetConfig(config.rules())
	})
	e.detachAll(&amqp.Error{Condition: conditionDetachForced, Description: "The link is force detached because the entity was updated."}, false)
	return nil
}

// immutable names the first property that config changes although a queue keeps it for life.
func (e *entity) immutable(config QueueConfig) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, property := range []struct {
		name    string
		changed bool
	}{
		{"RequiresDuplicateDetection", (e.config.DuplicateDetectionWindow > 0) != (config.DuplicateDetectionWindow > 0)},
		{"RequiresSession", e.config.RequiresSession != config.RequiresSession},
		{"EnablePartitioning", e.config.EnablePartitioning != config.EnablePartitioning},
	} {
		if property.changed {
			return &ImmutableError{property.name}
		}
	}
	return nil
}

// DeleteQueue removes a queue with all its messages, and ends the links to it.
func (s *Server) DeleteQueue(name string) error {
	return s.deleteIf(name, func(*entity) bool { return true })
}

// deleteIf deletes a queue that fits, which is asked under the queue's lock at the moment from which on it takes nothing.
func (s *Server) deleteIf(name string, fits func(*entity) bool) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	key := strings.ToLower(name)
	e := s.entity(key)
	if e == nil {
		return fmt.Errorf("broker: delete queue %q: %w", name, ErrQueueNotFound)
	}
	if !e.retire(fits) { // from here on nothing is handed to the store
		return nil
	}
	if s.store != nil {
		if err := s.store.Delete(e.id); err != nil {
			e.revive()
			return fmt.Errorf("broker: delete queue %q: %w", name, err)
		}
	}
	s.queuesMu.Lock()
	delete(s.entities, key)
	s.queuesMu.Unlock()
	e.stop()
	e.detachAll(&amqp.Error{Condition: conditionNotFound, Description: entityNotFound(e.name())}, true)
	return nil
}

func (e *entity) retire(fits func(*entity) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deleted = fits(e)
	return e.deleted
}

// revive makes the queue go on, and wakes the receivers that asked meanwhile.
func (e *entity) revive() {
	e.do(func(time.Time) { e.deleted = false })
}

// Queues describes all queues in the order of their names.
func (s *Server) Queues() []QueueInfo {
	s.queuesMu.RLock()
	defer s.queuesMu.RUnlock()
	infos := make([]QueueInfo, 0, len(s.entities))
	for _, e := range s.entities {
		infos = append(infos, e.info())
	}
	slices.SortFunc(infos, func(a, b QueueInfo) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return infos
}

// Queue describes one queue; ErrQueueNotFound is wrapped if there is none.
func (s *Server) Queue(name string) (QueueInfo, error) {
	e := s.entity(strings.ToLower(name))
	if e == nil {
		return QueueInfo{}, fmt.Errorf("broker: queue %q: %w", name, ErrQueueNotFound)
	}
	return e.info(), nil
}

// Counts counts the messages of a queue; ErrQueueNotFound is wrapped if there is none.
func (s *Server) Counts(name string) (Counts, error) {
	info, err := s.Queue(name)
	return info.Counts, err
}

func (s *Server) entity(key string) *entity {
	s.queuesMu.RLock()
	defer s.queuesMu.RUnlock()
	return s.entities[key]
}

func (e *entity) name() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config.Name
}

func (e *entity) info() (info QueueInfo) {
	e.do(func(time.Time) {
		info = QueueInfo{
			QueueConfig: e.config.withDefaults(), Counts: Counts(e.queue.Counts()), SizeBytes: e.queue.Size(),
			CreatedAt: e.created.UTC(), UpdatedAt: e.updated.UTC(), AccessedAt: e.accessed,
		}
	})
	return info
}

// describe is a configuration as the store keeps it.
func describe(config QueueConfig) json.RawMessage {
	text, err := json.Marshal(config)
	if err != nil {
		panic(fmt.Sprintf("broker: a configuration has no JSON: %v", err)) // it consists of strings, numbers and such
	}
	return text
}

// restore fills the registry with what the store has.
func (s *Server) restore() error {
	saved, err := s.store.Load(parse)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	for _, q := range saved {
		var config QueueConfig
		if err := json.Unmarshal(q.Description, &config); err != nil {
			return fmt.Errorf("broker: read the description of queue %d in the store: %w", q.ID, err)
		}
		e := newEntity(config, s.options.Now)
		e.created, e.updated = q.CreatedAt, q.UpdatedAt
		e.queue.Restore(q.Saved)
		e.keep(s.store, q.ID)
		s.entities[strings.ToLower(config.Name)] = e
		e.do(func(time.Time) {}) // what fell due meanwhile
	}
	return nil
}

// ensure makes the queues of the options, or gives those that are there already the rules of the options.
func (s *Server) ensure(configs []QueueConfig) error {
	for _, config := range configs {
		var err error
		switch e := s.entities[strings.ToLower(config.Name)]; {
		case e == nil:
			err = s.CreateQueue(config)
		case !reflect.DeepEqual(e.config, config.withDefaults()):
			err = s.UpdateQueue(config)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	e := s.entity(name)
	if e == nil {
		return a, false
	}
	a.entity, a.queue, a.management = e, e.queue, management
	if dead {
		a.queue = e.queue.DeadLetters()
	}
	return a, true
}

// sweepIdle deletes the queues that nobody used for as long as they asked for.
func (s *Server) sweepIdle() {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-every.C:
		}
		for _, name := range s.expired() {
			if err := s.deleteIf(name, (*entity).isIdle); err != nil {
				s.log.Warn("an idle queue cannot be deleted", "queue", name, "error", err)
			}
		}
	}
}

func (s *Server) expired() (names []string) {
	s.queuesMu.RLock()
	defer s.queuesMu.RUnlock()
	for name, e := range s.entities {
		if e.expired() {
			names = append(names, name)
		}
	}
	return names
}

func (e *entity) expired() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isIdle()
}

// isIdle tells whether the queue was idle for as long as it may be. mu is held.
func (e *entity) isIdle() bool {
	return e.config.AutoDeleteOnIdle > 0 && len(e.links) == 0 && e.now().Sub(e.idle) >= e.config.AutoDeleteOnIdle
}
