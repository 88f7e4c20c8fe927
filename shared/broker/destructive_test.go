package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

var destructive = &sb.ReceiverOptions{ReceiveMode: sb.ReceiveModeReceiveAndDelete}

// sendNumbered sends messages whose bodies are their numbers, from 0 on.
func (r *rig) sendNumbered(n int) {
	r.t.Helper()
	s := r.sender()
	batch, err := s.NewMessageBatch(r.ctx, nil)
	r.must(err)
	for i := range n {
		r.must(batch.AddMessage(message(fmt.Sprint(i)), nil))
	}
	r.must(s.SendMessageBatch(r.ctx, batch, nil))
	r.must(s.Close(r.ctx))
}

// untilAnswered counts the deliveries that come before the frame that ends them.
func untilAnswered[P amqp.Performative](w *wire) (deliveries int) {
	w.t.Helper()
	for {
		switch p, _ := w.read(); p.(type) {
		case *amqp.Transfer:
			deliveries++
		case P:
			return deliveries
		}
	}
}

// A link that deletes takes messages ahead while the disk is written. What it has not sent when it ends is in the queue again, where
// it was: the client that counts what came before the answer to its goodbye knows what must be left.
func TestWhatALinkTookAheadAndNeverSentIsInTheQueueWhenItEnds(t *testing.T) {
	const messages = 60
	for name, end := range map[string]func(r *rig, w *wire) (deliveries int){
		"the link is detached": func(_ *rig, w *wire) int {
			w.send(&amqp.Detach{Handle: 1, Closed: true}, nil)
			return untilAnswered[*amqp.Detach](w)
		},
		"the session ends": func(_ *rig, w *wire) int {
			w.send(&amqp.End{}, nil)
			return untilAnswered[*amqp.End](w)
		},
		"the connection is closed": func(_ *rig, w *wire) int {
			w.send(&amqp.Close{}, nil)
			return untilAnswered[*amqp.Close](w)
		},
		"the queue is updated": func(r *rig, w *wire) int {
			r.must(r.server.UpdateQueue(broker.QueueConfig{Name: "orders", MaxDeliveryCount: 3}))
			return untilAnswered[*amqp.Detach](w)
		},
		"its credit is taken back": func(_ *rig, w *wire) int {
			w.send(&amqp.Flow{
				NextIncomingID: new(uint32(0)), IncomingWindow: 1000, Handle: new(uint32(1)), DeliveryCount: new(uint32(0)), LinkCredit: new(uint32(0)), Drain: true,
			}, nil)
			return untilAnswered[*amqp.Flow](w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := onDisk(t, broker.QueueConfig{})
			inspect := r.receiver(nil)
			for pause := time.Duration(0); pause < time.Millisecond; pause += 50 * time.Microsecond {
				r.sendNumbered(messages)
				w := dialWire(t, r.server, 1<<16, 1000)
				w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
				w.credit(1, 1000, 1000)
				time.Sleep(pause)
				got := end(r, w)
				_ = w.nc.Close()
				r.eventually(broker.Counts{Active: messages - got})
				for i := got; i < messages; i++ {
					m := r.receive(inspect, 1)[0]
					if string(m.Body) != fmt.Sprint(i) {
						t.Fatalf("after %d were delivered, %s comes where %d was due", got, m.Body, i)
					}
					r.must(inspect.CompleteMessage(r.ctx, m, nil))
				}
			}
		})
	}
}

func TestAMessageOfWhichAPartWasNeverSentIsInTheQueueWhenTheLinkEnds(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.must(r.sender().SendMessage(r.ctx, message(string(bytes.Repeat([]byte("x"), 200_000))), nil))
	w := dialWire(t, r.server, 1<<16, 2)
	w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
	w.credit(1, 1, 2)
	for range 2 {
		if part := expect[*amqp.Transfer](w); !part.More {
			t.Fatal("the message came as a whole")
		}
	}
	r.want(broker.Counts{})
	w.send(&amqp.Detach{Handle: 1, Closed: true}, nil)
	expect[*amqp.Detach](w)
	r.want(broker.Counts{Active: 1})
}

func TestWhatALinkTookAheadAndNeverSentIsThereAfterTheBrokerIsClosed(t *testing.T) {
	const messages = 60
	for pause := time.Duration(0); pause < time.Millisecond; pause += 200 * time.Microsecond {
		r, dir := onDisk(t, broker.QueueConfig{})
		r.sendNumbered(messages)
		w := dialWire(t, r.server, 1<<16, 1000)
		w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
		w.credit(1, 1000, 1000)
		time.Sleep(pause)
		closed := make(chan error, 1)
		go func() { closed <- r.server.Close() }()
		got := untilAnswered[*amqp.Close](w)
		_ = w.nc.Close()
		r.must(<-closed)
		next := connect(t, start(t, broker.Options{Dir: dir}), "all")
		next.want(broker.Counts{Active: messages - got})
		r.must(next.server.Close())
	}
}

// slowLog makes whoever logs wait, as a terminal may.
type slowLog struct{ slog.Handler }

func (l slowLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (slowLog) Enabled(context.Context, slog.Level) bool { return true }

func (slowLog) Handle(context.Context, slog.Record) error {
	time.Sleep(time.Millisecond)
	return nil
}

// A client reads nothing behind the answer to its goodbye, so what is deleted to be sent there is lost.
func TestNothingIsSentBehindTheAnswerToAGoodbye(t *testing.T) {
	t.Parallel()
	const rounds, messages = 20, 40
	options := queueOptions(broker.QueueConfig{})
	options.Logger = slog.New(slowLog{slog.DiscardHandler})
	r := connect(t, start(t, options), "all")
	s := r.sender()
	left := 0
	for range rounds {
		w := dialWire(t, r.server, 1<<16, 1000)
		w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
		w.credit(1, 1000, 1000)
		sent := make(chan error, 1)
		go func() { // messages come before, while and after the client says goodbye
			for i := range messages {
				if err := s.SendMessage(r.ctx, message(fmt.Sprint(i)), nil); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		expect[*amqp.Transfer](w)
		w.send(&amqp.Close{}, nil)
		left += messages - 1 - untilAnswered[*amqp.Close](w)
		if behind, err := io.Copy(io.Discard, w.nc); err != nil || behind > 0 {
			t.Fatalf("%d bytes come behind the answer, %v", behind, err)
		}
		r.must(<-sent)
		r.eventually(broker.Counts{Active: left})
	}
}

func TestADrainedReceiverThatDeletesLosesNothing(t *testing.T) {
	t.Parallel()
	const messages = 60
	r, _ := onDisk(t, broker.QueueConfig{})
	client, err := goamqp.Dial(r.ctx, "amqp://"+r.server.Addr(), &goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain("all", keys["all"].Secret)})
	r.must(err)
	defer client.Close()
	session, err := client.NewSession(r.ctx, nil)
	r.must(err)
	total := 0
	for round := range 20 {
		r.sendNumbered(messages)
		total += messages
		recv, err := session.NewReceiver(r.ctx, "orders", &goamqp.ReceiverOptions{
			Credit: -1, RequestedSenderSettleMode: goamqp.SenderSettleModeSettled.Ptr(), SettlementMode: goamqp.ReceiverSettleModeFirst.Ptr(),
		})
		r.must(err)
		r.must(recv.IssueCredit(50))
		time.Sleep(time.Duration(round) * 40 * time.Microsecond)
		r.must(recv.DrainCredit(r.ctx, nil))
		for recv.Prefetched() != nil {
			total--
		}
		r.must(recv.Close(r.ctx))
		if left := r.counts().Active; left != total {
			t.Fatalf("round %d: %d messages are left, want %d", round, left, total)
		}
	}
}

// The disk becomes full while a request to delete deferred messages is under way: whatever the answer is, it must not be that the
// message was not deleted, when it will be.
func TestADeferredMessageIsReceivedOrThereWhateverTheDiskDoes(t *testing.T) {
	t.Parallel()
	r, _ := onDisk(t, broker.QueueConfig{})
	recv, del, s := r.receiver(nil), r.receiver(destructive), r.sender()
	_, _ = del.PeekMessages(r.ctx, 1, nil) // its link is open from now on
	for round := range 12 {
		body := fmt.Sprintf("precious %d", round)
		r.must(s.SendMessage(r.ctx, message(body), nil))
		number := r.deferOnly(recv, body)
		r.must(r.server.FillDisk())
		fill, stop := context.WithCancel(r.ctx)
		done := make(chan error, 8)
		for range cap(done) {
			go func() { done <- s.SendMessage(fill, message(string(bytes.Repeat(page, 10))), nil) }()
		}
		time.Sleep(time.Duration(round) * 50 * time.Microsecond)
		got, err := del.ReceiveDeferredMessages(r.ctx, []int64{number}, nil)
		for range cap(done) {
			<-done
		}
		stop()
		r.room()
		if left := r.counts().Deferred; left+len(got) != 1 {
			t.Fatalf("the client got %d of 1 (%v), %d are left", len(got), err, left)
		}
		if len(got) == 0 {
			_, err := del.ReceiveDeferredMessages(r.ctx, []int64{number}, nil)
			r.must(err)
		}
	}
}

// deferOnly defers the message with a body, completes all others, and returns its sequence number.
func (r *rig) deferOnly(recv *sb.Receiver, body string) int64 {
	r.t.Helper()
	for {
		got, err := recv.ReceiveMessages(r.ctx, 100, nil)
		r.must(err)
		number := int64(0)
		for _, m := range got {
			if string(m.Body) == body {
				number = *m.SequenceNumber
				r.must(recv.DeferMessage(r.ctx, m, nil))
				continue
			}
			r.must(recv.CompleteMessage(r.ctx, m, nil))
		}
		if number > 0 {
			return number
		}
	}
}

func TestADeferredMessageIsLockedWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	r, _ := onDisk(t, broker.QueueConfig{})
	r.send("deferred")
	recv := r.receiver(nil)
	number := r.deferOnly(recv, "deferred")
	_, err := r.fillDisk()
	wantFull(t, "a message", err)
	got, err := recv.ReceiveDeferredMessages(r.ctx, []int64{number}, nil)
	r.stillFull()
	if err != nil || len(got) != 1 {
		t.Errorf("%d messages, %v", len(got), err)
	}
}

func TestAQueueThatIsDisabledIsSoForRequestsToo(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("deferred")
	recv, s := r.receiver(nil), r.sender()
	number := r.deferOnly(recv, "deferred")
	later := time.Now().Add(time.Hour)
	_, err := s.ScheduleMessages(r.ctx, []*sb.Message{message("scheduled")}, later, nil)
	r.must(err)
	for _, c := range []struct {
		status         broker.Status
		sends, receive bool
	}{
		{broker.StatusDisabled, false, false},
		{broker.StatusSendDisabled, false, true},
		{broker.StatusReceiveDisabled, true, false},
	} {
		t.Run(string(c.status), func(t *testing.T) {
			r.must(r.server.UpdateQueue(broker.QueueConfig{Name: "orders", Status: c.status}))
			_, err := s.ScheduleMessages(r.ctx, []*sb.Message{message("more")}, later, nil)
			wantDisabled(t, "schedule", err, !c.sends)
			_, err = recv.PeekMessages(r.ctx, 1, nil)
			wantDisabled(t, "peek", err, !c.receive)
			got, err := recv.ReceiveDeferredMessages(r.ctx, []int64{number}, nil)
			wantDisabled(t, "receive deferred", err, !c.receive)
			for _, m := range got {
				r.must(recv.DeferMessage(r.ctx, m, nil))
			}
		})
	}
}

func wantDisabled(t *testing.T, what string, err error, want bool) {
	t.Helper()
	var e *goamqp.Error
	if is := err != nil && (errors.As(err, &e) || bytes.Contains([]byte(err.Error()), []byte("disabled for this operation"))); is != want {
		t.Errorf("%s: %v, want refused: %v", what, err, want)
	}
}
