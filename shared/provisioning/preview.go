package provisioning

import (
	"context"
	"fmt"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Preview is what a look at one user on one route would lead to now.
type Preview struct {
	User string // object id in the source
	// Name is the source user's principal name; empty when it is gone.
	Name     string
	Decision Decision
	// Linked: it has an external user.
	Linked bool
	// Forced: it is a block that the guard never holds.
	Forced bool
}

// Preview looks at both tenants and plans, and writes nothing: neither to a tenant nor to the store. It does not ask the guard. Its error
// is an outcome, as that of Reconcile is; what it can say of the user is returned all the same.
func (r *Reconciler) Preview(ctx context.Context, route tenant.Route, user string) (Preview, error) {
	p := Preview{User: user}
	link, _, err := r.Links.Find(ctx, LinkKey{Route: route.Name, User: user})
	if err != nil {
		return p, fmt.Errorf("find the link of %s on %s: %w", user, route.Name, err)
	}
	p.Linked = link.State == LinkActive
	// A change that arrived long ago: nothing is put off to a second look. Who is linked and not found would be verified to be gone.
	w, err := r.worker(route, change.Change{Route: route.Name, User: user, Deleted: p.Linked}, Lease{}, &link)
	if err != nil {
		return p, err
	}
	s, err := w.look(ctx)
	if s.Source != nil {
		p.Name = s.Source.PrincipalName
	}
	if err != nil {
		return p, err
	}
	if p.Decision, err = Plan(s); err != nil {
		return p, err
	}
	p.Forced = forced(s, p.Decision)
	p.Linked = p.Linked || p.Decision.Action == ActionRemove || p.Decision.External != "" && p.Decision.State == LinkActive
	return p, nil
}
