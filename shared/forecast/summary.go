package forecast

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// What stands in place of an action where there is none.
const (
	Refused = "refused" // it would be a dead letter
	Unclear = "unclear" // it could not be told
)

// Count is how many users have the same action for the same reason.
type Count struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
	Users  int    `json:"users"`
}

// Summary counts verdicts.
type Summary struct {
	Users  int     `json:"users"`
	Counts []Count `json:"counts"` // actions in their order, the most frequent reason first
	// Leaving is how many would be removed, or blocked for another reason than being disabled in the source, and Allowed how many the guard
	// lets go in its window, if nobody has gone yet; the rest would be held.
	Leaving int `json:"leaving"`
	Allowed int `json:"allowed"`
	// Guarded: the route has a guard.
	Guarded bool `json:"guarded"`
}

// order is that of a summary: what takes something away first.
var order = []string{
	string(provisioning.ActionRemove), string(provisioning.ActionDisable), string(provisioning.ActionCreate), string(provisioning.ActionRestore),
	string(provisioning.ActionEnable), string(provisioning.ActionUpdate), Refused, Unclear, string(provisioning.ActionNone),
}

// Rank is the place of an action in a summary.
func Rank(action string) int { return slices.Index(order, action) }

// Action is the verdict's action, or what stands in its place.
func (v Verdict) Action() string {
	switch {
	case v.Refused:
		return Refused
	case v.Err != nil:
		return Unclear
	}
	return string(v.Decision.Action)
}

// Kind is why, without what belongs to this user alone.
func (v Verdict) Kind() string {
	if v.Err != nil {
		return v.Code
	}
	kind, _, _ := strings.Cut(v.Decision.Reason, ": ")
	return kind
}

// Leaves tells whether somebody would lose an external user or the right to sign in in a way that the guard can hold.
func (v Verdict) Leaves() bool {
	return v.Err == nil && !v.Forced && (v.Decision.Action == provisioning.ActionRemove || v.Decision.Action == provisioning.ActionDisable)
}

// Summarize counts verdicts, by action and reason.
func Summarize(verdicts []Verdict, limits guard.Limits) Summary {
	s := Summary{Users: len(verdicts), Guarded: !limits.Off()}
	counts := map[Count]int{}
	linked := 0
	for _, v := range verdicts {
		counts[Count{Action: v.Action(), Reason: v.Kind()}]++
		if v.Leaves() {
			s.Leaving++
		}
		if v.Linked {
			linked++
		}
	}
	for c, n := range counts {
		c.Users = n
		s.Counts = append(s.Counts, c)
	}
	slices.SortFunc(s.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(Rank(a.Action), Rank(b.Action)), cmp.Compare(b.Users, a.Users), cmp.Compare(a.Reason, b.Reason))
	})
	s.Allowed = limits.Allowed(max(linked, s.Leaving))
	return s
}
