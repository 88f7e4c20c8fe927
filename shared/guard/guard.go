// Package guard decides how many people may leave a target in a while before a person is asked: an emptied group, a mistake in a scope or
// an accident in a source must not remove everybody.
package guard

import (
	"fmt"
	"math"
	"time"
)

// Limits are what one route allows: in any Window as many departures as Removals, or as Percent of the people with external users,
// whichever is more. A zero Window switches the guard off.
type Limits struct {
	Removals int
	Percent  float64
	Window   time.Duration
}

// Default is what a route has that says nothing: small tenants may lose 20 people a day, large ones five of a hundred.
func Default() Limits { return Limits{Removals: 20, Percent: 5, Window: 24 * time.Hour} }

// Off tells whether everything is allowed.
func (l Limits) Off() bool { return l.Window == 0 }

// Allowed is how many of so many people may leave within a window.
func (l Limits) Allowed(people int) int {
	return max(l.Removals, int(math.Floor(l.Percent/100*float64(people))))
}

// Departure is a removal or a block that is about to happen.
type Departure struct {
	Route, User string // the link
	Reason      string
	At          time.Time
	// Forced: it counts, and happens whatever the limits say. Blocking somebody who is disabled in the source is. The removal of
	// the same user is another departure, which the limits may hold.
	Forced bool
}

// Verdict is what the guard says to a departure.
type Verdict struct {
	// Held: it must not happen until somebody approves it.
	Held bool
	// Departed are those in the window, this one included if it counts; Allowed is how many there may be. What a person approved does
	// not count.
	Departed, Allowed int
}

// String says why a departure is held.
func (v Verdict) String() string {
	return fmt.Sprintf("%d have left within the window and %d may", v.Departed, v.Allowed)
}

// Held is a departure that waits for somebody to decide.
type Held struct {
	Route    string    `json:"route"`
	User     string    `json:"user"`               // object id in the source
	External string    `json:"external,omitempty"` // object id in the target
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	// Rejected: somebody said no. It stays held as long as the rules ask for it. Approved: somebody said yes, and it has not happened yet.
	Rejected bool `json:"rejected,omitempty"`
	Approved bool `json:"approved,omitempty"`
}
