// Package pace lets documented times pass faster. Moments stay those of the clock, so that the programs under test, which have a clock of
// their own, and the simulator agree about them; only how long something takes is shortened.
package pace

import "time"

// Pace is how many times faster documented times pass; 0 is 1.
type Pace float64

// Span is how long something takes that is documented to take d.
func (p Pace) Span(d time.Duration) time.Duration {
	if p <= 0 {
		return d
	}
	return time.Duration(float64(d) / float64(p))
}
