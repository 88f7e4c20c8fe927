package app

import (
	"context"
	"log/slog"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// logged is a journal whose entries also go to the log: what was decided, why, and how it ended.
type logged struct {
	provisioning.Journal
	log *slog.Logger
}

// Append keeps the entry and logs it.
func (l logged) Append(ctx context.Context, e provisioning.Entry) error {
	attrs := []any{"route", e.Route, "user", e.User, "external", e.External, "action", e.Action, "operations", e.Operations,
		"reason", e.Reason, "cause", e.Cause, "trace", e.Trace, "outcome", e.Outcome}
	if e.Error != "" {
		attrs = append(attrs, "because", e.Error)
	}
	l.log.InfoContext(ctx, "journal", attrs...)
	return l.Journal.Append(ctx, e)
}
