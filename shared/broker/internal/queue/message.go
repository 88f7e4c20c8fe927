package queue

import (
	"maps"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// State is where a message stands in its queue. The values are those of Service Bus on the wire.
type State int32

const (
	Active State = iota
	Deferred
	Scheduled
)

// Token names one lock on one message. It is a random UUID; the zero Token is no lock.
type Token = amqp.UUID

// Message is a snapshot of one message. Its first group of fields comes from the sender, the rest is the queue's.
type Message struct {
	ID           string
	Content      *amqp.Message // what was sent; the queue never looks inside
	Size         int           // bytes of what was sent
	TTL          time.Duration // 0: only the queue's default applies
	ScheduledFor time.Time     // not before this moment

	SequenceNumber         int64
	EnqueuedSequenceNumber int64 // the number it was first accepted under
	EnqueuedAt             time.Time
	ExpiresAt              time.Time // zero: never
	State                  State
	DeliveryCount          int // failed deliveries
	LockToken              Token
	LockedUntil            time.Time
	DeadLetterSource       string
	// Properties were set by settlements, over the sender's application properties. The map is never changed.
	Properties map[string]any
}

// merge returns the properties with more over them. It is one of the two if the other is empty: the maps are never changed.
func merge(properties, more map[string]any) map[string]any {
	switch {
	case len(more) == 0:
		return properties
	case len(properties) == 0:
		return more
	}
	merged := make(map[string]any, len(properties)+len(more))
	maps.Copy(merged, properties)
	maps.Copy(merged, more)
	return merged
}

// entry is a message in a queue.
type entry struct {
	Message
	propertyBytes         int   // the size of Properties
	returnedSlot, dueSlot int32 // positions in the indexes, counted from 1
	standing              standing
	deadLetter            bool // in the dead-letter queue
	touched               bool // the recorder has it
	stored                bool // a store was told of it
	gone                  bool // removed
}

// cost is what the message counts in the size of its queue.
func (e *entry) cost() int64 { return overhead + int64(e.Size) + int64(e.propertyBytes) }

func (e *entry) locked() bool { return e.LockToken != Token{} }

// due is when time alone changes the message, zero for never. A lock shields a message from expiry, and a deferred
// message does not expire (both as Service Bus documents).
func (e *entry) due() time.Time {
	switch {
	case e.locked():
		return e.LockedUntil
	case e.State == Scheduled:
		return e.ScheduledFor
	case e.State == Active:
		return e.ExpiresAt
	}
	return time.Time{}
}
