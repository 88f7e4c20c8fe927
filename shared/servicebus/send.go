package servicebus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/change"
)

// Send puts changes on a queue in as few batches as they fit into. When it returns nil the bus has all of them; after an
// error it may have some, which duplicate detection drops when they are sent again.
func (b *Bus) Send(ctx context.Context, queue string, changes []change.Change) error {
	q, err := b.queue(queue)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	messages := make([]*azservicebus.Message, len(changes))
	for i, c := range changes {
		if messages[i], err = messageOf(c); err != nil {
			return fmt.Errorf("send to queue %s: %w", queue, err)
		}
	}
	for len(messages) > 0 {
		sent, err := q.sendSome(ctx, messages)
		if err != nil {
			return fmt.Errorf("send %d changes to queue %s: %w", len(messages), queue, plain(ctx, err))
		}
		messages = messages[sent:]
	}
	return nil
}

// sendSome sends as many messages as one batch holds and returns their number.
func (q *queue) sendSome(ctx context.Context, messages []*azservicebus.Message) (int, error) {
	if len(messages) == 1 {
		return 1, q.sender.SendMessage(ctx, messages[0], nil)
	}
	batch, err := q.sender.NewMessageBatch(ctx, nil)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		err := batch.AddMessage(m, nil)
		if errors.Is(err, azservicebus.ErrMessageTooLarge) && batch.NumMessages() > 0 {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return int(batch.NumMessages()), q.sender.SendMessageBatch(ctx, batch, nil)
}

// Schedule puts a change on a queue so that it is delivered at the given time, or soon after, never before. Like a
// settlement, of which it is a part, it has a deadline of its own and does not end with ctx.
func (b *Bus) Schedule(ctx context.Context, queue string, at time.Time, c change.Change) error {
	q, err := b.queue(queue)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	message, err := messageOf(c)
	if err != nil {
		return fmt.Errorf("schedule on queue %s: %w", queue, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.settleTimeout)
	defer cancel()
	at = at.UTC().Add(time.Millisecond - 1).Truncate(time.Millisecond) // the wire has whole milliseconds
	if _, err := q.sender.ScheduleMessages(ctx, []*azservicebus.Message{message}, at, nil); err != nil {
		return fmt.Errorf("schedule on queue %s for %s: %w", queue, at.Format(time.RFC3339), plain(ctx, err))
	}
	return nil
}

var contentType = "application/json"

// messageOf wraps a change. The application properties are for people who browse the queue; nothing reads them back.
func messageOf(c change.Change) (*azservicebus.Message, error) {
	body, err := change.Encode(c)
	if err != nil {
		return nil, err
	}
	id := c.MessageID()
	return &azservicebus.Message{
		Body:        body,
		MessageID:   &id,
		ContentType: &contentType,
		ApplicationProperties: map[string]any{
			"route": c.Route,
			"user":  c.User,
			"cause": string(c.Cause),
		},
	}, nil
}
