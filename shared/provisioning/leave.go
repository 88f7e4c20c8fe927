package provisioning

import (
	"fmt"
	"time"
)

// departure is why a user must not have an external user on a route, or one that cannot sign in, and what the rules say to that.
type departure struct {
	reason string
	rule   Leave
}

// departs tells whether and why the user leaves. The error is that of the scope's expression; a user who is disabled does not keep
// access because of it.
func departs(s Situation) (departure, bool, error) {
	rules := s.rules().Leave
	if s.Source == nil {
		return departure{reason: "the source user is " + string(s.Gone), rule: rules.Deleted}, true, nil
	}
	reason, err := s.rules().Scope.excludes(s.Source, s.Now)
	disabled := !s.Source.Enabled()
	switch {
	case err != nil && disabled:
		return departure{reason: fmt.Sprintf("the source user was disabled, and %v", err), rule: rules.Disabled}, true, nil
	case err != nil:
		return departure{}, false, err
	case reason == "":
		return departure{}, false, nil
	case disabled:
		return departure{reason: reason + ", and was disabled", rule: strictest(rules.OutOfScope, rules.Disabled)}, true, nil
	}
	return departure{reason: reason, rule: rules.OutOfScope}, true, nil
}

// leaves tells whether nobody has to be looked for by address: the user leaves, or it cannot be told.
func leaves(s Situation) bool {
	_, leaving, err := departs(s)
	return leaving || err != nil
}

func planLeave(s Situation, d departure) (Decision, error) {
	ext, err := ours(s)
	switch {
	case err != nil:
		return Decision{}, err
	case ext == nil:
		return nothing(s, "", d.reason+"; it has no external user here"), nil
	case ext.Deleted:
		return nothing(s, ext.ID, d.reason+"; its external user is removed already"), nil
	case s.Gone == Vanished:
		return nothing(s, ext.ID, d.reason+", but nobody said that it was deleted: its external user stays"), nil
	}
	switch d.rule.Action {
	case LeaveKeep:
		return Decision{Action: ActionNone, Reason: d.reason + "; the rules keep its external user", External: ext.ID, State: LinkActive, Blocked: s.Link.Blocked}, nil
	case LeaveDisable:
		return planDisable(s, *ext, d), nil
	}
	return remove(s, *ext, d.reason), nil
}

func remove(s Situation, ext External, reason string) Decision {
	return Decision{
		Action: ActionRemove, Reason: reason, External: ext.ID,
		Operations: []Operation{{Kind: OpRemove}},
		State:      LinkRemoved, Blocked: s.Link.Blocked,
	}
}

// planDisable takes the right to sign in away, and removes the external user once that is long enough ago.
func planDisable(s Situation, ext External, d departure) Decision {
	left := s.left()
	if due, again := d.rule.due(left); again && !due.After(s.Now) {
		return remove(s, ext, fmt.Sprintf("%s; that was on %s", d.reason, left.UTC().Format(time.DateOnly)))
	}
	out := Decision{Action: ActionNone, Reason: d.reason + "; its external user is disabled", External: ext.ID, State: LinkActive, Blocked: s.Link.Blocked, LeftAt: left}
	out.Due, _ = d.rule.due(left)
	out.Again = out.Due
	if ext.Enabled() {
		out.Action, out.Reason, out.Blocked = ActionDisable, d.reason, true
		out.Operations = []Operation{write(Attributes{AttrAccountEnabled: false}, ext.Attributes, "")}
	}
	return out
}

// left is since when the user is leaving.
func (s Situation) left() time.Time {
	if s.Link.LeftAt.IsZero() {
		return s.Now
	}
	return s.Link.LeftAt
}

// due is when an external user is removed whose source user left at a time; false: never.
func (l Leave) due(left time.Time) (time.Time, bool) {
	if l.Action != LeaveDisable || l.RemoveAfter == 0 {
		return time.Time{}, false
	}
	return left.Add(l.RemoveAfter), true
}
