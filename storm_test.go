package main_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// storm is a bad way to Graph, for the program alone: what happens in the tenants is not disturbed by it.
type storm struct {
	near   http.RoundTripper
	struck atomic.Int64
}

var errCut = errors.New("the connection was cut")

// RoundTrip spoils one request in twenty: it is refused, or its connection is cut before it arrived or before the answer did.
func (s *storm) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int) (*http.Response, error) {
		s.struck.Add(1)
		header := http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}}
		body := io.NopCloser(strings.NewReader(`{"error":{"code":"Storm","message":"not now"}}`))
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: header, Body: body, Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
	}
	switch rand.IntN(80) {
	case 0:
		return answer(http.StatusTooManyRequests)
	case 1:
		return answer(http.StatusServiceUnavailable)
	case 2:
		s.struck.Add(1)
		return nil, errCut
	case 3:
		s.struck.Add(1)
		if resp, err := s.near.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
		return nil, errCut
	}
	return s.near.RoundTrip(r)
}

// Nothing holds but the sweep: notifications are lost, come twice and in any order, and one request in twenty goes wrong, half of
// the cut ones after they took effect.
func TestTheOrganizationComesOutRightInAStorm(t *testing.T) {
	t.Parallel()
	s := &storm{}
	w := settle(t, build(t, blueprint{
		tenants: simulated(mexico, us, contoso), seed: 61,
		weather: entrasim.Notify{Lose: 0.3, Duplicate: true, Reorder: true},
	}))
	w.way = func(near http.RoundTripper) http.RoundTripper { s.near = near; return s }
	everybody, sales := w.group(t, contoso, "everybody", nil), w.group(t, contoso, "sales", nil)
	r := found(t, w, 8, []direction{
		{from: mexico, to: contoso, groups: due{everybody: func(*citizen) bool { return true }}},
		{from: us, to: contoso, groups: due{sales: func(c *citizen) bool { return c.has["department"] == "Sales" }}},
	})
	r.run(t, `
- {source: fabrikam-mexico, target: contoso, access: {groups: [`+everybody+`]}}
- {source: fabrikam-us, target: contoso, access: {groups: [{id: `+sales+`, when: user.department == "Sales"}]}}
`)
	for round := range 4 {
		if round > 0 {
			r.plays(t, uint64(round), 20)
		}
		began := time.Now()
		swept := 0
		eventually(t, patience, func() string {
			if time.Since(began) > time.Duration(swept)*3*time.Second {
				swept++
				if err := r.fire(t, "sweep"); err != nil {
					t.Logf("a sweep failed: %v", err)
				}
			}
			return r.wrong()
		})
		t.Logf("round %d: right %s later, after %d sweeps; %d requests have gone wrong", round, time.Since(began).Round(time.Millisecond), swept, s.struck.Load())
	}
	if s.struck.Load() == 0 {
		t.Error("the weather was good; this test shows nothing")
	}
}
