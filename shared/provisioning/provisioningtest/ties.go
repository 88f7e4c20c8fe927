package provisioningtest

import (
	"context"
	"maps"
	"slices"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var _ provisioning.Bus = (*World)(nil)

// Report makes somebody the manager of a source user; "" nobody.
func (w *World) Report(id, manager string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.people[id].user.Manager = manager
}

// Give grants something in the target, as an administrator there would.
func (w *World) Give(external string, g provisioning.Grant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.give(external, g)
}

// Take is the opposite of Give.
func (w *World) Take(external string, g provisioning.Grant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(external, g)
}

// Given is what an external user has, in order.
func (w *World) Given(external string) []provisioning.Grant {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.grants[external])
}

// Sent takes the changes that were sent since it was last called.
func (w *World) Sent() []change.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// Queues are where changes were sent to, in order.
func (w *World) Queues() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.queues)
}

// LagGrants freezes what reads of grants show until CatchUp.
func (w *World) LagGrants() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.oldGrants = maps.Clone(w.grants)
}

func (w *World) give(external string, g provisioning.Grant) {
	w.grants[external] = append(slices.Clone(w.grants[external]), g)
}

func (w *World) take(external string, g provisioning.Grant) {
	w.grants[external] = slices.DeleteFunc(slices.Clone(w.grants[external]), func(have provisioning.Grant) bool { return have == g })
}

// Send implements provisioning.Bus.
func (w *World) Send(ctx context.Context, queue string, changes []change.Change) error {
	return w.do(ctx, Send, func() error {
		w.queues = append(w.queues, queue)
		w.sent = append(w.sent, changes...)
		return nil
	})
}

func (t target) SetManager(ctx context.Context, id, manager string) error {
	return t.w.do(ctx, SetManager, func() error {
		e, ok := t.w.objects[id]
		boss, there := t.w.objects[manager]
		if !ok || e.Deleted || manager != "" && (!there || boss.Deleted) {
			return outcome.RetryAfter(0, "not there", provisioning.ErrNotFound)
		}
		e.Manager = manager
		t.w.objects[id] = e
		return nil
	})
}

func (t target) Grants(ctx context.Context, id string) (grants []provisioning.Grant, err error) {
	err = t.w.do(ctx, Grants, func() error {
		if e, ok := t.w.objects[id]; !ok || e.Deleted {
			return provisioning.ErrNotFound
		}
		grants = slices.Clone(t.w.grants[id])
		if t.w.oldGrants != nil {
			grants = slices.Clone(t.w.oldGrants[id])
		}
		return nil
	})
	return grants, err
}

func (t target) Grant(ctx context.Context, id string, g provisioning.Grant) error {
	return t.w.do(ctx, Grant, func() error {
		if e, ok := t.w.objects[id]; !ok || e.Deleted {
			return outcome.RetryAfter(0, "not there", provisioning.ErrNotFound)
		}
		if slices.Contains(t.w.grants[id], g) {
			return provisioning.ErrAlready
		}
		t.w.give(id, g)
		return nil
	})
}

func (t target) Revoke(ctx context.Context, id string, g provisioning.Grant) error {
	return t.w.do(ctx, Revoke, func() error {
		t.w.take(id, g)
		return nil
	})
}

// Find implements provisioning.Links.
func (w *World) Find(ctx context.Context, key provisioning.LinkKey) (link provisioning.Link, known bool, err error) {
	err = w.do(ctx, Find, func() error {
		if r := w.links[key]; r != nil {
			link, known = r.link, true
		}
		return nil
	})
	return link, known, err
}

// Reports implements provisioning.Links.
func (w *World) Reports(ctx context.Context, manager provisioning.LinkKey, external string) (users []string, err error) {
	err = w.do(ctx, Reports, func() error {
		for key, r := range w.links {
			l := r.link
			if key.Route == manager.Route && l.State == provisioning.LinkActive && l.LeftAt.IsZero() && l.Manager == manager.User && (external == "" || l.ManagerAs != external) {
				users = append(users, key.User)
			}
		}
		slices.Sort(users)
		return nil
	})
	return users, err
}
