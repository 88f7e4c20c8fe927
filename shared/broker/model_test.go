package broker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// knowledge is what a client knows about something it asked for.
type knowledge int

const (
	impossible knowledge = iota // it was not asked for
	possible                    // it was asked for, and the answer was an error or did not come
	certain                     // it was acknowledged
)

// knows is what an answer tells.
func knows(err error) knowledge {
	if err == nil {
		return certain
	}
	return possible
}

// fate is what a client knows about one message.
type fate struct {
	sent, gone knowledge
	seen       bool            // it was received or found
	unsure     bool            // a defer or a dead-lettering has no answer
	place      sb.MessageState // Deferred once that is certain, Scheduled if it was sent so
	dead       bool            // in the dead-letter queue, for certain
}

// model is what clients know about the messages of a queue, together.
type model struct {
	t testing.TB

	mu      sync.Mutex
	fates   map[string]*fate // by body
	batches [][]string       // bodies that were sent together
	next    int
	// underWay is how many messages may have been lost on their way to those who delete as they receive: each kill cuts off
	// at most what one of them asked for.
	underWay int
}

// fate finds or makes the fate of a message. mu is held, or nobody else is there.
func (m *model) fate(body string) *fate {
	f := m.fates[body]
	if f == nil {
		f = &fate{}
		m.fates[body] = f
	}
	return f
}

// fresh makes messages that nobody sent before, and remembers that they are about to be sent.
func (m *model) fresh(n int, place sb.MessageState) (messages []*sb.Message, bodies []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		m.next++
		body := fmt.Sprint("message ", m.next)
		f := m.fate(body)
		f.sent, f.place = possible, place
		bodies = append(bodies, body)
		messages = append(messages, message(body))
	}
	return messages, bodies
}

func (m *model) learn(bodies []string, change func(*fate)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, body := range bodies {
		change(m.fate(body))
	}
}

// sendOne sends single messages until that fails.
func (m *model) sendOne(ctx context.Context, client *sb.Client) {
	s, err := client.NewSender("orders", nil)
	for err == nil {
		messages, bodies := m.fresh(1, sb.MessageStateActive)
		if err = s.SendMessage(ctx, messages[0], nil); err == nil {
			m.learn(bodies, func(f *fate) { f.sent = certain })
		}
	}
}

// sendBatches sends batches of three until that fails.
func (m *model) sendBatches(ctx context.Context, client *sb.Client) {
	s, err := client.NewSender("orders", nil)
	for err == nil {
		var batch *sb.MessageBatch
		if batch, err = s.NewMessageBatch(ctx, nil); err != nil {
			return
		}
		messages, bodies := m.fresh(3, sb.MessageStateActive)
		m.mu.Lock()
		m.batches = append(m.batches, bodies)
		m.mu.Unlock()
		for _, one := range messages {
			if err := batch.AddMessage(one, nil); err != nil {
				m.t.Errorf("a batch of three: %v", err)
			}
		}
		if err = s.SendMessageBatch(ctx, batch, nil); err == nil {
			m.learn(bodies, func(f *fate) { f.sent = certain })
		}
	}
}

// schedule schedules messages for much later, and cancels every other one.
func (m *model) schedule(ctx context.Context, client *sb.Client) {
	s, err := client.NewSender("orders", nil)
	for i := 0; err == nil; i++ {
		messages, bodies := m.fresh(1, sb.MessageStateScheduled)
		var numbers []int64
		if numbers, err = s.ScheduleMessages(ctx, messages, time.Now().Add(time.Hour), nil); err != nil {
			return
		}
		m.learn(bodies, func(f *fate) { f.sent = certain })
		if i%2 == 0 {
			err = s.CancelScheduledMessages(ctx, numbers, nil)
			m.learn(bodies, func(f *fate) { f.gone = knows(err) })
		}
	}
}

// receive receives messages and settles them in all ways, mostly by completing them.
func (m *model) receive(ctx context.Context, client *sb.Client) {
	recv, err := client.NewReceiverForQueue("orders", nil)
	for i := 0; err == nil; {
		var got []*sb.ReceivedMessage
		if got, err = recv.ReceiveMessages(ctx, 10, nil); err != nil {
			return
		}
		for _, message := range got {
			m.arrived(message)
			i++
			if err = m.settle(ctx, recv, message, i); err != nil {
				return
			}
		}
	}
}

// takenAtOnce is how many messages take asks for.
const takenAtOnce = 4

// take receives messages that are deleted as they are received.
func (m *model) take(ctx context.Context, client *sb.Client) {
	recv, err := client.NewReceiverForQueue("orders", destructive)
	for err == nil {
		m.ask(takenAtOnce)
		var got []*sb.ReceivedMessage
		got, err = recv.ReceiveMessages(ctx, takenAtOnce, nil)
		for _, message := range got {
			m.arrived(message)
			m.learn([]string{string(message.Body)}, func(f *fate) { f.gone = certain })
		}
		if err == nil {
			m.ask(-takenAtOnce)
		}
	}
}

func (m *model) ask(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay += n
}

// arrived checks that a message may arrive.
func (m *model) arrived(message *sb.ReceivedMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body := string(message.Body)
	f := m.fate(body)
	f.seen = true
	switch {
	case f.sent == impossible:
		m.t.Errorf("%q was received, and never sent", body)
	case f.gone == certain:
		m.t.Errorf("%q was received again after it was completed", body)
	case f.dead, f.place != sb.MessageStateActive:
		m.t.Errorf("%q was received although it is no active message: %+v", body, *f)
	}
}

func (m *model) settle(ctx context.Context, recv *sb.Receiver, message *sb.ReceivedMessage, i int) (err error) {
	bodies := []string{string(message.Body)}
	switch {
	case i%7 == 1:
		return recv.AbandonMessage(ctx, message, nil)
	case i%11 == 1:
		err = recv.DeferMessage(ctx, message, nil)
		m.learn(bodies, func(f *fate) {
			if f.unsure = err != nil; err == nil {
				f.place = sb.MessageStateDeferred
			}
		})
	case i%13 == 1:
		err = recv.DeadLetterMessage(ctx, message, nil)
		m.learn(bodies, func(f *fate) { f.unsure, f.dead = err != nil, err == nil })
	default:
		err = recv.CompleteMessage(ctx, message, nil)
		m.learn(bodies, func(f *fate) { f.gone = knows(err) })
	}
	return err
}

// compare compares what is in the queue with what clients know. The broker must not be in use.
func (m *model) compare(r *rig) {
	m.t.Helper()
	found := map[string]bool{}
	var counts broker.Counts
	m.peekAll(r, found, &counts)
	if got := r.counts(); got != counts {
		m.t.Errorf("the broker counts %+v, peek shows %+v", got, counts)
	}
	lost := map[string]bool{}
	for body, f := range m.fates {
		if f.sent == certain && f.gone == impossible && !found[body] {
			lost[body] = true
		}
	}
	for _, bodies := range m.batches {
		missing := slices.DeleteFunc(slices.Clone(bodies), func(body string) bool { return m.fates[body].seen || found[body] })
		if len(missing) == len(bodies) {
			continue
		}
		for _, body := range missing { // the rest of the batch is there
			lost[body] = true
		}
	}
	if len(lost) > m.underWay {
		m.t.Errorf("%d messages are lost, and at most %d could be under way: %q", len(lost), m.underWay, slices.Sorted(maps.Keys(lost)))
	}
}

// peekAll looks at every message in the queue and its dead-letter queue.
func (m *model) peekAll(r *rig, found map[string]bool, counts *broker.Counts) {
	m.t.Helper()
	for _, dead := range []bool{false, true} {
		recv := r.receiver(nil)
		if dead {
			recv = r.deadLetters()
		}
		last := int64(0)
		for {
			got, err := recv.PeekMessages(r.ctx, 250, &sb.PeekMessagesOptions{FromSequenceNumber: new(last + 1)})
			r.must(err)
			if len(got) == 0 {
				break
			}
			for _, message := range got {
				if *message.SequenceNumber <= last {
					m.t.Errorf("sequence number %d after %d", *message.SequenceNumber, last)
				}
				last = *message.SequenceNumber
				m.found(message, dead, found, counts)
			}
		}
	}
}

func (m *model) found(message *sb.ReceivedMessage, dead bool, found map[string]bool, counts *broker.Counts) {
	body := string(message.Body)
	f := m.fates[body]
	switch {
	case found[body]:
		m.t.Errorf("%q is there twice", body)
	case f == nil || f.sent == impossible:
		m.t.Errorf("%q is there and was never sent", body)
	case f.gone == certain:
		m.t.Errorf("%q is there although it was completed", body)
	case f.unsure: // here or there
	case f.dead != dead, !dead && f.place != message.State:
		m.t.Errorf("%q is in the wrong place: dead %v, state %v: %+v", body, dead, message.State, *f)
	}
	found[body] = true
	switch {
	case dead:
		counts.DeadLettered++
	case message.State == sb.MessageStateDeferred:
		counts.Deferred++
	case message.State == sb.MessageStateScheduled:
		counts.Scheduled++
	default:
		counts.Active++
	}
}

// tally counts what happened, so that a run which did nothing shows.
func (m *model) tally() string {
	var sent, gone, unknown int
	for _, f := range m.fates {
		switch {
		case f.gone == certain:
			gone++
		case f.sent == certain:
			sent++
		default:
			unknown++
		}
	}
	return fmt.Sprintf("%d messages gone for certain, %d there for certain, %d unknown", gone, sent, unknown)
}
