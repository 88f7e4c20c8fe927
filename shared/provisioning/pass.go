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
	leaving := leaves || !d.LeftAt.IsZero() // maybe by a block that is there already
	switch {
	case w.guard == nil:
		return d, nil
	case w.link.Held && (!leaving || off), w.link.Approved && !leaving && d.State == LinkActive:
		if err := w.guard.Withdraw(ctx, w.link.Key); err != nil {
			return d, fmt.Errorf("forget a departure that was held: %w", err)
		}
		w.link.Held, w.link.Approved = false, false
		return d, nil
	case w.link.Held && !leaves && s.Source != nil && s.Source.Enabled():
		return hold(s, d, "what is there of the departure is taken back"), nil
	case !leaves || off:
		return d, nil
	}
	verdict, err := w.guard.Admit(ctx, guard.Departure{
		Route: w.route.Name, User: w.change.User, Reason: d.Reason, At: w.now(), Forced: forced(s, d),
	}, s.rules().Guard)
	if err != nil {
		return d, fmt.Errorf("ask the guard: %w", err)
	}
	if verdict.Held {
		w.link.Held = true
		return hold(s, d, "since "+verdict.String()), nil
	}
	w.link.Held = w.link.Held && forced(s, d) // a block is another departure than the one that is held
	return d, nil
}

// forced: it is a block that nothing may hold, of somebody who is disabled in the source.
func forced(s Situation, d Decision) bool {
	return d.Action == ActionDisable && s.Source != nil && !s.Source.Enabled()
}

// hold is what a decision becomes that the guard holds: nothing, or that the external user may sign in exactly if its source user may. A
// block that an administrator of the target set stays.
func hold(s Situation, d Decision, why string) Decision {
	d.Held, d.Operations, d.Again, d.Due = true, nil, time.Time{}, time.Time{}
	d.Reason = fmt.Sprintf("held by the guard, %s: %s", why, d.Reason)
	ext, err := ours(s)
	if err != nil || ext == nil || ext.Deleted || s.Source == nil || s.Source.Enabled() == ext.Enabled() || s.Source.Enabled() && !s.Link.Blocked {
		return d
	}
	enabled := s.Source.Enabled()
	d.Operations = []Operation{write(Attributes{AttrAccountEnabled: enabled}, ext.Attributes, "")}
	d.External, d.State, d.Blocked, d.LeftAt, d.Ties = ext.ID, LinkActive, !enabled, s.Link.LeftAt, nil
	if !enabled {
		d.Reason += "; it is blocked meanwhile, for the source user is disabled"
	}
	return d
}
