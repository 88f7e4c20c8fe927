package servicebus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"golang.org/x/sync/errgroup"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
)

// settlers bounds the settlements that run at the same time; over the Internet each takes about ten milliseconds.
const settlers = 16

// noMore is how long a replay waits for a chosen letter that does not come: somebody else has taken it.
const noMore = 2 * time.Second

// Replay sends chosen dead letters to their queue again and then removes them. It takes at most r.Max, none that was put
// aside after it began, and leaves what it cannot read. When it fails half way, or ctx ends, the report tells what was
// done; a letter that was sent but not removed is sent again next time under the same message id.
func (b *Bus) Replay(ctx context.Context, r deadletter.Request) (deadletter.Report, error) {
	if err := r.Check(); err != nil {
		return deadletter.Report{}, err
	}
	q, err := b.queue(r.Queue)
	if err != nil {
		return deadletter.Report{}, fmt.Errorf("replay: %w", err)
	}
	if err := q.replaying.take(ctx); err != nil {
		return deadletter.Report{}, fmt.Errorf("replay dead letters of queue %s: %w", q.name, err)
	}
	defer q.replaying.pass()
	s, err := q.survey(ctx, r)
	if err != nil {
		return s.report, err
	}
	if r.DryRun {
		for _, letter := range s.chosen {
			s.count(letter)
		}
		return s.report, nil
	}
	err = b.take(ctx, q, &s)
	return s.report, err
}

// survey is what a look through the dead letters found, before anything is taken.
type survey struct {
	report deadletter.Report
	chosen map[int64]deadletter.Letter // by sequence number
}

// survey looks at letters until it has chosen r.Max of them. Choosing by sequence number up front is what bounds a
// replay: a letter that fails again while it runs comes back under a new number.
func (q *queue) survey(ctx context.Context, r deadletter.Request) (survey, error) {
	s := survey{
		report: deadletter.Report{ByReason: map[string]int{}, DryRun: r.DryRun},
		chosen: map[int64]deadletter.Letter{},
	}
	err := q.browse(ctx, func(m *azservicebus.ReceivedMessage) bool {
		s.report.Examined++
		letter, err := letterOf(m)
		switch {
		case err != nil:
			s.report.Broken++
		case !r.Filter.Match(letter):
			s.report.Skipped++
		default:
			s.chosen[*m.SequenceNumber] = letter
		}
		return len(s.chosen) < r.Max
	})
	return s, err
}

// split tells the chosen letters from the others.
func (s *survey) split(messages []*azservicebus.ReceivedMessage) (chosen, others []*azservicebus.ReceivedMessage) {
	for _, m := range messages {
		if _, ok := s.chosen[*m.SequenceNumber]; ok {
			chosen = append(chosen, m)
		} else {
			others = append(others, m)
		}
	}
	return chosen, others
}

// count adds a replayed letter to the report.
func (s *survey) count(l deadletter.Letter) {
	s.report.Replayed++
	s.report.ByReason[l.Reason]++
}

// take receives dead letters until it has met all chosen ones. The others are locked on the way, so that they do not
// come again, and given back at the end.
func (b *Bus) take(ctx context.Context, q *queue, s *survey) error {
	receiver, err := b.deadLetters(q.name)
	if err != nil {
		return fmt.Errorf("receive dead letters of queue %s: %w", q.name, err)
	}
	var held []*azservicebus.ReceivedMessage
	defer func() {
		b.settled(ctx, "close", receiver.Close)
		b.giveBack(ctx, q, held)
	}()
	met := map[int64]bool{}
	for len(s.chosen) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("replay dead letters of queue %s: %w", q.name, err)
		}
		messages, err := receiveSome(ctx, receiver)
		if err != nil {
			return fmt.Errorf("receive dead letters of queue %s: %w", q.name, plain(ctx, err))
		}
		before := len(met)
		for _, m := range messages {
			met[*m.SequenceNumber] = true
		}
		if len(met) == before { // nothing came, or only letters whose lock ran out: the rest is out of reach
			held = append(held, messages...)
			return nil
		}
		chosen, others := s.split(messages)
		held = append(held, others...)
		if err := b.resend(ctx, q, receiver, chosen, s); err != nil {
			held = append(held, chosen...)
			return err
		}
	}
	return nil
}

// receiveSome returns no messages when none came for a while.
func receiveSome(ctx context.Context, receiver *azservicebus.Receiver) ([]*azservicebus.ReceivedMessage, error) {
	waiting, cancel := context.WithTimeout(ctx, noMore)
	defer cancel()
	messages, err := receiver.ReceiveMessages(waiting, pageSize, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: afterFirst})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return messages, err
}

// resend sends letters to their queue and, once the bus has them, removes them.
func (b *Bus) resend(ctx context.Context, q *queue, receiver *azservicebus.Receiver, messages []*azservicebus.ReceivedMessage, s *survey) error {
	now := b.now()
	changes := make([]change.Change, len(messages))
	for i, m := range messages {
		changes[i] = s.chosen[*m.SequenceNumber].Change.Replayed(now)
	}
	if err := b.Send(ctx, q.name, changes); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	for _, m := range messages {
		s.count(s.chosen[*m.SequenceNumber])
		delete(s.chosen, *m.SequenceNumber)
	}
	b.each(ctx, "complete", messages, func(ctx context.Context, m *azservicebus.ReceivedMessage) error {
		return receiver.CompleteMessage(ctx, m, nil)
	})
	return nil
}

// giveBack unlocks letters, by lock token over links that ask for no messages: the receiver they came from would get
// them at once again. In a dead-letter queue that counts no delivery.
func (b *Bus) giveBack(ctx context.Context, q *queue, messages []*azservicebus.ReceivedMessage) {
	b.each(ctx, "abandon", messages, func(ctx context.Context, m *azservicebus.ReceivedMessage) error {
		return q.letters.AbandonMessage(ctx, &azservicebus.ReceivedMessage{LockToken: m.LockToken}, nil)
	})
}

// each settles letters side by side. A failure is only logged: the letter's lock runs out, and it stays a letter.
func (b *Bus) each(ctx context.Context, verb string, messages []*azservicebus.ReceivedMessage, settle func(context.Context, *azservicebus.ReceivedMessage) error) {
	var group errgroup.Group
	group.SetLimit(settlers)
	for _, m := range messages {
		group.Go(func() error {
			b.settled(ctx, verb+" "+m.MessageID, func(ctx context.Context) error { return settle(ctx, m) })
			return nil
		})
	}
	_ = group.Wait() // the functions above do not fail
}

// settled runs one step that has to happen even when ctx has ended, under the deadline of a settlement.
func (b *Bus) settled(ctx context.Context, what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.settleTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		b.logger.Warn("dead letter not settled", "step", what, "error", plain(ctx, err))
	}
}
