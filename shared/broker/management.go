package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

const conditionMessageNotFound amqp.Symbol = "com.microsoft:message-not-found"

// operation is what a request on $management can ask for, and the right it takes.
type operation struct {
	need right
	run  func(at address, body amqp.Map) reply
}

// operations by name, without the prefix com.microsoft: that all have.
var operations = map[string]operation{
	"renew-lock":                 {rightListen, renewLock},
	"peek-message":               {rightListen, peek},
	"receive-by-sequence-number": {rightListen, receiveDeferred},
	"update-disposition":         {rightListen, updateDisposition},
	"schedule-message":           {rightSend, schedule},
	"cancel-scheduled-message":   {rightSend, cancelScheduled},
}

// manage answers a request on the management node of a queue.
func (c *conn) manage(at address, r request) reply {
	name := strings.TrimPrefix(r.operation, "com.microsoft:")
	op, ok := operations[name]
	if !ok {
		return reply{status: statusNotImplemented, description: fmt.Sprintf("The operation '%s' is not supported.", r.operation), condition: "amqp:not-implemented"}
	}
	if refusal := c.authorize(at, op.need); refusal != nil {
		return reply{status: statusUnauthorized, description: refusal.Description, condition: refusal.Condition}
	}
	if refusal := at.entity.refuses(op.need); refusal != nil {
		return reply{status: statusForbidden, description: refusal.Description, condition: refusal.Condition}
	}
	body, ok := r.body.(amqp.Map)
	if !ok {
		return badRequest("The body of a request is a map.")
	}
	return op.run(at, body)
}

func ok(body any) reply { return reply{status: statusOK, description: "OK", body: body} }

// on makes the reply wait for a commit.
func (r reply) on(commit store.Commit) reply {
	r.commit = commit
	return r
}

// renewLock: lock-tokens, array of uuid → expirations, array of timestamp.
func renewLock(at address, body amqp.Map) reply {
	tokens, valid := items[queue.Token](body.Get("lock-tokens"))
	if !valid {
		return badRequest("lock-tokens is not an array of uuid.")
	}
	var until []time.Time
	err := at.entity.use(func(now time.Time) (err error) { // a lock is on no disk
		until, err = at.queue.Renew(now, tokens)
		return err
	})
	if err != nil {
		return failed(err)
	}
	expirations := amqp.Array{Code: codeTimestamp}
	for _, t := range until {
		expirations.Items = append(expirations.Items, amqp.TimestampOf(t))
	}
	return ok(amqp.Map{{Key: "expirations", Value: expirations}})
}

// maxPeek bounds the work of one peek; clients ask again for what is missing.
const maxPeek = 1000

// peek: from-sequence-number long, message-count int → messages, list of {message: binary}; 204 if there is none.
func peek(at address, body amqp.Map) reply {
	from, _ := body.Get("from-sequence-number").(int64)
	count, valid := body.Get("message-count").(int32)
	if !valid || count <= 0 {
		return badRequest("message-count is not a positive int.")
	}
	var messages []queue.Message
	at.entity.do(func(time.Time) { messages = at.queue.Peek(from, min(int(count), maxPeek)) })
	if len(messages) == 0 {
		return reply{status: statusNoContent, description: "No content"}
	}
	var list amqp.List
	size := 0
	for _, m := range messages {
		encoded := render(nil, m)
		if size += len(encoded); size > maxReply && len(list) > 0 {
			break
		}
		list = append(list, amqp.Map{{Key: "message", Value: encoded}})
	}
	return ok(amqp.Map{{Key: "messages", Value: list}})
}

// receiveDeferred: sequence-numbers, array of long; receiver-settle-mode uint (0 deletes, 1 locks) → messages, list of
// {message: binary, lock-token: uuid}; 404 if one is not there.
func receiveDeferred(at address, body amqp.Map) reply {
	numbers, valid := items[int64](body.Get("sequence-numbers"))
	if !valid {
		return badRequest("sequence-numbers is not an array of long.")
	}
	mode, valid := body.Get("receiver-settle-mode").(uint32)
	if !valid {
		return badRequest("receiver-settle-mode is not an uint.")
	}
	if len(numbers) > requestedAtOnce {
		return badRequest(fmt.Sprintf("%d messages were asked for; ask for at most %d at once.", len(numbers), requestedAtOnce))
	}
	var messages []queue.Message
	var commit store.Commit
	var err error
	if mode == uint32(amqp.ReceiverFirst) {
		commit, err = at.entity.change(func(now time.Time) (err error) {
			messages, err = at.receiveDeferred(now, numbers, true)
			return err
		})
	} else {
		err = at.entity.use(func(now time.Time) (err error) { // a lock is on no disk
			messages, err = at.receiveDeferred(now, numbers, false)
			return err
		})
	}
	switch {
	case errors.Is(err, errTooMuch):
		return badRequest(err.Error())
	case err != nil:
		return failed(err)
	}
	var list amqp.List
	for _, m := range messages {
		item := amqp.Map{{Key: "message", Value: render(nil, m)}}
		if m.LockToken != (queue.Token{}) {
			item = append(item, amqp.Entry{Key: "lock-token", Value: m.LockToken})
		}
		list = append(list, item)
	}
	// Whoever deletes messages gets them even if that is not on the disk, where they will be deleted later: they may come again
	// after a crash, which is better than not at all.
	answer := ok(amqp.Map{{Key: "messages", Value: list}}).on(commit)
	answer.regardless = true
	return answer
}

func (a address) receiveDeferred(now time.Time, numbers []int64, remove bool) ([]queue.Message, error) {
	if size := a.queue.Measure(numbers); len(numbers) > 1 && size > maxDeferred {
		return nil, fmt.Errorf("%w: %d bytes, at most %d at once", errTooMuch, size, maxDeferred)
	}
	return a.queue.ReceiveDeferred(now, numbers, remove)
}

// requestedAtOnce and maxDeferred bound a reply with deferred messages, which may not leave any out.
const (
	requestedAtOnce = 256
	maxDeferred     = 1 << 20
)

var errTooMuch = errors.New("the messages are too large for one reply; ask for fewer of them")

// dispositions are the names of outcomes. "defered" is how Service Bus spells it, "suspended" means dead-lettered.
var dispositions = map[string]queue.Outcome{
	"completed": queue.Complete,
	"abandoned": queue.Abandon,
	"defered":   queue.Defer,
	"suspended": queue.DeadLetter,
}

// updateDisposition: disposition-status string, lock-tokens array of uuid, properties-to-modify map, deadletter-reason
// and deadletter-description string.
func updateDisposition(at address, body amqp.Map) reply {
	status, _ := body.Get("disposition-status").(string)
	outcome, known := dispositions[status]
	if !known {
		return badRequest(fmt.Sprintf("The disposition-status '%s' is unknown.", status))
	}
	tokens, valid := items[queue.Token](body.Get("lock-tokens"))
	if !valid {
		return badRequest("lock-tokens is not an array of uuid.")
	}
	if len(tokens) > requestedAtOnce {
		return badRequest(fmt.Sprintf("%d messages are to be settled; settle at most %d at once.", len(tokens), requestedAtOnce))
	}
	modify, _ := body.Get("properties-to-modify").(amqp.Map)
	if outcome == queue.DeadLetter {
		if reason, given := body.Get("deadletter-reason").(string); given {
			modify = modify.With(queue.PropertyReason, reason)
		}
		if description, given := body.Get("deadletter-description").(string); given {
			modify = modify.With(queue.PropertyDescription, description)
		}
	}
	commit, err := at.entity.settle(at.queue, tokens, outcome, properties(modify))
	if err != nil {
		return failed(err)
	}
	return ok(nil).on(commit)
}

// schedule: messages, list of {message: binary, …} → sequence-numbers, array of long. All messages are stored or none.
func schedule(at address, body amqp.Map) reply {
	list, valid := body.Get("messages").(amqp.List)
	if !valid || at.queue.DeadLetters() == nil {
		return badRequest("messages is not a list, or the entity takes none.")
	}
	messages := make([]queue.Message, len(list))
	for i, item := range list {
		fields, _ := item.(amqp.Map)
		encoded, _ := fields.Get("message").([]byte)
		m, err := receive(encoded)
		if err != nil {
			return badRequest("A message cannot be read: " + err.Error())
		}
		messages[i] = m
	}
	accepted, commit, err := at.entity.send(messages)
	if err != nil {
		return failed(err)
	}
	numbers := amqp.Array{Code: codeLong}
	for _, n := range accepted {
		numbers.Items = append(numbers.Items, n)
	}
	return ok(amqp.Map{{Key: "sequence-numbers", Value: numbers}}).on(commit)
}

// cancelScheduled: sequence-numbers, array of long; 404 if one is not scheduled.
func cancelScheduled(at address, body amqp.Map) reply {
	numbers, valid := items[int64](body.Get("sequence-numbers"))
	if !valid {
		return badRequest("sequence-numbers is not an array of long.")
	}
	commit, err := at.entity.change(func(time.Time) error { return at.queue.CancelScheduled(numbers) })
	if err != nil {
		return failed(err)
	}
	return ok(nil).on(commit)
}

// Constructors of array elements that clients expect.
const (
	codeLong      = 0x81
	codeTimestamp = 0x83
)

// items are the elements of an array or list if all are T.
func items[T any](v any) (typed []T, valid bool) {
	var values []any
	switch v := v.(type) {
	case amqp.Array:
		values = v.Items
	case amqp.List:
		values = v
	default:
		return nil, false
	}
	for _, value := range values {
		t, isT := value.(T)
		if !isT {
			return nil, false
		}
		typed = append(typed, t)
	}
	return typed, true
}
