package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// ErrForbidden: the tenant does not let us read its policies.
var ErrForbidden = errors.New("the application may not read policies")

// Reader reads the policies of a tenant. Its errors carry an outcome (package outcome); ErrForbidden is among what they wrap when
// the permission is missing.
type Reader interface {
	// PartnerSettings are the cross-tenant access settings of a tenant for another one; nil: there are none.
	PartnerSettings(ctx context.Context, tenantID, partnerID string) (*Settings, error)
	// DefaultSettings are those for every tenant.
	DefaultSettings(ctx context.Context, tenantID string) (Settings, error)
	// InvitesFrom is who may invite; empty when it is somebody we do not know.
	InvitesFrom(ctx context.Context, tenantID string) (string, error)
}

// Times of a Gate.
const (
	hourly = time.Hour
	// whilePaused is how soon a route that does not run is checked again.
	whilePaused = 5 * time.Minute
	// afterFailure is how soon policies are read again that could not be read, while nothing is known of the route.
	afterFailure = 2 * time.Second
	// roundLimit bounds all reads for one route. With a run after it, a message is still settled within its lock.
	roundLimit = 7 * time.Second
)

// Gate lets a route run as long as its tenants trust each other. It reads their policies when it is asked first and then every hour, for
// whoever asks then; others who ask meanwhile wait for the same answer. Safe for concurrent use.
type Gate struct {
	Policies Reader
	// Every is how often a route is checked; zero: hourly. One that is paused is checked every five minutes, or as often.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger

	mu     sync.Mutex
	routes map[string]*state
}

// state is what is known of a route.
type state struct {
	known   bool          // there is a verdict
	paused  error         // the verdict: why it does not run; nil: it runs
	failed  error         // why there is no verdict
	due     time.Time     // when it is checked again
	reading chan struct{} // closed at the end of a round of reads; nil: there is none
}

// Check returns nil when the route may run. It is an outcome otherwise: Paused, with what to mend, until the next check; or why the
// policies could not be read. When they can no more be read for a reason that may pass, the last verdict holds.
func (g *Gate) Check(ctx context.Context, route tenant.Route) error {
	g.mu.Lock()
	s := g.state(route.Name)
	for !s.due.After(g.Now()) {
		if s.reading == nil {
			s.reading = make(chan struct{})
			g.mu.Unlock()
			g.round(ctx, route, s)
			g.mu.Lock()
			break
		}
		reading := s.reading
		g.mu.Unlock()
		select {
		case <-reading:
		case <-ctx.Done():
			return outcome.RetryAfter(0, "interrupted", fmt.Errorf("wait for the policies of %s: %w", route.Name, ctx.Err()))
		}
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	return s.answer(g.Now())
}

// state is that of a route. g.mu is held.
func (g *Gate) state(name string) *state {
	if g.routes == nil {
		g.routes = map[string]*state{}
	}
	if g.routes[name] == nil {
		g.routes[name] = &state{}
	}
	return g.routes[name]
}

// answer is the verdict. A change that must wait comes back when the route is checked again.
func (s *state) answer(now time.Time) error {
	if s.paused != nil {
		return outcome.PausedAfter(max(s.due.Sub(now), time.Second), s.paused)
	}
	return s.failed
}

// round reads the policies and decides. Others wait for it, so it does not end with the change that began it.
func (g *Gate) round(ctx context.Context, route tenant.Route, s *state) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundLimit)
	defer cancel()
	paused, err := g.judge(ctx, route)
	g.mu.Lock()
	defer g.mu.Unlock()
	close(s.reading)
	s.reading = nil
	now, wait := g.Now(), outcome.Of(err).Delay
	switch {
	case err != nil && s.known:
		s.due = now.Add(g.again())
		g.Log.WarnContext(ctx, "the policies of a route cannot be read; its last verdict holds", "route", route.Name, "runs", s.paused == nil, "error", err)
	case err != nil:
		s.failed, s.due = err, now.Add(min(max(wait, afterFailure), g.again()))
	default:
		g.tell(ctx, route, s.paused, paused)
		s.known, s.paused, s.failed, s.due = true, paused, nil, now.Add(g.every())
		if paused != nil {
			s.due = now.Add(g.again())
		}
	}
}

// tell logs what has changed about a route; its changes are the journal's to tell.
func (g *Gate) tell(ctx context.Context, route tenant.Route, before, now error) {
	var was, is pause
	switch paused := errors.As(before, &was); {
	case now == nil && paused:
		g.Log.InfoContext(ctx, "a route runs again", "route", route.Name)
	case errors.As(now, &is) && (!paused || was.why != is.why):
		g.Log.ErrorContext(ctx, "a route is paused: nothing is written to its target, and its changes wait", "route", route.Name, "because", now)
	}
}

func (g *Gate) every() time.Duration {
	if g.Every > 0 {
		return g.Every
	}
	return hourly
}

func (g *Gate) again() time.Duration { return min(g.every(), whilePaused) }

// pause says why a route does not run. why is the same as long as the reason is: an error's text has an id of its own each time.
type pause struct{ text, why string }

func (p pause) Error() string { return p.text }

// judge returns why the route does not run, or an error that may pass.
func (g *Gate) judge(ctx context.Context, route tenant.Route) (paused, err error) {
	var source, target Policies
	var sourceErr, targetErr error
	var both sync.WaitGroup
	both.Go(func() { source, sourceErr = g.read(ctx, route.Source, route.Target, false) })
	both.Go(func() { target, targetErr = g.read(ctx, route.Target, route.Source, true) })
	both.Wait()
	var reasons, why []string
	for _, failed := range []struct {
		tenant tenant.Tenant
		err    error
	}{{route.Source, sourceErr}, {route.Target, targetErr}} {
		switch {
		case failed.err == nil:
		case errors.Is(failed.err, ErrForbidden):
			reasons = append(reasons, fmt.Sprintf("%s: its policies may not be read; grant the application permission Policy.Read.All of Microsoft Graph in tenant %s: %v",
				failed.tenant.Name, failed.tenant.ID, failed.err))
			why = append(why, failed.tenant.ID+" forbidden")
		case outcome.Of(failed.err).Kind == outcome.Terminal:
			reasons = append(reasons, fmt.Sprintf("%s: its policies cannot be read: %v", failed.tenant.Name, failed.err))
			why = append(why, failed.tenant.ID+" "+outcome.Of(failed.err).Code)
		default:
			return nil, failed.err
		}
	}
	if reasons == nil {
		for _, f := range Check(route, source, target) {
			reasons = append(reasons, f.String())
		}
		why = reasons
	}
	if reasons == nil {
		return nil, nil
	}
	return pause{fmt.Sprintf("route %s is paused: %s", route.Name, strings.Join(reasons, "; and ")), strings.Join(why, "; ")}, nil
}

// read reads what one tenant says about the other.
func (g *Gate) read(ctx context.Context, of, about tenant.Tenant, invites bool) (p Policies, err error) {
	if p.Partner, err = g.Policies.PartnerSettings(ctx, of.ID, about.ID); err != nil {
		return p, err
	}
	if p.Default, err = g.Policies.DefaultSettings(ctx, of.ID); err != nil || !invites {
		return p, err
	}
	p.InvitesFrom, err = g.Policies.InvitesFrom(ctx, of.ID)
	return p, err
}
