package broker

import (
	"fmt"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// maxRequestSize is how large a request on $cbs or $management may be.
const maxRequestSize = 256 << 10

// link is what links of both directions have in common. Its connection's lock guards it.
type link struct {
	session *session
	handle  uint32
	at      address
	need    right // what the client's token has to allow as long as the link is open
	closed  bool  // by us, and the client has not noticed
	self    attached
}

// register counts the link and makes it known to its queue, if it has one.
func (l *link) register(self attached) *amqp.Error {
	l.self = self
	c := l.session.conn
	if c.links >= maxLinks {
		return &amqp.Error{Condition: conditionFull, Description: fmt.Sprintf("A connection has at most %d links. Close some, or use another connection.", maxLinks)}
	}
	if !c.server.held.take(linkCost) {
		return exhausted("another link")
	}
	if l.at.entity != nil { // else $cbs
		if refusal := l.at.entity.attach(self, l.need); refusal != nil {
			c.server.held.give(linkCost)
			return refusal
		}
	}
	c.links++
	return nil
}

// stop ends the link without a word. It must not be closed already. It counts until its session forgets it.
func (l *link) stop() {
	l.closed = true
	if l.at.entity != nil {
		l.at.entity.release(l.self)
	}
}

// fail ends the link for a reason, which the client is told.
func (l *link) fail(reason *amqp.Error) {
	if l.closed {
		return
	}
	l.self.end()
	l.session.send(&amqp.Detach{Handle: l.handle, Closed: true, Error: reason})
}

// detach is fail for those who do not hold the connection's lock.
func (l *link) detach(reason *amqp.Error) {
	c := l.session.conn
	c.mu.Lock()
	l.fail(reason)
	c.mu.Unlock()
	c.nudge()
}

func (l *link) managing() bool { return l.at.management }

// attach opens a link, or refuses it: then the answer has no source or target, and a detach with the reason follows
// (part 2, 2.6.3).
func (s *session) attach(a *amqp.Attach) *amqp.Error {
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
	link := &outgoingLink{link: link{session: s, handle: a.Handle, at: at}}
	switch node {
	case nodeQueue:
		if refusal := s.conn.authorize(at, rightListen); refusal != nil {
			return refusal
		}
		link.need = rightListen
		link.source = &queueSource{
			conn: s.conn, entity: at.entity, queue: at.queue, wake: s.conn.nudge,
			destructive: a.SenderSettleMode == amqp.SenderSettled,
		}
	default:
		link.source = &replySource{address: a.TargetAddress(), node: node}
	}
	if refusal := link.register(link); refusal != nil {
		return refusal
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
	link := &incomingLink{link: link{session: s, handle: a.Handle, at: at}, limit: requestCredit, maxSize: maxRequestSize}
	switch node {
	case nodeQueue:
		if at.queue.DeadLetters() == nil {
			return &amqp.Error{Condition: conditionNotAllowed, Description: "Messages cannot be sent to a dead-letter queue."}
		}
		if refusal := s.conn.authorize(at, rightSend); refusal != nil {
			return refusal
		}
		link.need = rightSend
		link.sink = queueSink{s.conn, at.entity}
		link.limit, link.maxSize = messageCredit, at.entity.maxMessageSize()
	default:
		link.sink = &requestSink{link: link, node: node, at: at}
	}
	if refusal := link.register(link); refusal != nil {
		return refusal
	}
	s.incoming[a.Handle] = link
	s.send(&amqp.Attach{
		Name: a.Name, Handle: a.Handle, Role: amqp.RoleReceiver,
		SenderSettleMode: a.SenderSettleMode, ReceiverSettleMode: a.ReceiverSettleMode,
		Source: a.Source, Target: a.Target, MaxMessageSize: new(uint64(link.maxSize)),
		Properties: amqp.Map{{Key: amqp.Symbol("com.microsoft:max-message-batch-size"), Value: uint64(link.maxSize)}},
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
