package outcome_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"pgregory.net/rapid"
)

var errCause = errors.New("the cause")

func TestOf(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("read user u: %w", fmt.Errorf("ask Graph: %w", err)) }
	later := outcome.LaterAfter(3*time.Second, errCause)
	retry := outcome.RetryAfter(time.Minute, "throttled", errCause)
	terminal := outcome.Fail("ambiguous match", errCause)
	for _, c := range []struct {
		name  string
		err   error
		kind  outcome.Kind
		delay time.Duration
		code  string
	}{
		{"no error is done", nil, outcome.Done, 0, ""},
		{"later", later, outcome.Later, 3 * time.Second, "too early"},
		{"later, for the route is paused", outcome.PausedAfter(time.Minute, errCause), outcome.Later, time.Minute, "route paused"},
		{"retry when the other side said", retry, outcome.Retry, time.Minute, "throttled"},
		{"retry when nobody said", outcome.RetryAfter(0, "server error", errCause), outcome.Retry, 0, "server error"},
		{"terminal", terminal, outcome.Terminal, 0, "ambiguous match"},
		{"later, wrapped", wrapped(later), outcome.Later, 3 * time.Second, "too early"},
		{"retry, wrapped", wrapped(retry), outcome.Retry, time.Minute, "throttled"},
		{"terminal, wrapped", wrapped(terminal), outcome.Terminal, 0, "ambiguous match"},
		{"an error that nobody classified is a retry", errCause, outcome.Retry, 0, "unexpected error"},
		{"a deadline is a retry", wrapped(context.DeadlineExceeded), outcome.Retry, 0, "unexpected error"},
		{"the outermost classification counts", outcome.LaterAfter(time.Second, terminal), outcome.Later, time.Second, "too early"},
		{"of joined errors the first classified counts", errors.Join(errCause, terminal, retry), outcome.Terminal, 0, "ambiguous match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := outcome.Of(c.err)
			if o.Kind != c.kind || o.Delay != c.delay || o.Code != c.code {
				t.Errorf("%v after %v, %q; want %v after %v, %q", o.Kind, o.Delay, o.Code, c.kind, c.delay, c.code)
			}
			if !errors.Is(o.Err, c.err) || (c.err == nil) != (o.Err == nil) {
				t.Errorf("the sentence is %q, want all of %q", o.Err, c.err)
			}
		})
	}
}

func TestOutcomeErrorsKeepTheirCause(t *testing.T) {
	for _, err := range []error{
		outcome.LaterAfter(0, errCause), outcome.PausedAfter(0, errCause), outcome.RetryAfter(0, "x", errCause), outcome.Fail("x", errCause),
	} {
		if !errors.Is(err, errCause) || err.Error() != errCause.Error() {
			t.Errorf("%v does not tell its cause", err)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	for kind, want := range map[outcome.Kind]string{
		outcome.Done: "done", outcome.Later: "later", outcome.Retry: "retry", outcome.Terminal: "terminal", 9: "kind(9)",
	} {
		if got := kind.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBackoffStaysInItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attempt := rapid.IntRange(-5, 1_000_000).Draw(t, "attempt")
		jitter := rapid.Float64Range(0, 0.9999999999999999).Draw(t, "jitter")
		wait := outcome.Backoff(attempt, jitter)
		if wait < time.Second || wait >= time.Hour {
			t.Fatalf("after %d failures: %v", attempt, wait)
		}
		if next := outcome.Backoff(attempt+1, jitter); next < wait {
			t.Fatalf("after %d failures %v, after one more only %v", attempt, wait, next)
		}
		if shortest := outcome.Backoff(attempt, 0); wait < shortest || wait >= 2*shortest {
			t.Fatalf("after %d failures: %v, want from %v up to twice that", attempt, wait, shortest)
		}
	})
}

func TestBackoffGrowsFromTwoSecondsToAnHour(t *testing.T) {
	for attempt, longest := range map[int]time.Duration{
		0: 2 * time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 10: 1024 * time.Second,
		12: time.Hour, 13: time.Hour, 100: time.Hour,
	} {
		if got := outcome.Backoff(attempt, 0); got != longest/2 {
			t.Errorf("after %d failures at least %v, want %v", attempt, got, longest/2)
		}
		if got := outcome.Backoff(attempt, 0.5); got != longest*3/4 {
			t.Errorf("after %d failures in the middle %v, want %v", attempt, got, longest*3/4)
		}
	}
}
