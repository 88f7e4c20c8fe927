package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

// GroupsAtOnce is how many groups one cursor can follow (reference of group-delta).
const GroupsAtOnce = 50

// Member came into a group, or went.
type Member struct {
	ID string // object id
	// Group: it is a group, with which others came or went.
	Group bool
}

// MemberTracker tracks who comes into groups and goes.
type MemberTracker interface {
	// Nested lists groups and all the groups in them.
	Nested(ctx context.Context, tenantID string, groups []string) ([]string, error)
	// LatestMembers is a cursor that leads to what happens from now on in at most GroupsAtOnce groups.
	LatestMembers(ctx context.Context, tenantID string, groups []string) (cursor string, err error)
	// MemberChanges is as Tracker.Changes.
	MemberChanges(ctx context.Context, tenantID, cursor string, each func([]Member) error) (next string, err error)
}

// membership is where a sweep of the groups of a tenant goes on.
type membership struct {
	// Groups are those of the scopes; Cursors lead to what happens in them and in the groups in them.
	Groups  []string `json:"groups"`
	Cursors []string `json:"cursors"`
	// Nested: a group came into another, or went. The next run begins anew, when slow replicas show it, too.
	Nested bool `json:"nested,omitempty"`
}

func membersName(tenantID string) string { return "sweep-groups/" + tenantID }

// scoped are the routes from a source whose scope names groups, and those groups, each once.
func (s *Sweeper) scoped(source tenant.Tenant) (routes []tenant.Route, groups []string) {
	for _, route := range s.Topology.From(source.ID) {
		if of := s.Groups[route.Name]; len(of) > 0 {
			routes, groups = append(routes, route), append(groups, of...)
		}
	}
	slices.Sort(groups)
	return routes, slices.Compact(groups)
}

// sweepMembers has everybody looked at who came into a group of a scope or went. When a group came or went, nobody says who did with it. On
// the first run of all there is nothing to be missed yet.
func (s *Sweeper) sweepMembers(ctx context.Context, source tenant.Tenant, first bool) error {
	routes, groups := s.scoped(source)
	if len(groups) == 0 {
		return nil
	}
	at, err := s.membership(ctx, source.ID)
	if err != nil {
		return err
	}
	switch {
	case at.Cursors == nil && first:
		return s.beginMembers(ctx, source)
	case at.Cursors == nil:
		return s.everybodyInScope(ctx, source, routes, "nobody knows who came and went until now")
	case !slices.Equal(at.Groups, groups):
		return s.everybodyInScope(ctx, source, routes, "the groups of a scope are others")
	case at.Nested:
		return s.everybodyInScope(ctx, source, routes, "a group came into another, or went")
	}
	nested := false
	for i, cursor := range at.Cursors {
		at.Cursors[i], err = s.MemberTracker.MemberChanges(ctx, source.ID, cursor, func(page []Member) error {
			var changed []Changed
			for _, m := range page {
				nested = nested || m.Group
				if !m.Group {
					changed = append(changed, Changed{User: m.ID})
				}
			}
			return s.send(ctx, routes, cursor, changed)
		})
		if errors.Is(err, ErrExpired) {
			return s.everybodyInScope(ctx, source, routes, "who came and went meanwhile is not known any more")
		}
		if err != nil {
			return err
		}
	}
	at.Nested = nested
	return s.saveMembership(ctx, source.ID, at)
}

// beginMembers makes sure that a sweep of the groups has a place to go on from, if there are any.
func (s *Sweeper) beginMembers(ctx context.Context, source tenant.Tenant) error {
	_, groups := s.scoped(source)
	at, err := s.membership(ctx, source.ID)
	if err != nil || len(groups) == 0 || at.Cursors != nil {
		return err
	}
	if at, err = s.latestMembers(ctx, source); err != nil {
		return err
	}
	return s.saveMembership(ctx, source.ID, at)
}

func (s *Sweeper) latestMembers(ctx context.Context, source tenant.Tenant) (at membership, err error) {
	_, at.Groups = s.scoped(source)
	all, err := s.MemberTracker.Nested(ctx, source.ID, at.Groups)
	if err != nil {
		return at, err
	}
	for some := range slices.Chunk(all, GroupsAtOnce) {
		cursor, err := s.MemberTracker.LatestMembers(ctx, source.ID, some)
		if err != nil {
			return at, err
		}
		at.Cursors = append(at.Cursors, cursor)
	}
	return at, nil
}

// everybodyInScope begins anew with the groups, as lookAtEverybody does with the users.
func (s *Sweeper) everybodyInScope(ctx context.Context, source tenant.Tenant, routes []tenant.Route, why string) error {
	at, err := s.latestMembers(ctx, source)
	if err != nil {
		return err
	}
	s.Log.WarnContext(ctx, "sweep: everybody is looked at", "tenant", source.ID, "reason", why, "routes", len(routes))
	if err := s.Census.Take(ctx, source.ID, routes, occasion(at.Cursors...)); err != nil {
		return err
	}
	return s.saveMembership(ctx, source.ID, at)
}

func (s *Sweeper) membership(ctx context.Context, tenantID string) (at membership, err error) {
	text, err := s.Store.Cursor(ctx, membersName(tenantID))
	if err != nil || text == "" {
		return at, err
	}
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		return at, fmt.Errorf("read the cursors of the groups of tenant %s: %w", tenantID, err)
	}
	return at, nil
}

func (s *Sweeper) saveMembership(ctx context.Context, tenantID string, at membership) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	return s.Store.SaveCursor(ctx, membersName(tenantID), string(text))
}
