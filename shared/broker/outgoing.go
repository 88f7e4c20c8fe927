package broker

import (
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// outgoingLink carries deliveries to a client, as far as its credit and the session's window go. Its connection's lock
// guards it.
type outgoingLink struct {
	session *session
	handle  uint32
	source  source
	credit  uint32
	count   uint32 // deliveries so far
	drain   bool   // the client wants its credit used up or taken back
	current *delivery
}

// source feeds an outgoing link. next is called only when the link can begin a delivery; a source that has none makes
// the connection look again when it has.
type source interface {
	next() (delivery, bool)
	stop()
}

// delivery is an encoded message on its way.
type delivery struct {
	tag     [16]byte
	payload []byte
	held    *held // nil if settled from the start
	begun   bool
	sent    func() // called once it has left or never will; may be nil
}

// flow takes the client's credit.
func (l *outgoingLink) flow(f *amqp.Flow) {
	if f.LinkCredit != nil {
		count := l.count
		if f.DeliveryCount != nil {
			count = *f.DeliveryCount
		}
		l.credit = remaining(count, *f.LinkCredit, l.count)
	}
	l.drain = f.Drain
	if f.Echo && !f.Drain {
		l.report()
	}
}

// report tells the client where the link stands.
func (l *outgoingLink) report() {
	state := l.session.flowState()
	state.Handle, state.DeliveryCount, state.LinkCredit, state.Drain = &l.handle, new(l.count), new(l.credit), l.drain
	l.session.send(state)
}

// send sends at most one frame, and tells whether it did.
func (l *outgoingLink) send() bool {
	if l.session.window == 0 {
		return false
	}
	if l.current == nil && !l.begin() {
		return false
	}
	l.transfer()
	return true
}

// begin takes the next delivery from the source.
func (l *outgoingLink) begin() bool {
	if l.credit > 0 {
		if d, ok := l.source.next(); ok {
			l.credit--
			l.count++
			l.current = &d
			return true
		}
	}
	if l.drain {
		l.count += l.credit
		l.credit = 0
		l.report()
		l.drain = false
	}
	return false
}

// stop ends the link. What was not sent completely will not be.
func (l *outgoingLink) stop() {
	if l.current != nil && l.current.sent != nil {
		l.current.sent()
	}
	l.source.stop()
}

// transferOverhead is more than a transfer frame needs besides its payload.
const transferOverhead = 128

// transfer sends the next frame of the current delivery. Only the first has an id, a tag and a format.
func (l *outgoingLink) transfer() {
	s, d := l.session, l.current
	t := &amqp.Transfer{Handle: l.handle, Settled: d.held == nil}
	if !d.begun {
		d.begun = true
		if d.held != nil {
			s.hold(*d.held)
		}
		t.DeliveryID, t.DeliveryTag, t.MessageFormat = new(s.nextDelivery), d.tag[:], new(uint32(0))
		s.nextDelivery++
	}
	size := min(len(d.payload), int(s.conn.frameSize)-transferOverhead)
	t.More = size < len(d.payload)
	s.conn.send(s.channel, t, d.payload[:size])
	d.payload = d.payload[size:]
	s.nextOutgoing++
	s.window--
	if !t.More {
		l.current = nil
		if d.sent != nil {
			d.sent()
		}
	}
}

// queueSource takes messages out of a queue.
type queueSource struct {
	entity      *entity
	queue       *queue.Queue
	destructive bool   // receive and delete
	wake        func() // must not block
}

func (s *queueSource) next() (delivery, bool) {
	m, ok := s.entity.take(s)
	if !ok {
		return delivery{}, false
	}
	d := delivery{payload: render(m)}
	if !s.destructive {
		d.tag = guid(m.LockToken)
		d.held = &held{s.entity, s.queue, m.LockToken}
	}
	return d, true
}

func (s *queueSource) stop() { s.entity.forget(s) }

// guid is a lock token as Service Bus writes it into delivery tags: in the byte order of a .NET Guid.
func guid(u queue.Token) [16]byte {
	return [16]byte{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]}
}
