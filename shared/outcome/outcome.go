// Package outcome decides what becomes of a message after work on it ended: done, later, retry or dead-letter.
//
// A handler returns an error value made here (or any other error); Of is the one place that reads it.
package outcome

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what to do with the message.
type Kind int

const (
	// Done: complete the message.
	Done Kind = iota
	// Later: nothing failed, it is only too early. Look again after Delay; no attempt is counted.
	Later
	// Retry: something failed that may heal by itself. Try again; the attempt is counted and bounded.
	Retry
	// Terminal: trying again cannot help. Dead-letter now, with Code and Err as the reason a person reads.
	Terminal
)

func (k Kind) String() string {
	switch k {
	case Done:
		return "done"
	case Later:
		return "later"
	case Retry:
		return "retry"
	case Terminal:
		return "terminal"
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// Outcome is the reading of a handler's error.
type Outcome struct {
	Kind Kind
	// Delay is how long to wait: always set for Later; for Retry only when the other side named it (Retry-After).
	Delay time.Duration
	// Planned: the look after Delay is a change of its own, which arrives only then. Only Later can be.
	Planned bool
	// Paused: it is not about this change; its route does not run. Only Later can be.
	Paused bool
	// Then, if it is not zero, is when a look of its own is due although this message becomes a dead letter.
	Then time.Duration
	// Code is a short, stable, lower-case word pair for machines, such as "ambiguous match".
	Code string
	// Err is the sentence for people. It is nil for Done.
	Err error
}

type failure struct {
	Outcome
}

func (f *failure) Error() string { return f.Err.Error() }
func (f *failure) Unwrap() error { return f.Err }

// LaterAfter asks for another look after delay, because of err.
func LaterAfter(delay time.Duration, err error) error {
	return &failure{Outcome{Kind: Later, Delay: delay, Code: "too early", Err: err}}
}

// PlannedAfter says that all is done for now, and asks for a look of its own after delay, because of err.
func PlannedAfter(delay time.Duration, err error) error {
	return &failure{Outcome{Kind: Later, Delay: delay, Planned: true, Code: "planned", Err: err}}
}

// PausedAfter asks for another look after delay, because the route does not run now: err says why and what to mend.
func PausedAfter(delay time.Duration, err error) error {
	return &failure{Outcome{Kind: Later, Delay: delay, Paused: true, Code: "route paused", Err: err}}
}

// RetryAfter asks for another attempt. delay is what the other side asked for; 0 leaves it to our own backoff.
func RetryAfter(delay time.Duration, code string, err error) error {
	return &failure{Outcome{Kind: Retry, Delay: delay, Code: code, Err: err}}
}

// Fail says that trying again cannot help.
func Fail(code string, err error) error {
	return &failure{Outcome{Kind: Terminal, Code: code, Err: err}}
}

// AndLookAfter is err, and asks for a look of its own after delay should the message become a dead letter.
func AndLookAfter(delay time.Duration, err error) error {
	o := Of(err)
	o.Then = delay
	return &failure{o}
}

// Of reads an error. nil is Done; an error that nobody classified is Retry, for a failure we do not
// understand must neither lose a change nor loop without end.
func Of(err error) Outcome {
	if err == nil {
		return Outcome{Kind: Done}
	}
	var f *failure
	if errors.As(err, &f) {
		o := f.Outcome
		o.Err = err
		return o
	}
	return Outcome{Kind: Retry, Code: "unexpected error", Err: err}
}

// Backoff bounds: the first retry comes after about two seconds, later ones at most this far apart. A target that was
// away for a day is found again within the hour.
const (
	backoffFirst = 2 * time.Second
	backoffMost  = time.Hour
)

// Backoff is the wait before attempt number attempt+1, after attempt failures (1 or more): exponential from
// two seconds to an hour, with half of it jitter. jitter is a uniform random number in [0, 1).
func Backoff(attempt int, jitter float64) time.Duration {
	d := backoffMost
	if attempt <= 12 {
		d = min(backoffFirst<<max(attempt-1, 0), backoffMost)
	}
	return d/2 + time.Duration(jitter*float64(d/2))
}
