// Package renew keeps the Graph subscriptions alive, and looks at everybody once whenever a new one begins.
package renew

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Every is how often it runs; function.json says the same in NCRONTAB.
const Every = 5 * time.Minute

// Renewer keeps the subscriptions and tells which stand.
type Renewer interface {
	Run(ctx context.Context) ([]subscription.Held, error)
}

// Store remembers for which subscription everybody was looked at.
type Store interface {
	Cursor(ctx context.Context, name string) (string, error)
	SaveCursor(ctx context.Context, name, value string) error
}

// Census has everybody on routes looked at.
type Census interface {
	Take(ctx context.Context, tenantID string, routes []tenant.Route, occasion string) error
}

// Sweeps find later what changes from now on.
type Sweeps interface {
	Begin(ctx context.Context, tenantID string) error
}

// Handler is the timer's work.
type Handler struct {
	Renewer  Renewer
	Topology *tenant.Topology
	Store    Store
	Census   Census
	Sweeps   Sweeps
	// Rules tell by a fingerprint, for each route by its name, when the rules about people have changed.
	Rules map[string]string
	Now   func() time.Time
	Log   *slog.Logger

	running sync.Mutex // a host may fire the timer while a run goes on
}

// Run renews what is due. What happened while nobody listened was never notified, so a route catches up when it is new,
// when the subscription of its source is, after a long absence, when its rules have changed, once a day, and when somebody asks: a change for everybody in the source and everybody
// linked from it. A catch-up that fails is tried again on the next run.
func (h *Handler) Run(ctx context.Context) error {
	h.running.Lock()
	defer h.running.Unlock()
	standing, err := h.Renewer.Run(ctx)
	failures := []error{err}
	for _, held := range standing {
		if err := h.catchUp(ctx, held); err != nil {
			failures = append(failures, fmt.Errorf("catch up on tenant %s: %w", held.TenantID, err))
		}
	}
	return errors.Join(failures...)
}
