// Package weather decides which requests go wrong, and how. The same seed and the same sequence of requests give the same
// faults.
package weather

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Weather is how often what goes wrong: each field that is a number is the share of requests, from 0 to 1, that meet it. A
// request meets one fault at most. The zero Weather is calm.
type Weather struct {
	// Throttle answers 429, whatever the quotas say.
	Throttle float64
	// Fail answers 500, 502, 503 or 504; nothing has happened then.
	Fail float64
	// Cut ends the connection before anything happened, and CutAfter after everything did: without an answer.
	Cut, CutAfter float64
	// Torn ends the connection in the middle of the answer to a request that happened.
	Torn float64
	// Slow delays the answer by a part of SlowFor.
	Slow    float64
	SlowFor time.Duration
	// Lag answers a read as things were up to LagFor ago, as a replica that is behind does: what was created since is not found, and
	// a change is not seen.
	Lag    float64
	LagFor time.Duration
	// Silent is the share of 429s and 503s that do not say when to come again; the documents promise that they do, and
	// those who have met them disagree.
	Silent float64
	// RetryAfter is the longest time that the others say, in whole seconds from 1 on; 0: 1 second.
	RetryAfter time.Duration
}

// Check refuses a share that is none, and a time that runs backwards.
func (w Weather) Check() error {
	shares := []struct {
		name string
		of   float64
	}{{"Throttle", w.Throttle}, {"Fail", w.Fail}, {"Cut", w.Cut}, {"CutAfter", w.CutAfter}, {"Torn", w.Torn}, {"Slow", w.Slow}, {"Lag", w.Lag}, {"Silent", w.Silent}}
	for _, s := range shares {
		if !(s.of >= 0 && s.of <= 1) {
			return fmt.Errorf("%s is %v; write a share from 0 to 1", s.name, s.of)
		}
	}
	if sum := w.Throttle + w.Fail + w.Cut + w.CutAfter + w.Torn; sum > 1 {
		return fmt.Errorf("the shares Throttle, Fail, Cut, CutAfter and Torn are %v together; a request meets one of them, so at most 1", sum)
	}
	if w.SlowFor < 0 || w.LagFor < 0 || w.RetryAfter < 0 {
		return errors.New("SlowFor, LagFor and RetryAfter must not be below 0")
	}
	return nil
}

// Kind is what happens to one request.
type Kind int

const (
	Fair Kind = iota
	Throttled
	Failed
	Cut
	CutAfter
	Torn
)

// Fault is the fate of one request.
type Fault struct {
	Kind       Kind
	Status     int           // of Throttled and Failed
	RetryAfter time.Duration // 0: not said
	Delay      time.Duration // before the answer
	Lag        time.Duration // of what a read sees
}

// kinds names what happens, for a log.
var kinds = map[Kind]string{Throttled: "throttled", Failed: "failed", Cut: "cut before it happened", CutAfter: "cut after it happened", Torn: "torn"}

// String says what happens to a request; "" if nothing does.
func (f Fault) String() string {
	parts := []string{}
	if name := kinds[f.Kind]; name != "" {
		parts = append(parts, name)
	}
	if f.Delay > 0 {
		parts = append(parts, "slow")
	}
	if f.Lag > 0 {
		parts = append(parts, fmt.Sprintf("%v behind", f.Lag.Round(time.Millisecond)))
	}
	return strings.Join(parts, ", ")
}

// Forecast hands out fates. It is safe for concurrent use.
type Forecast struct {
	mu      sync.Mutex
	weather Weather
	random  *rand.Rand
}

// New returns the forecast of a seed.
func New(w Weather, seed uint64) *Forecast {
	return &Forecast{weather: w, random: rand.New(rand.NewPCG(seed, 0x77ea7e4))}
}

// Set changes the weather from the next request on.
func (f *Forecast) Set(w Weather) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.weather = w
}

// Weather is the present one.
func (f *Forecast) Weather() Weather {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.weather
}

// failures are the answers of a service in trouble.
var failures = []int{
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// Next is the fate of the next request. It draws the same number of times whatever the weather, so that a change of one knob
// does not change the rest.
func (f *Forecast) Next() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.weather
	kind, status, slow, part, silent, wait := f.random.Float64(), failures[f.random.IntN(len(failures))], f.random.Float64(), f.random.Float64(), f.random.Float64(), f.random.Float64()
	lag, behind := f.random.Float64(), f.random.Float64()
	var fault Fault
	for _, share := range []struct {
		of   float64
		kind Kind
	}{{w.Throttle, Throttled}, {w.Fail, Failed}, {w.Cut, Cut}, {w.CutAfter, CutAfter}, {w.Torn, Torn}} {
		if kind < share.of {
			fault.Kind = share.kind
			break
		}
		kind -= share.of
	}
	switch fault.Kind {
	case Throttled:
		fault.Status = http.StatusTooManyRequests
	case Failed:
		fault.Status = status
	}
	if fault.Status == http.StatusTooManyRequests || fault.Status == http.StatusServiceUnavailable {
		if silent >= w.Silent {
			seconds := max(int(w.RetryAfter/time.Second), 1)
			fault.RetryAfter = time.Duration(1+int(wait*float64(seconds))) * time.Second
		}
	}
	if slow < w.Slow {
		fault.Delay = time.Duration(part * float64(w.SlowFor))
	}
	if lag < w.Lag {
		fault.Lag = time.Duration(behind * float64(w.LagFor))
	}
	return fault
}
