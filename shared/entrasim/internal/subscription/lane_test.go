package subscription

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestALaneEndsWithItsLastNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []int{http.StatusServiceUnavailable, http.StatusAccepted}
		var attempts atomic.Int32
		endpoint := transport(func(*http.Request) (int, error) {
			return answers[min(int(attempts.Add(1)), len(answers))-1], nil
		})
		n := NewNotifier(Options{Transport: endpoint}, time.Now, 1, slog.New(slog.DiscardHandler))
		defer n.Close()
		lanes := func() int {
			n.mu.Lock()
			defer n.mu.Unlock()
			return len(n.lanes)
		}

		n.notify("https://a.example/notify", delivery{})
		synctest.Wait()
		if attempts.Load() != 1 || lanes() != 1 {
			t.Fatalf("%d attempts, %d lanes, want one of each while a retry is due", attempts.Load(), lanes())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if attempts.Load() != 2 || lanes() != 0 {
			t.Fatalf("%d attempts, %d lanes, want two attempts and no lane", attempts.Load(), lanes())
		}
		n.notify("https://a.example/notify", delivery{})
		synctest.Wait()
		if attempts.Load() != 3 || lanes() != 0 {
			t.Fatalf("%d attempts, %d lanes after another notification", attempts.Load(), lanes())
		}
	})
}
