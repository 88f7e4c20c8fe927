// Package deadletter decides which dead letters a replay takes.
package deadletter

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
)

// Letter is a change that could not be applied, with the reason that was given when it was put aside.
type Letter struct {
	Change      change.Change
	Reason      string // short stable code
	Description string // sentence for a person
	EnqueuedAt  time.Time
}

// Filter chooses letters. Empty fields choose all.
type Filter struct {
	Route  string
	User   string
	Reason string
}

// Match reports whether the filter chooses l.
func (f Filter) Match(l Letter) bool {
	return (f.Route == "" || f.Route == l.Change.Route) &&
		(f.User == "" || f.User == l.Change.User) &&
		(f.Reason == "" || f.Reason == l.Reason)
}

// Request is one replay.
type Request struct {
	Queue  string
	Filter Filter
	// Max bounds the letters taken, 1 to MaxReplay.
	Max int
	// DryRun only counts.
	DryRun bool
}

// MaxReplay is the most that one request may take.
const MaxReplay = 10_000

// DefaultReplay is what a request takes when it does not say.
const DefaultReplay = 1_000

// Check refuses a request that cannot be meant.
func (r Request) Check() error {
	switch {
	case r.Queue == "":
		return errors.New("replay: no queue named")
	case r.Max < 1 || r.Max > MaxReplay:
		return fmt.Errorf("replay: max is %d; write 1 to %d", r.Max, MaxReplay)
	}
	return nil
}

// Report counts what a replay did (or, in a dry run, would do).
type Report struct {
	Examined int            `json:"examined"`
	Replayed int            `json:"replayed"`
	Skipped  int            `json:"skipped"`    // did not match
	Broken   int            `json:"unreadable"` // not a change; left where it is
	ByReason map[string]int `json:"byReason"`   // of the replayed
	DryRun   bool           `json:"dryRun"`
}

// Add adds what a replay of another queue did.
func (r *Report) Add(o Report) {
	r.Examined, r.Replayed, r.Skipped, r.Broken = r.Examined+o.Examined, r.Replayed+o.Replayed, r.Skipped+o.Skipped, r.Broken+o.Broken
	r.DryRun = r.DryRun || o.DryRun
	if r.ByReason == nil {
		r.ByReason = map[string]int{}
	}
	for reason, n := range o.ByReason {
		r.ByReason[reason] += n
	}
}
