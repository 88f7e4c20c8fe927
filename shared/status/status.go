// Package status tells how an installation is doing: what waits, what is late, and what somebody has to look at.
package status

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Report is the state of an installation at a time.
type Report struct {
	At      time.Time `json:"at"`
	Sources []Source  `json:"sources"`
	Routes  []Route   `json:"routes"`
	Queues  []Queue   `json:"queues"`
	Timers  []Timer   `json:"timers"`
	// Problems are what somebody has to look at, each a sentence that says what to do. None: all is well.
	Problems []string `json:"problems"`
}

// Source is a tenant that is watched.
type Source struct {
	Name         string    `json:"name"`
	Tenant       string    `json:"tenant"`
	Subscription string    `json:"subscription,omitempty"`
	ExpiresAt    time.Time `json:"expiresAt,omitzero"`
}

// Route is a route and its people.
type Route struct {
	Name   string `json:"name"`
	Linked int    `json:"linked"` // people with an external user
	Held   int    `json:"held"`   // departures that wait for somebody to decide
	// FromEvent and FromArrival are how long it took, within the Window, until an external user was right: from when Graph says that it happened,
	// and from when the notification arrived.
	FromEvent   Latency `json:"fromEvent"`
	FromArrival Latency `json:"fromArrival"`
}

// Latency is a distribution of times, in nanoseconds.
type Latency struct {
	N   int           `json:"n"`
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
}

// Queue is what a queue holds.
type Queue struct {
	Name string `json:"name"`
	// Active wait to be worked on now, Scheduled later, and DeadLettered for somebody to replay them.
	Active       int `json:"active"`
	Scheduled    int `json:"scheduled"`
	DeadLettered int `json:"deadLettered"`
}

// Timer is when the work of a timer last succeeded; zero: never.
type Timer struct {
	Name  string        `json:"name"`
	Every time.Duration `json:"every"`
	At    time.Time     `json:"at,omitzero"`
}

// Window is how far back latencies are looked at.
const Window = 24 * time.Hour

// Store remembers what a report is about.
type Store interface {
	Subscriptions(ctx context.Context, tenantID string) ([]subscription.Held, error)
	Cursor(ctx context.Context, name string) (string, error)
	SaveCursor(ctx context.Context, name, value string) error
	Held(ctx context.Context, route string) ([]guard.Held, error)
	// CountLinked counts the people of a route that have an external user.
	CountLinked(ctx context.Context, route string) (int, error)
	// Recent hands out the entries of a route since a time.
	Recent(ctx context.Context, route string, since time.Time, each func(provisioning.Entry)) error
}

// Queues tell what they hold.
type Queues interface {
	Depth(ctx context.Context, queue string) (Queue, error)
}

// Reporter makes reports.
type Reporter struct {
	Topology   *tenant.Topology
	Store      Store
	Queues     Queues
	QueueNames []string
	// Timers are those whose work has to succeed, with how often it is due.
	Timers map[string]time.Duration
	Now    func() time.Time
}

// Report looks at everything. Its error says what could not be looked at.
func (r *Reporter) Report(ctx context.Context) (Report, error) {
	now := r.Now()
	report := Report{At: now, Problems: []string{}}
	for _, part := range []func(context.Context, *Report) error{r.sources, r.routes, r.queues, r.timers} {
		if err := part(ctx, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

func (p *Report) problem(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}

// expiresSoon is less than the time that renewals leave, so that a healthy installation never comes near it.
const expiresSoon = 48 * time.Hour

func (r *Reporter) sources(ctx context.Context, p *Report) error {
	for _, t := range r.Topology.Sources() {
		held, err := r.Store.Subscriptions(ctx, t.ID)
		if err != nil {
			return err
		}
		s := Source{Name: t.Name, Tenant: t.ID}
		for _, h := range held {
			if h.ExpiresAt.After(s.ExpiresAt) {
				s.Subscription, s.ExpiresAt = h.ID, h.ExpiresAt
			}
		}
		switch {
		case !s.ExpiresAt.After(p.At):
			p.problem("%s is not watched: there is no subscription; the log of renew says why", t.Name)
		case s.ExpiresAt.Sub(p.At) < expiresSoon:
			p.problem("the subscription of %s ends on %s and is not renewed; the log of renew says why", t.Name, s.ExpiresAt.UTC().Format(time.RFC3339))
		}
		p.Sources = append(p.Sources, s)
	}
	return nil
}

func (r *Reporter) routes(ctx context.Context, p *Report) error {
	for _, route := range r.Topology.Routes() {
		one := Route{Name: route.Name}
		var err error
		if one.Linked, err = r.Store.CountLinked(ctx, route.Name); err != nil {
			return err
		}
		held, err := r.Store.Held(ctx, route.Name)
		if err != nil {
			return err
		}
		for _, h := range held {
			if !h.Rejected {
				one.Held++
			}
		}
		if one.Held > 0 {
			p.problem("departures on %s that wait for a decision: %d; tenantsync guard list shows them", route.Name, one.Held)
		}
		if one.FromEvent, one.FromArrival, err = r.latencies(ctx, route.Name, p.At.Add(-Window)); err != nil {
			return err
		}
		p.Routes = append(p.Routes, one)
	}
	return nil
}

func (r *Reporter) latencies(ctx context.Context, route string, since time.Time) (event, arrival Latency, err error) {
	var fromEvent, fromArrival []time.Duration
	err = r.Store.Recent(ctx, route, since, func(e provisioning.Entry) {
		if e.Outcome != "done" || e.Held || e.Action == provisioning.ActionNone {
			return
		}
		fromArrival = append(fromArrival, e.At.Sub(e.ArrivedAt))
		if !e.EventAt.IsZero() {
			fromEvent = append(fromEvent, e.At.Sub(e.EventAt))
		}
	})
	return distribution(fromEvent), distribution(fromArrival), err
}

func distribution(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	return Latency{N: len(all), P50: all[len(all)/2], P99: all[len(all)*99/100]}
}

func (r *Reporter) queues(ctx context.Context, p *Report) error {
	for _, name := range r.QueueNames {
		q, err := r.Queues.Depth(ctx, name)
		if err != nil {
			return err
		}
		if q.DeadLettered > 0 {
			p.problem("dead letters of queue %s: %d; POST /api/replay with {\"dryRun\": true} counts them by reason", name, q.DeadLettered)
		}
		p.Queues = append(p.Queues, q)
	}
	return nil
}

// late is how many times a timer may miss its time.
const late = 3

func (r *Reporter) timers(ctx context.Context, p *Report) error {
	names := make([]string, 0, len(r.Timers))
	for name := range r.Timers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := r.Store.Cursor(ctx, timerCursor(name))
		if err != nil {
			return err
		}
		t := Timer{Name: name, Every: r.Timers[name]}
		t.At, _ = time.Parse(time.RFC3339, text) // what nobody saved is never
		switch age := p.At.Sub(t.At); {
		case t.At.IsZero():
			p.problem("%s has never succeeded; its log says why", name)
		case age > late*t.Every:
			p.problem("%s has not succeeded for %s; its log says why", name, age.Round(time.Minute))
		}
		p.Timers = append(p.Timers, t)
	}
	return nil
}

func timerCursor(name string) string { return "timer/" + name }

// Watched is the work of a timer whose successes a report tells.
func (r *Reporter) Watched(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			return err
		}
		return r.Store.SaveCursor(ctx, timerCursor(name), r.Now().UTC().Format(time.RFC3339))
	}
}
