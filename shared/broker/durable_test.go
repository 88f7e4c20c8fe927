package broker_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// ends are the ways in which a broker stops: what is on its disk must do after each of them.
var ends = map[string]func(t *testing.T, s *broker.Server, dir string) (next string){
	"it is closed": func(t *testing.T, s *broker.Server, dir string) string {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return dir
	},
	// What a power failure leaves is the files as they are at that moment.
	"the power fails": func(t *testing.T, s *broker.Server, dir string) string {
		next := t.TempDir()
		if err := os.CopyFS(filepath.Join(next, "disk"), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(next, "disk")
	},
	"its last write was torn": func(t *testing.T, s *broker.Server, dir string) string {
		next := t.TempDir()
		if err := os.CopyFS(filepath.Join(next, "disk"), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		log, err := os.OpenFile(filepath.Join(next, "disk", "broker.db-wal"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = log.WriteString(strings.Repeat("half of a page ", 200))
		if err != nil || log.Close() != nil {
			t.Fatal(err)
		}
		return filepath.Join(next, "disk")
	},
}

// restarted runs a test that leaves something behind in a broker, and one that looks at what another broker makes of it.
func restarted(t *testing.T, options broker.Options, before, after func(*rig)) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			options.Dir = t.TempDir()
			first := start(t, options)
			before(connect(t, first, "all"))
			options.Dir = end(t, first, options.Dir)
			after(connect(t, start(t, options), "all"))
		})
	}
}

func queueOptions(config broker.QueueConfig) broker.Options {
	config.Name = "orders"
	return broker.Options{Queues: []broker.QueueConfig{config}}
}

// seen is a message as peek shows it.
type seen struct {
	body, id, reason, description, source string
	sequence                              int64
	enqueued                              string
	deliveries                            uint32
	state                                 sb.MessageState
	scheduled, expires, property          string
}

func text[T any](v *T) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(*v)
}

// everything is what there is, in the queue and then in its dead-letter queue.
func (r *rig) everything() (list []seen) {
	r.t.Helper()
	for _, recv := range []*sb.Receiver{r.receiver(nil), r.deadLetters()} {
		messages, err := recv.PeekMessages(r.ctx, 100, &sb.PeekMessagesOptions{FromSequenceNumber: new(int64(0))})
		r.must(err)
		for _, m := range messages {
			list = append(list, seen{
				body: string(m.Body), id: m.MessageID, reason: text(m.DeadLetterReason), description: text(m.DeadLetterErrorDescription),
				source: text(m.DeadLetterSource), sequence: *m.SequenceNumber, enqueued: text(m.EnqueuedSequenceNumber), deliveries: m.DeliveryCount,
				state: m.State, scheduled: text(m.ScheduledEnqueueTime), expires: text(m.ExpiresAt), property: fmt.Sprint(m.ApplicationProperties["p"]),
			})
		}
	}
	return list
}

func TestAMessageInAnyStateIsThereAfterARestart(t *testing.T) {
	var want []seen
	var token [16]byte
	restarted(t, queueOptions(broker.QueueConfig{LockDuration: 5 * time.Minute}), func(r *rig) {
		r.send("completed", "abandoned", "deferred", "dead", "locked")
		s, recv := r.sender(), r.receiver(nil)
		r.must(s.SendMessage(r.ctx, &sb.Message{Body: []byte("short-lived"), TimeToLive: new(time.Hour)}, nil))
		_, err := s.ScheduleMessages(r.ctx, []*sb.Message{message("scheduled")}, time.Now().Add(time.Hour), nil)
		r.must(err)
		got := r.receive(recv, 5)
		r.must(recv.CompleteMessage(r.ctx, got[0], nil))
		r.must(recv.AbandonMessage(r.ctx, got[1], &sb.AbandonMessageOptions{PropertiesToModify: map[string]any{"p": "set by abandon"}}))
		r.must(recv.DeferMessage(r.ctx, got[2], nil))
		r.must(recv.DeadLetterMessage(r.ctx, got[3], &sb.DeadLetterOptions{Reason: new("why"), ErrorDescription: new("at length")}))
		token = got[4].LockToken
		want = r.everything()
	}, func(r *rig) {
		if got := r.everything(); !slices.Equal(got, want) {
			r.t.Errorf("after the restart there is\n%+v, want\n%+v", got, want)
		}
		r.want(broker.Counts{Active: 3, Scheduled: 1, Deferred: 1, DeadLettered: 1})

		recv := r.receiver(nil)
		wantCode(r.t, recv.CompleteMessage(r.ctx, &sb.ReceivedMessage{LockToken: token}, nil), sb.CodeLockLost)
		deliveries := map[string]uint32{}
		for _, m := range r.receive(recv, 3) {
			deliveries[string(m.Body)] = m.DeliveryCount
			r.must(recv.CompleteMessage(r.ctx, m, nil))
		}
		if want := map[string]uint32{"abandoned": 2, "locked": 1, "short-lived": 1}; !maps.Equal(deliveries, want) {
			r.t.Errorf("delivery counts %v, want %v", deliveries, want)
		}
		deferred, err := recv.ReceiveDeferredMessages(r.ctx, []int64{3}, nil)
		r.must(err)
		if body := string(deferred[0].Body); body != "deferred" {
			r.t.Errorf("the deferred message is %q", body)
		}
		r.must(r.sender().CancelScheduledMessages(r.ctx, []int64{7}, nil))
	})
}

func TestSequenceNumbersGoOnAfterARestartOfAnEmptyQueue(t *testing.T) {
	restarted(t, queueOptions(broker.QueueConfig{}), func(r *rig) {
		r.send("1", "2", "3")
		recv := r.receiver(nil)
		for _, m := range r.receive(recv, 3) {
			r.must(recv.CompleteMessage(r.ctx, m, nil))
		}
	}, func(r *rig) {
		r.want(broker.Counts{})
		r.send("4")
		if got := r.receive(r.receiver(nil), 1)[0]; *got.SequenceNumber != 4 {
			r.t.Errorf("the next sequence number is %d, want 4", *got.SequenceNumber)
		}
	})
}

func TestADuplicateIsDroppedAfterARestartToo(t *testing.T) {
	now := newClock()
	options := queueOptions(broker.QueueConfig{DuplicateDetectionWindow: 4 * time.Minute})
	options.Now = now.now
	restarted(t, options, func(r *rig) {
		r.send("once")
		recv := r.receiver(nil)
		r.must(recv.CompleteMessage(r.ctx, r.receive(recv, 1)[0], nil))
		now.advance(3 * time.Minute)
	}, func(r *rig) {
		r.send("once")
		r.want(broker.Counts{})
		now.advance(time.Minute)
		r.send("once")
		r.want(broker.Counts{Active: 1})
	})
}

func TestWhatFellDueWhileTheBrokerWasDownHappensAtItsStart(t *testing.T) {
	now := newClock()
	options := queueOptions(broker.QueueConfig{DefaultTTL: 4 * time.Minute, DeadLetterOnExpiration: true})
	options.Now = now.now
	restarted(t, options, func(r *rig) {
		r.send("expires")
		_, err := r.sender().ScheduleMessages(r.ctx, []*sb.Message{message("scheduled")}, now.now().Add(2*time.Minute), nil)
		r.must(err)
		now.advance(4 * time.Minute)
	}, func(r *rig) {
		r.want(broker.Counts{Active: 1, DeadLettered: 1})
	})
}

func TestAReceivedAndDeletedMessageDoesNotComeBack(t *testing.T) {
	restarted(t, queueOptions(broker.QueueConfig{}), func(r *rig) {
		r.send("1", "2", "3")
		r.receive(r.receiver(destructive), 2)
	}, func(r *rig) {
		r.want(broker.Counts{Active: 1})
	})
}

func TestQueuesAndTheirRulesAreThereAfterARestart(t *testing.T) {
	var want []broker.QueueInfo
	options := queueOptions(broker.QueueConfig{MaxDeliveryCount: 3})
	restarted(t, options, func(r *rig) {
		r.must(r.server.CreateQueue(broker.QueueConfig{Name: "Made/later", LockDuration: 2 * time.Minute, Keys: map[string]broker.Key{"k": {Secret: "s", Listen: true}}}))
		r.must(r.server.CreateQueue(broker.QueueConfig{Name: "gone"}))
		r.must(r.server.UpdateQueue(broker.QueueConfig{Name: "made/later", UserMetadata: "for us"}))
		r.must(r.server.DeleteQueue("gone"))
		want = r.server.Queues()
	}, func(r *rig) {
		if got := r.server.Queues(); !reflect.DeepEqual(got, want) {
			r.t.Errorf("after the restart the queues are\n%+v, want\n%+v", got, want)
		}
	})
}

func TestTheOptionsGiveAQueueThatIsThereNewRulesAndKeepItsMessages(t *testing.T) {
	dir := t.TempDir()
	first := start(t, broker.Options{Dir: dir})
	connect(t, first, "all").send("kept")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	options := queueOptions(broker.QueueConfig{MaxDeliveryCount: 7})
	options.Dir = dir
	r := connect(t, start(t, options), "all")
	r.want(broker.Counts{Active: 1})
	if info, err := r.server.Queue("orders"); err != nil || info.MaxDeliveryCount != 7 {
		t.Errorf("the queue is %+v, %v", info, err)
	}
}

func TestADirectoryBelongsToOneBroker(t *testing.T) {
	dir := t.TempDir()
	start(t, broker.Options{Dir: dir})
	_, err := broker.New(broker.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("a second broker in one directory: %v", err)
	}
}

func TestAFileThatCannotBeReadIsAClearError(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"no database": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("not a database ", 500)), 0o600)
		},
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := damage(filepath.Join(dir, "broker.db")); err != nil {
				t.Fatal(err)
			}
			_, err := broker.New(broker.Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("opened, or an error that does not say where: %v", err)
			}
		})
	}
}

func TestAMessageScheduledForTheEndOfTimeDoesNotComeAfterARestart(t *testing.T) {
	restarted(t, queueOptions(broker.QueueConfig{}), func(r *rig) {
		_, err := r.sender().ScheduleMessages(r.ctx, []*sb.Message{message("never")}, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), nil)
		r.must(err)
	}, func(r *rig) {
		r.want(broker.Counts{Scheduled: 1})
	})
}
