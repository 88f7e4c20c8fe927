package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

func TestWhatComesWhileTheDiskIsBusyIsOneTransaction(t *testing.T) {
	s, dir, id := withQueue(t)
	before := len(commits(t, dir))
	free := busy(s)
	var last Commit
	for sequence := range int64(100) {
		last = s.Submit(id, put(t, sequence+1))
	}
	free()
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(commits(t, dir)) - before; n != 1 {
		t.Errorf("100 changes took %d transactions, want 1", n)
	}
	if n := len(reopen(t, s, dir).Messages); n != 100 {
		t.Errorf("%d messages are there, want 100", n)
	}
}

func TestManyWhoWaitShareTransactions(t *testing.T) {
	s, dir, id := withQueue(t)
	before := len(commits(t, dir))
	const senders, each = 40, 10
	var all sync.WaitGroup
	for sender := range int64(senders) {
		all.Go(func() {
			for i := range int64(each) {
				if err := s.Submit(id, put(t, sender*each+i+1)).Wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(commits(t, dir)) - before; n < each || n > senders*each/4 {
		t.Errorf("%d senders of %d each took %d transactions", senders, each, n)
	}
	if n := len(reopen(t, s, dir).Messages); n != senders*each {
		t.Errorf("%d messages are there, want %d", n, senders*each)
	}
}

func TestChangesAreWrittenInTheirOrder(t *testing.T) {
	for name, between := range map[string]func(Commit){
		"in one transaction": func(Commit) {},
		"in one each":        func(c Commit) { _ = c.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir, id := withQueue(t)
			failed := put(t, 2)
			failed.Put[0].DeliveryCount = 7
			for _, c := range []queue.Changes{put(t, 1), put(t, 2), gone(1, 2), failed, put(t, 3), gone(3, 3)} {
				between(s.Submit(id, c))
			}
			q := reopen(t, s, dir)
			wantSequences(t, q, 2)
			if n := q.Messages[0].DeliveryCount; n != 7 || q.Last.Queue != 3 {
				t.Errorf("delivery count %d, want 7; last sequence number %d, want 3", n, q.Last.Queue)
			}
		})
	}
}

func TestTheQueuesOfAStoreAreApart(t *testing.T) {
	s, dir, first := withQueue(t)
	second, err := s.Create([]byte(`{}`), epoch)
	if err != nil {
		t.Fatal(err)
	}
	dead := put(t, 1<<sequenceBits-1)
	dead.Put[0].DeadLetter, dead.Last = true, queue.Last{DeadLetters: 1<<sequenceBits - 1}
	s.Submit(first, put(t, 1))
	s.Submit(first, dead)
	s.Submit(second, put(t, 1))
	s.Submit(second, gone(1, 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, queues := openAt(t, dir)
	wantSequences(t, queues[0], 1, 1<<sequenceBits-1)
	if !queues[0].Messages[1].DeadLetter {
		t.Error("the dead letter is none")
	}
	wantSequences(t, queues[1])
}

func TestACommitTellsWhatBecameOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Store, func()) // frees the writer, and makes what is waiting for it end
		want error
	}{
		"it is written":              {func(_ *Store, free func()) { free() }, nil},
		"the write fails":            {func(s *Store, free func()) { refuse(s); free() }, errRefused},
		"the store is closed":        {func(s *Store, free func()) { free(); _ = s.Close() }, nil},
		"the store closes and fails": {func(s *Store, free func()) { refuse(s); free(); _ = s.Close() }, errRefused},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, id := withQueue(t)
			free := busy(s)
			commit := s.Submit(id, put(t, 1))
			if commit.Done() {
				t.Error("done before it is written")
			}
			told := make(chan string, 3)
			for i := range cap(told) {
				commit.Then(func(err error) { told <- fmt.Sprint(i, errors.Is(err, c.want)) })
			}
			c.end(s, free)
			if err := commit.Wait(); !errors.Is(err, c.want) { // it may have its answer before the others
				t.Errorf("waited for %v, want %v", err, c.want)
			}
			if order, want := []string{<-told, <-told, <-told}, []string{"0 true", "1 true", "2 true"}; !slices.Equal(order, want) {
				t.Errorf("told %v, want %v", order, want)
			}
			if commit.Done() != (c.want == nil) {
				t.Errorf("done is %v although the outcome is %v", commit.Done(), c.want)
			}
			late := errors.New("not called")
			commit.Then(func(err error) { late = err })
			if !errors.Is(late, c.want) {
				t.Errorf("who asks late is told %v, want %v", late, c.want)
			}
		})
	}
}

func TestNothingToWriteIsACommitOfAllBefore(t *testing.T) {
	s, _, id := withQueue(t)
	if nothing := s.Submit(id, queue.Changes{}); !nothing.Done() || nothing.Wait() != nil {
		t.Error("with nothing before it, it is not done at once")
	}
	free := busy(s)
	for _, where := range []string{"being written", "waiting"} {
		if s.Submit(id, queue.Changes{}).Done() {
			t.Errorf("done while something is %s", where)
		}
		s.Submit(id, put(t, 1))
	}
	free()
	if err := s.Submit(id, queue.Changes{}).Wait(); err != nil {
		t.Error(err)
	}
	if err := refuse(s).Wait(); !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	after := s.Submit(id, queue.Changes{})
	if err := after.Wait(); after.Done() || !errors.Is(err, errRefused) {
		t.Errorf("after a failure it is done (%v): %v", after.Done(), err)
	}
}

func TestAClosedStoreTakesNothing(t *testing.T) {
	s, dir, id := withQueue(t)
	kept := s.Submit(id, put(t, 1))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := kept.Wait(); err != nil {
		t.Errorf("handed in before Close: %v", err)
	}
	for name, err := range map[string]error{
		"Submit":              s.Submit(id, put(t, 2)).Wait(),
		"Submit of no change": s.Submit(id, queue.Changes{}).Wait(),
		"Update":              s.Update(id, []byte(`{}`), epoch),
		"Delete":              s.Delete(id),
	} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	_, queues := openAt(t, dir)
	wantSequences(t, queues[0], 1)
}

// Each commit is either on disk after Close or was refused, whoever comes first.
func TestCloseMayComeAtAnyMoment(t *testing.T) {
	for range 20 {
		s, dir, id := withQueue(t)
		told := make(chan int64, 100)
		var all sync.WaitGroup
		for sender := range int64(4) {
			all.Go(func() {
				for i := range int64(25) {
					sequence := sender*25 + i + 1
					s.Submit(id, put(t, sequence)).Then(func(err error) {
						if err == nil {
							told <- sequence
						} else if !errors.Is(err, errClosed) {
							t.Error(err)
						}
					})
				}
			})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		close(told)
		var want []int64
		for sequence := range told {
			want = append(want, sequence)
		}
		slices.Sort(want)
		_, queues := openAt(t, dir)
		wantSequences(t, queues[0], want...)
	}
}

func TestAFailedWriteIsTriedAgain(t *testing.T) {
	t.Run("after a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, dir, id := withQueue(t)
			free := busy(s)
			commit := s.Submit(id, put(t, 1))
			refuse(s)
			free()
			if err := commit.Wait(); !errors.Is(err, errRefused) || !errors.Is(s.Failure(), errRefused) {
				t.Fatalf("the write did not fail: %v, %v", err, s.Failure())
			}
			time.Sleep(retryAfter - time.Millisecond)
			synctest.Wait()
			if s.Failure() == nil {
				t.Error("it was tried again too early")
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if err := s.Failure(); err != nil {
				t.Errorf("it was not tried again: %v", err)
			}
			_, queues := openAt(t, crash(t, dir))
			wantSequences(t, queues[0], 1)
		})
	})
	t.Run("with what comes next, in order", func(t *testing.T) {
		s, dir, id := withQueue(t)
		for sequence := range int64(3) {
			free := busy(s)
			s.Submit(id, put(t, sequence+1))
			if sequence > 0 {
				s.Submit(id, gone(sequence, sequence+1))
			}
			failed := refuse(s)
			free()
			_ = failed.Wait()
		}
		if err := s.Submit(id, put(t, 4)).Wait(); err != nil {
			t.Fatal(err)
		}
		_, queues := openAt(t, crash(t, dir))
		wantSequences(t, queues[0], 3, 4)
	})
	t.Run("when the store is closed", func(t *testing.T) {
		s, dir, id := withQueue(t)
		free := busy(s)
		s.Submit(id, put(t, 1))
		failed := refuse(s)
		free()
		_ = failed.Wait()
		wantSequences(t, reopen(t, s, dir), 1)
	})
}

func TestCloseSaysThatSomethingIsLost(t *testing.T) {
	s, dir, id := withQueue(t)
	free := busy(s)
	lost := s.Submit(id, put(t, 1))
	refuse(s)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for !isClosed(s) {
		time.Sleep(time.Millisecond)
	}
	free()
	if err := <-closed; !errors.Is(err, errRefused) {
		t.Errorf("closed with %v", err)
	}
	if err := lost.Wait(); !errors.Is(err, errRefused) {
		t.Errorf("the lost change was acknowledged: %v", err)
	}
	_, queues := openAt(t, dir)
	wantSequences(t, queues[0])
}

func isClosed(s *Store) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Who creates, updates or deletes a queue is told that it failed and must not find it done later. What a queue changed
// is kept, since the queue in memory goes on.
func TestAFailureDropsWhatTheCallerGivesUp(t *testing.T) {
	for name, call := range map[string]func(s *Store, id int64) error{
		"Create": func(s *Store, _ int64) error { _, err := s.Create([]byte(`"new"`), epoch); return err },
		"Update": func(s *Store, id int64) error { return s.Update(id, []byte(`"new"`), epoch.Add(time.Hour)) },
		"Delete": func(s *Store, id int64) error { return s.Delete(id) },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir, id := withQueue(t)
			free := busy(s)
			s.Submit(id, put(t, 1))
			outcome := make(chan error)
			go func() { outcome <- call(s, id) }()
			for handedIn(s) < 2 {
				time.Sleep(time.Millisecond)
			}
			refuse(s)
			s.Submit(id, put(t, 2))
			free()
			if err := <-outcome; !errors.Is(err, errRefused) {
				t.Fatalf("it did not fail: %v", err)
			}
			if err := s.Submit(id, put(t, 3)).Wait(); err != nil {
				t.Fatal(err)
			}
			q := reopen(t, s, dir)
			wantSequences(t, q, 1, 2, 3)
			if q.ID != id || string(q.Description) != `{}` || !q.UpdatedAt.Equal(epoch) {
				t.Errorf("the queue is %d, %s, of %v", q.ID, q.Description, q.UpdatedAt)
			}
		})
	}
}

// handedIn is the number of steps that wait for the writer.
func handedIn(s *Store) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open.steps)
}
