package broker

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

// request is a call on $cbs or $management.
type request struct {
	operation  string
	properties amqp.Map // application properties
	body       any
}

// reply is the answer to a request. Clients assert that status-code is an int.
type reply struct {
	status      int32
	description string
	condition   amqp.Symbol
	body        any
	commit      store.Commit // what has to be on disk before the reply is true
	regardless  bool         // it is the reply even if the commit fails
}

// Status codes of replies, those of HTTP.
const (
	statusOK             = 200
	statusAccepted       = 202
	statusNoContent      = 204
	statusBadRequest     = 400
	statusUnauthorized   = 401
	statusForbidden      = 403
	statusNotFound       = 404
	statusGone           = 410
	statusNotImplemented = 501
	statusUnavailable    = 503
)

// maxReply is about the size at which a reply takes no further message.
const maxReply = 256 << 10

func badRequest(description string) reply {
	return reply{status: statusBadRequest, description: description, condition: "amqp:invalid-field"}
}

// encode is the reply as a message that correlates with a request.
func (r reply) encode(correlationID any) []byte {
	properties := amqp.Map{{Key: "status-code", Value: r.status}, {Key: "status-description", Value: r.description}}
	if r.condition != "" {
		properties = append(properties, amqp.Entry{Key: "error-condition", Value: r.condition})
	}
	return amqp.AppendReply(nil, correlationID, properties, r.body)
}

// requestSink answers the requests that come on a link. A request keeps its credit until its answer has left, so that a
// client gets no more answers queued than it has credit for requests.
type requestSink struct {
	link *incomingLink
	node nodeKind
	at   address
}

// accept takes a request at once, and answers it when what it asked for is on disk.
func (s *requestSink) accept(_ uint32, payload []byte, settle func(state any, done bool)) {
	m, err := amqp.ParseMessage(payload)
	if err != nil {
		settle(rejected(conditionDecode, err.Error()), true)
		return
	}
	replyTo, _ := m.Property(amqp.PropertyReplyTo).(string)
	to := s.link.session.replies(replyTo)
	if to == nil {
		settle(rejected(conditionNotFound, "No link receives at the reply-to address."), true)
		return
	}
	call := request{properties: m.ApplicationProperties(), body: m.Value()}
	call.operation, _ = call.properties.Get("operation").(string)
	var answer reply
	if s.node == nodeCBS {
		answer = s.link.session.conn.putToken(call)
	} else {
		answer = s.link.session.conn.manage(s.at, call)
	}
	settle(amqp.Accepted{}.Value(), false)
	s.link.session.conn.after(answer.commit, func(err error) {
		if err != nil && !answer.regardless {
			answer = failed(fmt.Errorf("%w: %w", errDisk, err))
		}
		s.reply(to, answer.encode(m.Property(amqp.PropertyMessageID)))
	})
}

// reply sends an answer. It takes memory until the client has read it.
func (s *requestSink) reply(to *replySource, payload []byte) {
	held := &s.link.session.conn.server.held
	if !held.take(len(payload)) {
		s.link.fail(exhausted("another reply"))
		return
	}
	done := func() {
		held.give(len(payload))
		s.link.release()
	}
	to.add(delivery{tag: newUUID(), payload: payload, sent: done, dropped: done})
}

// failed is the reply to a request for which entity.change had an error.
func failed(err error) reply {
	switch {
	case errors.Is(err, queue.ErrLockLost):
		return reply{status: statusGone, description: lockLost, condition: conditionLockLost}
	case errors.Is(err, queue.ErrNotFound):
		return reply{status: statusNotFound, description: "The message could not be found: " + err.Error(), condition: conditionMessageNotFound}
	}
	if errors.Is(err, queue.ErrProperties) {
		return reply{status: statusBadRequest, description: err.Error(), condition: conditionMessageSize}
	}
	refusal := refusalOf(err)
	r := reply{status: statusNotFound, description: refusal.Description, condition: refusal.Condition}
	switch refusal.Condition {
	case conditionServerBusy:
		r.status = statusUnavailable
	case conditionFull:
		r.status = statusForbidden
	}
	return r
}

// replies is the link on which a client receives at an address. Requests and replies share a session. The address is
// opaque: that of $cbs looks odd.
func (s *session) replies(address string) *replySource {
	for _, link := range s.outgoing {
		if r, ok := link.source.(*replySource); ok && r.address == address {
			return r
		}
	}
	return nil
}

// replySource sends replies in the order of the requests.
type replySource struct {
	address string
	node    nodeKind
	pending []delivery
	stopped bool
}

// add queues a reply, unless nobody will receive it.
func (s *replySource) add(d delivery) {
	if s.stopped {
		d.dropped()
		return
	}
	s.pending = append(s.pending, d)
}

func (s *replySource) next(uint32) (delivery, bool) {
	if len(s.pending) == 0 {
		return delivery{}, false
	}
	d := s.pending[0]
	s.pending = s.pending[1:]
	return d, true
}

func (s *replySource) coming() bool { return false }

// limit changes nothing: replies wait.
func (s *replySource) limit(uint32) {}

// stop drops the replies that nobody will receive.
func (s *replySource) stop() {
	for _, d := range s.pending {
		d.dropped()
	}
	s.pending, s.stopped = nil, true
}

// newUUID is random (version 4).
func newUUID() amqp.UUID {
	var u amqp.UUID
	_, _ = rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
