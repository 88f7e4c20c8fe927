package broker

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// Annotations of Service Bus. Clients assert the types of these, and crash on any other.
const (
	annotationScheduledFor     amqp.Symbol = "x-opt-scheduled-enqueue-time"  // timestamp, the sender's
	annotationPartitionKey     amqp.Symbol = "x-opt-partition-key"           // string, the sender's
	annotationSequence         amqp.Symbol = "x-opt-sequence-number"         // long
	annotationEnqueuedAt       amqp.Symbol = "x-opt-enqueued-time"           // timestamp
	annotationLockedUntil      amqp.Symbol = "x-opt-locked-until"            // timestamp
	annotationState            amqp.Symbol = "x-opt-message-state"           // int
	annotationEnqueuedSequence amqp.Symbol = "x-opt-enqueue-sequence-number" // long
	annotationDeadLetterSource amqp.Symbol = "x-opt-deadletter-source"       // string
	annotationLockToken        amqp.Symbol = "x-opt-lock-token"              // uuid, a delivery annotation
)

// brokerAnnotations are set by the broker alone; what a sender puts there is dropped.
var brokerAnnotations = []amqp.Symbol{
	annotationSequence, annotationEnqueuedAt, annotationLockedUntil, annotationState, annotationEnqueuedSequence,
	annotationDeadLetterSource,
}

// parse reads a message as a client sent it. A message without an id gets one: clients show the delivery count only of
// messages that have properties.
func parse(encoded []byte) (queue.Message, error) {
	content, err := amqp.ParseMessage(encoded)
	if err != nil {
		return queue.Message{}, err
	}
	var m queue.Message
	switch id := content.Property(amqp.PropertyMessageID).(type) {
	case nil:
		random := newUUID()
		m.ID = hex.EncodeToString(random[:])
		content = content.WithMessageID(m.ID)
	case string:
		m.ID = id
	default: // a ulong, uuid or binary id is not the string that reads the same
		m.ID = fmt.Sprintf("%T %v", id, id)
	}
	if content.TTL != nil {
		m.TTL = time.Duration(*content.TTL) * time.Millisecond
	}
	if m.ScheduledFor, err = clean(content); err != nil {
		return queue.Message{}, err
	}
	content.Value = nil // a body stays bytes: decoded, it may take many times their memory
	m.Content = content
	return m, nil
}

// clean makes the annotations of a message from a client fit for other clients: it drops what only the broker sets, and
// null where a value has a type; a value of another type is an error. It returns the scheduled enqueue time, zero if
// there is none.
func clean(content *amqp.Message) (scheduled time.Time, err error) {
	content.Annotations = content.Annotations.Without(brokerAnnotations...)
	switch at := content.Annotations.Get(string(annotationScheduledFor)).(type) {
	case nil:
		content.Annotations = content.Annotations.Without(annotationScheduledFor)
	case amqp.Timestamp:
		scheduled = at.Time()
		content.Annotations = content.Annotations.With(annotationScheduledFor, at) // once
	default:
		return scheduled, errors.New("the scheduled enqueue time is not a timestamp")
	}
	switch key := content.Annotations.Get(string(annotationPartitionKey)).(type) {
	case nil:
		content.Annotations = content.Annotations.Without(annotationPartitionKey)
	case string:
		content.Annotations = content.Annotations.With(annotationPartitionKey, key)
	default:
		return scheduled, errors.New("the partition key is not a string")
	}
	return scheduled, nil
}

// render encodes a message as a receiver gets it.
func render(m queue.Message) []byte {
	annotations := slices.Clone(m.Content.Annotations)
	set := func(key amqp.Symbol, value any) {
		annotations = append(annotations, amqp.Entry{Key: key, Value: value})
	}
	set(annotationSequence, m.SequenceNumber)
	set(annotationEnqueuedAt, amqp.TimestampOf(m.EnqueuedAt))
	if m.EnqueuedSequenceNumber != m.SequenceNumber {
		set(annotationEnqueuedSequence, m.EnqueuedSequenceNumber)
	}
	if m.State != queue.Active {
		set(annotationState, int32(m.State))
	}
	deliveryAnnotations := m.Content.DeliveryAnnotations
	if m.LockToken != (queue.Token{}) {
		set(annotationLockedUntil, amqp.TimestampOf(m.LockedUntil))
		deliveryAnnotations = deliveryAnnotations.With(annotationLockToken, m.LockToken)
	}
	if m.DeadLetterSource != "" {
		set(annotationDeadLetterSource, m.DeadLetterSource)
	}
	var overlay amqp.Map
	for _, key := range slices.Sorted(maps.Keys(m.Properties)) {
		overlay = append(overlay, amqp.Entry{Key: key, Value: m.Properties[key]})
	}
	return amqp.Rendering{
		Message:             m.Content,
		DeliveryCount:       uint32(m.DeliveryCount),
		DeliveryAnnotations: deliveryAnnotations,
		Annotations:         annotations,
		Overlay:             overlay,
	}.Append(nil)
}

// properties are the entries of a map that have names: what a settlement sets.
func properties(m amqp.Map) map[string]any {
	if len(m) == 0 {
		return nil
	}
	named := make(map[string]any, len(m))
	for _, e := range m {
		switch key := e.Key.(type) {
		case string:
			named[key] = e.Value
		case amqp.Symbol:
			named[string(key)] = e.Value
		}
	}
	return named
}
