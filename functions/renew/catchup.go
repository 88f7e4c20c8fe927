package renew

import (
	"context"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// graphRetries is how long Graph delivers a notification again when nobody answers (4 hours), with a margin: whoever
// was away for less has missed nothing.
const graphRetries = 3*time.Hour + 30*time.Minute

// catchUp looks at everybody on the routes of a tenant that are behind.
func (h *Handler) catchUp(ctx context.Context, held subscription.Held) error {
	absent, err := h.wasAbsent(ctx, held.TenantID)
	if err != nil {
		return err
	}
	var behind []tenant.Route
	for _, route := range h.Topology.From(held.TenantID) {
		done, err := h.Store.Cursor(ctx, routeCursor(route))
		if err != nil {
			return err
		}
		if absent || done != held.ID {
			behind = append(behind, route)
		}
	}
	if len(behind) > 0 {
		if err := h.lookAtEverybody(ctx, held, behind); err != nil {
			return err
		}
	}
	if h.recalled == nil {
		h.recalled = map[string]bool{}
	}
	h.recalled[held.TenantID] = true
	return h.Store.SaveCursor(ctx, presenceCursor(held.TenantID), h.Now().UTC().Format(time.RFC3339))
}

// wasAbsent reports whether notifications of the tenant may have been given up on since the last run.
func (h *Handler) wasAbsent(ctx context.Context, tenantID string) (bool, error) {
	if h.Forgetful && !h.recalled[tenantID] {
		return true, nil
	}
	last, err := h.Store.Cursor(ctx, presenceCursor(tenantID))
	if err != nil {
		return false, err
	}
	at, err := time.Parse(time.RFC3339, last)
	return err != nil || h.Now().Sub(at) > graphRetries, nil
}

// Names of cursors: which subscription a route has caught up with, and when a tenant was last served.
func routeCursor(r tenant.Route) string     { return "catch-up/" + r.Name + "/" + r.Target.ID }
func presenceCursor(tenantID string) string { return "served/" + tenantID }

func (h *Handler) lookAtEverybody(ctx context.Context, held subscription.Held, routes []tenant.Route) error {
	seen := map[string]bool{}
	err := h.Users.UserIDs(ctx, held.TenantID, func(ids []string) error {
		for _, id := range ids {
			seen[id] = true
		}
		return h.send(ctx, held.ID, routes, ids, false)
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
		// Not listed is no proof. As a claim that they are gone for good it is verified, and by a second look.
		if err := h.send(ctx, held.ID, []tenant.Route{route}, left, true); err != nil {
			return err
		}
		if err := h.Store.SaveCursor(ctx, routeCursor(route), held.ID); err != nil {
			return err
		}
	}
	h.Log.InfoContext(ctx, "renew: everybody is looked at", "tenant", held.TenantID, "users", len(seen), "routes", len(routes))
	return nil
}

func (h *Handler) send(ctx context.Context, subscriptionID string, routes []tenant.Route, ids []string, deleted bool) error {
	now := h.Now()
	changes := make([]change.Change, 0, len(routes)*len(ids))
	for _, route := range routes {
		for _, id := range ids {
			changes = append(changes, change.Change{Route: route.Name, User: id, Cause: change.CauseCatchUp, Deleted: deleted,
				Key: change.Key(subscriptionID, id, now.Format(time.RFC3339Nano)), ArrivedAt: now})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return h.Bus.Send(ctx, change.QueueChanges, changes)
}
