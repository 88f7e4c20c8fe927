package backfill_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenantsync/tenantsync/functions/backfill"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var errAway = errors.New("the bus is away")

type provision struct{ t *testing.T }

func (p provision) Handle(ctx context.Context, d change.Delivery) error {
	if !provisioning.Bulk(ctx) || d.MessageID != "m" {
		p.t.Errorf("message %s is handled in bulk: %v", d.MessageID, provisioning.Bulk(ctx))
	}
	return errAway
}

func TestBackfillIsProvisioningInBulk(t *testing.T) {
	if err := (&backfill.Handler{Provision: provision{t}}).Handle(t.Context(), change.Delivery{MessageID: "m"}); !errors.Is(err, errAway) {
		t.Errorf("error %v, want %v", err, errAway)
	}
	if provisioning.Bulk(t.Context()) {
		t.Error("everything is bulk work")
	}
}
