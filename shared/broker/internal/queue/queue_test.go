package queue

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bench is a queue with a clock that moves only when a test moves it.
type bench struct {
	t   *testing.T
	q   *Queue
	now time.Time
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	config := Config{Name: "orders", LockDuration: time.Minute, MaxDeliveryCount: 3}
	if change != nil {
		change(&config)
	}
	return &bench{t: t, q: New(config), now: epoch}
}

// pass lets time go by, in the steps NextTick asks for.
func (b *bench) pass(d time.Duration) {
	end := b.now.Add(d)
	for {
		next := b.q.NextTick()
		if next.IsZero() || next.After(end) {
			break
		}
		b.now = next
		b.q.Tick(b.now)
	}
	b.now = end
}

func (b *bench) send(ids ...string) (last int64) {
	for _, id := range ids {
		last = b.enqueue(Message{ID: id})
	}
	return last
}

func (b *bench) enqueue(m Message) int64 {
	b.t.Helper()
	numbers, err := b.q.Enqueue(b.now, m)
	if err != nil {
		b.t.Fatal(err)
	}
	return numbers[0]
}

func (b *bench) receive(q *Queue) Message {
	b.t.Helper()
	m, ok := q.Receive(b.now)
	if !ok {
		b.t.Fatal("nothing to receive")
	}
	return m
}

func (b *bench) settle(q *Queue, m Message, outcome Outcome) {
	b.t.Helper()
	if err := q.Settle(b.now, []Token{m.LockToken}, outcome, nil); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) want(want Counts) {
	b.t.Helper()
	if got := b.q.Counts(); got != want {
		b.t.Errorf("counts %+v, want %+v", got, want)
	}
}

func ids(messages []Message) (ids []string) {
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestMessagesAreReceivedInTheOrderTheyWereSent(t *testing.T) {
	b := newBench(t, nil)
	b.send("1", "2", "3")
	first := b.receive(b.q)
	if second := b.receive(b.q); first.ID != "1" || second.ID != "2" {
		t.Errorf("received %s, %s", first.ID, second.ID)
	}
	b.settle(b.q, first, Abandon)
	if again := b.receive(b.q); again.ID != "1" || again.DeliveryCount != 1 {
		t.Errorf("an abandoned message comes back first, counted once; got %s, count %d", again.ID, again.DeliveryCount)
	}
}

func TestSettlement(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome Outcome
		want    Counts
		count   int // delivery count afterwards
	}{
		{"complete removes", Complete, Counts{}, 0},
		{"abandon counts and gives back", Abandon, Counts{Active: 1}, 1},
		{"release gives back without counting", Release, Counts{Active: 1}, 0},
		{"defer sets aside", Defer, Counts{Deferred: 1}, 0},
		{"dead-letter moves", DeadLetter, Counts{DeadLettered: 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.send("1")
			m := b.receive(b.q)
			err := b.q.Settle(b.now, []Token{m.LockToken}, c.outcome, map[string]any{"note": "n"})
			if err != nil {
				t.Fatal(err)
			}
			b.want(c.want)
			left := append(b.q.Peek(0, 9), b.q.DeadLetters().Peek(0, 9)...)
			if len(left) == 1 && (left[0].DeliveryCount != c.count || left[0].Properties["note"] != "n") {
				t.Errorf("left %+v", left[0])
			}
			if err := b.q.Settle(b.now, []Token{m.LockToken}, Complete, nil); !errors.Is(err, ErrLockLost) {
				t.Errorf("settling twice: %v, want ErrLockLost", err)
			}
		})
	}
}

func TestSettlingSeveralIsAllOrNothing(t *testing.T) {
	b := newBench(t, nil)
	b.send("1", "2")
	m, lost := b.receive(b.q), b.receive(b.q)
	b.settle(b.q, lost, Complete)
	err := b.q.Settle(b.now, []Token{m.LockToken, lost.LockToken}, Complete, nil)
	if !errors.Is(err, ErrLockLost) {
		t.Errorf("error %v, want ErrLockLost", err)
	}
	b.want(Counts{Active: 1})
	if err := b.q.Settle(b.now, []Token{m.LockToken, m.LockToken}, Complete, nil); !errors.Is(err, ErrLockLost) {
		t.Errorf("the same token twice: %v, want ErrLockLost", err)
	}
}

func TestAnExpiredLockIsAFailedDelivery(t *testing.T) {
	b := newBench(t, nil)
	b.send("1")
	m := b.receive(b.q)
	b.pass(time.Minute - 1)
	if _, ok := b.q.Receive(b.now); ok || !b.q.Holds(m.LockToken) {
		t.Fatal("the lock ended early")
	}
	b.pass(1)
	if err := b.q.Settle(b.now, []Token{m.LockToken}, Complete, nil); !errors.Is(err, ErrLockLost) {
		t.Errorf("settling late: %v, want ErrLockLost", err)
	}
	if again := b.receive(b.q); again.DeliveryCount != 1 || again.LockToken == m.LockToken {
		t.Errorf("received %+v, want count 1 under a new lock", again)
	}
}

func TestARenewedLockLastsAFullDurationMore(t *testing.T) {
	b := newBench(t, nil)
	b.send("1")
	m := b.receive(b.q)
	b.pass(50 * time.Second)
	until, err := b.q.Renew(b.now, []Token{m.LockToken})
	if err != nil || !until[0].Equal(b.now.Add(time.Minute)) {
		t.Fatalf("renewed until %v, %v", until, err)
	}
	b.pass(59 * time.Second)
	b.settle(b.q, m, Complete)
	if _, err := b.q.Renew(b.now, []Token{m.LockToken}); !errors.Is(err, ErrLockLost) {
		t.Errorf("renewing a settled message: %v, want ErrLockLost", err)
	}
}

func TestTooManyFailedDeliveriesMakeADeadLetter(t *testing.T) {
	b := newBench(t, nil)
	b.send("1")
	b.settle(b.q, b.receive(b.q), Abandon)
	b.settle(b.q, b.receive(b.q), Release) // not counted
	b.receive(b.q)
	b.pass(time.Minute) // lock expiry, counted
	b.want(Counts{Active: 1})
	b.settle(b.q, b.receive(b.q), Abandon)
	b.want(Counts{DeadLettered: 1})
	m := b.receive(b.q.DeadLetters())
	if m.Properties[PropertyReason] != ReasonMaxDeliveryCount || m.DeadLetterSource != "orders" || m.DeliveryCount != 3 {
		t.Errorf("dead letter %+v", m)
	}
}

func TestADeadLetterStaysAndIsNeverCounted(t *testing.T) {
	b := newBench(t, func(c *Config) { c.DefaultTTL, c.DeadLetterOnExpiration = time.Hour, true })
	b.send("1")
	b.settle(b.q, b.receive(b.q), DeadLetter)
	dead := b.q.DeadLetters()
	for range 5 {
		b.settle(dead, b.receive(dead), Abandon)
		b.settle(dead, b.receive(dead), DeadLetter)
		b.receive(dead)
		b.pass(time.Hour)
	}
	if m := b.receive(dead); m.DeliveryCount != 0 {
		t.Errorf("delivery count %d, want 0", m.DeliveryCount)
	}
	b.want(Counts{DeadLettered: 1})
}

func TestTimeToLive(t *testing.T) {
	for _, c := range []struct {
		name    string
		own     time.Duration
		config  func(*Config)
		expires time.Duration // 0: never
		want    Counts        // once expired
	}{
		{"none lives forever", 0, nil, 0, Counts{Active: 1}},
		{"the message's own, dropped", time.Second, nil, time.Second, Counts{}},
		{"the queue's default, kept", 0, func(c *Config) { c.DefaultTTL, c.DeadLetterOnExpiration = time.Minute, true }, time.Minute, Counts{DeadLettered: 1}},
		{"the shorter of both", time.Hour, func(c *Config) { c.DefaultTTL = time.Minute }, time.Minute, Counts{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.config)
			b.enqueue(Message{ID: "1", TTL: c.own})
			if c.expires == 0 {
				b.pass(1000 * time.Hour)
				b.want(c.want)
				return
			}
			b.pass(c.expires - 1)
			b.want(Counts{Active: 1})
			b.pass(1)
			b.want(c.want)
			for _, m := range b.q.DeadLetters().Peek(0, 1) {
				if m.Properties[PropertyReason] != ReasonExpired {
					t.Errorf("reason %v", m.Properties)
				}
			}
		})
	}
}

func TestALockShieldsFromExpiryUntilItEnds(t *testing.T) {
	b := newBench(t, nil)
	b.enqueue(Message{ID: "1", TTL: time.Second})
	m := b.receive(b.q)
	b.pass(30 * time.Second)
	b.want(Counts{Active: 1})
	b.settle(b.q, m, Abandon)
	b.want(Counts{})
}

func TestADuplicateIsDroppedInsideTheWindowOnly(t *testing.T) {
	b := newBench(t, func(c *Config) { c.DuplicateDetectionWindow = time.Minute })
	b.send("1")
	b.settle(b.q, b.receive(b.q), Complete)
	b.pass(time.Minute - 1)
	if n := b.send("1"); n != 0 {
		t.Errorf("a duplicate got sequence number %d", n)
	}
	b.want(Counts{})
	b.pass(1)
	if n := b.send("1"); n == 0 {
		t.Error("a message after the window was dropped")
	}
	b.want(Counts{Active: 1})
}

func TestWithoutAWindowDuplicatesAreKept(t *testing.T) {
	b := newBench(t, nil)
	b.send("1", "1")
	b.want(Counts{Active: 2})
}

func TestAScheduledMessageIsActivatedUnderANewSequenceNumber(t *testing.T) {
	b := newBench(t, nil)
	n := b.enqueue(Message{ID: "later", ScheduledFor: b.now.Add(time.Hour), TTL: time.Minute})
	b.send("now")
	b.want(Counts{Active: 1, Scheduled: 1})
	b.settle(b.q, b.receive(b.q), Complete)
	b.pass(time.Hour - 1)
	if _, ok := b.q.Receive(b.now); ok {
		t.Fatal("received early")
	}
	b.pass(1)
	m := b.receive(b.q)
	if m.SequenceNumber == n || m.EnqueuedSequenceNumber != n || !m.EnqueuedAt.Equal(b.now) || !m.ExpiresAt.Equal(b.now.Add(time.Minute)) {
		t.Errorf("scheduled as %d, received %+v", n, m)
	}
	if err := b.q.CancelScheduled([]int64{n}); !errors.Is(err, ErrNotFound) {
		t.Errorf("cancelling an active message: %v, want ErrNotFound", err)
	}
}

func TestMessagesScheduledForOneMomentKeepTheirOrder(t *testing.T) {
	b := newBench(t, nil)
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
		b.enqueue(Message{ID: fmt.Sprint(i), ScheduledFor: b.now.Add(time.Hour)})
	}
	b.pass(time.Hour)
	if got := ids(b.q.Peek(0, 99)); !slices.Equal(got, want) {
		t.Errorf("activated %v, want %v", got, want)
	}
}

func TestACancelledMessageIsGone(t *testing.T) {
	b := newBench(t, nil)
	n := b.enqueue(Message{ID: "1", ScheduledFor: b.now.Add(time.Hour)})
	if err := b.q.CancelScheduled([]int64{n, n + 1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("one unknown of two: %v, want ErrNotFound", err)
	}
	b.want(Counts{Scheduled: 1})
	if err := b.q.CancelScheduled([]int64{n}); err != nil {
		t.Fatal(err)
	}
	b.pass(2 * time.Hour)
	b.want(Counts{})
}

func TestADeferredMessageComesOnlyBySequenceNumber(t *testing.T) {
	b := newBench(t, nil)
	n := b.send("1")
	b.settle(b.q, b.receive(b.q), Defer)
	if _, ok := b.q.Receive(b.now); ok {
		t.Fatal("a deferred message was received")
	}
	got, err := b.q.ReceiveDeferred(b.now, []int64{n}, false)
	if err != nil || got[0].ID != "1" || got[0].State != Deferred {
		t.Fatalf("received %+v, %v", got, err)
	}
	if _, err := b.q.ReceiveDeferred(b.now, []int64{n}, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("a locked one again: %v, want ErrNotFound", err)
	}
	b.settle(b.q, got[0], Abandon)
	b.want(Counts{Deferred: 1}) // stays deferred
	if _, err := b.q.ReceiveDeferred(b.now, []int64{n}, true); err != nil {
		t.Fatal(err)
	}
	b.want(Counts{})
}

func TestPeekShowsEveryStateInOrderAndNoLock(t *testing.T) {
	b := newBench(t, nil)
	b.send("deferred", "locked", "gone", "free")
	b.enqueue(Message{ID: "scheduled", ScheduledFor: b.now.Add(time.Hour)})
	b.settle(b.q, b.receive(b.q), Defer)
	locked, gone := b.receive(b.q), b.receive(b.q)
	b.settle(b.q, gone, Complete)
	all := b.q.Peek(0, 9)
	if got, want := ids(all), []string{"deferred", "locked", "free", "scheduled"}; !slices.Equal(got, want) {
		t.Errorf("peeked %v, want %v", got, want)
	}
	if all[1].LockToken != (Token{}) || !b.q.Holds(locked.LockToken) {
		t.Error("peeking showed a lock, or ended it")
	}
	if got, want := ids(b.q.Peek(gone.SequenceNumber, 1)), []string{"free"}; !slices.Equal(got, want) {
		t.Errorf("peeked %v, want %v", got, want)
	}
}

func TestAMessageThatIsReturnedIsWhereItWas(t *testing.T) {
	b := newBench(t, nil)
	for i := range 3 * chunkSize {
		b.send(fmt.Sprint(i))
	}
	var taken []Message
	for range 2*chunkSize + 2 {
		m, _ := b.q.ReceiveAndDelete()
		taken = append(taken, m)
	}
	b.q.Return(taken[1:]...)
	b.want(Counts{Active: 3*chunkSize - 1})
	if got := b.q.Peek(0, 3); !slices.Equal(ids(got), []string{"1", "2", "3"}) || got[0].SequenceNumber != 2 {
		t.Errorf("peek shows %v from %d on", ids(got), got[0].SequenceNumber)
	}
	b.send("new")
	for i := 1; i < 3*chunkSize; i++ {
		if got := b.receive(b.q); got.ID != fmt.Sprint(i) {
			t.Fatalf("received %s where %d was due", got.ID, i)
		}
	}
	if got := b.receive(b.q); got.ID != "new" || got.SequenceNumber != 3*chunkSize+1 {
		t.Errorf("then %s came, with the number %d", got.ID, got.SequenceNumber)
	}
}

func TestReceiveAndDeleteTakesTheMessage(t *testing.T) {
	b := newBench(t, nil)
	b.send("1")
	if m, ok := b.q.ReceiveAndDelete(); !ok || m.ID != "1" {
		t.Errorf("received %+v, %v", m, ok)
	}
	b.want(Counts{})
}

func TestAnIdleQueueNeedsNoTick(t *testing.T) {
	b := newBench(t, nil)
	b.send("1")
	if next := b.q.NextTick(); !next.IsZero() {
		t.Errorf("next tick %v, want none", next)
	}
	m := b.receive(b.q)
	if next := b.q.NextTick(); !next.Equal(m.LockedUntil) {
		t.Errorf("next tick %v, want the end of the lock %v", next, m.LockedUntil)
	}
}

func TestTheQuotaIsForEverythingThatTakesMemory(t *testing.T) {
	const quota = 10_000
	t.Run("messages without content", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxSize = quota })
		if n := b.fill(func(int) {}); n != quota/overhead {
			t.Errorf("%d fit in, want %d", n, quota/overhead)
		}
	})
	t.Run("remembered ids of messages that are gone", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxSize, c.DuplicateDetectionWindow = quota, time.Minute })
		n := b.fill(func(int) { b.q.ReceiveAndDelete() })
		if want := int(quota / seenCost("12")); n > want || n < want-10 {
			t.Errorf("%d fit in, want about %d", n, want)
		}
		b.pass(time.Minute)
		b.send("a new one")
		if size := b.q.Size(); size > overhead+seenCost("a new one") {
			t.Errorf("the queue has %d bytes although everything old is forgotten", size)
		}
	})
	t.Run("properties that settlements set", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxSize = quota })
		b.send("1")
		m := b.receive(b.q)
		if err := b.q.Settle(b.now, []Token{m.LockToken}, DeadLetter, map[string]any{"why": strings.Repeat("x", 2*quota)}); err != nil {
			t.Fatalf("a full queue must take dead letters: %v", err)
		}
		if _, err := b.q.Enqueue(b.now, Message{ID: "2"}); !errors.Is(err, ErrFull) {
			t.Errorf("error %v, want %v", err, ErrFull)
		}
		b.settle(b.q.DeadLetters(), b.receive(b.q.DeadLetters()), Complete)
		if b.q.Size() != 0 {
			t.Errorf("an empty queue has %d bytes", b.q.Size())
		}
	})
}

// fill sends messages with ids of their own until the queue is full, and returns how many it took.
func (b *bench) fill(then func(int)) (n int) {
	b.t.Helper()
	for n < 1000 {
		_, err := b.q.Enqueue(b.now, Message{ID: fmt.Sprint(n)})
		if errors.Is(err, ErrFull) {
			return n
		}
		if err != nil {
			b.t.Fatal(err)
		}
		then(n)
		n++
	}
	b.t.Fatal("the queue does not become full")
	return n
}

func TestMessagesThatAreSettledTogetherShareTheirProperties(t *testing.T) {
	b := newBench(t, nil)
	b.send("1", "2", "3")
	other := b.receive(b.q)
	if err := b.q.Settle(b.now, []Token{other.LockToken}, Release, map[string]any{"own": "1"}); err != nil {
		t.Fatal(err)
	}
	var tokens []Token
	for range 3 {
		tokens = append(tokens, b.receive(b.q).LockToken)
	}
	properties := map[string]any{"note": "n"}
	if err := b.q.Settle(b.now, tokens, Release, properties); err != nil {
		t.Fatal(err)
	}
	got := b.q.Peek(0, 3)
	if want := map[string]any{"own": "1", "note": "n"}; !reflect.DeepEqual(got[0].Properties, want) {
		t.Errorf("the first has %v, want %v", got[0].Properties, want)
	}
	for _, m := range got[1:] {
		if reflect.ValueOf(m.Properties).Pointer() != reflect.ValueOf(properties).Pointer() {
			t.Errorf("message %s has a copy", m.ID)
		}
	}
}
