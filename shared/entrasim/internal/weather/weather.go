// Package weather decides which requests go wrong, and how. The same seed and the same sequence of requests give the same
// faults.
package weather

import (
	"encoding/json"
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
	Throttle float64 `json:"throttle"`
	// Fail answers 500, 502, 503 or 504; nothing has happened then.
	Fail float64 `json:"fail"`
	// Cut ends the connection before anything happened, and CutAfter after everything did: without an answer.
	Cut      float64 `json:"cut"`
	CutAfter float64 `json:"cutAfter"`
	// Torn ends the connection in the middle of the answer to a request that happened.
	Torn float64 `json:"torn"`
	// Slow delays the answer by a part of SlowFor.
	Slow    float64  `json:"slow"`
	SlowFor Duration `json:"slowFor"`
	// Lag answers a read as things were up to LagFor ago, as a replica that is behind does: what was created since is not found, and
	// a change is not seen.
	Lag    float64  `json:"lag"`
	LagFor Duration `json:"lagFor"`
	// Forget answers a token of change tracking with 410, as if the state it stands for were lost.
	Forget float64 `json:"forget"`
	// Silent is the share of 429s and 503s that do not say when to come again; the documents promise that they do, and
	// those who have met them disagree.
	Silent float64 `json:"silent"`
	// RetryAfter is the longest time that the others say, in whole seconds from 1 on; 0: 1 second.
	RetryAfter Duration `json:"retryAfter"`
}

// Duration is a time that reads as text: 300ms.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration; write one such as 300ms", text)
	}
	*d = Duration(parsed)
	return nil
}

// String tells what goes wrong, in one line.
func (w Weather) String() string {
	text, err := json.Marshal(w)
	if err != nil {
		return err.Error() // it consists of numbers and texts
	}
	return string(text)
}

// Check refuses a share that is none, and a time that runs backwards.
func (w Weather) Check() error {
	shares := []struct {
		name string
		of   float64
	}{{"throttle", w.Throttle}, {"fail", w.Fail}, {"cut", w.Cut}, {"cutAfter", w.CutAfter}, {"torn", w.Torn}, {"slow", w.Slow}, {"lag", w.Lag}, {"forget", w.Forget}, {"silent", w.Silent}}
	for _, s := range shares {
		if !(s.of >= 0 && s.of <= 1) {
			return fmt.Errorf("%s is %v; write a share from 0 to 1", s.name, s.of)
		}
	}
	if sum := w.Throttle + w.Fail + w.Cut + w.CutAfter + w.Torn; sum > 1 {
		return fmt.Errorf("the shares throttle, fail, cut, cutAfter and torn are %v together; a request meets one of them, so at most 1", sum)
	}
	if w.SlowFor < 0 || w.LagFor < 0 || w.RetryAfter < 0 {
		return errors.New("slowFor, lagFor and retryAfter must not be below 0")
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
	Forgotten  bool          // if it has a token of change tracking: its state is lost
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
	lag, behind, forget := f.random.Float64(), f.random.Float64(), f.random.Float64()
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
			seconds := max(int(time.Duration(w.RetryAfter)/time.Second), 1)
			fault.RetryAfter = time.Duration(1+int(wait*float64(seconds))) * time.Second
		}
	}
	if slow < w.Slow {
		fault.Delay = time.Duration(part * float64(w.SlowFor))
	}
	fault.Forgotten = forget < w.Forget
	if lag < w.Lag {
		fault.Lag = time.Duration(behind * float64(w.LagFor))
	}
	return fault
}
