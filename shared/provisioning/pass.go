package provisioning

import (
	"context"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
)

// pass lets the guard decide about a departure. A removal that it holds still blocks somebody who is disabled in the source.
func (w *worker) pass(ctx context.Context, s Situation, d Decision) (Decision, error) {
	leaves := d.Action == ActionRemove || d.Action == ActionDisable
	off := s.rules().Guard.Off()
	back := !leaves && d.State == LinkActive && d.LeftAt.IsZero()
	switch {
	case w.guard == nil:
		return d, nil
	case w.link.Held && (!leaves || off), w.link.Approved && back:
		if err := w.guard.Withdraw(ctx, w.link.Key); err != nil {
			return d, fmt.Errorf("forget a departure that was held: %w", err)
		}
		w.link.Held, w.link.Approved = false, false
		return d, nil
	case !leaves || off:
		return d, nil
	}
	verdict, err := w.guard.Admit(ctx, guard.Departure{
		Route: w.route.Name, User: w.change.User, Reason: d.Reason, At: w.now(), Forced: forced(s, d),
	}, s.rules().Guard)
	if err != nil {
		return d, fmt.Errorf("ask the guard: %w", err)
	}
	w.link.Held = verdict.Held
	if verdict.Held {
		return hold(s, d, verdict), nil
	}
	return d, nil
}

// forced: it is a block that nothing may hold, of somebody who is disabled in the source.
func forced(s Situation, d Decision) bool {
	return d.Action == ActionDisable && s.Source != nil && !s.Source.Enabled()
}

// hold is what a decision becomes that the guard holds: nothing, or a block.
func hold(s Situation, d Decision, verdict guard.Verdict) Decision {
	d.Held, d.Operations, d.Again = true, nil, time.Time{}
	d.Reason = fmt.Sprintf("held by the guard, since %v: %s", verdict, d.Reason)
	ext, err := ours(s)
	if err != nil || ext == nil || s.Source == nil || s.Source.Enabled() || !ext.Enabled() {
		return d
	}
	d.Operations = []Operation{write(Attributes{AttrAccountEnabled: false}, ext.Attributes, "")}
	d.Reason += "; it is blocked meanwhile, for the source user is disabled"
	d.External, d.State, d.Blocked, d.LeftAt, d.Ties = ext.ID, LinkActive, true, s.Link.LeftAt, nil
	return d
}
