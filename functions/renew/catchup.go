package renew

import (
	"context"
	"fmt"
	"time"

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
		again, err := h.dueAgain(ctx, route)
		if err != nil {
			return err
		}
		if absent || again || done != h.caughtUp(held, route) {
			behind = append(behind, route)
		}
	}
	if len(behind) > 0 {
		if err := h.lookAtEverybody(ctx, held, behind); err != nil {
			return err
		}
	}
	return h.Store.SaveCursor(ctx, presenceCursor(held.TenantID), h.Now().UTC().Format(time.RFC3339))
}

// wasAbsent reports whether notifications of the tenant may have been given up on since the last run.
func (h *Handler) wasAbsent(ctx context.Context, tenantID string) (bool, error) {
	last, err := h.Store.Cursor(ctx, presenceCursor(tenantID))
	if err != nil {
		return false, err
	}
	at, err := time.Parse(time.RFC3339, last)
	return err != nil || h.Now().Sub(at) > graphRetries, nil
}

// lookEvery is how often everybody is looked at although nothing tells of a change: somebody may have changed an external user in the target,
// and conditions on dates become true by themselves.
const lookEvery = 24 * time.Hour

// dueAgain reports whether the last look at everybody on a route is too long ago, or was before somebody asked for one. A route that is new
// is looked at for the former reason.
func (h *Handler) dueAgain(ctx context.Context, r tenant.Route) (bool, error) {
	last, err := h.Store.Cursor(ctx, lookedCursor(r))
	if err != nil {
		return false, err
	}
	asked, err := h.Store.Cursor(ctx, askedCursor(r))
	if err != nil {
		return false, err
	}
	at, err := time.Parse(time.RFC3339, last)
	if err != nil || h.Now().Sub(at) >= lookEvery {
		return true, nil
	}
	askedAt, err := time.Parse(time.RFC3339, asked)
	return err == nil && !askedAt.Before(at), nil
}

// Ask has everybody on a route looked at in the next run.
func (h *Handler) Ask(ctx context.Context, r tenant.Route) error {
	return h.Store.SaveCursor(ctx, askedCursor(r), h.Now().UTC().Format(time.RFC3339Nano))
}

// Presence begins the names of the cursors that say when a tenant was last served. Without them everybody is looked at.
const Presence = "served/"

// caughtUp is what a route has caught up with: a subscription, and the rules by which everybody was looked at.
func (h *Handler) caughtUp(held subscription.Held, r tenant.Route) string {
	return held.ID + "/" + h.Rules[r.Name]
}

// Names of cursors: what a route has caught up with, when everybody on it was last looked at, when somebody last asked for that, and when a
// tenant was last served.
func routeCursor(r tenant.Route) string     { return "catch-up/" + r.Name + "/" + r.Target.ID }
func lookedCursor(r tenant.Route) string    { return "looked/" + r.Name + "/" + r.Target.ID }
func askedCursor(r tenant.Route) string     { return "asked/" + r.Name + "/" + r.Target.ID }
func presenceCursor(tenantID string) string { return Presence + tenantID }

// lookAtEverybody has a place for the sweeps to go on from before it begins: what changes meanwhile they find.
func (h *Handler) lookAtEverybody(ctx context.Context, held subscription.Held, routes []tenant.Route) error {
	begun := h.Now().UTC().Format(time.RFC3339Nano) // who asks from now on asks for another look
	if err := h.Sweeps.Begin(ctx, held.TenantID); err != nil {
		return fmt.Errorf("begin to track changes: %w", err)
	}
	if err := h.Census.Take(ctx, held.TenantID, routes, "subscription "+held.ID); err != nil {
		return err
	}
	for _, route := range routes {
		if err := h.Store.SaveCursor(ctx, lookedCursor(route), begun); err != nil {
			return err
		}
		if err := h.Store.SaveCursor(ctx, routeCursor(route), h.caughtUp(held, route)); err != nil {
			return err
		}
	}
	return nil
}
