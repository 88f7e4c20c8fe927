package broker

import (
	"encoding/hex"
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

// deadLetterProperties are application properties that clients take for strings, and crash on any other type, null
// included. They tell why a message is a dead letter.
var deadLetterProperties = []string{queue.PropertyReason, queue.PropertyDescription}

// parse reads a message as a client sent it, and keeps encoded. A message without an id gets one: clients show the
// delivery count only of messages that have properties. What would crash a client that receives it is refused.
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
	for _, name := range deadLetterProperties {
		value, given := content.ApplicationProperty(name)
		if _, isString := value.(string); given && !isString {
			return queue.Message{}, fmt.Errorf("the application property %s is %T, not a string", name, value)
		}
	}
	if ttl, given := content.TTL(); given {
		m.TTL = time.Duration(ttl) * time.Millisecond
	}
	if m.Content, m.ScheduledFor, err = clean(content); err != nil {
		return queue.Message{}, err
	}
	m.Size = m.Content.Size()
	return m, nil
}

// clean makes the annotations of a message from a client fit for other clients: it drops what only the broker sets, and
// null where a value has a type; a value of another type is an error. It returns the scheduled enqueue time, zero if
// there is none.
func clean(content *amqp.Message) (cleaned *amqp.Message, scheduled time.Time, err error) {
	annotations := content.Annotations()
	var kept amqp.Map
	for _, e := range annotations {
		switch amqp.Symbol(e.Name()) {
		case annotationSequence, annotationEnqueuedAt, annotationLockedUntil, annotationState, annotationEnqueuedSequence,
			annotationDeadLetterSource:
			continue
		case annotationScheduledFor:
			switch at := e.Value.(type) {
			case nil:
				continue
			case amqp.Timestamp:
				scheduled = at.Time()
			default:
				return nil, scheduled, fmt.Errorf("the scheduled enqueue time is %T, not a timestamp", at)
			}
		case annotationPartitionKey:
			switch key := e.Value.(type) {
			case nil:
				continue
			case string:
			default:
				return nil, scheduled, fmt.Errorf("the partition key is %T, not a string", key)
			}
		}
		kept = append(kept, e)
	}
	if len(kept) < len(annotations) {
		content = content.WithAnnotations(kept)
	}
	sent := content.DeliveryAnnotations()
	if kept := sent.Without(annotationLockToken); len(kept) < len(sent) {
		content = content.WithDeliveryAnnotations(kept)
	}
	return content, scheduled, nil
}

// renderOverhead is about what render adds to a message.
const renderOverhead = 320

// render appends a message to b as a receiver gets it.
func render(b []byte, m queue.Message) []byte {
	annotations := append(make(amqp.Map, 0, 6),
		amqp.Entry{Key: annotationSequence, Value: m.SequenceNumber},
		amqp.Entry{Key: annotationEnqueuedAt, Value: amqp.TimestampOf(m.EnqueuedAt)})
	if m.EnqueuedSequenceNumber != m.SequenceNumber {
		annotations = append(annotations, amqp.Entry{Key: annotationEnqueuedSequence, Value: m.EnqueuedSequenceNumber})
	}
	if m.State != queue.Active {
		annotations = append(annotations, amqp.Entry{Key: annotationState, Value: int32(m.State)})
	}
	if m.DeadLetterSource != "" {
		annotations = append(annotations, amqp.Entry{Key: annotationDeadLetterSource, Value: m.DeadLetterSource})
	}
	var deliveryAnnotations amqp.Map
	if m.LockToken != (queue.Token{}) {
		annotations = append(annotations, amqp.Entry{Key: annotationLockedUntil, Value: amqp.TimestampOf(m.LockedUntil)})
		deliveryAnnotations = amqp.Map{{Key: annotationLockToken, Value: m.LockToken}}
	}
	var properties amqp.Map
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		properties = append(properties, amqp.Entry{Key: name, Value: m.Properties[name]})
	}
	return amqp.Rendering{
		Message:               m.Content,
		DeliveryCount:         uint32(m.DeliveryCount),
		DeliveryAnnotations:   deliveryAnnotations,
		Annotations:           annotations,
		ApplicationProperties: properties,
	}.Append(slices.Grow(b, m.Content.Size()+renderOverhead))
}

// properties are the entries of a map that have names: what a settlement sets. A reason or description for the
// dead-letter queue becomes a string, whatever its type.
func properties(m amqp.Map) map[string]any {
	if len(m) == 0 {
		return nil
	}
	named := make(map[string]any, len(m))
	for _, e := range m {
		name, value := e.Name(), e.Value
		if name == "" {
			continue
		}
		if slices.Contains(deadLetterProperties, name) {
			if value == nil {
				continue
			}
			value = fmt.Sprint(value)
		}
		named[name] = value
	}
	return named
}
