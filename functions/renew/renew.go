// Package renew keeps the Graph subscriptions alive, and looks at everybody once whenever a new one begins.
package renew

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	Now      func() time.Time
	Log      *slog.Logger
}

// Run renews what is due. What happened before a subscription began was never notified, so each new one is followed by a
// catch-up: a change for everybody in its tenant and everybody linked from it. A catch-up that fails is tried again on the next run.
func (h *Handler) Run(ctx context.Context) error {
	standing, err := h.Renewer.Run(ctx)
	failures := []error{err}
	for _, held := range standing {
		if err := h.catchUp(ctx, held); err != nil {
			failures = append(failures, fmt.Errorf("catch up on tenant %s: %w", held.TenantID, err))
		}
	}
	return errors.Join(failures...)
}

func (h *Handler) catchUp(ctx context.Context, held subscription.Held) error {
	cursor := "catch-up/" + held.TenantID
	done, err := h.Store.Cursor(ctx, cursor)
	if err != nil || done == held.ID {
		return err
	}
	seen := map[string]bool{}
	send := func(routes []tenant.Route, ids []string) error {
		changes := h.changes(held.ID, routes, ids)
		return h.Bus.Send(ctx, change.QueueChanges, changes)
	}
	routes := h.Topology.From(held.TenantID)
	err = h.Users.UserIDs(ctx, held.TenantID, func(ids []string) error {
		for _, id := range ids {
			seen[id] = true
		}
		return send(routes, ids)
	})
	if err != nil {
		return err
	}
	for _, route := range routes {
		var left []string
		err := h.Store.Linked(ctx, route.Name, func(l provisioning.Link) error {
			if l.State == provisioning.LinkActive && !seen[l.Key.User] {
				left = append(left, l.Key.User)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := send([]tenant.Route{route}, left); err != nil {
			return err
		}
	}
	h.Log.InfoContext(ctx, "renew: everybody of a newly watched tenant is looked at", "tenant", held.TenantID, "users", len(seen))
	return h.Store.SaveCursor(ctx, cursor, held.ID)
}

func (h *Handler) changes(subscriptionID string, routes []tenant.Route, ids []string) []change.Change {
	now := h.Now()
	changes := make([]change.Change, 0, len(routes)*len(ids))
	for _, route := range routes {
		for _, id := range ids {
			changes = append(changes, change.Change{Route: route.Name, User: id, Cause: change.CauseCatchUp,
				Key: change.Key(subscriptionID, id, now.Format(time.RFC3339Nano)), ArrivedAt: now})
		}
	}
	return changes
}
