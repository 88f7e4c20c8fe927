package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/forecast"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/sqlitestore"
	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/trust"
)

// Planner foresees what would happen. It writes nothing to a tenant, and to the store nothing but what a newer program must to read it.
type Planner struct {
	forecast.Forecaster
	directory *graph.Graph
	gate      *trust.Gate
	rules     map[string]*provisioning.Rules
	store     *sqlitestore.Store // nil: links are found by the link key
}

// NewPlanner needs no bus, and a data folder only to know links.
func NewPlanner(ctx context.Context, c *config.Config, o Options) (*Planner, error) {
	o = o.withDefaults()
	directory, err := openGraph(c, o)
	if err != nil {
		return nil, err
	}
	p := &Planner{directory: directory, gate: &trust.Gate{Policies: directory, Now: o.Now, Log: slog.New(slog.DiscardHandler)}, rules: c.Rules}
	p.Forecaster = forecast.Forecaster{Users: p, Wait: wait}
	reconciler := &provisioning.Reconciler{Directories: directory, Links: noLinks{}, Rules: c.Rules, Now: o.Now}
	if c.DataDir != "" {
		if _, err := os.Stat(filepath.Join(c.DataDir, storeFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, config.Mistake{File: c.DataDir, Text: "there is no store in this folder; name the one that serve runs with, or none: then links are found by the link key"}
		}
		if p.store, err = openStore(ctx, c.DataDir); err != nil {
			return nil, err
		}
		reconciler.Links = p.store
	}
	p.Previewer = reconciler
	return p, nil
}

// UserIDs is forecast.Users.
func (p *Planner) UserIDs(ctx context.Context, tenantID string, each func(ids []string) error) error {
	return p.directory.UserIDs(ctx, tenantID, each)
}

// Linked is forecast.Users.
func (p *Planner) Linked(ctx context.Context, route string, each func(provisioning.Link) error) error {
	if p.store == nil {
		return nil
	}
	return p.store.Linked(ctx, route, each)
}

// UserID finds a user of a source by its object id or principal name.
func (p *Planner) UserID(ctx context.Context, tenantID, name string) (string, error) {
	return p.directory.UserID(ctx, tenantID, name)
}

// Paused says why a route would not run now, whatever is planned for its users; nil: it runs.
func (p *Planner) Paused(ctx context.Context, route tenant.Route) error {
	if p.rules[route.Name].TrustAssumed {
		return nil
	}
	return p.gate.Check(ctx, route)
}

// Close ends the use of the store.
func (p *Planner) Close() error {
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noLinks is a store that remembers nothing. Only Find is ever called.
type noLinks struct{ provisioning.Links }

func (noLinks) Find(_ context.Context, key provisioning.LinkKey) (provisioning.Link, bool, error) {
	return provisioning.Link{Key: key}, false, nil
}
