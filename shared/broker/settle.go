package broker

import (
	"errors"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

const (
	conditionLockLost amqp.Symbol = "com.microsoft:message-lock-lost"

	// lockLost is the wording clients and their tests look for.
	lockLost = "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue."
)

// lockLostState answers a settlement that came too late.
var lockLostState = rejected(conditionLockLost, lockLost)

// settle ends the lock on a delivery as the client's state says, and returns the state to answer with once the commit is
// written. Its error wraps errDisk. An abandoned message counts as a failed delivery although Service Bus clients leave
// delivery-failed false.
func (h held) settle(state any) (answer any, commit store.Commit, err error) {
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
	commit, err = h.entity.settle(h.queue, []queue.Token{h.token}, outcome, set)
	switch {
	case errors.Is(err, errDisk):
		return nil, commit, err
	case errors.Is(err, queue.ErrProperties):
		answer = rejected(conditionMessageSize, err.Error())
	case err != nil:
		answer = lockLostState
	}
	return answer, commit, nil
}

// settle settles messages of e's queue or dead-letter queue; see queue.Queue.Settle and entity.change.
func (e *entity) settle(q *queue.Queue, tokens []queue.Token, outcome queue.Outcome, set map[string]any) (store.Commit, error) {
	return e.change(func(now time.Time) error { return q.Settle(now, tokens, outcome, set) })
}

// busy answers what could not be stored. Clients try again after a server-busy.
func busy(err error) any { return rejected(conditionServerBusy, notStored(err)) }

func notStored(err error) string {
	return "The broker cannot write to its disk and does not promise to keep this: " + err.Error()
}
