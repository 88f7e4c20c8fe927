package broker

import (
	"sync/atomic"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// outgoingLink carries deliveries to a client, as far as its credit and the session's window go. Its connection's lock
// guards it.
type outgoingLink struct {
	link
	source  source
	credit  uint32
	count   uint32 // deliveries so far
	drain   bool   // the client wants its credit used up or taken back
	current *delivery
}

// source feeds an outgoing link. next is called only when the link can begin a delivery, of which it may begin as many as
// it has credit; a source that has none makes the connection look again when it has.
type source interface {
	next(credit uint32) (delivery, bool)
	// coming tells that there will be a delivery soon, for which credit is needed.
	coming() bool
	// limit tells that there is credit for no more deliveries than that.
	limit(credit uint32)
	stop()
}

// delivery is an encoded message on its way.
type delivery struct {
	tag     [16]byte
	payload []byte
	held    *held // nil if settled from the start
	begun   bool
	sent    func() // called once it has left; may be nil
	dropped func() // called instead if a part of it never will; may be nil
}

// flow takes the client's credit.
func (l *outgoingLink) flow(f *amqp.Flow) {
	if f.LinkCredit != nil {
		count := l.count
		if f.DeliveryCount != nil {
			count = *f.DeliveryCount
		}
		l.credit = remaining(count, *f.LinkCredit, l.count)
		l.source.limit(l.credit)
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
	if l.closed || l.session.window == 0 {
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
		if d, ok := l.source.next(min(l.credit, l.session.window)); ok {
			l.credit--
			l.count++
			l.current = &d
			return true
		}
	}
	if l.drain && !l.source.coming() {
		l.count += l.credit
		l.credit = 0
		l.report()
		l.drain = false
	}
	return false
}

// end ends the link. What was not sent completely will not be.
func (l *outgoingLink) end() {
	if l.closed {
		return
	}
	if l.current != nil && l.current.dropped != nil {
		l.current.dropped()
	}
	l.current = nil
	l.source.stop()
	l.stop()
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
			d.held.link = l
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
	conn        *conn
	entity      *entity
	queue       *queue.Queue
	destructive bool        // receive and delete
	wake        func()      // must not block
	hungry      atomic.Bool // the queue had nothing, and will wake it
	// Messages that are deleted as they are received, and are not sent yet, and their size.
	leaving []*leaver
	size    int
}

// leaver is a message on its way out of a queue.
type leaver struct {
	queue.Message
	gone bool // from the disk
}

func (s *queueSource) next(credit uint32) (delivery, bool) {
	if s.destructive {
		return s.nextDeleted(credit)
	}
	if s.hungry.Load() {
		return delivery{}, false
	}
	m, _, ok := s.entity.take(s)
	if !ok {
		return delivery{}, false
	}
	return delivery{payload: payload(m), tag: guid(m.LockToken), held: &held{entity: s.entity, queue: s.queue, token: m.LockToken}}, true
}

// nextDeleted sends a message only after it is gone from the disk, so that a crash cannot make it come twice. If the disk
// cannot be written it is sent all the same: twice is better than not at all. One commit serves as many messages as the client
// takes now; what cannot be sent in the end goes back (limit, stop).
func (s *queueSource) nextDeleted(credit uint32) (delivery, bool) {
	for !s.ready() && !s.hungry.Load() && uint32(len(s.leaving)) < credit && s.size < maxOutput {
		m, commit, ok := s.entity.take(s)
		if !ok {
			break
		}
		l := &leaver{Message: m}
		s.leaving = append(s.leaving, l)
		s.size += m.Size
		s.conn.after(commit, func(error) { l.gone = true })
	}
	if !s.ready() {
		return delivery{}, false
	}
	l := s.leaving[0]
	s.leaving = s.leaving[1:]
	s.size -= l.Size
	return delivery{payload: payload(l.Message), dropped: func() { s.giveBack(l.Message) }}, true
}

// payload is the encoding of a message.
func payload(m queue.Message) []byte { return render(make([]byte, 0, m.Size+renderOverhead), m) }

// ready tells whether the first message that leaves can be sent. Commits may be told of in another order.
func (s *queueSource) ready() bool { return len(s.leaving) > 0 && s.leaving[0].gone }

func (s *queueSource) coming() bool { return len(s.leaving) > 0 }

func (s *queueSource) limit(credit uint32) {
	if uint32(len(s.leaving)) <= credit {
		return
	}
	var back []queue.Message
	for _, l := range s.leaving[credit:] {
		back = append(back, l.Message)
		s.size -= l.Size
	}
	s.leaving = s.leaving[:credit]
	s.giveBack(back...)
}

// giveBack undoes that messages were deleted which the client will not get.
func (s *queueSource) giveBack(messages ...queue.Message) {
	s.entity.do(func(time.Time) { s.queue.Return(messages...) })
}

func (s *queueSource) stop() {
	s.entity.forget(s)
	s.limit(0)
}

// guid is a lock token as Service Bus writes it into delivery tags: in the byte order of a .NET Guid.
func guid(u queue.Token) [16]byte {
	return [16]byte{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]}
}
