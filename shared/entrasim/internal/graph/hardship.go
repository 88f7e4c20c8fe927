package graph

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/limit"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/weather"
)

// CalmHeader, with any value, exempts a request from weather and limits: it is for those who make the world go round, not for
// those who are to be tried by it.
const CalmHeader = "X-Entrasim-Calm"

func (c *call) calm() bool { return c.Header.Get(CalmHeader) != "" }

// Request is a request that was made, and what became of it.
type Request struct {
	At       time.Time     `json:"at"`
	TenantID string        `json:"tenantId,omitempty"` // of the caller, if it is known
	Method   string        `json:"method"`
	Path     string        `json:"path"`   // with the query
	Status   int           `json:"status"` // 0: there was no answer
	Code     string        `json:"code,omitempty"`
	Weather  string        `json:"weather,omitempty"` // what it did to the request; empty: nothing
	Took     time.Duration `json:"tookNanoseconds"`
}

// ServeHTTP passes every request through handle and writes what it says, if the weather lets it.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, began := newCall(r), time.Now()
	var fate weather.Fault
	if !c.calm() {
		fate = s.Forecast.Next()
	}
	c.lag, c.lost = fate.Lag, fate.Forgotten
	wait(r, fate.Delay)
	switch fate.Kind {
	case weather.Cut:
		s.observe(c, fate, answer{}, nil, began)
		panic(http.ErrAbortHandler) // which net/http takes for "end the connection", and HTTP/2 for "reset the stream"
	case weather.Throttled, weather.Failed:
		err := trouble(fate)
		a := s.refusal(c, err)
		s.observe(c, fate, a, err, began)
		s.write(w, c, a)
		return
	}
	a, err := s.handle(c)
	if err != nil {
		a = s.refusal(c, err)
	}
	s.observe(c, fate, a, err, began)
	switch fate.Kind {
	case weather.CutAfter:
		panic(http.ErrAbortHandler)
	case weather.Torn:
		s.tear(w, c, a)
	default:
		s.write(w, c, a)
	}
}

// observe tells what became of a request.
func (s *Service) observe(c *call, fate weather.Fault, a answer, err error, began time.Time) {
	if s.Observe == nil {
		return
	}
	r := Request{
		At: s.Now().UTC(), TenantID: c.caller.TenantID, Method: c.Method, Path: c.URL.RequestURI(), Status: a.status, Weather: fate.String(), Took: time.Since(began),
	}
	if f := new(fault.Fault); errors.As(err, &f) {
		r.Code = f.Code
	}
	if fate.Kind == weather.CutAfter {
		r.Status = 0
	}
	s.Observe(r)
}

// wait delays an answer as long as somebody waits for it.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// trouble is the answer of a service that the weather got the better of.
func trouble(fate weather.Fault) error {
	f := fault.Throttled()
	if fate.Kind == weather.Failed {
		f = fault.InTrouble(fate.Status)
	}
	if fate.RetryAfter > 0 {
		f.With("Retry-After", seconds(fate.RetryAfter))
	}
	return f
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// tear sends the first half of an answer.
func (s *Service) tear(w http.ResponseWriter, c *call, a answer) {
	whole := &buffered{ResponseWriter: w}
	s.write(whole, c, a)
	if whole.body.Len() > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(whole.body.Len()))
		w.WriteHeader(whole.status)
		_, _ = w.Write(whole.body.Bytes()[:whole.body.Len()/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

// buffered holds an answer back.
type buffered struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// charge holds the caller to the documented limits.
func (s *Service) charge(c *call, r *route) error {
	if s.Meter == nil || c.calm() {
		return nil
	}
	cost := r.cost(c.URL)
	v := s.Meter.Charge(s.Now(), c.caller.AppID, c.caller.TenantID, c.dir.Size(), cost)
	c.header = http.Header{}
	if cost.Units > 0 {
		c.header.Set("x-ms-resource-unit", strconv.Itoa(cost.Units))
	}
	if v.Share > 0.8 {
		c.header.Set("x-ms-throttle-limit-percentage", strconv.FormatFloat(min(v.Share, 1.8), 'f', 2, 64))
	}
	if !v.Throttled {
		return nil
	}
	f := fault.Throttled().With("x-ms-throttle-scope", v.Scope).With("x-ms-throttle-information", v.Information)
	f.Message = fmt.Sprintf("Too many requests from Identifier:%s/%s. Please try again later.", c.caller.AppID, c.caller.TenantID)
	return f.With("Retry-After", seconds(v.RetryAfter))
}

// cost is what a request takes: sections 5.1 and 5.2 of the Graph notes.
func (r *route) cost(u *url.URL) limit.Cost {
	if r.path == "/$batch" { // what is in it counts by itself
		return limit.Cost{}
	}
	if strings.HasPrefix(r.path, "/subscriptions") {
		list := r.method == http.MethodGet && r.path == "/subscriptions"
		return limit.Cost{Subscription: !list, SubscriptionList: list}
	}
	c := limit.Cost{Units: 1, Write: r.method != http.MethodGet, Invitation: r.path == "/invitations"}
	if !c.Write && (r.path == "/users" || r.path == "/applications" || strings.HasPrefix(r.path, "/users/delta")) {
		c.Units = 2
	}
	query := u.Query()
	option := func(name string) string { return query.Get("$"+name) + query.Get(name) }
	if option("select") != "" {
		c.Units--
	}
	if option("expand") != "" {
		c.Units++
	}
	if top, err := strconv.Atoi(option("top")); err == nil && top < 20 {
		c.Units--
	}
	c.Units = max(c.Units, 1)
	return c
}
