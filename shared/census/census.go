// Package census has everybody on a route looked at: the users of the source, and those who have an external user and are not there any more.
package census

import (
	"context"
	"log/slog"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Users lists the internal users of a tenant, page by page.
type Users interface {
	UserIDs(ctx context.Context, tenantID string, each func(ids []string) error) error
}

// Externals knows whose external users are in a target, from what they carry themselves.
type Externals interface {
	Carried(ctx context.Context, targetID, sourceID string, each func(users []string) error) error
}

// Links knows who is linked on a route.
type Links interface {
	Linked(ctx context.Context, route string, each func(provisioning.Link) error) error
}

// Bus takes changes.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Taker takes censuses.
type Taker struct {
	Users     Users
	Externals Externals
	Links     Links
	Bus       Bus
	Now       func() time.Time
	Log       *slog.Logger
}

// Take puts a change for everybody on the routes of a tenant on the bus, in the lane for bulk work. occasion is what makes it necessary: it tells the changes of two
// censuses apart, and those of one that is repeated from those of the first.
func (t *Taker) Take(ctx context.Context, tenantID string, routes []tenant.Route, occasion string) error {
	seen := map[string]bool{}
	err := t.Users.UserIDs(ctx, tenantID, func(ids []string) error {
		for _, id := range ids {
			seen[id] = true
		}
		return t.send(ctx, change.QueueBackfill, occasion, routes, ids, false)
	})
	if err != nil {
		return err
	}
	for _, route := range routes {
		left, err := t.left(ctx, route, seen)
		if err != nil {
			return err
		}
		// Not listed is no proof. As a claim that they are gone for good it is verified, and by a second look. Who left does not keep
		// access because many others have to be looked at.
		if err := t.send(ctx, change.QueueChanges, occasion, []tenant.Route{route}, left, true); err != nil {
			return err
		}
	}
	t.Log.InfoContext(ctx, "everybody is looked at", "tenant", tenantID, "occasion", occasion, "users", len(seen), "routes", len(routes))
	return nil
}

// left are those who have an external user and were not seen in the source: as the links say and, should those be lost, as the external users
// themselves say.
func (t *Taker) left(ctx context.Context, route tenant.Route, seen map[string]bool) (left []string, err error) {
	told := map[string]bool{}
	add := func(user string) {
		if !seen[user] && !told[user] {
			told[user] = true
			left = append(left, user)
		}
	}
	err = t.Links.Linked(ctx, route.Name, func(l provisioning.Link) error {
		if l.State == provisioning.LinkActive {
			add(l.Key.User)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = t.Externals.Carried(ctx, route.Target.ID, route.Source.ID, func(users []string) error {
		for _, user := range users {
			add(user)
		}
		return nil
	})
	return left, err
}

func (t *Taker) send(ctx context.Context, queue, occasion string, routes []tenant.Route, ids []string, deleted bool) error {
	now := t.Now()
	changes := make([]change.Change, 0, len(routes)*len(ids))
	for _, route := range routes {
		for _, id := range ids {
			changes = append(changes, change.Change{Route: route.Name, User: id, Cause: change.CauseCatchUp, Deleted: deleted,
				Key: change.Key(occasion, id, now.Format(time.RFC3339Nano)), ArrivedAt: now})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return t.Bus.Send(ctx, queue, changes)
}
