package standalone

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/shared/change"
)

// Pauses after a failure: they double from the first to the last.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// keyed lets in who brings the key, as the Functions host does.
func keyed(key string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(key))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		brought := r.Header.Get("x-functions-key")
		if brought == "" {
			brought = r.URL.Query().Get("code")
		}
		got := sha256.Sum256([]byte(brought))
		if key == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			http.Error(w, "this function needs its key in the header x-functions-key", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// runTimer runs at once, then at every interval; after a failure sooner.
func (h *Host) runTimer(ctx, work context.Context, name string, t functions.Timer) {
	pause := firstPause
	for {
		wait := t.Every
		if err := protect(func() error { return t.Run(work) }); err != nil {
			h.Log.ErrorContext(ctx, "timer failed", "function", name, "error", err)
			wait, pause = min(pause, t.Every), min(2*pause, lastPause)
		} else {
			pause = firstPause
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// runQueue receives until ctx ends and then waits for the messages in hand.
func (h *Host) runQueue(ctx, work context.Context, name string, q functions.Queue) {
	concurrency := h.Concurrency
	if concurrency <= 0 {
		concurrency = DefaultConcurrency
	}
	if q.Bulk {
		concurrency = max(1, concurrency/bulkShare)
	}
	var busy sync.WaitGroup
	defer busy.Wait()
	slots := make(chan struct{}, concurrency)
	for pause := firstPause; ; {
		free, ok := acquire(ctx, slots)
		if !ok {
			return
		}
		deliveries, err := h.Receiver.Receive(ctx, q.Name, free)
		for range free - len(deliveries) {
			<-slots
		}
		for _, d := range deliveries {
			busy.Go(func() {
				defer func() { <-slots }()
				h.handle(work, name, q, d)
			})
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = firstPause
		default:
			h.Log.WarnContext(ctx, "receive failed", "function", name, "queue", q.Name, "error", err)
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, lastPause)
		}
	}
}

// acquire waits for one slot and takes all others that are free: a message is only received when somebody can work on
// it, for its lock is running from then on.
func acquire(ctx context.Context, slots chan struct{}) (taken int, ok bool) {
	select {
	case slots <- struct{}{}:
		taken = 1
	case <-ctx.Done():
		return 0, false
	}
	for {
		select {
		case slots <- struct{}{}:
			taken++
		default:
			return taken, true
		}
	}
}

func (h *Host) handle(ctx context.Context, name string, q functions.Queue, d change.Delivery) {
	if err := protect(func() error { return q.Handle(ctx, d) }); err != nil {
		h.Log.ErrorContext(ctx, "message not settled; it comes again", "function", name, "message", d.MessageID, "error", err)
	}
}

// protect turns a panic into an error: one bad message must not take the others down.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// sleep waits for d; false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
