package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

const (
	// messageCredit is how many messages a client may send ahead.
	messageCredit = 1000
	// requestCredit is how many requests may be without an answer; times the size of an answer, it bounds the memory a
	// client that does not read its answers can take.
	requestCredit = 64

	conditionMessageSize amqp.Symbol = "amqp:link:message-size-exceeded"

	// batchFormat marks a delivery whose data sections each hold a message.
	batchFormat = 0x80013700
)

// incomingLink takes deliveries from a client. Its connection's lock guards it.
type incomingLink struct {
	link
	sink    sink
	maxSize int
	limit   uint32 // full credit
	count   uint32 // deliveries so far
	open    uint32 // deliveries that still use credit: answered ones do not
	granted uint32 // credit the client has left
	partial *partial
}

// sink is where deliveries go. settle is called with the state to settle the delivery with, as soon as that is certain;
// done tells that the delivery is done with then, or else keeps its credit until release is called.
type sink interface {
	accept(format uint32, payload []byte, settle func(state any, done bool))
}

// partial is a delivery of which more frames will come.
type partial struct {
	id      uint32
	format  uint32
	settled bool
	payload []byte
}

// grant gives the client its credit back, up to the limit.
func (l *incomingLink) grant() {
	l.granted = l.limit - l.open
	state := l.session.flowState()
	state.Handle, state.DeliveryCount, state.LinkCredit = &l.handle, new(l.count), new(l.granted)
	l.session.send(state)
}

// release ends the hold of a delivery on credit, and grants anew when half of it is used.
func (l *incomingLink) release() {
	l.open--
	l.replenish()
}

func (l *incomingLink) replenish() {
	if !l.closed && l.granted <= l.limit/2 && l.granted < l.limit-l.open {
		l.grant()
	}
}

// end forgets what came in part.
func (l *incomingLink) end() {
	if l.closed {
		return
	}
	l.drop()
	l.stop()
}

// keep adds a frame's payload to the delivery it is a part of. That takes memory until the rest has come.
func (l *incomingLink) keep(payload []byte) *amqp.Error {
	if len(l.partial.payload)+len(payload) > l.maxSize {
		return &amqp.Error{Condition: conditionMessageSize, Description: fmt.Sprintf("The message is larger than the %d bytes that the link allows.", l.maxSize)}
	}
	if !l.session.conn.server.held.take(len(payload)) {
		return exhausted("another part of a message")
	}
	if l.partial.payload == nil {
		l.partial.payload = payload // a message in one frame is not copied
	} else {
		l.partial.payload = append(l.partial.payload, payload...)
	}
	return nil
}

// drop ends the delivery that is coming.
func (l *incomingLink) drop() {
	if l.partial != nil {
		l.session.conn.server.held.give(len(l.partial.payload))
		l.partial = nil
	}
}

// transfer puts the frames of a delivery together and hands it to the link's sink.
func (s *session) transfer(t *amqp.Transfer, payload []byte) *amqp.Error {
	s.nextIncoming++
	l := s.incoming[t.Handle]
	if l == nil {
		return unattached(t.Handle)
	}
	if l.closed {
		return nil // sent before the client saw our detach
	}
	if l.partial == nil {
		if t.DeliveryID == nil {
			return &amqp.Error{Condition: conditionNotAllowed, Description: "The first transfer of a delivery has no delivery id."}
		}
		if l.granted == 0 {
			l.fail(&amqp.Error{Condition: "amqp:link:transfer-limit-exceeded", Description: "The link has no credit."})
			return nil
		}
		l.partial = &partial{id: *t.DeliveryID}
		if t.MessageFormat != nil {
			l.partial.format = *t.MessageFormat
		}
	}
	if t.Aborted {
		l.drop()
		return nil
	}
	if refusal := l.keep(payload); refusal != nil {
		l.fail(refusal)
		return nil
	}
	l.partial.settled = l.partial.settled || t.Settled
	if !t.More {
		l.complete(l.partial)
	}
	return nil
}

// complete deals with a delivery that is all there.
func (l *incomingLink) complete(p *partial) {
	l.drop()
	l.count++
	l.granted--
	l.open++
	l.sink.accept(p.format, p.payload, func(state any, done bool) {
		if !p.settled {
			l.session.send(&amqp.Disposition{Role: amqp.RoleReceiver, First: p.id, Settled: true, State: state})
		}
		if done {
			l.release()
		}
	})
}

// queueSink puts messages into a queue.
type queueSink struct {
	conn   *conn
	entity *entity
}

// accept stores a message, or all messages of a batch, or none. It is settled once it is on disk.
func (s queueSink) accept(format uint32, payload []byte, settle func(state any, done bool)) {
	messages, err := readMessages(format, payload)
	if err != nil {
		settle(rejected(conditionDecode, err.Error()), true)
		return
	}
	_, commit, err := s.entity.send(messages)
	if err != nil {
		settle(refused(err), true)
		return
	}
	s.conn.after(commit, func(err error) {
		if err != nil {
			settle(busy(err), true)
			return
		}
		settle(amqp.Accepted{}.Value(), true)
	})
}

// readMessages decodes a message or a batch of them.
func readMessages(format uint32, payload []byte) ([]queue.Message, error) {
	encoded := [][]byte{payload}
	if format == batchFormat {
		var err error
		if encoded, err = amqp.SplitBatch(payload); err != nil {
			return nil, err
		}
	}
	messages := make([]queue.Message, len(encoded))
	for i, b := range encoded {
		m, err := receive(b)
		if err != nil {
			return nil, err
		}
		messages[i] = m
	}
	return messages, nil
}

// maxMessageID is how long an id may be: those of duplicate detection are kept for a while.
const maxMessageID = 128

// receive is parse for what a client sends now, which has to keep a limit that older messages did not know.
func receive(encoded []byte) (queue.Message, error) {
	m, err := parse(encoded)
	if err == nil && len(m.ID) > maxMessageID {
		err = fmt.Errorf("the message id has %d bytes, at most %d are allowed", len(m.ID), maxMessageID)
	}
	return m, err
}

// send puts messages into the queue, all or none. The error wraps queue.ErrFull, errDeleted or errDisk.
func (e *entity) send(messages []queue.Message) (numbers []int64, commit store.Commit, err error) {
	commit, err = e.change(func(now time.Time) error {
		var err error
		if numbers, err = e.queue.Enqueue(now, messages...); err != nil {
			return fmt.Errorf("%w: '%s' has %d bytes, at most %d are allowed", err,
				e.config.Name, e.queue.Size(), e.config.rules().MaxSize)
		}
		return nil
	})
	return numbers, commit, err
}

// refusal is why a message was not taken, as the client is told.
func refusalOf(err error) *amqp.Error {
	switch {
	case errors.Is(err, errDisk):
		return &amqp.Error{Condition: conditionServerBusy, Description: notStored(err)}
	case errors.Is(err, queue.ErrFull):
		return &amqp.Error{Condition: conditionFull, Description: err.Error()}
	}
	return &amqp.Error{Condition: conditionNotFound, Description: err.Error()}
}

func refused(err error) any { return amqp.Rejected{Error: refusalOf(err)}.Value() }

func rejected(condition amqp.Symbol, description string) any {
	return amqp.Rejected{Error: &amqp.Error{Condition: condition, Description: description}}.Value()
}
