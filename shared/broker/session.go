package broker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// incomingWindow is how many transfers a client may send ahead. Every transfer is dealt with as it is read, so the
// window never closes; flow is governed by the credit of links.
const incomingWindow = 1<<31 - 1

// session is an AMQP session: a numbering of transfers in both directions, and links. (Service Bus's message sessions
// have nothing to do with it.) Its connection's lock guards it.
type session struct {
	conn     *conn
	channel  uint16
	incoming map[uint32]*incomingLink // by the client's handle
	outgoing map[uint32]*outgoingLink

	nextIncoming uint32 // transfer id
	nextOutgoing uint32 // transfer id
	window       uint32 // transfers the client still takes
	nextDelivery uint32 // id of our next delivery
	unsettled    map[uint32]held
	sweepAt      int // number of unsettled deliveries at which to drop those whose lock is lost
	ended        bool
}

// held is a delivery that the client has not settled: the lock on its message.
type held struct {
	entity *entity
	queue  *queue.Queue
	token  queue.Token
	link   *outgoingLink // it came on
}

const minSweep = 1024

func (c *conn) begin(channel uint16, begin *amqp.Begin) error {
	if c.sessions[channel] != nil || channel > channelMax {
		return &amqp.Error{Condition: conditionNotAllowed, Description: fmt.Sprintf("No session can begin on channel %d.", channel)}
	}
	if !c.server.held.take(sessionCost) {
		return exhausted("another session")
	}
	c.sessions[channel] = &session{
		conn: c, channel: channel,
		incoming:     map[uint32]*incomingLink{},
		outgoing:     map[uint32]*outgoingLink{},
		nextIncoming: begin.NextOutgoingID,
		window:       begin.IncomingWindow,
		unsettled:    map[uint32]held{},
		sweepAt:      minSweep,
	}
	c.send(channel, &amqp.Begin{
		RemoteChannel: &channel, IncomingWindow: incomingWindow, OutgoingWindow: incomingWindow, HandleMax: handleMax,
	}, nil)
	return nil
}

// end lets go of all links. Locks on messages outlive it.
func (s *session) end() {
	if s.ended {
		return
	}
	s.ended = true
	for _, link := range s.incoming {
		link.end()
	}
	for _, link := range s.outgoing {
		link.end()
	}
	s.forget(len(s.incoming) + len(s.outgoing))
	clear(s.incoming)
	clear(s.outgoing)
	clear(s.unsettled)
}

// forget ends the counting of links that the session has no more.
func (s *session) forget(links int) {
	s.conn.links -= links
	s.conn.server.held.give(links * linkCost)
}

// remove ends a session, which counts until the client knows of its end.
func (c *conn) remove(s *session) {
	s.end()
	delete(c.sessions, s.channel)
	c.server.held.give(sessionCost)
}

// act does what one performative says. What the client does wrong ends the session and nothing else; what it sends before
// it sees that is ignored.
func (s *session) act(p amqp.Performative, payload []byte) {
	if _, ends := p.(*amqp.End); ends {
		s.send(&amqp.End{})
		s.conn.remove(s)
		return
	}
	if s.ended {
		return
	}
	if reason := s.try(p, payload); reason != nil {
		s.conn.log.Warn("session refused a frame", "condition", reason.Condition, "description", reason.Description)
		s.send(&amqp.End{Error: reason})
		s.end()
	}
}

func (s *session) try(p amqp.Performative, payload []byte) *amqp.Error {
	switch p := p.(type) {
	case *amqp.Attach:
		return s.attach(p)
	case *amqp.Detach:
		s.detach(p.Handle)
		return nil
	case *amqp.Flow:
		s.flow(p)
		return nil
	case *amqp.Transfer:
		return s.transfer(p, payload)
	case *amqp.Disposition:
		return s.disposition(p)
	}
	return &amqp.Error{Condition: conditionNotAllowed, Description: fmt.Sprintf("%T does not belong here.", p)}
}

// send sends a frame, unless the session ended while something waited for the disk.
func (s *session) send(p amqp.Performative) {
	if !s.ended {
		s.conn.send(s.channel, p, nil)
	}
}

// detach ends a link at the client's wish, or acknowledges that the client saw us end it.
func (s *session) detach(handle uint32) {
	if link := s.outgoing[handle]; link != nil {
		delete(s.outgoing, handle)
		s.forget(1)
		if !link.closed {
			link.end()
			s.send(&amqp.Detach{Handle: handle, Closed: true})
		}
	}
	if link := s.incoming[handle]; link != nil {
		delete(s.incoming, handle)
		s.forget(1)
		if !link.closed {
			link.end()
			s.send(&amqp.Detach{Handle: handle, Closed: true})
		}
	}
}

// flow takes the client's view of the session window and of a link's credit. A link that is not there was refused, and
// the client gave credit before it heard of that.
func (s *session) flow(f *amqp.Flow) {
	var seen uint32
	if f.NextIncomingID != nil {
		seen = *f.NextIncomingID
	}
	s.window = remaining(seen, f.IncomingWindow, s.nextOutgoing)
	if f.Handle == nil {
		if f.Echo {
			s.send(s.flowState())
		}
		return
	}
	if link := s.outgoing[*f.Handle]; link != nil && !link.closed {
		link.flow(f)
	}
	if link := s.incoming[*f.Handle]; link != nil && f.Echo && !link.closed {
		link.grant()
	}
}

// flowState is a flow frame with our side of the session window. Clients insist on the next incoming id.
func (s *session) flowState() *amqp.Flow {
	return &amqp.Flow{
		NextIncomingID: new(s.nextIncoming), IncomingWindow: incomingWindow,
		NextOutgoingID: s.nextOutgoing, OutgoingWindow: incomingWindow,
	}
}

// remaining is what is left of a limit that the peer granted counting from start, when we are at next. The three are
// serial numbers that wrap around (RFC 1982); a peer that takes back what was used already leaves nothing.
func remaining(start, limit, next uint32) uint32 {
	const half = 1 << 31 // serial numbers further apart cannot be told from ones that go back
	left := start + min(limit, half) - next
	if left > half {
		return 0
	}
	return left
}

func unattached(handle uint32) *amqp.Error {
	return &amqp.Error{Condition: conditionUnattached, Description: fmt.Sprintf("No link is attached on handle %d.", handle)}
}

// hold remembers the next delivery, which the client has to settle.
func (s *session) hold(h held) {
	if len(s.unsettled) >= s.sweepAt {
		s.sweep()
	}
	s.unsettled[s.nextDelivery] = h
}

// sweep drops deliveries whose lock is lost. A client that settles on $management never settles on the link, and what
// it settled would be remembered as long as the session lasts.
func (s *session) sweep() {
	for id, h := range s.unsettled {
		h.entity.mu.Lock()
		holds := h.queue.Holds(h.token)
		h.entity.mu.Unlock()
		if !holds {
			delete(s.unsettled, id)
		}
	}
	s.sweepAt = max(minSweep, 2*len(s.unsettled))
}

// disposition settles a range of our deliveries as the client says, and acknowledges: in receive mode "second", which
// peek-lock is, the client waits for it. What is not held any more was lost.
func (s *session) disposition(d *amqp.Disposition) *amqp.Error {
	if d.Role != amqp.RoleReceiver {
		return nil // about the client's own deliveries, which were all settled as they came
	}
	if !amqp.Terminal(d.State) {
		return nil // a delivery on its way to a decision; until then its lock lasts as long as any
	}
	state, err := amqp.ParseState(d.State)
	if err != nil {
		return &amqp.Error{Condition: conditionDecode, Description: err.Error()}
	}
	first, last := d.First, d.First
	if d.Last != nil {
		last = *d.Last
	}
	next := first
	for _, id := range s.unsettledIn(first, last) {
		s.acknowledge(d, next, id-1, id-next, lockLostState)
		s.settle(d, id, state)
		next = id + 1
	}
	s.acknowledge(d, next, last, last+1-next, lockLostState)
	return nil
}

// unsettledIn are the ids of unsettled deliveries in a range, in its order. A short range is looked up, and only a long one
// takes a look at all that is unsettled.
func (s *session) unsettledIn(first, last uint32) (ids []uint32) {
	if last-first < uint32(len(s.unsettled)) {
		for i := range last - first + 1 {
			if _, is := s.unsettled[first+i]; is {
				ids = append(ids, first+i)
			}
		}
		return ids
	}
	for id := range s.unsettled {
		if id-first <= last-first {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return cmp.Compare(a-first, b-first) })
	return ids
}

// settle settles one delivery, and acknowledges it once that is on disk. If the disk cannot be written the link ends without
// an answer: any answer, a refusal too, makes go-amqp take the message for settled, and tell its caller so when he tries again.
// After the end of a link Service Bus clients settle on $management, which they do try again.
func (s *session) settle(d *amqp.Disposition, id uint32, state any) {
	h := s.unsettled[id]
	delete(s.unsettled, id)
	answer, commit, err := h.settle(state)
	if err != nil {
		h.link.fail(diskFailed(err))
		return
	}
	s.conn.after(commit, func(err error) {
		if err != nil {
			h.link.fail(diskFailed(err))
			return
		}
		s.acknowledge(d, id, id, 1, answer)
	})
}

func diskFailed(err error) *amqp.Error {
	return &amqp.Error{Condition: conditionDetachForced, Description: notStored(err)}
}

// acknowledge reports n deliveries settled, unless the client settled them itself and wants no answer.
func (s *session) acknowledge(d *amqp.Disposition, first, last, n uint32, state any) {
	if n > 0 && !d.Settled {
		s.send(&amqp.Disposition{Role: amqp.RoleSender, First: first, Last: &last, Settled: true, State: state})
	}
}
