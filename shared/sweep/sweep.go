// Package sweep finds what no notification told: Graph loses some, and sends none while nobody listens. It asks each source what changed
// since the last time.
package sweep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// ErrExpired: the directory no longer knows what changed since then (Graph: 410, syncStateNotFound; tokens live for seven days).
var ErrExpired = errors.New("what changed since then is not known any more")

// Changed is a user that changed.
type Changed struct {
	User string // object id
	// Deleted: it is gone for good, and not among the deleted ones. A claim to verify, not a fact.
	Deleted bool
}

// Tracker tracks the changes of the users of a tenant.
type Tracker interface {
	// Tracked names the attributes whose changes are told. A cursor is good for the same ones only.
	Tracked() string
	// Latest is a cursor that leads to what happens from now on.
	Latest(ctx context.Context, tenantID string) (cursor string, err error)
	// Changes hands out what changed since a cursor, a page at a time, until each returns an error, and returns the cursor after it.
	// A user may be told of more than once. ErrExpired: ask Latest, and look at everybody.
	Changes(ctx context.Context, tenantID, cursor string, each func([]Changed) error) (next string, err error)
}

// Store remembers how far a sweep has come.
type Store interface {
	Cursor(ctx context.Context, name string) (string, error)
	SaveCursor(ctx context.Context, name, value string) error
}

// Bus takes changes.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Census has everybody on routes looked at.
type Census interface {
	Take(ctx context.Context, tenantID string, routes []tenant.Route, occasion string) error
}

// Sweeper sweeps the sources.
type Sweeper struct {
	Topology *tenant.Topology
	Tracker  Tracker
	Store    Store
	Bus      Bus
	Census   Census
	// Groups are those of the scope of each route, by its name; MemberTracker is needed where there are any.
	Groups        map[string][]string
	MemberTracker MemberTracker
	Now           func() time.Time
	Log           *slog.Logger

	mu sync.Mutex // one round at a time: none goes on from a cursor that another is about to replace
}

// position is where a sweep of a tenant goes on.
type position struct {
	Tracked string `json:"tracked"`
	Cursor  string `json:"cursor"`
}

func cursorName(tenantID string) string { return "sweep/" + tenantID }

// Run sweeps every source. One that fails does not hold up the others; its cursor stays where it was, and the next run goes on from there.
func (s *Sweeper) Run(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failures []error
	for _, source := range s.Topology.Sources() {
		at, err := s.position(ctx, source.ID)
		if err == nil {
			err = errors.Join(s.sweep(ctx, source, at), s.sweepMembers(ctx, source, at.Cursor == ""))
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("sweep %s (%s): %w", source.Name, source.ID, err))
		}
	}
	return errors.Join(failures...)
}

// Begin makes sure that a sweep of the tenant has a place to go on from. Whoever looks at everybody calls it before: what changes while
// they do is then found.
func (s *Sweeper) Begin(ctx context.Context, tenantID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.position(ctx, tenantID)
	if err == nil && at.Cursor == "" {
		err = s.restart(ctx, tenantID)
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.Topology.Sources(), func(source tenant.Tenant) bool { return source.ID == tenantID })
	if i < 0 {
		return nil
	}
	if err := s.beginMembers(ctx, s.Topology.Sources()[i]); err != nil {
		// The routes without groups do not wait for it, and the sweep begins with a look at everybody on the others.
		s.Log.WarnContext(ctx, "sweep: who comes into the groups of a scope cannot be tracked yet", "tenant", tenantID, "error", err)
	}
	return nil
}

func (s *Sweeper) sweep(ctx context.Context, source tenant.Tenant, at position) (err error) {
	if at.Cursor == "" {
		return s.restart(ctx, source.ID) // whoever is new is looked at with the subscription
	}
	// With other attributes the sweeps go on from here, behind what is told below. Whom other rules are about is looked at for that reason.
	latest := ""
	if at.Tracked != s.Tracker.Tracked() {
		if latest, err = s.Tracker.Latest(ctx, source.ID); err != nil {
			return err
		}
	}
	found := 0
	next, err := s.Tracker.Changes(ctx, source.ID, at.Cursor, func(page []Changed) error {
		found += len(page)
		return s.send(ctx, s.Topology.From(source.ID), at.Cursor, page)
	})
	if errors.Is(err, ErrExpired) {
		return s.lookAtEverybody(ctx, source, "what changed meanwhile is not known any more")
	}
	if err != nil {
		return err
	}
	if found > 0 {
		s.Log.InfoContext(ctx, "sweep", "tenant", source.ID, "changed", found)
	}
	return s.save(ctx, source.ID, cmp.Or(latest, next))
}

// lookAtEverybody begins anew. The cursor is asked for first and saved last: what changes in between is found, and a failure repeats it.
func (s *Sweeper) lookAtEverybody(ctx context.Context, source tenant.Tenant, why string) error {
	next, err := s.Tracker.Latest(ctx, source.ID)
	if err != nil {
		return err
	}
	s.Log.WarnContext(ctx, "sweep: everybody is looked at", "tenant", source.ID, "reason", why)
	if err := s.Census.Take(ctx, source.ID, s.Topology.From(source.ID), occasion(next)); err != nil {
		return err
	}
	return s.save(ctx, source.ID, next)
}

// occasion names a census by the cursors that it begins with.
func occasion(cursors ...string) string { return "sweep " + change.Key(cursors...)[:12] }

func (s *Sweeper) restart(ctx context.Context, tenantID string) error {
	next, err := s.Tracker.Latest(ctx, tenantID)
	if err != nil {
		return err
	}
	return s.save(ctx, tenantID, next)
}

// send puts the changes of a page on the bus. A round that is repeated makes other messages: of the same one, duplicate detection would drop
// what a user changed in between.
func (s *Sweeper) send(ctx context.Context, routes []tenant.Route, cursor string, page []Changed) error {
	now := s.Now()
	changes := make([]change.Change, 0, len(page)*len(routes))
	for _, c := range page {
		for _, route := range routes {
			changes = append(changes, change.Change{Route: route.Name, User: c.User, Cause: change.CauseSweep, Deleted: c.Deleted,
				Key: change.Key("sweep", cursor, c.User, fmt.Sprint(c.Deleted), now.Format(time.RFC3339Nano)), ArrivedAt: now})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return s.Bus.Send(ctx, change.QueueChanges, changes)
}

func (s *Sweeper) position(ctx context.Context, tenantID string) (at position, err error) {
	text, err := s.Store.Cursor(ctx, cursorName(tenantID))
	if err != nil || text == "" {
		return at, err
	}
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		return at, fmt.Errorf("read the cursor of tenant %s: %w", tenantID, err)
	}
	return at, nil
}

func (s *Sweeper) save(ctx context.Context, tenantID, cursor string) error {
	text, err := json.Marshal(position{s.Tracker.Tracked(), cursor})
	if err != nil {
		return err
	}
	return s.Store.SaveCursor(ctx, cursorName(tenantID), string(text))
}
