package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// lives is how often the broker is killed, and maxLife how long it lives at most before that.
const (
	lives   = 36
	minLife = 60 * time.Millisecond
	maxLife = 360 * time.Millisecond
)

// serverDir, in the environment, makes this test program a broker that keeps its queues in the directory of that name.
const serverDir = "BROKER_TEST_DIR"

// serveForever is the broker that a test kills. It writes its connection string and never ends by itself, unless the test
// that started it is gone.
func serveForever(dir string) error {
	options := killable()
	options.Dir = dir
	s, err := broker.New(options)
	if err != nil {
		return err
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	fmt.Println(s.ConnectionString("all"))
	_, err = bufio.NewReader(os.Stdin).ReadString('\n') // the end of standard input is the end of the test
	return err
}

// killable has a duplicate detection that forgets, so that its table is written to and deleted from.
func killable() broker.Options {
	options := queueOptions(broker.QueueConfig{MaxDeliveryCount: 10_000, DuplicateDetectionWindow: 50 * time.Millisecond})
	options.Keys = keys
	return options
}

// life starts a broker process on a directory, lets work run against it, and kills it with SIGKILL while it does.
func life(t *testing.T, dir string, lasts time.Duration, work ...func(context.Context, *sb.Client)) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(program)
	process.Env = append(os.Environ(), serverDir+"="+dir)
	process.Stderr = os.Stderr
	if _, err := process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	connection, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker did not start: %v", err)
	}
	client, err := sb.NewClientFromConnectionString(strings.TrimSpace(connection), &sb.ClientOptions{RetryOptions: sb.RetryOptions{MaxRetries: -1}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, w := range work {
		all.Go(func() { w(ctx, client) })
	}
	time.Sleep(lasts)
	if err := process.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = process.Wait()
	cancel() // only now: whatever is under way meets a broker that is dead
	all.Wait()
	closing, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_ = client.Close(closing)
}

func TestNothingAcknowledgedIsLostOrComesBackWhenTheBrokerIsKilled(t *testing.T) {
	if durable {
		t.Skip("it was run already: its broker is always on a disk")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	m := &model{t: t, fates: map[string]*fate{}}
	dir := t.TempDir()
	for range lives {
		lasts := minLife + time.Duration(random.Int64N(int64(maxLife-minLife)))
		life(t, dir, lasts, m.sendOne, m.sendOne, m.sendBatches, m.schedule, m.receive, m.receive, m.take)
		if t.Failed() {
			return
		}
	}
	options := killable()
	options.Dir = dir
	r := connect(t, start(t, options), "all")
	m.compare(r)
	t.Logf("%d lives: %v", lives, m.tally())
}

func TestMessageFatesAreComparedStrictly(t *testing.T) {
	for name, change := range map[string]func(*model, *rig){
		"a lost message":           func(m *model, _ *rig) { m.fate("lost").sent = certain },
		"a completed one is back":  func(m *model, _ *rig) { m.fate("kept").gone = certain },
		"a deferred one is active": func(m *model, _ *rig) { m.fate("kept").place = sb.MessageStateDeferred },
		"one nobody sent":          func(m *model, _ *rig) { delete(m.fates, "kept") },
		"half of a batch": func(m *model, r *rig) {
			m.batches = append(m.batches, []string{"kept", "other half"})
			m.fate("kept").sent, m.fate("other half").sent = possible, possible
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			r.must(r.sender().SendMessage(r.ctx, message("kept"), nil))
			inner := &recorder{}
			m := &model{t: inner, fates: map[string]*fate{"kept": {sent: certain}}}
			if m.compare(r); inner.errors > 0 {
				t.Fatalf("%d errors although all is well", inner.errors)
			}
			change(m, r)
			if m.compare(r); inner.errors == 0 {
				t.Error("nothing was noticed")
			}
		})
	}
}

// recorder counts the errors of a model instead of failing.
type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }
