// Package notify receives Graph change notifications and puts one change per route on the bus.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/webhook"
)

// Route is where Graph posts, below /api/.
const Route = "notifications"

// sendDeadline leaves half a second of the three that Graph waits for an answer.
const sendDeadline = 2500 * time.Millisecond

// Bus takes changes. Send returns nil only once the bus has all of them.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Handler answers Graph: the validation handshake, or 202 once every change is on the bus. Items that fail a check are
// dropped, counted and logged; the answer tells a sender nothing of it. 503 makes Graph deliver again for up to four hours.
type Handler struct {
	Topology *tenant.Topology
	Gate     *Gate
	Bus      Bus
	Now      func() time.Time
	Log      *slog.Logger
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { webhook.Serve(w, r, h.accept) }

// accept puts what passes the checks on the bus and returns the HTTP status.
func (h *Handler) accept(ctx context.Context, items []json.RawMessage) int {
	arrived := h.Now()
	ctx, cancel := context.WithTimeout(ctx, sendDeadline)
	defer cancel()
	waitUntil := time.Now().Add(ownerWait)
	var changes []change.Change
	dropped := map[string]int{}
	for _, item := range items {
		n, err := subscription.DecodeNotification(item)
		if err == nil {
			err = h.Gate.Admit(ctx, n, waitUntil)
		}
		if err != nil {
			var unavailable Unavailable
			if errors.As(err, &unavailable) {
				h.Log.ErrorContext(ctx, "notify: not accepted", "items", len(items), "error", err)
				return http.StatusServiceUnavailable
			}
			dropped[reason(err)]++
			continue
		}
		for _, route := range h.Topology.From(n.TenantID) {
			changes = append(changes, asChange(n, route.Name, arrived))
		}
	}
	if len(dropped) > 0 {
		h.Log.WarnContext(ctx, "notify: items dropped", "items", len(items), "dropped", dropped)
	}
	if len(changes) == 0 {
		return http.StatusAccepted
	}
	if err := h.Bus.Send(ctx, change.QueueChanges, changes); err != nil {
		h.Log.ErrorContext(ctx, "notify: the bus did not take the changes", "changes", len(changes), "error", err)
		return http.StatusServiceUnavailable
	}
	h.Log.InfoContext(ctx, "notify: accepted", "items", len(items), "changes", len(changes))
	return http.StatusAccepted
}

func asChange(n subscription.Notification, route string, arrived time.Time) change.Change {
	key := change.Key(n.SubscriptionID, n.UserID, n.Sequence)
	if n.Deleted {
		key = change.Key(n.SubscriptionID, n.UserID, n.Sequence, "deleted")
	}
	if n.Sequence == "" {
		// Nothing tells two events apart, so each delivery counts: looking once too often is harmless.
		key = change.Key(n.SubscriptionID, n.UserID, arrived.Format(time.RFC3339Nano))
	}
	return change.Change{Route: route, User: n.UserID, Cause: change.CauseNotification, Key: key,
		Deleted: n.Deleted, EventAt: n.EventAt, ArrivedAt: arrived}
}
