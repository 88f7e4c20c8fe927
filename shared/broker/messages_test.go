package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestAMessageArrivesAsItWasSent(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s := r.sender()
	r.must(s.SendMessage(r.ctx, &sb.Message{
		Body: []byte("body"), MessageID: new("id"), CorrelationID: new("correlation"), Subject: new("subject"),
		ContentType: new("text/plain"), TimeToLive: new(time.Hour),
		ApplicationProperties: map[string]any{"text": "x", "int": int32(1), "long": int64(2), "yes": true, "ratio": 1.5},
	}, nil))
	m := r.receive(r.receiver(nil), 1)[0]
	if string(m.Body) != "body" || m.MessageID != "id" || *m.CorrelationID != "correlation" || *m.Subject != "subject" ||
		*m.ContentType != "text/plain" || *m.TimeToLive != time.Hour {
		t.Errorf("received %+v", m)
	}
	want := map[string]any{"text": "x", "int": int32(1), "long": int64(2), "yes": true, "ratio": 1.5}
	if fmt.Sprint(m.ApplicationProperties) != fmt.Sprint(want) {
		t.Errorf("application properties %v, want %v", m.ApplicationProperties, want)
	}
	if *m.SequenceNumber != 1 || m.DeliveryCount != 1 || m.State != sb.MessageStateActive || time.Until(*m.LockedUntil) < 50*time.Second ||
		time.Since(*m.EnqueuedTime) > time.Minute {
		t.Errorf("number %d, count %d, state %v, locked until %v, enqueued %v", *m.SequenceNumber, m.DeliveryCount, m.State, m.LockedUntil, m.EnqueuedTime)
	}
}

func TestABatchArrivesInOrder(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s := r.sender()
	batch, err := s.NewMessageBatch(r.ctx, nil)
	r.must(err)
	for i := range 100 {
		r.must(batch.AddMessage(&sb.Message{Body: fmt.Append(nil, i)}, nil))
	}
	r.must(s.SendMessageBatch(r.ctx, batch, nil))
	r.want(broker.Counts{Active: 100})
	for i, m := range r.receive(r.receiver(nil), 100) {
		if string(m.Body) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Body)
		}
	}
}

func TestALargeMessageTravelsInSeveralFrames(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	body := bytes.Repeat([]byte("0123456789abcdef"), 15<<10) // 240 KiB
	s := r.sender()
	r.must(s.SendMessage(r.ctx, &sb.Message{Body: body}, nil))
	if m := r.receive(r.receiver(nil), 1)[0]; !bytes.Equal(m.Body, body) {
		t.Errorf("received %d bytes, want %d", len(m.Body), len(body))
	}
}

func TestAMessageThatIsTooLargeIsRefused(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s := r.sender()
	if err := s.SendMessage(r.ctx, &sb.Message{Body: make([]byte, 300<<10)}, nil); !errors.Is(err, sb.ErrMessageTooLarge) {
		t.Errorf("error %v, want ErrMessageTooLarge", err)
	}
	r.must(s.SendMessage(r.ctx, &sb.Message{Body: []byte("the sender still works")}, nil))
	r.want(broker.Counts{Active: 1})
}

func TestReceiveAndDeleteNeedsNoSettlement(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1")
	m := r.receive(r.receiver(destructive), 1)[0]
	if string(m.Body) != "1" {
		t.Errorf("received %s", m.Body)
	}
	r.want(broker.Counts{})
}

// settlers settle one message, either on the link it came on, or by nothing but its lock token on the management node.
var settlers = map[string]func(m *sb.ReceivedMessage) *sb.ReceivedMessage{
	"on the link":   func(m *sb.ReceivedMessage) *sb.ReceivedMessage { return m },
	"by lock token": func(m *sb.ReceivedMessage) *sb.ReceivedMessage { return &sb.ReceivedMessage{LockToken: m.LockToken} },
}

func TestSettlement(t *testing.T) {
	for how, handle := range settlers {
		t.Run(how, func(t *testing.T) {
			t.Run("complete removes", func(t *testing.T) {
				r := setup(t, broker.QueueConfig{})
				r.send("1")
				recv := r.receiver(nil)
				r.must(recv.CompleteMessage(r.ctx, handle(r.receive(recv, 1)[0]), nil))
				r.want(broker.Counts{})
			})
			t.Run("abandon gives back, counts, and sets properties", func(t *testing.T) {
				r := setup(t, broker.QueueConfig{})
				r.send("1")
				recv := r.receiver(nil)
				r.must(recv.AbandonMessage(r.ctx, handle(r.receive(recv, 1)[0]),
					&sb.AbandonMessageOptions{PropertiesToModify: map[string]any{"tried": "once"}}))
				m := r.receive(recv, 1)[0]
				if m.DeliveryCount != 2 || m.ApplicationProperties["tried"] != "once" {
					t.Errorf("count %d, properties %v", m.DeliveryCount, m.ApplicationProperties)
				}
			})
			t.Run("defer sets aside until asked by sequence number", func(t *testing.T) {
				r := setup(t, broker.QueueConfig{})
				r.send("1")
				recv := r.receiver(nil)
				m := r.receive(recv, 1)[0]
				r.must(recv.DeferMessage(r.ctx, handle(m), nil))
				r.want(broker.Counts{Deferred: 1})
				again, err := recv.ReceiveDeferredMessages(r.ctx, []int64{*m.SequenceNumber}, nil)
				r.must(err)
				if again[0].State != sb.MessageStateDeferred || string(again[0].Body) != "1" {
					t.Errorf("received %+v", again[0])
				}
				r.must(recv.CompleteMessage(r.ctx, handle(again[0]), nil))
				r.want(broker.Counts{})
			})
			t.Run("dead-letter moves with a reason", func(t *testing.T) {
				r := setup(t, broker.QueueConfig{})
				r.send("1")
				recv := r.receiver(nil)
				r.must(recv.DeadLetterMessage(r.ctx, handle(r.receive(recv, 1)[0]), &sb.DeadLetterOptions{
					Reason: new("reason"), ErrorDescription: new("description"), PropertiesToModify: map[string]any{"more": int64(1)},
				}))
				r.want(broker.Counts{DeadLettered: 1})
				dead := r.deadLetters()
				m := r.receive(dead, 1)[0]
				if *m.DeadLetterReason != "reason" || *m.DeadLetterErrorDescription != "description" ||
					*m.DeadLetterSource != "orders" || m.ApplicationProperties["more"] != int64(1) || string(m.Body) != "1" {
					t.Errorf("dead letter %+v", m)
				}
				r.must(dead.CompleteMessage(r.ctx, handle(m), nil))
				r.want(broker.Counts{})
			})
			t.Run("a lost lock is an error", func(t *testing.T) {
				r := setup(t, broker.QueueConfig{})
				r.send("1")
				recv := r.receiver(nil)
				m := r.receive(recv, 1)[0]
				r.must(recv.CompleteMessage(r.ctx, &sb.ReceivedMessage{LockToken: m.LockToken}, nil))
				wantCode(t, recv.CompleteMessage(r.ctx, handle(m), nil), sb.CodeLockLost)
			})
		})
	}
}

func TestALockOutlivesItsConnection(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1")
	m := r.receive(r.receiver(nil), 1)[0]
	r.must(r.client.Close(r.ctx))
	r.want(broker.Counts{Active: 1})

	other := connect(t, r.server, "all")
	recv := other.receiver(nil)
	short, cancel := context.WithTimeout(other.ctx, 50*time.Millisecond)
	defer cancel()
	if got, err := recv.ReceiveMessages(short, 1, nil); len(got) > 0 {
		t.Fatalf("received a locked message: %v, %v", got, err)
	}
	other.must(recv.CompleteMessage(other.ctx, &sb.ReceivedMessage{LockToken: m.LockToken}, nil))
	other.want(broker.Counts{})
}

func TestTooManyDeliveriesMakeADeadLetter(t *testing.T) {
	now := newClock()
	r := connect(t, start(t, broker.Options{
		Now: now.now, Queues: []broker.QueueConfig{{Name: "orders", MaxDeliveryCount: 3}},
	}), "all")
	r.send("1")
	recv := r.receiver(nil)
	r.receive(recv, 1)
	now.advance(time.Minute) // its lock expires
	r.must(recv.AbandonMessage(r.ctx, r.receive(recv, 1)[0], nil))
	m := r.receive(recv, 1)[0]
	if m.DeliveryCount != 3 {
		t.Errorf("delivery count %d, want 3", m.DeliveryCount)
	}
	r.must(recv.AbandonMessage(r.ctx, m, nil))
	r.want(broker.Counts{DeadLettered: 1})
	if m := r.receive(r.deadLetters(), 1)[0]; *m.DeadLetterReason != "MaxDeliveryCountExceeded" || *m.DeadLetterSource != "orders" {
		t.Errorf("reason %s, source %s", *m.DeadLetterReason, *m.DeadLetterSource)
	}
}

func TestAWaitingReceiverGetsAMessageWhoseLockExpires(t *testing.T) {
	r := setup(t, broker.QueueConfig{LockDuration: 10 * time.Millisecond})
	r.send("1")
	r.receive(r.receiver(nil), 1)
	if m := r.receive(r.receiver(nil), 1)[0]; m.DeliveryCount != 2 {
		t.Errorf("delivery count %d, want 2", m.DeliveryCount)
	}
}

func TestARenewedLockLasts(t *testing.T) {
	now := newClock()
	r := connect(t, start(t, broker.Options{Now: now.now}), "all")
	r.send("1")
	recv := r.receiver(nil)
	m := r.receive(recv, 1)[0]
	first := *m.LockedUntil
	now.advance(50 * time.Second)
	r.must(recv.RenewMessageLock(r.ctx, m, nil))
	if got := m.LockedUntil.Sub(first); got != 50*time.Second {
		t.Errorf("the lock was extended by %v, want 50s", got)
	}
	now.advance(50 * time.Second)
	r.must(recv.CompleteMessage(r.ctx, m, nil))
	wantCode(t, recv.RenewMessageLock(r.ctx, m, nil), sb.CodeLockLost)
}

func TestAnExpiredMessageBecomesADeadLetter(t *testing.T) {
	now := newClock()
	r := connect(t, start(t, broker.Options{
		Now: now.now, Queues: []broker.QueueConfig{{Name: "orders", DefaultTTL: time.Hour, DeadLetterOnExpiration: true}},
	}), "all")
	r.send("1")
	now.advance(time.Hour)
	if m := r.receive(r.deadLetters(), 1)[0]; *m.DeadLetterReason != "TTLExpiredException" {
		t.Errorf("reason %s", *m.DeadLetterReason)
	}
}

func TestADuplicateIsDropped(t *testing.T) {
	now := newClock()
	r := connect(t, start(t, broker.Options{
		Now: now.now, Queues: []broker.QueueConfig{{Name: "orders", DuplicateDetectionWindow: time.Minute}},
	}), "all")
	r.send("1", "1", "2")
	r.want(broker.Counts{Active: 2})
	now.advance(time.Minute)
	r.send("1")
	r.want(broker.Counts{Active: 3})
}

func TestScheduledMessages(t *testing.T) {
	now := newClock()
	r := connect(t, start(t, broker.Options{Now: now.now}), "all")
	s := r.sender()
	at := now.now().Add(time.Minute)
	numbers, err := s.ScheduleMessages(r.ctx, []*sb.Message{{Body: []byte("1")}, {Body: []byte("2")}}, at, nil)
	r.must(err)
	r.must(s.SendMessage(r.ctx, &sb.Message{Body: []byte("3"), ScheduledEnqueueTime: &at}, nil))
	r.want(broker.Counts{Scheduled: 3})
	r.must(s.CancelScheduledMessages(r.ctx, numbers[:1], nil))
	r.want(broker.Counts{Scheduled: 2})
	wantCode(t, s.CancelScheduledMessages(r.ctx, numbers[:1], nil), sb.CodeNotFound)
	now.advance(time.Minute)
	got := r.receive(r.receiver(nil), 2)
	if string(got[0].Body) != "2" || string(got[1].Body) != "3" || *got[0].SequenceNumber == numbers[1] {
		t.Errorf("received %s under number %d, %s", got[0].Body, *got[0].SequenceNumber, got[1].Body)
	}
}

func TestPeekShowsAllMessagesAndLocksNone(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1", "2", "3")
	recv := r.receiver(nil)
	got := r.receive(recv, 2)
	r.must(recv.DeferMessage(r.ctx, got[1], nil))
	var bodies []string
	for _, limit := range []int{2, 2} { // a receiver goes on where its last peek ended
		peeked, err := recv.PeekMessages(r.ctx, limit, nil)
		r.must(err)
		for _, m := range peeked {
			bodies = append(bodies, string(m.Body))
			if m.LockToken != [16]byte{} {
				t.Errorf("message %s was peeked with its lock", m.Body)
			}
		}
	}
	if strings.Join(bodies, " ") != "1 2 3" {
		t.Errorf("peeked %v", bodies)
	}
	more, err := recv.PeekMessages(r.ctx, 9, nil)
	if err != nil || len(more) > 0 {
		t.Errorf("peeked %v, %v behind the last", more, err)
	}
}

func TestReleasedMessagesAreNotCounted(t *testing.T) {
	r := setup(t, broker.QueueConfig{MaxDeliveryCount: 2})
	recv := r.receiver(nil)
	short, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	_, _ = recv.ReceiveMessages(short, 1, nil) // leaves its credit behind; the client releases what comes
	r.send("1")
	if m := r.receive(recv, 1)[0]; m.DeliveryCount != 1 {
		t.Errorf("delivery count %d, want 1", m.DeliveryCount)
	}
}

func TestADeadLetterQueueIsManagedLikeAnyOther(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1")
	recv, dead := r.receiver(nil), r.deadLetters()
	r.must(recv.DeadLetterMessage(r.ctx, r.receive(recv, 1)[0], nil))
	peeked, err := dead.PeekMessages(r.ctx, 1, nil)
	r.must(err)
	m := r.receive(dead, 1)[0]
	if len(peeked) != 1 || *peeked[0].SequenceNumber != *m.SequenceNumber {
		t.Errorf("peeked %v, received number %d", peeked, *m.SequenceNumber)
	}
	r.must(dead.RenewMessageLock(r.ctx, m, nil))
	r.must(dead.AbandonMessage(r.ctx, m, nil))
	if again := r.receive(dead, 1)[0]; again.DeliveryCount != m.DeliveryCount {
		t.Errorf("delivery count %d, want %d as before", again.DeliveryCount, m.DeliveryCount)
	}
}

func TestAReceiverLastsThroughThousandsOfSettlementsByLockToken(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s, recv := r.sender(), r.receiver(nil)
	for range 24 { // past the point where the link forgets deliveries that were settled elsewhere
		batch, err := s.NewMessageBatch(r.ctx, nil)
		r.must(err)
		for range 100 {
			r.must(batch.AddMessage(message("x"), nil))
		}
		r.must(s.SendMessageBatch(r.ctx, batch, nil))
		for _, m := range r.receive(recv, 100) {
			r.must(recv.CompleteMessage(r.ctx, &sb.ReceivedMessage{LockToken: m.LockToken}, nil))
		}
	}
	r.send("last")
	r.must(recv.CompleteMessage(r.ctx, r.receive(recv, 1)[0], nil))
	r.want(broker.Counts{})
}

func TestAMessageIDHasALimit(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s := r.sender()
	r.must(s.SendMessage(r.ctx, &sb.Message{MessageID: new(strings.Repeat("x", 128))}, nil))
	if err := s.SendMessage(r.ctx, &sb.Message{MessageID: new(strings.Repeat("x", 129))}, nil); err == nil || !strings.Contains(err.Error(), "at most 128") {
		t.Errorf("a longer one: %v", err)
	}
	r.want(broker.Counts{Active: 1})
}
