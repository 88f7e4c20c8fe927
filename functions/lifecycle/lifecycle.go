// Package lifecycle does at once what Graph says that a subscription needs. The timers would do it later.
package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenantsync/tenantsync/functions/notify"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/webhook"
)

// Route is where Graph posts, below /api/.
const Route = "lifecycle"

// deadline leaves two of the ten seconds after which Graph takes a request for failed.
const deadline = 8 * time.Second

// Gate admits what Graph sent because of a subscription of ours.
type Gate interface {
	Admit(ctx context.Context, n subscription.Notification, waitUntil time.Time) error
}

// Renewer renews the subscription of a tenant before that is due.
type Renewer interface {
	Reauthorize(ctx context.Context, tenantID string) error
}

// Timer is the work of one of the timers.
type Timer interface {
	Run(ctx context.Context) error
}

// Handler answers Graph: the validation handshake, or 202 once everything is done. Items that fail a check are dropped and logged. 503
// makes Graph send the others again; what is done twice does no harm.
type Handler struct {
	Gate    Gate
	Renewer Renewer
	// Renew makes subscriptions that are gone, and looks at everybody then; Sweep finds what was missed.
	Renew, Sweep Timer
	Log          *slog.Logger
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { webhook.Serve(w, r, h.accept) }

// accept does what the items ask for, each thing once, and returns the HTTP status.
func (h *Handler) accept(ctx context.Context, items []json.RawMessage) int {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	due := map[string]func() error{}
	for _, item := range items {
		n, event, err := subscription.DecodeLifecycle(item)
		if err == nil {
			err = h.Gate.Admit(ctx, n, time.Time{})
		}
		var unavailable notify.Unavailable
		switch {
		case errors.As(err, &unavailable):
			h.Log.ErrorContext(ctx, "lifecycle: not accepted", "error", err)
			return http.StatusServiceUnavailable
		case err != nil:
			h.Log.WarnContext(ctx, "lifecycle: an item is dropped", "error", err)
			continue
		}
		h.Log.InfoContext(ctx, "lifecycle", "tenant", n.TenantID, "subscription", n.SubscriptionID, "event", event)
		switch event {
		case subscription.ReauthorizationRequired:
			due["reauthorize "+n.TenantID] = func() error { return h.Renewer.Reauthorize(ctx, n.TenantID) }
		case subscription.Removed:
			due["renew"] = func() error { return h.Renew.Run(ctx) }
		case subscription.Missed:
			due["sweep"] = func() error { return h.Sweep.Run(ctx) }
		}
	}
	var failures []error
	for what, do := range due {
		if err := do(); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", what, err))
		}
	}
	if err := errors.Join(failures...); err != nil {
		h.Log.ErrorContext(ctx, "lifecycle: it failed, and Graph sends it again", "error", err)
		return http.StatusServiceUnavailable
	}
	return http.StatusAccepted
}
