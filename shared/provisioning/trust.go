package provisioning

import (
	"context"
	"errors"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Trust tells whether a route may run. It is asked before each look at a user and must not cost a request each time.
type Trust interface {
	// Check returns nil when the tenants of the route trust each other. Otherwise its error is an outcome: Paused when they do
	// not, with what to mend, and any other when that is not known yet. Nothing may be written to the target then.
	Check(ctx context.Context, route tenant.Route) error
}

// trusted asks whether the route may run, before a lease is taken or a tenant is opened. The journal says once of each change that it
// waits: a copy that comes back to a route that still does not run has nothing new to tell.
func (r *Reconciler) trusted(ctx context.Context, route tenant.Route, c change.Change) error {
	if rules := r.Rules[route.Name]; r.Trust == nil || rules != nil && rules.TrustAssumed {
		return nil
	}
	err := r.Trust.Check(ctx, route)
	if err == nil || outcome.Of(err).Paused && c.Paused {
		return err
	}
	now := r.Now()
	w := &worker{route: route, change: c, link: &Link{}, rules: r.Rules[route.Name]}
	return errors.Join(err, r.record(ctx, w.entry(Decision{}, now, now, nil), err))
}
