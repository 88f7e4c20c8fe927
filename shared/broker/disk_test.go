package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// onDisk starts a broker on a directory, and connects with all rights.
func onDisk(t *testing.T, config broker.QueueConfig) (r *rig, dir string) {
	t.Helper()
	if durable {
		t.Skip("it was run already: its broker is always on a disk")
	}
	options := queueOptions(config)
	options.Dir = t.TempDir()
	return impatient(t, start(t, options)), options.Dir
}

// impatient is connect with a client that does not try again, so that it shows what it was told.
func impatient(t *testing.T, s *broker.Server) *rig {
	t.Helper()
	r := connect(t, s, "all")
	client, err := sb.NewClientFromConnectionString(s.ConnectionString("all"), &sb.ClientOptions{RetryOptions: sb.RetryOptions{MaxRetries: -1}})
	r.must(err)
	r.client = client
	t.Cleanup(func() { _ = client.Close(r.ctx) })
	return r
}

// page is more than SQLite can put into a page that is there already.
var page = bytes.Repeat([]byte("x"), 20_000)

// fillDisk fills the disk until a message does not fit, and returns the bodies of those that did and the last one's error.
func (r *rig) fillDisk() (kept []string, err error) {
	r.t.Helper()
	r.must(r.server.FillDisk())
	s := r.sender()
	for i := range 100 {
		body := fmt.Sprintf("%d %s", i, page)
		if err := s.SendMessage(r.ctx, message(body), nil); err != nil {
			return kept, err
		}
		kept = append(kept, body)
	}
	r.t.Fatal("the disk does not become full")
	return nil, nil
}

// stillFull checks that the store has not found room.
func (r *rig) stillFull() {
	r.t.Helper()
	if r.server.DiskFailure() == nil {
		r.t.Fatal("the disk is not full any more")
	}
}

// wantFull checks an error for what a client can do with it.
func wantFull(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: acknowledged on a full disk", what)
		return
	}
	for _, part := range []string{"cannot write to its disk", "database or disk is full"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: the error does not say %q: %v", what, part, err)
		}
	}
	// The client shows the condition of a delivery, and the status of a request.
	if !strings.Contains(err.Error(), "com.microsoft:server-busy") && !strings.Contains(err.Error(), "status code 503") {
		t.Errorf("%s: the error does not ask to try again: %v", what, err)
	}
}

// room makes room on the disk, and waits until what was left is written.
func (r *rig) room() {
	r.t.Helper()
	r.must(r.server.FreeDisk())
	for r.server.DiskFailure() != nil {
		if r.ctx.Err() != nil {
			r.t.Fatalf("there is room, and the disk still fails: %v", r.server.DiskFailure())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// powerFails is what is on the disk now, as another broker finds it.
func (r *rig) powerFails(dir string) *rig {
	r.t.Helper()
	next := filepath.Join(r.t.(*testing.T).TempDir(), "disk")
	r.must(os.CopyFS(next, os.DirFS(dir)))
	return connect(r.t, start(r.t, broker.Options{Dir: next}), "all")
}

// bodies counts the messages that are there.
func (r *rig) bodies() map[string]int {
	r.t.Helper()
	list := map[string]int{}
	for _, one := range r.everything() {
		list[one.body]++
	}
	return list
}

// settleAll settles four messages in the four ways, each within a time: the client does not give up before.
func settleAll(ctx context.Context, recv *sb.Receiver, held []*sb.ReceivedMessage, within time.Duration) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ways := map[string]func() error{
		"complete":    func() error { return recv.CompleteMessage(ctx, held[0], nil) },
		"abandon":     func() error { return recv.AbandonMessage(ctx, held[1], nil) },
		"defer":       func() error { return recv.DeferMessage(ctx, held[2], nil) },
		"dead-letter": func() error { return recv.DeadLetterMessage(ctx, held[3], nil) },
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	errs := map[string]error{}
	for what, settle := range ways {
		all.Go(func() {
			err := settle()
			mu.Lock()
			defer mu.Unlock()
			errs[what] = err
		})
	}
	all.Wait()
	return errs
}

func TestAFullDiskTakesNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	r, dir := onDisk(t, broker.QueueConfig{LockDuration: 5 * time.Minute})
	r.send("complete", "abandon", "defer", "dead")
	s, recv := r.sender(), r.receiver(nil)
	numbers, err := s.ScheduleMessages(r.ctx, []*sb.Message{message("scheduled")}, time.Now().Add(time.Hour), nil)
	r.must(err)
	held := r.receive(recv, 4)

	kept, err := r.fillDisk()
	wantFull(t, "a message", err)
	r.stillFull()
	batch, err := s.NewMessageBatch(r.ctx, nil)
	r.must(err)
	r.must(batch.AddMessage(message("batch"), nil))
	_, err = s.ScheduleMessages(r.ctx, []*sb.Message{message("late")}, time.Now().Add(time.Hour), nil)
	wantFull(t, "schedule", err)
	wantFull(t, "a batch", s.SendMessageBatch(r.ctx, batch, nil))
	wantFull(t, "cancel", s.CancelScheduledMessages(r.ctx, numbers, nil))
	for what, err := range settleAll(r.ctx, recv, held, 6*time.Second) {
		if err == nil {
			t.Errorf("%s: acknowledged on a full disk", what)
		}
	}

	found := r.powerFails(dir).bodies()
	for _, body := range append(kept, "complete", "abandon", "defer", "dead", "scheduled") {
		if found[body] != 1 {
			t.Errorf("%.20q is there %d times, want once", body, found[body])
		}
	}
	if n := found["batch"] + found["late"]; n > 0 {
		t.Errorf("%d messages are there that were refused", n)
	}

	r.room()
	r.must(s.SendMessageBatch(r.ctx, batch, nil))
	for what, err := range settleAll(r.ctx, recv, held, patience) {
		if err != nil {
			t.Errorf("%s when there is room: %v", what, err)
		}
	}
	r.must(s.CancelScheduledMessages(r.ctx, numbers, nil))
	next := r.powerFails(dir)
	if want, got := r.everything(), next.everything(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d messages are on the disk, %d in the broker, or not as they are", len(got), len(want))
	}
	found = next.bodies()
	for body, want := range map[string]int{"batch": 1, "complete": 0, "abandon": 1, "defer": 1, "dead": 1, "scheduled": 0} {
		if found[body] != want {
			t.Errorf("%q is there %d times, want %d", body, found[body], want)
		}
	}
}

// An answer, whatever it says, makes the client take a message for settled: it must get none, and the link ends.
func TestASettlementOnAFullDiskEndsTheLinkWithoutAnAnswer(t *testing.T) {
	for what, state := range map[string]any{
		"complete": amqp.Accepted{}.Value(), "abandon": amqp.Modified{}.Value(), "dead-letter": amqp.Rejected{}.Value(),
		"defer": amqp.Modified{UndeliverableHere: true}.Value(),
	} {
		t.Run(what, func(t *testing.T) {
			r, _ := onDisk(t, broker.QueueConfig{})
			r.send("1")
			w := dialWire(t, r.server, 1<<16, 1000)
			w.attach(1, amqp.RoleReceiver, "orders", "", 0)
			w.credit(1, 1, 1000)
			expect[*amqp.Transfer](w)
			_, err := r.fillDisk()
			wantFull(t, "a message", err)
			w.send(&amqp.Disposition{Role: amqp.RoleReceiver, First: 0, State: state}, nil)
			p, _ := w.read()
			d, isDetach := p.(*amqp.Detach)
			if !isDetach || d.Error == nil || d.Error.Condition != "amqp:link:detach-forced" || !strings.Contains(d.Error.Description, "database or disk is full") {
				t.Errorf("answered with %#v", p)
			}
		})
	}
}

// What time brings about does not wait for the disk, and is written when there is room.
func TestWhatHappensWhileTheDiskIsFullIsWrittenLater(t *testing.T) {
	t.Parallel()
	now := newClock()
	if durable {
		t.Skip("it was run already: its broker is always on a disk")
	}
	options := queueOptions(broker.QueueConfig{LockDuration: time.Minute, MaxDeliveryCount: 1})
	options.Dir, options.Now = t.TempDir(), now.now
	r := impatient(t, start(t, options))
	r.send("fails")
	r.receive(r.receiver(nil), 1)
	_, err := r.sender().ScheduleMessages(r.ctx, []*sb.Message{message("scheduled")}, now.now().Add(time.Minute), nil)
	r.must(err)
	kept, err := r.fillDisk()
	wantFull(t, "a message", err)
	refused := 1 // the broker has the message it refused in memory, as every client must be prepared for
	now.advance(time.Minute)
	r.eventually(broker.Counts{Active: len(kept) + refused + 1, DeadLettered: 1})
	if before := r.powerFails(options.Dir).counts(); before.DeadLettered > 1 || before.Active+before.Scheduled+before.DeadLettered < len(kept)+2 {
		t.Errorf("on the full disk there are %+v", before)
	}
	r.room()
	if want, got := r.everything(), r.powerFails(options.Dir).everything(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d messages are on the disk, %d in the broker, or not as they are", len(got), len(want))
	}
}

func TestClientsThatTryAgainGoOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	r, dir := onDisk(t, broker.QueueConfig{})
	kept, _ := r.fillDisk()
	sent := make(chan error)
	go func() {
		s, err := r.client.NewSender("orders", nil)
		for err == nil && r.ctx.Err() == nil {
			if s.SendMessage(r.ctx, message("at last"), nil) == nil {
				break
			}
		}
		sent <- err
	}()
	r.room()
	r.must(<-sent)
	found := r.powerFails(dir).bodies()
	for _, body := range append(kept, "at last") {
		if found[body] == 0 {
			t.Errorf("%.20q was acknowledged and is lost", body)
		}
	}
}

func TestNoQueueIsMadeOnAFullDisk(t *testing.T) {
	t.Parallel()
	r, dir := onDisk(t, broker.QueueConfig{})
	large := broker.QueueConfig{Name: "large", UserMetadata: strings.Repeat("x", 1000), Keys: map[string]broker.Key{}}
	for i := range 20 {
		large.Keys[fmt.Sprint("key", i)] = broker.Key{Secret: strings.Repeat("s", 1000), Send: true}
	}
	r.must(r.server.FillDisk())
	err := r.server.CreateQueue(large)
	if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), `"large"`) {
		t.Errorf("a queue on a full disk: %v", err)
	}
	if _, err := r.server.Queue("large"); err == nil {
		t.Error("the queue is there")
	}
	update := broker.QueueConfig{Name: "orders", UserMetadata: large.UserMetadata, Keys: large.Keys}
	if err := r.server.UpdateQueue(update); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("an update on a full disk: %v", err)
	}
	if info, err := r.server.Queue("orders"); err != nil || info.UserMetadata != "" {
		t.Errorf("the queue was changed: %+v, %v", info, err)
	}
	next := r.powerFails(dir)
	if queues := next.server.Queues(); len(queues) != 1 || queues[0].UserMetadata != "" {
		t.Errorf("on the disk there are %+v", queues)
	}
	r.room()
	r.must(r.server.CreateQueue(large))
	if queues := r.powerFails(dir).server.Queues(); len(queues) != 2 {
		t.Errorf("with room there are %d queues, want 2", len(queues))
	}
}

// A message that nobody is to get before the year 9999 is not due because the broker starts again.
func TestNeverStaysNeverAfterARestart(t *testing.T) {
	never := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	options := queueOptions(broker.QueueConfig{DefaultTTL: 290 * 365 * 24 * time.Hour})
	restarted(t, options, func(r *rig) {
		r.send("kept")
		_, err := r.sender().ScheduleMessages(r.ctx, []*sb.Message{message("scheduled")}, never, nil)
		r.must(err)
	}, func(r *rig) {
		r.want(broker.Counts{Active: 1, Scheduled: 1})
		for _, one := range r.everything() {
			if one.body == "scheduled" && one.scheduled != fmt.Sprint(never) {
				r.t.Errorf("it is scheduled for %s", one.scheduled)
			}
		}
	})
}

func TestMessagesThatAreDeletedAsTheyAreReceivedComeInOrder(t *testing.T) {
	r, _ := onDisk(t, broker.QueueConfig{})
	const n = 3000
	s := r.sender()
	for i := 0; i < n; {
		batch, err := s.NewMessageBatch(r.ctx, nil)
		r.must(err)
		for range 500 {
			r.must(batch.AddMessage(message(fmt.Sprint(i)), nil))
			i++
		}
		r.must(s.SendMessageBatch(r.ctx, batch, nil))
	}
	recv := r.receiver(destructive)
	for i := 0; i < n; {
		got, err := recv.ReceiveMessages(r.ctx, 100, nil)
		r.must(err)
		for _, m := range got {
			if string(m.Body) != fmt.Sprint(i) {
				t.Fatalf("message %s came where %d was due", m.Body, i)
			}
			i++
		}
	}
}
