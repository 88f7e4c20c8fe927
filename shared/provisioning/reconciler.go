package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Times that belong together: one run ends before its lease, which is shorter than the lock of a message on the bus
// (30 s or more). No run begins once a third of a lease is used up, so that a message that comes back because its
// worker died finds the lease free, or held for itself and then waits.
const (
	DefaultLease = 25 * time.Second
	leaseMargin  = 3 * time.Second
)

// DefaultSecondLook is how long after a "deleted" notification the second look comes that confirms it, and after a
// notification that seemed to change nothing the one that a slow replica cannot fool.
const DefaultSecondLook = 30 * time.Second

// lookAgain is how soon a message looks again for others that it could not serve itself.
const lookAgain = 5 * time.Second

// Reconciler brings the external user of one source user in line, under a lease.
type Reconciler struct {
	Directories Directories
	Links       Links
	Journal     Journal
	// Guard holds departures that are too many; nil: none are.
	Guard Guard
	// Bus takes the changes of people whose manager came over; nil: they are not looked at then.
	Bus Bus
	// Trust tells whether a route may run; nil: each does.
	Trust Trust
	Now   func() time.Time
	// Rules are those of a route, by its name; nil, or none for a route, means DefaultRules.
	Rules map[string]*Rules
	// Lease and SecondLook; zero means the defaults.
	Lease      time.Duration
	SecondLook time.Duration
}

// Reconcile does what the user of c needs on the route. holder is the message id; the result is an outcome error.
// Safe to call twice, late, out of order, and from many processes at once.
func (r *Reconciler) Reconcile(ctx context.Context, route tenant.Route, c change.Change, holder string) error {
	if err := r.trusted(ctx, route, c); err != nil {
		return err
	}
	now := r.Now()
	lease, link, err := r.Links.Acquire(ctx, LinkKey{Route: route.Name, User: c.User}, holder, now, now.Add(r.lease()))
	var same HeldBySame
	switch {
	case errors.Is(err, ErrLeaseHeld) && (c.Deleted || c.Hop > 0):
		// What a message alone knows, that Graph said the user is gone for good, must not end here. Nor must a copy: the
		// lease may be its own original's, which could not release it, and then the copy is all that is left of the work.
		return outcome.LaterAfter(2*time.Second, err)
	case errors.Is(err, ErrLeaseHeld):
		return nil // the holder has been told and looks again; its message is still on the bus
	case errors.As(err, &same):
		return outcome.LaterAfter(max(same.Until.Sub(now), time.Second), err)
	case err != nil:
		return fmt.Errorf("acquire the lease of %s on %s: %w", c.User, route.Name, err)
	}
	for {
		err = r.run(ctx, route, c, lease, &link)
		var again bool
		lease, again, err = r.release(ctx, lease, err)
		if !again {
			return err
		}
		if r.Now().Sub(now) > r.lease()/3 || comesBack(err) {
			return errors.Join(r.leave(ctx, lease, err), r.handOver(ctx, route, c))
		}
	}
}

// handOver puts a look on the bus for whoever met bulk work with a live change: the copy of the bulk work waits behind everybody.
func (r *Reconciler) handOver(ctx context.Context, route tenant.Route, c change.Change) error {
	if !Bulk(ctx) || r.Bus == nil {
		return nil
	}
	now := r.Now()
	return r.Bus.Send(ctx, change.QueueChanges, []change.Change{{Route: route.Name, User: c.User, Cause: change.CauseSweep, ArrivedAt: now, TraceID: c.Trace(),
		Key: change.Key("live", c.Key, now.Format(time.RFC3339Nano))}})
}

// comesBack: the message will be seen again anyway, as soon as that can help, which also serves those that set the dirty mark.
func comesBack(err error) bool {
	kind := outcome.Of(err).Kind
	return (kind == outcome.Later || kind == outcome.Retry) && !idle(err)
}

// All that could be done is done, and there is a reason to look again.
var (
	errSecondLook = errors.New("nothing had to be done; a second look, in case a replica of the directory was slow")
	errMissed     = errors.New("its manager came over meanwhile")
)

// idle: the message comes back, but not because something could not be done now. It must not keep others waiting for as long.
func idle(err error) bool {
	return outcome.Of(err).Planned || errors.Is(err, errSecondLook) || errors.Is(err, errMissed)
}

// leave gives the lease up for good although others asked to look again: a copy of the message does that. It speaks
// for changes that did not fail, so it is a look with attempts of its own and not the last try of an old message.
func (r *Reconciler) leave(ctx context.Context, lease Lease, err error) error {
	o := outcome.Of(err)
	if idle(err) { // which may be too late for what changed meanwhile; the copy plans it again
		o = outcome.Outcome{}
	}
	if o.Kind != outcome.Later {
		err = outcome.LaterAfter(max(o.Delay, lookAgain), errors.Join(errors.New("the user changed meanwhile; looking again"), err))
	}
	for again := true; again; {
		lease, again, err = r.release(ctx, lease, err)
	}
	return err
}

// release ends the lease even while the host shuts down; a lost lease makes the work uncertain, so it is done again.
func (r *Reconciler) release(ctx context.Context, lease Lease, workErr error) (Lease, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
	defer cancel()
	lease, again, err := r.Links.Release(ctx, lease, r.Now().Add(r.lease()))
	if err != nil {
		return lease, false, outcome.RetryAfter(time.Second, "lease lost", errors.Join(fmt.Errorf("release the lease: %w", err), workErr))
	}
	return lease, again, workErr
}

func (r *Reconciler) lease() time.Duration {
	if r.Lease > 0 {
		return r.Lease
	}
	return DefaultLease
}

// run is one look and what follows from it, within the lease.
func (r *Reconciler) run(ctx context.Context, route tenant.Route, c change.Change, lease Lease, link *Link) error {
	begin := r.Now()
	ctx, cancel := context.WithTimeout(ctx, max(lease.Until.Sub(begin)-leaseMargin, time.Second))
	defer cancel()
	ctx, made := noting(ctx)
	w, err := r.worker(route, c, lease, link)
	if err != nil {
		return err
	}
	decision, err := w.work(ctx)
	err = r.next(ctx, w, decision, err)
	if journalErr := r.record(ctx, w.entry(decision, begin, r.Now(), made.noted()), err); journalErr != nil {
		// A decision that nobody can explain is made again, until the journal has it.
		return errors.Join(outcome.RetryAfter(0, "journal not written", journalErr), err)
	}
	return w.bury(ctx, decision, err)
}

// bury lets a person have one dead letter for one reason, although a look at everybody, or at all that changed, comes upon it again. What
// follows from the same event makes it again: nobody knows whether the first was made.
func (w *worker) bury(ctx context.Context, d Decision, err error) error {
	o := outcome.Of(err)
	matter := string(d.Action) + "/" + o.Code + "/"
	next := *w.link
	switch {
	case o.Kind == outcome.Terminal && strings.HasPrefix(w.link.Dead, matter) && w.link.Dead != matter+w.change.Trace():
		if w.change.Cause == change.CauseSweep || w.change.Cause == change.CauseCatchUp {
			if o.Then > 0 {
				return outcome.PlannedAfter(o.Then, o.Err)
			}
			return nil
		}
	case o.Kind == outcome.Terminal:
		next.Dead = matter + w.change.Trace()
	case o.Kind == outcome.Done || o.Planned:
		next.Dead = ""
	}
	if saved := w.save(ctx, next); saved != nil {
		return errors.Join(saved, err)
	}
	return err
}

// next is what follows from a run: looks at others, and another look at the user.
func (r *Reconciler) next(ctx context.Context, w *worker, d Decision, err error) error {
	followed := r.follow(ctx, w, d)
	switch {
	case err != nil:
		if w.lacksManager(d, err) {
			err = errors.Join(err, r.have(ctx, w, []string{w.link.Manager}))
		}
		at := d.Due
		if w.change.Cause != change.CausePlanned && !d.Again.IsZero() {
			at = d.Again // not once more by the look that it led to, which would fail like this one, for ever
		}
		if !at.IsZero() {
			err = outcome.AndLookAfter(max(at.Sub(r.Now()), lookAgain), err)
		}
		return err
	case followed != nil:
		return followed
	case d.Ties != nil && !d.Held && w.missed(ctx):
		return outcome.LaterAfter(lookAgain, errMissed)
	case d.Action == ActionNone && (w.change.Cause == change.CauseNotification || w.change.Cause == change.CauseSweep) && w.early() > 0:
		return outcome.LaterAfter(w.early(), errSecondLook)
	case !d.Again.IsZero():
		return outcome.PlannedAfter(max(d.Again.Sub(r.Now()), lookAgain), fmt.Errorf("decided again on %s", d.Again.UTC().Format(time.RFC3339)))
	}
	return nil
}

func (r *Reconciler) worker(route tenant.Route, c change.Change, lease Lease, link *Link) (*worker, error) {
	source, err := r.Directories.Source(route.Source.ID)
	if err != nil {
		return nil, fmt.Errorf("open source %s: %w", route.Source.Name, err)
	}
	target, err := r.Directories.Target(route.Target.ID)
	if err != nil {
		return nil, fmt.Errorf("open target %s: %w", route.Target.Name, err)
	}
	w := &worker{source: source, target: target, links: r.Links, now: r.Now, secondLook: r.SecondLook, rules: r.Rules[route.Name], guard: r.Guard,
		route: route, change: c, lease: lease, link: link}
	if w.secondLook <= 0 {
		w.secondLook = DefaultSecondLook
	}
	return w, nil
}

// record writes the journal even when the work ran into its deadline.
func (r *Reconciler) record(ctx context.Context, e Entry, workErr error) error {
	o := outcome.Of(workErr)
	if o.Planned { // all is done for now
		o = outcome.Outcome{}
	}
	e.Outcome = o.Kind.String()
	switch {
	case o.Kind == outcome.Later && e.Action == ActionNone: // a second look, which is no failure
		e.Again = e.At.Add(o.Delay)
	case o.Err != nil:
		e.Error = o.Err.Error()
	}
	if e.Action == "" {
		e.Action, e.Reason = ActionNone, "no decision could be made: "+o.Code
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
	defer cancel()
	if err := r.Journal.Append(ctx, e); err != nil {
		return fmt.Errorf("append to the journal: %w", err)
	}
	return nil
}
