package provisioningtest

import (
	"context"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var _ provisioning.Guard = (*World)(nil)

// HoldDepartures lets the guard of this world hold every departure that is not forced, or none.
func (w *World) HoldDepartures(hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holding = hold
}

// Departures are all that the guard was asked about, in order.
func (w *World) Departures() []guard.Departure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]guard.Departure(nil), w.departures...)
}

// Admit implements provisioning.Guard.
func (w *World) Admit(ctx context.Context, d guard.Departure, _ guard.Limits) (v guard.Verdict, err error) {
	err = w.do(ctx, Admit, func() error {
		w.departures = append(w.departures, d)
		v.Held = w.holding && !d.Forced
		if !d.Forced { // a forced block does not answer for what is held
			w.links[provisioning.LinkKey{Route: d.Route, User: d.User}].link.Held = v.Held
		}
		return nil
	})
	return v, err
}

// Withdraw implements provisioning.Guard.
func (w *World) Withdraw(ctx context.Context, key provisioning.LinkKey) error {
	return w.do(ctx, Withdraw, func() error {
		w.links[key].link.Held = false
		return nil
	})
}
