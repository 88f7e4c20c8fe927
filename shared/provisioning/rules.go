package provisioning

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/mapping"
)

// Rules are what one route does with people: who comes over, what an external user looks like, and what becomes of it when its source
// user leaves.
type Rules struct {
	Scope      Scope
	Attributes []AttributeRule // at most one for each attribute
	// Manager says when the manager of an external user is written; "": it is left alone.
	Manager Policy
	Access  []AccessRule
	Leave   LeaveRules
	// OverrideBlocks: an external user that an administrator of the target disabled is enabled again with its source user.
	OverrideBlocks bool
	// JournalValues: the journal holds what attributes were and became, and not only their names.
	JournalValues bool
	// Guard limits how many people may leave at once.
	Guard guard.Limits
	// TrustAssumed: the route runs without a look at the tenants' policies.
	TrustAssumed bool
}

// Scope says which users of the source come over. Users that were themselves invited never do, so that chains cannot loop.
type Scope struct {
	// Guests: users of type Guest come over, too.
	Guests bool
	// Include and Exclude name users by object id or user principal name, in lower case. Who is excluded does not come over; who is
	// included does, whatever Groups and When say.
	Include, Exclude map[string]bool
	// Groups are object ids of groups in the source, in lower case. Whoever is in one of them, directly or through other groups, may
	// come over; none: everybody may.
	Groups []string
	// When has to be true for a user to come over; nil: no condition.
	When *mapping.Expression
}

// Policy says when an attribute is written.
type Policy string

// The policies of an attribute.
const (
	Enforce Policy = "enforce" // whenever it differs
	Once    Policy = "once"    // when the external user is created, and never again
	Report  Policy = "report"  // never: the journal says that it differs
)

// AttributeRule says what one attribute of an external user is to be.
type AttributeRule struct {
	Attribute mapping.Attribute
	// One of the three gives the value: Expression, or the source user's attribute of the same name (Copy), or Constant.
	Expression *mapping.Expression
	Copy       bool
	Constant   any
	Policy     Policy
	// Truncate shortens a text that is too long. Otherwise it is refused.
	Truncate bool
}

// LeaveAction is what becomes of an external user when its source user leaves.
type LeaveAction string

// The actions, the mildest first.
const (
	LeaveKeep    LeaveAction = "keep"    // nothing
	LeaveDisable LeaveAction = "disable" // it may not sign in
	LeaveRemove  LeaveAction = "remove"  // soft delete
)

// Leave is an action, and for LeaveDisable how long after that the external user is removed; 0: never.
type Leave struct {
	Action      LeaveAction
	RemoveAfter time.Duration
}

// LeaveRules say what happens for each way to leave.
type LeaveRules struct {
	Deleted, OutOfScope, Disabled Leave
}

// DefaultRules let every internal member come over as a member, with the attributes in Copied.
func DefaultRules() *Rules {
	r := &Rules{
		Attributes: []AttributeRule{constant(AttrUserType, Member), constant(AttrShowInAddressList, true)},
		Leave:      LeaveRules{Deleted: Leave{Action: LeaveRemove}, OutOfScope: Leave{Action: LeaveRemove}, Disabled: Leave{Action: LeaveDisable}},
		Manager:    Enforce,
		Guard:      guard.Default(),
	}
	for _, name := range Copied {
		r.Attributes = append(r.Attributes, AttributeRule{Attribute: attribute(name), Copy: true, Policy: Enforce})
	}
	return r
}

func constant(name string, value any) AttributeRule {
	return AttributeRule{Attribute: attribute(name), Constant: value, Policy: Enforce}
}

// attribute finds one of our own, which are all known.
func attribute(name string) mapping.Attribute {
	a, known := mapping.AttributeOf(name)
	if !known {
		panic("provisioning: unknown attribute " + name)
	}
	return a
}

// defaults are shared: Rules never change.
var defaults = DefaultRules()

// Reads are the attributes that the rules look at: of a source user, of its manager, and of an external user.
func (r *Rules) Reads() (source, manager, external []string) {
	own, boss, theirs := map[string]bool{AttrDisplayName: true, AttrMail: true}, map[string]bool{}, map[string]bool{}
	read := func(e *mapping.Expression) {
		if e == nil {
			return
		}
		for _, name := range e.Attributes() {
			own[name] = true
		}
		for _, name := range e.Manager() {
			boss[name] = true
		}
	}
	read(r.Scope.When)
	for _, rule := range r.Access {
		read(rule.When)
	}
	for _, rule := range r.Attributes {
		theirs[rule.Attribute.Name] = true
		if rule.Copy {
			own[rule.Attribute.Name] = true
		}
		read(rule.Expression)
	}
	return slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(boss)), slices.Sorted(maps.Keys(theirs))
}

// excludes says why a user does not come over; "" if it does. The error is that of an expression, which says neither.
func (s *Scope) excludes(u *User, now time.Time) (reason string, err error) {
	named := func(list map[string]bool) bool {
		return list[strings.ToLower(u.ID)] || list[strings.ToLower(u.PrincipalName)]
	}
	switch {
	case u.Invited:
		return "the source user is itself an external user; those are never passed on", nil
	case named(s.Exclude):
		return "the source user is excluded by name", nil
	case named(s.Include):
		return "", nil
	case !s.Guests && u.UserType != "" && u.UserType != Member:
		return "the source user is a " + strings.ToLower(u.UserType) + ", not a member", nil
	case len(s.Groups) > 0 && len(u.Groups) == 0:
		return "the source user is in none of the groups that come over", nil
	case s.When == nil:
		return "", nil
	}
	in, err := s.When.Eval(mapping.Values(u.Attributes), now)
	if err != nil {
		return "", fmt.Errorf("whether the source user is in scope cannot be told: %w", err)
	}
	if in != true {
		return "the source user is not in scope: " + s.When.String(), nil
	}
	return "", nil
}

// wanted are the attributes that an external user of u is to have, and those that are only reported. creating: it is not there yet.
// The error names the attribute and not its value.
func (r *Rules) wanted(u *User, now time.Time, creating bool) (want, report Attributes, err error) {
	want, report = Attributes{}, Attributes{}
	for i := range r.Attributes {
		rule := &r.Attributes[i]
		if rule.Policy == Once && !creating {
			continue
		}
		value, err := rule.value(u, now)
		if err != nil {
			return nil, nil, err
		}
		if rule.Policy == Report {
			report[rule.Attribute.Name] = value
		} else {
			want[rule.Attribute.Name] = value
		}
	}
	return want, report, nil
}

func (r *AttributeRule) value(u *User, now time.Time) (value any, err error) {
	switch {
	case r.Expression != nil:
		if value, err = r.Expression.Eval(mapping.Values(u.Attributes), now); err != nil {
			return nil, fmt.Errorf("attribute %s: %w", r.Attribute.Name, err)
		}
	case r.Copy:
		value = u.Attributes[r.Attribute.Name]
	default:
		value = r.Constant
	}
	if r.Truncate {
		value = r.Attribute.Truncate(value)
	}
	if mapping.Empty(value) {
		return nil, nil // cleared if that can be
	}
	return value, r.Attribute.Check(value)
}

// strictest is the rule that does most, and its removal the earlier one.
func strictest(a, b Leave) Leave {
	order := []LeaveAction{LeaveKeep, LeaveDisable, LeaveRemove}
	switch {
	case slices.Index(order, a.Action) > slices.Index(order, b.Action):
		return a
	case a.Action != b.Action, a.RemoveAfter == 0, b.RemoveAfter > 0 && b.RemoveAfter < a.RemoveAfter:
		return b
	}
	return a
}
