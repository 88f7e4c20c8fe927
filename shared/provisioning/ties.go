package provisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
)

// lookAtTies reads what ties the external user to others, as far as the rules or the link ask for it.
func (w *worker) lookAtTies(ctx context.Context, s *Situation) (err error) {
	if leaves(*s) {
		return nil
	}
	if s.rules().Manager != "" {
		if err := w.lookAtManager(ctx, s); err != nil {
			return err
		}
	}
	if !s.accessMatters() {
		return nil
	}
	ext := s.present()
	if ext == "" {
		return nil
	}
	s.Grants, err = w.target.Grants(ctx, ext)
	if errors.Is(err, ErrNotFound) {
		return outcome.LaterAfter(replicationLag/10, fmt.Errorf(
			"what external user %s has cannot be read: it is not found there; the directory may only be slow to show it", ext))
	}
	return err
}

// lookAtManager finds the external user of the manager, or whether the manager of an earlier look is only away.
func (w *worker) lookAtManager(ctx context.Context, s *Situation) (err error) {
	if w.awaited = s.Source.Manager; w.awaited == "" && w.link.Manager != "" {
		s.ManagerAway, err = w.source.Deleted(ctx, w.link.Manager)
		return err
	}
	s.Manager, err = w.manager(ctx, s.Source.Manager)
	return err
}

// present is the live external user that the plan will find, if it will; "" if there is none.
func (s Situation) present() string {
	if ext, err := match(s); err == nil && ext != nil && !ext.Deleted {
		return ext.ID
	}
	return ""
}

// manager is the external user of a source user's manager on this route, or "".
func (w *worker) manager(ctx context.Context, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	link, _, err := w.links.Find(ctx, LinkKey{Route: w.route.Name, User: id})
	switch {
	case err != nil:
		return "", fmt.Errorf("find the link of the manager: %w", err)
	case link.State == LinkActive:
		return link.External, nil
	case link.State == LinkRemoved:
		return "", nil
	}
	// Nothing is remembered of the manager. If the store was lost, there may be an external user all the same.
	found, err := w.target.ByKey(ctx, SourceKey(w.route.Source.ID, id))
	if err != nil {
		return "", err
	}
	found = slices.DeleteFunc(distinct(found), func(e External) bool { return e.Deleted || !e.Invited })
	if len(found) != 1 {
		return "", nil
	}
	return found[0].ID, nil
}

// ties: it is about what ties external users to others. Such operations do not wait for each other, nor does anything for them.
func (o Operation) ties() bool { return o.Kind == OpManager || o.Kind == OpGrant || o.Kind == OpRevoke }

// or is t with what o has granted besides.
func (t Ties) or(o *Ties) Ties {
	if o == nil {
		return t
	}
	t.Granted = slices.Clone(t.Granted)
	for _, g := range o.Granted {
		if !slices.Contains(t.Granted, g) {
			t.Granted = append(t.Granted, g)
		}
	}
	return t
}

// after is what the ties are once an operation has ended with err, and what of err is a failure. had are those from before. A grant that
// failed for now may have taken effect and stays ours.
func (t Ties) after(op Operation, err error, had Ties) (Ties, error) {
	switch {
	case err == nil:
		return t, nil
	case op.Kind == OpManager:
		t.ManagerAs = "" // it is awaited
	case op.Kind == OpRevoke: // it stays among the revoked, and is tried again
	case errors.Is(err, ErrAlready) && slices.Contains(had.ours(), op.Grant):
		return t, nil
	case errors.Is(err, ErrAlready): // somebody else granted it between the look and now
		return t.without(op.Grant), nil
	case outcome.Of(err).Kind == outcome.Terminal && !slices.Contains(had.ours(), op.Grant):
		t = t.without(op.Grant)
	}
	return t, err
}

// revoke is t once a grant of ours was taken away.
func (t Ties) revoke(g Grant) Ties {
	t = t.without(g)
	if !slices.Contains(t.Revoked, g) {
		t.Revoked = append(slices.Clone(t.Revoked), g)
	}
	return t
}

func (t Ties) without(g Grant) Ties {
	t.Granted = slices.DeleteFunc(slices.Clone(t.Granted), func(have Grant) bool { return have == g })
	return t
}

// worse is the one of two errors that decides about the message: one that may heal goes before one that cannot, so that what may still
// be done is.
func worse(a, b error) error {
	if a == nil || b != nil && outcome.Of(a).Kind == outcome.Terminal && outcome.Of(b).Kind != outcome.Terminal {
		return b
	}
	return a
}

// follow tells those who wait for this user: the reports whose manager it is, and who were not given its external user as their
// manager yet. A restored one may have lost its reports, so that all of them are looked at.
func (r *Reconciler) follow(ctx context.Context, w *worker, d Decision) error {
	if r.Bus == nil || w.managing() == "" || w.link.State != LinkActive || w.link.External == "" {
		return nil
	}
	written := w.link.External
	if d.Action == ActionRestore {
		written = ""
	}
	users, err := r.Links.Reports(ctx, w.link.Key, written)
	if err != nil || len(users) == 0 {
		return err
	}
	if err := r.have(ctx, w, users); err != nil {
		return fmt.Errorf("have the reports of %s looked at: %w", w.change.User, err)
	}
	return nil
}

// have has other users of the route looked at.
func (r *Reconciler) have(ctx context.Context, w *worker, users []string) error {
	now := r.Now()
	changes := make([]change.Change, len(users))
	for i, user := range users {
		changes[i] = change.Change{Route: w.route.Name, User: user, Cause: change.CauseManager, ArrivedAt: now, TraceID: w.change.Trace(),
			Key: change.Key("manager", w.route.Name, user, w.link.External, now.Format(time.RFC3339Nano))}
	}
	queue := change.QueueChanges
	if Bulk(ctx) {
		queue = change.QueueBackfill
	}
	return r.Bus.Send(ctx, queue, changes)
}

// lacksManager tells whether the manager could not be written for the first time. Its external user may be gone: a look at it makes another.
// A look that comes from there does not ask for it again.
func (w *worker) lacksManager(d Decision, err error) bool {
	return d.Ties != nil && d.Ties.ManagerAs != "" && w.link.ManagerAs == "" && w.link.Manager != "" &&
		w.change.Attempt == 0 && w.change.Hop == 0 && errors.Is(err, ErrNotFound) && w.change.Cause != change.CauseManager
}

// settings are the rules of the route.
func (w *worker) settings() *Rules { return Situation{Rules: w.rules}.rules() }

// managing is the policy of the route for managers.
func (w *worker) managing() Policy { return w.settings().Manager }

// missed tells whether the manager came over while this look said that it was not there. Whoever comes second sees the other: the
// manager's worker writes its link before it asks for its reports, and this one wrote its own before it asks here.
func (w *worker) missed(ctx context.Context) bool {
	if w.managing() == "" || w.link.State != LinkActive || w.link.Manager == "" || w.link.Manager != w.awaited || w.link.ManagerAs != "" {
		return false
	}
	link, _, err := w.links.Find(ctx, LinkKey{Route: w.route.Name, User: w.link.Manager})
	return err != nil || link.State == LinkActive && link.External != "" // if it cannot be told, look again
}
