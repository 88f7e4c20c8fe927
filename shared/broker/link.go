package broker

import (
	"fmt"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// Limits of links to clients that send, those of Service Bus's standard tier.
const (
	maxMessageSize  = 256 << 10
	maxMessageBatch = 256 << 10
)

// attach opens a link, or refuses it: then the answer has no source or target, and a detach with the reason follows
// (part 2, 2.6.3).
func (s *session) attach(a *amqp.Attach) error {
	if s.incoming[a.Handle] != nil || s.outgoing[a.Handle] != nil || a.Handle > handleMax {
		return &amqp.Error{Condition: conditionHandleInUse, Description: fmt.Sprintf("No link can attach on handle %d.", a.Handle)}
	}
	var refusal *amqp.Error
	if a.Role == amqp.RoleReceiver {
		refusal = s.attachReceiver(a)
	} else {
		refusal = s.attachSender(a)
	}
	if refusal == nil {
		return nil
	}
	s.conn.log.Debug("link refused", "condition", refusal.Condition, "description", refusal.Description)
	s.send(&amqp.Attach{
		Name: a.Name, Handle: a.Handle, Role: !a.Role,
		SenderSettleMode: a.SenderSettleMode, ReceiverSettleMode: a.ReceiverSettleMode,
		InitialDeliveryCount: new(uint32(0)),
	})
	s.send(&amqp.Detach{Handle: a.Handle, Closed: true, Error: refusal})
	return nil
}

// attachReceiver opens a link on which we send: messages of a queue, or the answers of a node.
func (s *session) attachReceiver(a *amqp.Attach) *amqp.Error {
	node, at, refusal := s.node(a.SourceAddress(), a.Role)
	if refusal != nil {
		return refusal
	}
	link := &outgoingLink{session: s, handle: a.Handle}
	switch node {
	case nodeQueue:
		if refusal := s.conn.authorize(at, rightListen); refusal != nil {
			return refusal
		}
		link.source = &queueSource{
			entity: at.entity, queue: at.queue, wake: s.conn.nudge,
			destructive: a.SenderSettleMode == amqp.SenderSettled,
		}
	default:
		link.source = &replySource{address: a.TargetAddress(), node: node}
	}
	s.outgoing[a.Handle] = link
	s.send(&amqp.Attach{
		Name: a.Name, Handle: a.Handle, Role: amqp.RoleSender,
		SenderSettleMode: a.SenderSettleMode, ReceiverSettleMode: a.ReceiverSettleMode,
		Source: a.Source, Target: a.Target, InitialDeliveryCount: new(uint32(0)),
	})
	return nil
}

// attachSender opens a link on which the client sends: messages to a queue, or requests to a node.
func (s *session) attachSender(a *amqp.Attach) *amqp.Error {
	node, at, refusal := s.node(a.TargetAddress(), a.Role)
	if refusal != nil {
		return refusal
	}
	link := &incomingLink{session: s, handle: a.Handle, name: a.Name}
	switch node {
	case nodeQueue:
		if at.queue.DeadLetters() == nil {
			return &amqp.Error{Condition: conditionNotAllowed, Description: "Messages cannot be sent to a dead-letter queue."}
		}
		if refusal := s.conn.authorize(at, rightSend); refusal != nil {
			return refusal
		}
		link.sink = queueSink{at.entity}
		link.limit = messageCredit
	default:
		link.sink = &requestSink{link: link, node: node, at: at}
		link.limit = requestCredit
	}
	s.incoming[a.Handle] = link
	s.send(&amqp.Attach{
		Name: a.Name, Handle: a.Handle, Role: amqp.RoleReceiver,
		SenderSettleMode: a.SenderSettleMode, ReceiverSettleMode: a.ReceiverSettleMode,
		Source: a.Source, Target: a.Target, MaxMessageSize: new(uint64(maxMessageSize)),
		Properties: amqp.Map{{Key: amqp.Symbol("com.microsoft:max-message-batch-size"), Value: uint64(maxMessageBatch)}},
	})
	link.grant()
	return nil
}

// nodeKind is what a link leads to.
type nodeKind int

const (
	nodeQueue nodeKind = iota
	nodeManagement
	nodeCBS
)

// node finds what a path leads to. A connection has one pair of $cbs links at a time, as in Service Bus.
func (s *session) node(path string, role bool) (nodeKind, address, *amqp.Error) {
	if path == cbsNode {
		if s.conn.hasCBS(role) {
			return 0, address{}, &amqp.Error{Condition: conditionNotAllowed, Description: "A $cbs link is already open on this connection."}
		}
		return nodeCBS, address{}, nil
	}
	at, ok := s.conn.server.resolve(path)
	if !ok {
		return 0, at, &amqp.Error{Condition: conditionNotFound, Description: entityNotFound(path)}
	}
	if !at.management {
		return nodeQueue, at, nil
	}
	return nodeManagement, at, s.conn.authorize(at, rightAny)
}

func entityNotFound(path string) string {
	return fmt.Sprintf("The messaging entity '%s' could not be found.", path)
}

// hasCBS tells whether the client has a $cbs link in a role.
func (c *conn) hasCBS(role bool) bool {
	for _, s := range c.sessions {
		if role == amqp.RoleReceiver {
			for _, link := range s.outgoing {
				if r, ok := link.source.(*replySource); ok && r.node == nodeCBS {
					return true
				}
			}
			continue
		}
		for _, link := range s.incoming {
			if r, ok := link.sink.(*requestSink); ok && r.node == nodeCBS {
				return true
			}
		}
	}
	return false
}
