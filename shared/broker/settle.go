package broker

import (
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

const (
	conditionLockLost amqp.Symbol = "com.microsoft:message-lock-lost"

	// lockLost is the wording clients and their tests look for.
	lockLost = "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue."
)

// lockLostState answers a settlement that came too late.
var lockLostState = rejected(conditionLockLost, lockLost)

// settle ends the lock on a delivery as the client's state says, and returns the state to answer with. An abandoned
// message counts as a failed delivery although Service Bus clients leave delivery-failed false.
func (h held) settle(state any) (answer any) {
	outcome := queue.Release
	var set map[string]any
	switch state := state.(type) {
	case amqp.Accepted:
		outcome, answer = queue.Complete, state.Value()
	case amqp.Released:
		answer = state.Value()
	case amqp.Modified:
		outcome, set, answer = queue.Abandon, properties(state.Annotations), state.Value()
		if state.UndeliverableHere {
			outcome = queue.Defer
		}
	case amqp.Rejected:
		// The answer carries no error: clients would take it for their own failure.
		outcome, answer = queue.DeadLetter, amqp.Rejected{}.Value()
		if state.Error != nil {
			set = properties(state.Error.Info)
		}
	}
	if h.entity.settle(h.queue, []queue.Token{h.token}, outcome, set) != nil {
		return lockLostState
	}
	return answer
}

// settle settles messages of e's queue or dead-letter queue; see queue.Queue.Settle.
func (e *entity) settle(q *queue.Queue, tokens []queue.Token, outcome queue.Outcome, set map[string]any) (err error) {
	e.do(func(now time.Time) { err = q.Settle(now, tokens, outcome, set) })
	return err
}
