package store

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

func TestTheIDOfAQueueIsNeverUsedTwice(t *testing.T) {
	s, dir, first := withQueue(t)
	used := map[int64]bool{first: true}
	last := first
	again := func() {
		t.Helper()
		id, err := s.Create([]byte(`{}`), epoch)
		if err != nil {
			t.Fatal(err)
		}
		if used[id] || id <= last {
			t.Errorf("a new queue has the id %d after %d", id, last)
		}
		used[id], last = true, id
	}
	if err := s.Delete(first); err != nil {
		t.Fatal(err)
	}
	again()
	if err := s.Delete(last); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openAt(t, dir)
	again()
	if err := s.Delete(last); err != nil {
		t.Fatal(err)
	}
	s, _ = openAt(t, crash(t, dir))
	again()
}

func TestADeletedQueueLeavesNothing(t *testing.T) {
	s, dir, id := withQueue(t)
	c := put(t, 1)
	c.Seen = []queue.Seen{{ID: "message 1", At: epoch}}
	s.Submit(id, c)
	kept, err := s.Create([]byte(`{}`), epoch)
	if err != nil {
		t.Fatal(err)
	}
	s.Submit(kept, c)
	if err := s.Delete(id); err != nil {
		t.Fatal(err)
	}
	q := reopen(t, s, dir)
	wantSequences(t, q, 1)
	if q.ID != kept || len(q.Seen) != 1 {
		t.Errorf("queue %d is left with the history %v", q.ID, q.Seen)
	}
}

func TestUpdateChangesTheDescription(t *testing.T) {
	s, dir, id := withQueue(t)
	if err := s.Update(id, []byte(`{"a":"new"}`), epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if q := reopen(t, s, dir); string(q.Description) != `{"a":"new"}` || !q.UpdatedAt.Equal(epoch.Add(time.Hour)) || !q.CreatedAt.Equal(epoch) {
		t.Errorf("the queue is %s, of %v and %v", q.Description, q.CreatedAt, q.UpdatedAt)
	}
}

func TestNumbersGivenOutAreKeptForBothQueues(t *testing.T) {
	s, dir, id := withQueue(t)
	c := put(t, 5)
	c.Last = queue.Last{Queue: 5}
	s.Submit(id, c)
	c.Put[0].DeadLetter, c.Last = true, queue.Last{Queue: 5, DeadLetters: 7}
	if err := s.Submit(id, c).Wait(); err != nil {
		t.Fatal(err)
	}
	if last := reopen(t, s, dir).Last; last != c.Last {
		t.Errorf("the last numbers are %+v, want %+v", last, c.Last)
	}
}

func TestTheHistoryForgetsUpToAMoment(t *testing.T) {
	s, dir, id := withQueue(t)
	s.Submit(id, queue.Changes{Seen: []queue.Seen{{ID: "before", At: epoch}, {ID: "at", At: epoch.Add(1)}, {ID: "after", At: epoch.Add(2)}}})
	s.Submit(id, queue.Changes{Forgotten: epoch.Add(1)})
	if seen := reopen(t, s, dir).Seen; len(seen) != 1 || seen[0] != (queue.Seen{ID: "after", At: epoch.Add(2)}) {
		t.Errorf("the history is %v, want what came after", seen)
	}
}

// Clients say "never" with the last moment of the year 9999, which is more nanoseconds than an integer holds.
func TestATimeOutOfRangeKeepsItsDirection(t *testing.T) {
	for _, at := range []time.Time{
		{}, epoch, time.Unix(0, 1).UTC(), time.Unix(0, math.MaxInt64).UTC(), time.Unix(0, math.MinInt64).UTC(),
	} {
		if got := fromNanos(nanos(at)); !got.Equal(at) {
			t.Errorf("%v became %v", at, got)
		}
	}
	for _, at := range []time.Time{
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Unix(0, math.MaxInt64).Add(1),
		epoch.Add(250 * 365 * 24 * time.Hour),
	} {
		if got := fromNanos(nanos(at)); got.Year() != 2262 {
			t.Errorf("%v became %v, want the last moment there is", at, got)
		}
	}
	if got := fromNanos(nanos(time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC))); got.Year() != 1677 {
		t.Errorf("a moment long ago became %v, want the first there is", got)
	}
}

// The description of a queue has its keys, and an error ends up in a log.
func TestAnErrorDoesNotSayWhatAQueueIs(t *testing.T) {
	dir := t.TempDir()
	s, _ := openAt(t, dir)
	id, err := s.Create(json.RawMessage(`{"Secret":"hunter2"}`), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Submit(id, put(t, 1)).Wait(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(func([]byte) (queue.Message, error) { return queue.Message{}, errors.New("unreadable") })
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a message that cannot be read: %v", err)
	}
	for _, part := range []string{filepath.Join(dir, File), "queue 1", "sequence number 1", "unreadable"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	s, dir, _ := withQueue(t)
	if _, err := s.tx.conn.ExecContext(t.Context(), "PRAGMA user_version = 2"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), dir) {
		t.Errorf("opened a file of a newer version: %v", err)
	}
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	_, dir, _ := withQueue(t)
	for _, path := range []string{filepath.Join(dir, File), logOf(dir)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has the mode %o, want 600", filepath.Base(path), mode)
		}
	}
}

func TestEveryCommitIsSynced(t *testing.T) {
	s, _, _ := withQueue(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "locking_mode": "exclusive"} {
		var got string
		if err := s.tx.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
}
