// Package renew keeps the Graph subscriptions alive, and looks at everybody once whenever a new one begins.
package renew

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Every is how often it runs; function.json says the same in NCRONTAB.
const Every = 5 * time.Minute

// Renewer keeps the subscriptions and tells which stand.
type Renewer interface {
	Run(ctx context.Context) ([]subscription.Held, error)
}

// Users lists the internal users of a tenant, page by page.
type Users interface {
	UserIDs(ctx context.Context, tenantID string, each func(ids []string) error) error
}

// Store remembers for which subscription everybody was looked at, and whom we linked.
type Store interface {
	Cursor(ctx context.Context, name string) (string, error)
	SaveCursor(ctx context.Context, name, value string) error
	Linked(ctx context.Context, route string, each func(provisioning.Link) error) error
}

// Bus takes changes.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Handler is the timer's work.
type Handler struct {
	Renewer  Renewer
	Topology *tenant.Topology
	Users    Users
	Store    Store
	Bus      Bus
	// Forgetful says that the bus has lost what it held when this process began, so that the first run looks at everybody.
	Forgetful bool
	Now       func() time.Time
	Log       *slog.Logger

	running  sync.Mutex      // a host may fire the timer while a run goes on
	recalled map[string]bool // tenants that a forgetful bus knows about again
}

// Run renews what is due. What happened while nobody listened was never notified, so a route catches up when it is new,
// when the subscription of its source is, and after a long absence: a change for everybody in the source and everybody
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
