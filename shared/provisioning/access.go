package provisioning

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/outcome"
)

// DefaultRole is the app role of who is assigned to an application that asks for none (Graph: appRoleAssignment).
const DefaultRole = "00000000-0000-0000-0000-000000000000"

// ErrAlready: the external user has this grant already, from somebody else or from an earlier try.
var ErrAlready = errors.New("it is there already")

// Grant is one piece of access in a target: membership in a group, or an app role. Ids are in lower case.
type Grant struct {
	// Group is the object id of a group; empty for an app role.
	Group string `json:"group,omitempty"`
	// App is the object id of a service principal (enterprise application) of the target, and Role the id of one of its app roles.
	App  string `json:"app,omitempty"`
	Role string `json:"role,omitempty"`
}

// String names it by its ids.
func (g Grant) String() string {
	if g.Group != "" {
		return "group " + g.Group
	}
	return "app " + g.App + " role " + g.Role
}

// AccessRule grants something to everybody who comes over, or to those for whom When is true.
type AccessRule struct {
	Grant Grant
	When  *mapping.Expression // nil: no condition
}

// wantedGrants are what the rules want u to have, in their order. A grant that several rules name is wanted if one of them wants it.
func (r *Rules) wantedGrants(u *User, now time.Time) (want []Grant, err error) {
	for _, rule := range r.Access {
		if slices.Contains(want, rule.Grant) {
			continue
		}
		if rule.When != nil {
			is, err := rule.When.Eval(mapping.Values(u.Attributes), now)
			if err != nil {
				return nil, fmt.Errorf("whether it gets %v: %w", rule.Grant, err)
			}
			if is != true {
				continue
			}
		}
		want = append(want, rule.Grant)
	}
	return want, nil
}

// planTies puts into d what it takes that the external user has the manager and the access of its source user. One that comes back from
// among the deleted may bring old ones along, which only another look shows.
func planTies(s Situation, ext External, creating bool, d *Decision) error {
	if s.unread != nil {
		d.Operations = nil
		return s.unread
	}
	ties := s.Link.Ties
	planManager(s, ext, creating, d, &ties)
	if err := planAccess(s, ext, d, &ties); err != nil {
		d.Operations = nil
		return err
	}
	d.Ties = &ties
	if ext.Deleted && (s.rules().Manager != "" || s.accessMatters()) {
		d.lookAgain(s.Now)
	}
	return nil
}

// accessMatters tells whether the rules or the link name any access.
func (s Situation) accessMatters() bool { return len(s.rules().Access)+len(s.Link.ours()) > 0 }

// planAccess grants what the rules want, and revokes what they no longer want and we granted. What somebody else granted is left alone.
//
// A replica that is slow to show a grant may also be slow to let it be revoked, and says that there is nothing to revoke. So a revocation
// does not ask whether the grant is there, and is remembered until a look that is late enough shows that it is not. What a deleted user has
// is not shown, and comes back with it.
func planAccess(s Situation, ext External, d *Decision, ties *Ties) error {
	want, err := s.rules().wantedGrants(s.Source, s.Now)
	if err != nil {
		return outcome.Fail("access unclear", fmt.Errorf("user %s: %w", s.User, err))
	}
	ties.Granted, ties.Revoked = nil, nil
	var revoke, grant []Operation
	settled := s.Link.UpdatedAt.Add(replicationLag)
	for _, g := range s.Link.ours() {
		again, has := slices.Contains(s.Link.Revoked, g), slices.Contains(s.Grants, g)
		switch {
		case slices.Contains(want, g):
			ties.Granted = append(ties.Granted, g)
			if again && has { // what the look shows may still go away
				d.lookAgain(s.Now.Add(replicationLag))
			}
		case again && !has && !ext.Deleted && !settled.After(s.Now):
			// It is gone.
		case again && !has && !ext.Deleted:
			ties.Revoked = append(ties.Revoked, g)
			d.lookAgain(settled)
		default:
			revoke = append(revoke, Operation{Kind: OpRevoke, Grant: g})
			ties.Revoked = append(ties.Revoked, g)
			d.lookAgain(s.Now.Add(replicationLag))
		}
	}
	for _, g := range want {
		if slices.Contains(s.Grants, g) {
			continue
		}
		grant = append(grant, Operation{Kind: OpGrant, Grant: g})
		if !slices.Contains(ties.Granted, g) {
			ties.Granted = append(ties.Granted, g)
		}
	}
	d.insertRevocations(revoke)
	d.Operations = append(d.Operations, grant...)
	d.updates("its access differs", len(revoke)+len(grant) > 0)
	return nil
}

// lookAgain plans another look, unless one is planned before.
func (d *Decision) lookAgain(at time.Time) {
	if d.Again.IsZero() || at.Before(d.Again) {
		d.Again = at
	}
}

// insertRevocations puts them behind the restoration and the block, and before whatever may be refused: nobody keeps access because
// an attribute does not fit.
func (d *Decision) insertRevocations(revoke []Operation) {
	at := 0
	for at < len(d.Operations) && (d.Operations[at].Kind == OpRestore || d.Operations[at].blocks()) {
		at++
	}
	d.Operations = slices.Insert(d.Operations, at, revoke...)
}

// blocks: it takes the right to sign in away and does nothing else.
func (o Operation) blocks() bool {
	return o.Kind == OpUpdate && len(o.Attributes) == 1 && o.Attributes[AttrAccountEnabled] == false
}

// updates adds a reason to a decision that changes nothing else, or attributes.
func (d *Decision) updates(reason string, so bool) {
	switch {
	case !so:
	case d.Action == ActionNone:
		d.Action, d.Reason = ActionUpdate, reason
	case d.Action == ActionUpdate:
		d.Reason += "; " + reason
	}
}

// planManager makes the external user of the manager the manager, or nobody. A manager that is not there yet is written when it is,
// also where the policy is Once.
func planManager(s Situation, ext External, creating bool, d *Decision, ties *Ties) {
	policy := s.rules().Manager
	awaited := ties.Manager != "" && ties.ManagerAs == ""
	if policy == "" || policy == Once && !creating && !awaited {
		return
	}
	ties.ManagerAs = s.Manager
	// A manager that comes back asks for its reports. So one who is away is not forgotten, nor one who is taken away only now: it may be
	// leaving, and then it cannot be taken away, and is there again when it is restored.
	if keep := s.ManagerAway || ext.Manager != "" && policy != Report; s.Source.Manager != "" || !keep {
		ties.Manager = s.Source.Manager
	}
	switch {
	case ext.Manager == s.Manager:
	case policy == Report:
		d.Drift = append(d.Drift, "manager")
	default:
		d.Operations = append(d.Operations, Operation{Kind: OpManager, Manager: s.Manager})
		d.updates("its manager differs", true)
	}
}
