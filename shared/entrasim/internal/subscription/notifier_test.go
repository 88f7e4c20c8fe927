package subscription

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
)

// attempt is a delivery an endpoint saw.
type attempt struct {
	at    time.Duration // since the change
	users []string
	// patience is how long Graph was ready to wait for an answer.
	patience time.Duration
}

// transport plays the endpoints, so that a bubble's clock governs everything.
type transport func(*http.Request) (int, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	status, err := f(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader("")), Request: r,
	}, nil
}

// run sends one change to a subscription whose endpoint answers with statuses in turn, the last one for ever.
// A status of 0 is an endpoint that hangs.
func run(t *testing.T, forHowLong time.Duration, statuses ...int) []attempt {
	t.Helper()
	var attempts []attempt
	start := time.Now()
	endpoint := transport(func(r *http.Request) (int, error) {
		var body struct{ Value []notification }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return 0, err
		}
		a := attempt{at: time.Since(start)}
		for _, n := range body.Value {
			a.users = append(a.users, n.ResourceData.ID)
		}
		deadline, _ := r.Context().Deadline()
		a.patience = time.Until(deadline)
		status := statuses[min(len(attempts), len(statuses)-1)]
		attempts = append(attempts, a)
		if status == 0 {
			<-r.Context().Done()
			return 0, r.Context().Err()
		}
		return status, nil
	})
	n := NewNotifier(Options{Transport: endpoint}, time.Now, 1, slog.New(slog.DiscardHandler))
	r := NewRegistry(time.Now, n)
	r.subs = []*Subscription{{
		ID: "s", Resource: "users", ChangeType: "updated", NotificationURL: "https://endpoint",
		Expiration: start.Add(24 * time.Hour), owner: Owner{TenantID: "t"},
	}}
	r.Publish(directory.Change{TenantID: "t", Kind: "user", ObjectID: "u", Time: start})
	time.Sleep(forHowLong)
	n.Close()
	return attempts
}

func TestAnAcceptedNotificationIsDeliveredOnceAndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := run(t, 5*time.Hour, 202)
		if len(attempts) != 1 || attempts[0].at != 0 || !slices.Equal(attempts[0].users, []string{"u"}) {
			t.Errorf("got %v", attempts)
		}
	})
}

func TestRetriesBackOffForFourHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := run(t, 10*time.Hour, 503)
		for i, a := range attempts[1:] {
			pause := a.at - attempts[i].at
			if want := min(500*time.Millisecond<<min(i, 20), 5*time.Minute); pause != want {
				t.Errorf("retry %d came after %v, want %v", i+1, pause, want)
			}
		}
		if last := attempts[len(attempts)-1].at; last > 4*time.Hour || last < 3*time.Hour+50*time.Minute {
			t.Errorf("the last attempt came after %v, want shortly before four hours", last)
		}
	})
}

func TestTheFirstAttemptHasThreeSecondsAndLaterOnesTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := run(t, time.Minute, 0, 0, 200)
		want := []attempt{
			{at: 0, patience: 3 * time.Second},
			{at: 3500 * time.Millisecond, patience: 10 * time.Second},
			{at: 14500 * time.Millisecond, patience: 10 * time.Second},
		}
		if len(attempts) != len(want) {
			t.Fatalf("got %v, want three attempts", attempts)
		}
		for i := range want {
			if attempts[i].at != want[i].at || attempts[i].patience != want[i].patience {
				t.Errorf("attempt %d is %v, want %v", i+1, attempts[i], want[i])
			}
		}
	})
}

func TestCloseEndsADeliveryThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		run(t, time.Millisecond, 0)
		if waited := time.Since(before); waited != time.Millisecond {
			t.Errorf("closing took until %v", waited)
		}
	})
}

func TestWhatIsPendingGoesTogether(t *testing.T) {
	l := newLane(&Notifier{Options: Options{MaxBatch: 3}.withDefaults()}, way{})
	now := time.Now()
	for _, d := range []delivery{
		{due: now}, {due: now.Add(-2 * time.Second)}, {due: now.Add(-time.Second)}, {due: now.Add(time.Second)}, {due: now}, {due: now},
	} {
		l.push(d)
	}
	var sizes []int
	for {
		batch, pause := l.take(now)
		if len(batch) == 0 {
			if pause != time.Second {
				t.Errorf("nothing is due for %v, want a second", pause)
			}
			break
		}
		sizes = append(sizes, len(batch))
	}
	if want := []int{3, 2}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %v, want %v: three at most", sizes, want)
	}
}

func TestLogsHoldNoURL(t *testing.T) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		refused := transport(func(*http.Request) (int, error) { return 0, errors.New("connection refused") })
		n := NewNotifier(Options{Transport: refused}, time.Now, 1, slog.New(slog.NewTextHandler(&log, nil)))
		n.notify("https://endpoint/hook?code=secret", delivery{})
		synctest.Wait()
		n.Close()
	})
	if text := log.String(); !strings.Contains(text, "connection refused") || strings.Contains(text, "secret") {
		t.Errorf("logged %q", text)
	}
}

func TestHandshakeHasTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		hangs := transport(func(r *http.Request) (int, error) {
			<-r.Context().Done()
			return 0, r.Context().Err()
		})
		n := NewNotifier(Options{Transport: hangs}, time.Now, 1, slog.New(slog.DiscardHandler))
		defer n.Close()
		resource, changeType, endpoint, expiration := "users", "updated", "https://endpoint", start.Add(time.Hour)
		_, err := NewRegistry(time.Now, n).Create(t.Context(), Owner{}, Request{
			Resource: &resource, ChangeType: &changeType, NotificationURL: &endpoint, Expiration: &expiration,
		})
		if waited := time.Since(start); err == nil || waited != 10*time.Second {
			t.Errorf("got %v after %v, want a refusal after ten seconds", err, waited)
		}
	})
}

func TestTicksAreThoseOfTheRecordedNotification(t *testing.T) {
	at := time.Date(2018, 11, 22, 1, 47, 0, 245582300, time.UTC)
	// The recording shows 636784480202455800: printed by a program that rounds to a float.
	if got := ticks(at); got != 636784480202455823 || float64(got) != 636784480202455800 {
		t.Errorf("got %d", got)
	}
}
