package servicebus

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
)

// pageSize is how many letters are browsed or received at a time.
const pageSize = 100

// Letters returns up to max dead letters of a queue that the filter chooses, oldest first, without touching them.
// Messages that are not changes are passed over.
func (b *Bus) Letters(ctx context.Context, queue string, filter deadletter.Filter, max int) ([]deadletter.Letter, error) {
	q, err := b.queue(queue)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	var found []deadletter.Letter
	err = q.browse(ctx, func(m *azservicebus.ReceivedMessage) bool {
		if letter, err := letterOf(m); err == nil && filter.Match(letter) && len(found) < max {
			found = append(found, letter)
		}
		return len(found) < max
	})
	return found, err
}

// browse shows every dead letter in order of its sequence number, until each says stop by returning false.
func (q *queue) browse(ctx context.Context, each func(*azservicebus.ReceivedMessage) bool) error {
	for from := int64(0); ; {
		page, err := q.letters.PeekMessages(ctx, pageSize, &azservicebus.PeekMessagesOptions{FromSequenceNumber: &from})
		if err != nil {
			return fmt.Errorf("browse dead letters of queue %s: %w", q.name, plain(ctx, err))
		}
		if len(page) == 0 {
			return nil
		}
		for _, m := range page {
			if !each(m) {
				return nil
			}
		}
		from = *page[len(page)-1].SequenceNumber + 1
	}
}

func letterOf(m *azservicebus.ReceivedMessage) (deadletter.Letter, error) {
	c, err := change.Decode(m.Body)
	return deadletter.Letter{
		Change:      c,
		Reason:      deref(m.DeadLetterReason),
		Description: deref(m.DeadLetterErrorDescription),
		EnqueuedAt:  deref(m.EnqueuedTime),
	}, err
}

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}
