// Package backfill applies changes in bulk: everybody on a new route, after an absence, or when other attributes are read. It does what
// provision does, on a queue of its own, so that a live change never waits behind it.
package backfill

import (
	"context"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Provision takes one message from its delivery to its settlement.
type Provision interface {
	Handle(ctx context.Context, d change.Delivery) error
}

// Handler is the queue's work.
type Handler struct{ Provision Provision }

// Handle works on d with the lower priority that Graph offers for bulk work.
func (h *Handler) Handle(ctx context.Context, d change.Delivery) error {
	return h.Provision.Handle(provisioning.InBulk(ctx), d)
}
