package servicebus

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/change"
)

// afterFirst is how long a receive waits for more messages once it has one. A burst is there by then.
const afterFirst = 2 * time.Millisecond

// Receive waits until the queue has a message and returns up to max of them, each locked for us. It ends with ctx. One
// caller per queue receives at a time, the others wait. It is for hosts whose platform does not deliver by itself.
func (b *Bus) Receive(ctx context.Context, queue string, max int) ([]change.Delivery, error) {
	q, err := b.queue(queue)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if err := q.receiving.take(ctx); err != nil {
		return nil, fmt.Errorf("receive from queue %s: %w", queue, err)
	}
	defer q.receiving.pass()
	for {
		messages, err := q.receiver.ReceiveMessages(ctx, max, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: afterFirst})
		if err != nil {
			return nil, fmt.Errorf("receive from queue %s: %w", queue, plain(ctx, err))
		}
		// None and no error means that the link broke; the next call connects again, with the SDK's backoff.
		if len(messages) > 0 {
			return deliveries(queue, messages), nil
		}
	}
}

func deliveries(queue string, messages []*azservicebus.ReceivedMessage) []change.Delivery {
	out := make([]change.Delivery, len(messages))
	for i, m := range messages {
		out[i] = change.Delivery{
			Queue:         queue,
			MessageID:     m.MessageID,
			LockToken:     m.LockToken,
			DeliveryCount: int(m.DeliveryCount),
			Body:          m.Body,
		}
	}
	return out
}
