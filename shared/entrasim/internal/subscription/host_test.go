package subscription

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// answering is a notifier whose endpoint takes as long to answer as the nth request is told to.
func answering(takes func(n int) time.Duration, o Options) *Notifier {
	var n atomic.Int64
	o.Transport = transport(func(r *http.Request) (int, error) {
		select {
		case <-time.After(takes(int(n.Add(1)))):
			return 202, nil
		case <-r.Context().Done():
			return 0, r.Context().Err()
		}
	})
	return NewNotifier(o, time.Now, 1, slog.New(slog.DiscardHandler))
}

const hook = "https://endpoint/hook"

func TestAHostThatIsOftenSlowWaitsTenMinutes(t *testing.T) {
	for name, c := range map[string]struct {
		slowEvery int
		want      Standing
	}{
		"one in ten is slow":   {10, Steady},
		"one in eight is slow": {8, Slow},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := answering(func(i int) time.Duration {
					if i%c.slowEvery == 0 && i <= 180 {
						return 4 * time.Second
					}
					return time.Millisecond
				}, Options{})
				defer n.Close()
				for range 200 {
					n.notify(hook, delivery{})
					time.Sleep(time.Second)
				}
				time.Sleep(time.Minute) // retries, which are fast enough
				traffic := n.Traffic()["endpoint"]
				if traffic.Standing != c.want {
					t.Fatalf("the host is %s, want %s: %+v", traffic.Standing, c.want, traffic)
				}
				attempts := traffic.Attempts
				n.notify(hook, delivery{})
				time.Sleep(time.Minute)
				if came := n.Traffic()["endpoint"].Attempts > attempts; came != (c.want == Steady) {
					t.Errorf("a new notification came at once: %v", came)
				}
				time.Sleep(10 * time.Minute)
				if n.Traffic()["endpoint"].Attempts <= attempts {
					t.Error("it did not come at all")
				}
			})
		})
	}
}

func TestAHostThatIsOftenVerySlowLosesNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := answering(func(int) time.Duration { return time.Hour }, Options{})
		defer n.Close()
		for range 100 {
			n.notify(hook, delivery{})
			time.Sleep(4 * time.Second)
		}
		traffic := n.Traffic()["endpoint"]
		for traffic.Standing != Dropping {
			if traffic.Attempts > 1000 {
				t.Fatalf("%+v", traffic)
			}
			n.notify(hook, delivery{})
			time.Sleep(4 * time.Second)
			traffic = n.Traffic()["endpoint"]
		}
		n.notify(hook, delivery{})
		if dropped := n.Traffic()["endpoint"].Dropped; dropped != traffic.Dropped+1 {
			t.Errorf("%d were dropped, want one more than %d", dropped, traffic.Dropped)
		}
		if other := n.Traffic()["elsewhere"]; other.Dropped > 0 {
			t.Errorf("another host: %+v", other)
		}
	})
}

func TestNotificationsAreLostAsOftenAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := answering(func(int) time.Duration { return 0 }, Options{Lose: 0.25})
		defer n.Close()
		for range 1000 {
			n.notify(hook, delivery{})
		}
		synctest.Wait()
		if lost := n.Traffic()["endpoint"].Lost; lost < 200 || lost > 300 {
			t.Errorf("%d of 1000 were lost, want about 250", lost)
		}
	})
}
