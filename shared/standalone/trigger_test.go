package standalone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/shared/change"
)

// silent is a listener that nobody calls. Unlike a socket it lets the clock of synctest go on.
type silent struct{ closed chan struct{} }

func newSilent() silent { return silent{make(chan struct{})} }

func (s silent) Accept() (net.Conn, error) { <-s.closed; return nil, net.ErrClosed }
func (s silent) Close() error              { close(s.closed); return nil }
func (s silent) Addr() net.Addr            { return &net.TCPAddr{} }

// start runs a host in the bubble of a test; stop gives the order to end and waits for it.
func start(t *testing.T, h *Host) (stop func()) {
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx, newSilent()) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// clock notes when something happens, from the beginning of the test on.
type clock struct {
	began time.Time
	mu    sync.Mutex
	at    []time.Duration
}

func newClock() *clock { return &clock{began: time.Now()} }

func (c *clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Since(c.began))
}

func (c *clock) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.at)
}

func TestATimerRunsAtOnceAndThenAtEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := newClock()
		stop := start(t, &Host{Functions: []functions.Function{{Name: "renew", Timer: &functions.Timer{Every: 5 * time.Minute,
			Run: func(context.Context) error { ran.tick(); return nil }}}}})
		time.Sleep(12 * time.Minute)
		stop()
		if got := ran.String(); got != "[0s 5m0s 10m0s]" {
			t.Errorf("it ran at %s", got)
		}
	})
}

func TestATimerThatFailsRunsSoonerAndThenAsBefore(t *testing.T) {
	for name, fail := range map[string]func() error{
		"by an error": func() error { return errors.New("graph is away") },
		"by a panic":  func() error { panic("graph is away") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ran := newClock()
				var log bytes.Buffer
				stop := start(t, &Host{Log: slog.New(slog.NewTextHandler(&log, nil)), Functions: []functions.Function{{Name: "renew",
					Timer: &functions.Timer{Every: 5 * time.Minute, Run: func(context.Context) error {
						ran.tick()
						if n := len(ran.at); n <= 3 || n == 5 {
							return fail()
						}
						return nil
					}}}}})
				time.Sleep(6 * time.Minute)
				stop()
				if got := ran.String(); got != "[0s 250ms 750ms 1.75s 5m1.75s 5m2s]" {
					t.Errorf("it ran at %s", got)
				}
				if got := strings.Count(log.String(), "graph is away"); got < 4 {
					t.Errorf("the log tells of %d failures, want 4:\n%s", got, log.String())
				}
			})
		})
	}
}

func TestATimerThatKeepsFailingRunsEveryHalfMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := newClock()
		stop := start(t, &Host{Functions: []functions.Function{{Name: "renew", Timer: &functions.Timer{Every: 5 * time.Minute,
			Run: func(context.Context) error { ran.tick(); return errors.New("graph is away") }}}}})
		time.Sleep(10 * time.Minute)
		stop()
		if last := len(ran.at) - 1; ran.at[last]-ran.at[last-1] != lastPause {
			t.Errorf("it ran at %s", ran)
		}
	})
}

func TestARunInProgressIsFinishedAfterTheOrderToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var finished error = errors.New("not finished")
		stop := start(t, &Host{Functions: []functions.Function{{Name: "renew", Timer: &functions.Timer{Every: time.Minute,
			Run: func(ctx context.Context) error { time.Sleep(20 * time.Second); finished = ctx.Err(); return nil }}}}})
		synctest.Wait()
		stop()
		if finished != nil {
			t.Errorf("the run ended with %v, want it to go on to its end", finished)
		}
	})
}

func TestWorkThatDoesNotEndIsAbortedAfterTheTimeToDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aborted := newClock()
		stop := start(t, &Host{Functions: []functions.Function{{Name: "renew", Timer: &functions.Timer{Every: time.Minute,
			Run: func(ctx context.Context) error { <-ctx.Done(); aborted.tick(); return ctx.Err() }}}}})
		time.Sleep(time.Second)
		stop()
		if want := fmt.Sprint([]time.Duration{time.Second + drainTime}); aborted.String() != want {
			t.Errorf("aborted at %s, want %s", aborted, want)
		}
	})
}

// queue hands over messages like a bus, and notes how many it was asked for each time.
type queue struct {
	messages chan change.Delivery
	fail     func() error
	mu       sync.Mutex
	asked    []int
}

func newQueue(n int) *queue {
	q := &queue{messages: make(chan change.Delivery, n)}
	for i := range n {
		q.messages <- change.Delivery{Queue: change.QueueChanges, MessageID: fmt.Sprint(i)}
	}
	return q
}

func (q *queue) Receive(ctx context.Context, name string, atMost int) ([]change.Delivery, error) {
	q.mu.Lock()
	q.asked = append(q.asked, atMost)
	q.mu.Unlock()
	if name != change.QueueChanges {
		return nil, fmt.Errorf("there is no queue %q", name)
	}
	if q.fail != nil {
		if err := q.fail(); err != nil {
			return nil, err
		}
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case d := <-q.messages:
		got := []change.Delivery{d}
		for len(got) < atMost {
			select {
			case d := <-q.messages:
				got = append(got, d)
			default:
				return got, nil
			}
		}
		return got, nil
	}
}

func provisions(handle func(ctx context.Context, d change.Delivery) error) []functions.Function {
	return []functions.Function{{Name: "provision", Queue: &functions.Queue{Name: change.QueueChanges, Handle: handle}}}
}

func TestNeverMoreMessagesAreTakenThanCanBeWorkedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var busy, most, done int
		q := newQueue(10)
		stop := start(t, &Host{Receiver: q, Concurrency: 3, Functions: provisions(func(context.Context, change.Delivery) error {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			busy--
			done++
			mu.Unlock()
			return nil
		})})
		synctest.Wait()
		if waiting := len(q.messages); waiting != 7 {
			t.Errorf("%d messages wait on the queue, want 7: the lock of one that is taken is running", waiting)
		}
		time.Sleep(10 * time.Second)
		stop()
		if most != 3 || done != 10 {
			t.Errorf("at most %d at once and %d in all, want 3 and 10", most, done)
		}
		if slices.Max(q.asked) != 3 || slices.Min(q.asked) < 1 {
			t.Errorf("asked for %v messages", q.asked)
		}
	})
}

func TestTheDefaultIsSixteenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(0)
		stop := start(t, &Host{Receiver: q, Functions: provisions(nil)})
		synctest.Wait()
		stop()
		if !slices.Equal(q.asked, []int{DefaultConcurrency}) {
			t.Errorf("asked for %v messages, want once for %d", q.asked, DefaultConcurrency)
		}
	})
}

func TestAMessageThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex
		var handled []string
		stop := start(t, &Host{Receiver: newQueue(6), Concurrency: 2, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Functions: provisions(func(_ context.Context, d change.Delivery) error {
				switch d.MessageID {
				case "0", "1", "2":
					panic("message " + d.MessageID + " is poison")
				case "3":
					return errors.New("the bus is away")
				}
				mu.Lock()
				defer mu.Unlock()
				handled = append(handled, d.MessageID)
				return nil
			})})
		synctest.Wait()
		stop()
		slices.Sort(handled)
		if !slices.Equal(handled, []string{"4", "5"}) {
			t.Errorf("handled %v, want those after the bad ones", handled)
		}
		for _, want := range []string{"message 0 is poison", "message 1 is poison", "message 2 is poison", "the bus is away"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not tell that %s", want)
			}
		}
	})
}

func TestMessagesInHandAreFinishedAfterTheOrderToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		finished := 0
		stop := start(t, &Host{Receiver: newQueue(2), Functions: provisions(func(ctx context.Context, _ change.Delivery) error {
			time.Sleep(20 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil {
				finished++
			}
			return nil
		})})
		synctest.Wait()
		stop()
		if finished != 2 {
			t.Errorf("%d of 2 messages were finished", finished)
		}
	})
}

func TestABusThatIsAwayIsAskedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := newClock()
		q := newQueue(1)
		q.fail = func() error {
			asked.tick()
			if n := len(asked.at); n <= 3 || n == 5 {
				return errors.New("the bus is away")
			}
			return nil
		}
		handled := newClock()
		stop := start(t, &Host{Receiver: q, Functions: provisions(func(context.Context, change.Delivery) error { handled.tick(); return nil })})
		time.Sleep(time.Minute)
		stop()
		// The fourth call succeeds, so that the pauses begin anew with the fifth.
		if got := asked.String(); got != "[0s 250ms 750ms 1.75s 1.75s 2s]" {
			t.Errorf("asked at %s", got)
		}
		if got := handled.String(); got != "[1.75s]" {
			t.Errorf("handled at %s", got)
		}
	})
}

func TestABusThatStaysAwayIsAskedEveryHalfMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := newClock()
		q := newQueue(0)
		q.fail = func() error { asked.tick(); return errors.New("the bus is away") }
		stop := start(t, &Host{Receiver: q, Functions: provisions(nil)})
		time.Sleep(10 * time.Minute)
		stop()
		if last := len(asked.at) - 1; asked.at[last]-asked.at[last-1] != lastPause {
			t.Errorf("asked at %s", asked)
		}
	})
}
