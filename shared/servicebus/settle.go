package servicebus

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/change"
)

// ErrLockLost: the lock on the message ran out, so that the bus has given it, or will give it, to somebody else.
var ErrLockLost = errors.New("the lock on the message was lost")

// maxReason bounds what the bus keeps as reason and as description of a dead letter, in characters (of bytes, to be
// sure): MaxDeadLetterReasonLength of Service Bus.
const maxReason = 4096

// Complete removes a delivered message for good.
func (b *Bus) Complete(ctx context.Context, d change.Delivery) error {
	return b.settle(ctx, "complete", d, func(ctx context.Context, r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
		return r.CompleteMessage(ctx, m, nil)
	})
}

// DeadLetter puts a delivered message aside with a short stable reason and a sentence for people, each cut to 4096 bytes.
func (b *Bus) DeadLetter(ctx context.Context, d change.Delivery, reason, description string) error {
	reason, description = cut(reason), cut(description)
	return b.settle(ctx, "dead-letter", d, func(ctx context.Context, r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
		return r.DeadLetterMessage(ctx, m, &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description})
	})
}

// settle ends a delivery by its lock token alone, over the management link: whoever received it may have been the
// host, in another process. It has a deadline of its own and does not end with ctx, for the work is done and must not be
// done again because somebody hung up; the SDK would go on for most of a minute by itself.
func (b *Bus) settle(ctx context.Context, verb string, d change.Delivery, do func(context.Context, *azservicebus.Receiver, *azservicebus.ReceivedMessage) error) error {
	q, err := b.queue(d.Queue)
	if err != nil {
		return fmt.Errorf("%s message %s: %w", verb, d.MessageID, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.settleTimeout)
	defer cancel()
	if err := do(ctx, q.receiver, &azservicebus.ReceivedMessage{LockToken: d.LockToken}); err != nil {
		return fmt.Errorf("%s message %s of queue %s: %w", verb, d.MessageID, d.Queue, plain(ctx, err))
	}
	return nil
}

// cut shortens text to maxReason bytes without breaking a character.
func cut(text string) string {
	if len(text) <= maxReason {
		return text
	}
	end := maxReason
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// plain keeps the SDK's errors from travelling on: ErrLockLost, the context's errors, or the text.
func plain(ctx context.Context, err error) error {
	var known *azservicebus.Error
	switch {
	case errors.As(err, &known) && known.Code == azservicebus.CodeLockLost:
		return ErrLockLost
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s", ctx.Err(), err.Error())
	case errors.As(err, &known) && known.Code == azservicebus.CodeNotFound:
		return fmt.Errorf("the bus has no such queue: %s", err.Error())
	case errors.As(err, &known) && known.Code == azservicebus.CodeUnauthorizedAccess:
		return fmt.Errorf("the bus refuses our credential; it needs the rights to send, listen and manage: %s", err.Error())
	}
	return errors.New(err.Error())
}
