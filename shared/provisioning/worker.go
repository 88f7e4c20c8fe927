package provisioning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// replicationLag is how long after we wrote a link the directory may still answer that there is no such external user.
// Believed too early, a 404 would invite a person twice or forget to remove one.
const replicationLag = 2 * time.Minute

// worker is one run for one user on one route.
type worker struct {
	source     Source
	target     Target
	links      Links
	now        func() time.Time
	secondLook time.Duration
	rules      *Rules // nil: the default
	guard      Guard  // nil: there is none

	route  tenant.Route
	change change.Change
	lease  Lease
	link   *Link

	awaited string // the manager that this look saw, if it asked
}

// work looks, plans and applies, and returns the decision it applied last.
func (w *worker) work(ctx context.Context) (Decision, error) {
	s, err := w.look(ctx)
	if err != nil {
		return Decision{}, err
	}
	d, err := w.settle(ctx, s)
	var exists Exists
	if !errors.As(err, &exists) {
		return d, err
	}
	// A search is slower than the truth: the user was there, but not to be found yet. By its id it can be read.
	ext, err := w.target.External(ctx, exists.ID)
	if err != nil {
		return d, fmt.Errorf("read the user that has the invited address: %w", err)
	}
	if ext.Deleted && ext.SourceKey != sourceKey(s) {
		return d, outcome.Fail("address in use", fmt.Errorf(
			"deleted user %s of the target has the address of source user %s; restore it or delete it for good, then replay", ext.ID, w.change.User))
	}
	s.ByMail, s.Known = []External{ext}, nil
	if ext.SourceKey == sourceKey(s) {
		s.ByKey = []External{ext}
	}
	return w.settle(ctx, s)
}

// settle plans on one situation and applies the decision.
func (w *worker) settle(ctx context.Context, s Situation) (Decision, error) {
	d, err := Plan(s)
	if err != nil {
		return d, err
	}
	if d, err = w.pass(ctx, s, d); err != nil {
		return d, err
	}
	if d.Held && len(d.Operations) == 0 {
		return d, nil
	}
	if err := w.apply(ctx, d); err != nil {
		return d, err
	}
	return d, s.unread // of what could not be read, nothing was decided
}

// look reads both tenants.
func (w *worker) look(ctx context.Context) (Situation, error) {
	s := Situation{Route: w.route, Rules: w.rules, Now: w.now(), User: w.change.User, Link: *w.link}
	var err error
	if s.Source, s.Gone, err = w.lookAtSource(ctx); err != nil {
		return s, err
	}
	if err := w.lookAtTarget(ctx, &s); err != nil {
		return s, err
	}
	s.unread = w.lookAtTies(ctx, &s)
	return s, nil
}

// lookAtSource reads the source user. Gone is only what the directory confirmed: found among the deleted ones, or
// said to be purged by Graph and still not there at a second look. A user that is merely not found yet is retried.
func (w *worker) lookAtSource(ctx context.Context) (*User, Gone, error) {
	user, err := w.source.User(ctx, w.change.User)
	there := err == nil
	if there {
		user.Groups, err = w.groups(ctx)
	}
	switch {
	case errors.Is(err, ErrNotFound):
	case there:
		return &user, NotGone, err
	default:
		return nil, NotGone, err
	}
	deleted, failed := w.source.Deleted(ctx, w.change.User)
	switch {
	case failed != nil:
		return nil, NotGone, failed
	case deleted:
		return nil, SoftDeleted, nil
	case there: // and has no groups: that cannot be, and says nothing
		return nil, NotGone, err
	case !w.change.Deleted && w.link.State == LinkRemoved && w.now().Sub(w.change.ArrivedAt) >= replicationLag:
		return nil, Vanished, nil // its external user is removed already, and there is nothing else to do
	case !w.change.Deleted:
		return nil, NotGone, outcome.RetryAfter(0, "source user not found", fmt.Errorf(
			"user %s is neither in tenant %s nor among its deleted users; nobody is removed on such a look, it is repeated",
			w.change.User, w.route.Source.Name))
	}
	if wait := w.early(); wait > 0 {
		return nil, NotGone, outcome.LaterAfter(wait, fmt.Errorf(
			"user %s is said to be deleted for good; a second look confirms it", w.change.User))
	}
	return nil, Purged, nil
}

// early is how long it takes until a look is the second one, however many came before: zero or less if this one is. What
// counts is the time since the event, which a slow replica needs, and not the number of looks.
func (w *worker) early() time.Duration { return w.change.ArrivedAt.Add(w.secondLook).Sub(w.now()) }

// groups asks which groups of the scope the user is in.
func (w *worker) groups(ctx context.Context) ([]string, error) {
	if w.rules == nil || len(w.rules.Scope.Groups) == 0 {
		return nil, nil
	}
	return w.source.Groups(ctx, w.change.User, w.rules.Scope.Groups)
}

// lookAtTarget reads the external user: the one the link names, else what carries the link key, else what has the address.
func (w *worker) lookAtTarget(ctx context.Context, s *Situation) error {
	if w.link.External != "" {
		ext, err := w.target.External(ctx, w.link.External)
		switch {
		case err == nil:
			s.Known = &ext
			return nil
		case !errors.Is(err, ErrNotFound):
			return err
		case w.now().Sub(w.link.UpdatedAt) < replicationLag:
			return outcome.LaterAfter(replicationLag/10, fmt.Errorf(
				"external user %s, linked a moment ago, is not found; the directory may only be slow to show it", w.link.External))
		}
	}
	var err error
	s.ByKey, err = w.target.ByKey(ctx, SourceKey(w.route.Source.ID, w.change.User))
	if err != nil || len(s.ByKey) > 0 {
		return err
	}
	if err := w.lookForInvitation(ctx, s); err != nil || len(s.ByInvitation) > 0 || leaves(*s) {
		return err
	}
	s.ByMail, err = w.target.ByMail(ctx, s.Source.Address())
	return err
}

// lookForInvitation looks for what an invitation made whose answer was lost, most likely because the worker died. A
// search that finds nothing is not believed at once, unless inviting the same address again would tell anyway.
func (w *worker) lookForInvitation(ctx context.Context, s *Situation) (err error) {
	address := w.link.Inviting
	if address == "" {
		return nil
	}
	s.ByInvitation, err = w.target.ByMail(ctx, address)
	sameAgain := !leaves(*s) && s.Source.Address() == address
	if err != nil || len(s.ByInvitation) > 0 || sameAgain || w.now().Sub(w.link.UpdatedAt) >= replicationLag {
		return err
	}
	return outcome.LaterAfter(replicationLag/10, fmt.Errorf(
		"user %s was invited a moment ago and its external user is not found; the directory may only be slow to show it", w.change.User))
}

// apply carries out a decision. The link is written before what it must not forget (a block of ours, since when somebody leaves, an external
// user taken over, access that we are about to grant) and after what it can only then know (the id of a new one).
func (w *worker) apply(ctx context.Context, d Decision) error {
	next, had := *w.link, w.link.Ties
	if d.External != "" {
		next.External, next.Inviting, next.Blocked = d.External, "", next.Blocked || d.Blocked
		if d.State == LinkActive {
			next.State = LinkActive // whatever fails from here on, somebody may be there
		}
	}
	if !d.LeftAt.IsZero() {
		next.LeftAt = d.LeftAt
	}
	if err := w.save(ctx, next); err != nil {
		return err
	}
	ties, failed, err := w.operateAll(ctx, d, had)
	if err != nil {
		next = *w.link
		next.Ties = ties
		return errors.Join(err, w.save(ctx, next))
	}
	next = *w.link
	next.State, next.Blocked, next.LeftAt, next.Inviting, next.Ties = d.State, d.Blocked, d.LeftAt, "", ties
	if err := w.save(ctx, next); err != nil {
		return err
	}
	return failed
}

// operateAll carries out the operations and returns the ties then. One that fails ends it (err), but for those on ties: none of these waits
// for another (failed is what decides about the message). Ended early, the ties are those from before without what was revoked.
func (w *worker) operateAll(ctx context.Context, d Decision, had Ties) (ties Ties, failed, err error) {
	revoked := had
	ties = had
	if d.Ties != nil {
		ties = *d.Ties
	}
	meant := false
	for _, op := range d.Operations {
		if op.Kind == OpGrant && !meant {
			meant = true
			next := *w.link
			next.Granted = had.or(d.Ties).Granted
			if err := w.save(ctx, next); err != nil {
				return revoked, nil, err
			}
		}
		err := w.operate(ctx, op)
		if err != nil && !op.ties() {
			return revoked, nil, err
		}
		if err == nil && op.Kind == OpRevoke {
			revoked = revoked.revoke(op.Grant)
		}
		var happened error
		ties, happened = ties.after(op, err, had)
		failed = worse(failed, happened)
	}
	return ties, failed, nil
}

func (w *worker) operate(ctx context.Context, op Operation) error {
	switch op.Kind {
	case OpInvite:
		return w.invite(ctx, op)
	case OpRestore:
		return w.target.Restore(ctx, w.link.External)
	case OpUpdate:
		return w.target.Update(ctx, w.link.External, op.Attributes, op.SourceKey)
	case OpRemove:
		return w.target.Remove(ctx, w.link.External)
	case OpManager:
		return w.target.SetManager(ctx, w.link.External, op.Manager)
	case OpGrant:
		return w.target.Grant(ctx, w.link.External, op.Grant)
	case OpRevoke:
		return w.target.Revoke(ctx, w.link.External, op.Grant)
	}
	return outcome.Fail("unknown operation", fmt.Errorf("apply: there is no operation %q", op.Kind))
}

// invite makes the external user. Should the worker die before it has stored the id, the address finds it again.
func (w *worker) invite(ctx context.Context, op Operation) error {
	next := *w.link
	next.State, next.External, next.Inviting = LinkActive, "", op.Address
	if err := w.save(ctx, next); err != nil {
		return err
	}
	id, err := w.target.Invite(ctx, op.Address, op.DisplayName)
	if err != nil && outcome.Of(err).Kind != outcome.Terminal && !errors.As(err, new(Exists)) {
		return err // whether it was made is not known
	}
	next.External, next.Inviting = id, ""
	return errors.Join(err, w.save(ctx, next))
}

// save stores the link if it says anything new.
func (w *worker) save(ctx context.Context, next Link) error {
	next.UpdatedAt = w.link.UpdatedAt
	if next.equal(*w.link) {
		return nil
	}
	next.UpdatedAt = w.now()
	if err := w.links.Save(ctx, w.lease, next); err != nil {
		return outcome.RetryAfter(time.Second, "link not saved", fmt.Errorf("save the link of %s on %s: %w", w.change.User, w.route.Name, err))
	}
	*w.link = next
	return nil
}
