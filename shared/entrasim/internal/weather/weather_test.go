package weather

import (
	"math"
	"net/http"
	"testing"
	"time"
)

func TestTheSameSeedGivesTheSameWeather(t *testing.T) {
	stormy := Weather{Throttle: 0.1, Fail: 0.1, Cut: 0.1, CutAfter: 0.1, Torn: 0.1, Slow: 0.5, SlowFor: Duration(time.Second), Silent: 0.5, RetryAfter: Duration(5 * time.Second)}
	a, b, other := New(stormy, 1), New(stormy, 1), New(stormy, 2)
	different := false
	for i := range 1000 {
		one, two := a.Next(), b.Next()
		if one != two {
			t.Fatalf("request %d met %+v and %+v", i, one, two)
		}
		different = different || other.Next() != one
	}
	if !different {
		t.Error("another seed gives the same weather")
	}
}

func TestFaultsComeAsOftenAsTold(t *testing.T) {
	const requests = 20_000
	want := map[Kind]float64{Throttled: 0.05, Failed: 0.1, Cut: 0.02, CutAfter: 0.03, Torn: 0.04, Fair: 0.76}
	f := New(Weather{Throttle: want[Throttled], Fail: want[Failed], Cut: want[Cut], CutAfter: want[CutAfter], Torn: want[Torn]}, 7)
	got := map[Kind]float64{}
	for range requests {
		got[f.Next().Kind] += 1.0 / requests
	}
	for kind, share := range want {
		if math.Abs(got[kind]-share) > 0.01 {
			t.Errorf("kind %d met %.3f of the requests, want %.3f", kind, got[kind], share)
		}
	}
}

func TestOnly429And503SayWhenToComeAgain(t *testing.T) {
	f := New(Weather{Throttle: 0.3, Fail: 0.7, Silent: 0.5, RetryAfter: Duration(3 * time.Second)}, 3)
	said, silent := 0, 0
	for range 2000 {
		fault := f.Next()
		may := fault.Status == http.StatusTooManyRequests || fault.Status == http.StatusServiceUnavailable
		switch {
		case !may && fault.RetryAfter != 0:
			t.Fatalf("%d says Retry-After", fault.Status)
		case fault.RetryAfter%time.Second != 0 || fault.RetryAfter > 3*time.Second:
			t.Fatalf("Retry-After of %v", fault.RetryAfter)
		case may && fault.RetryAfter == 0:
			silent++
		case may:
			said++
		}
	}
	if said < 300 || silent < 300 {
		t.Errorf("%d said when to come again, %d did not", said, silent)
	}
}

func TestWeatherChanges(t *testing.T) {
	f := New(Weather{}, 1)
	for range 100 {
		if fault := f.Next(); fault != (Fault{}) {
			t.Fatalf("calm weather, and a request met %+v", fault)
		}
	}
	f.Set(Weather{Cut: 1})
	if fault := f.Next(); fault.Kind != Cut {
		t.Errorf("a request met %+v", fault)
	}
}
