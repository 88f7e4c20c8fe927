package provisioning

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Action names a decision.
type Action string

// The actions.
const (
	ActionNone    Action = "none"
	ActionCreate  Action = "create"
	ActionUpdate  Action = "update"
	ActionDisable Action = "disable"
	ActionEnable  Action = "enable"
	ActionRestore Action = "restore"
	ActionRemove  Action = "remove"
)

// Gone says how a source user is gone, when it is.
type Gone string

// Ways to be gone. A read that failed is none of them.
const (
	NotGone     Gone = ""
	SoftDeleted Gone = "deleted"
	Purged      Gone = "deleted for good"
	// Vanished: it is not found, and nobody said that it was deleted. That is never a reason to remove anybody.
	Vanished Gone = "not found any more"
)

// Situation is all that a plan is made from.
type Situation struct {
	Route tenant.Route
	// Rules are the route's; nil means DefaultRules.
	Rules *Rules
	Now   time.Time
	// User is the object id in the source tenant.
	User string
	// Source is the source user, nil when Gone says how it is gone.
	Source *User
	Gone   Gone
	Link   Link
	// Known is the object the link names, nil when it names none or that one is no more.
	Known *External
	// ByKey, ByInvitation and ByMail are what searches in the target found, for the link key, for Link.Inviting and for the
	// user's address. They are only looked at while Known is nil, and each only while the ones before found nothing.
	ByKey, ByInvitation, ByMail []External
	// Manager is the external user of the source user's manager on this route; "" when there is no manager, or it has none.
	Manager string
	// ManagerAway: the source user shows no manager, and the one that the link names is among the deleted ones, from where it may come back.
	ManagerAway bool
	// Grants are what the external user has in the target, whoever granted it. They are read only where the rules or the link
	// name any.
	Grants []Grant
	// unread says why Manager and Grants could not be read. A plan that needs them fails with it; a block does not wait for them.
	unread error
}

// OperationKind is one request to Graph.
type OperationKind string

// The operations.
const (
	OpInvite  OperationKind = "invite"
	OpRestore OperationKind = "restore"
	OpUpdate  OperationKind = "update"
	OpRemove  OperationKind = "remove"
	OpManager OperationKind = "manager"
	OpGrant   OperationKind = "grant"
	OpRevoke  OperationKind = "revoke"
)

// Operation is one step of a decision.
type Operation struct {
	Kind OperationKind
	// Address and DisplayName are for OpInvite.
	Address, DisplayName string
	// Attributes and SourceKey are for OpUpdate; an empty key is not written.
	Attributes Attributes
	SourceKey  string
	// Before are the values of the same attributes until then.
	Before Attributes
	// Manager is for OpManager, an object id in the target; empty: there is none any more.
	Manager string
	// Grant is for OpGrant and OpRevoke.
	Grant Grant
}

// String names the operation and the attributes, never their values.
func (o Operation) String() string {
	switch o.Kind {
	case OpGrant, OpRevoke:
		return fmt.Sprintf("%s %v", o.Kind, o.Grant)
	case OpManager:
		if o.Manager == "" {
			return "remove manager"
		}
		return "set manager"
	case OpInvite, OpRestore, OpRemove:
		return string(o.Kind)
	}
	names := o.Attributes.Names()
	if o.SourceKey != "" {
		names = append(names, "link key")
	}
	return "update " + strings.Join(names, ",")
}

// Decision is what one user needs on one route now.
type Decision struct {
	Action     Action
	Operations []Operation
	Reason     string
	// External is the object id the operations are for; empty when the first of them creates it.
	External string
	// State, Blocked and LeftAt are what the link says once the operations are done.
	State   LinkState
	Blocked bool
	LeftAt  time.Time
	// Ties are those of the link then; nil: as they were.
	Ties *Ties
	// Again is when the user has to be looked at again although nothing happens until then; zero: never.
	Again time.Time
	// Due is when the external user is removed; a dead letter does not put that off.
	Due time.Time
	// Held: the guard holds it, and nothing is done.
	Held bool
	// Drift are attributes that differ and are only reported, in order.
	Drift []string
}

// Plan decides. It is pure, and applying its decision and planning again gives ActionNone.
// Its error is an outcome: what stands in the way, and whether waiting can help.
func Plan(s Situation) (Decision, error) {
	d, leaving, err := departs(s)
	switch {
	case err != nil:
		return Decision{}, outcome.Fail("scope unclear", err)
	case leaving:
		return planLeave(s, d)
	}
	ext, err := match(s)
	if err != nil {
		return Decision{}, err
	}
	enabled := s.Source.Enabled()
	switch {
	case ext == nil && !enabled:
		return nothing(s, "", "disabled in the source before it ever came over"), nil
	case ext == nil:
		return planCreate(s)
	case ext.Deleted && !enabled:
		return nothing(s, ext.ID, "disabled in the source: the external user stays removed"), nil
	case !enabled:
		return planDisabled(s, *ext)
	default:
		return planUpdate(s, *ext)
	}
}

func (s Situation) rules() *Rules {
	if s.Rules == nil {
		return defaults
	}
	return s.Rules
}

// nothing leaves the target as it is. The link follows what was found: no external user means no active link.
func nothing(s Situation, externalID, reason string) Decision {
	state := LinkNone
	if s.Link.State != LinkNone || externalID != "" {
		state = LinkRemoved
	}
	return Decision{Action: ActionNone, Reason: reason, External: externalID, State: state, Blocked: s.Link.Blocked}
}

func planCreate(s Situation) (Decision, error) {
	address := s.Source.Address()
	if err := invitable(address); err != nil {
		return Decision{}, outcome.Fail("address refused", fmt.Errorf("user %s cannot be invited: %w", s.User, err))
	}
	name, _ := s.Source.Attributes[AttrDisplayName].(string)
	reason := "the source user joined"
	if s.Link.External != "" {
		reason = "the external user it had is gone for good"
	}
	invited := External{Attributes: Attributes{AttrAccountEnabled: true, AttrMail: address}}
	want, _, err := s.rules().wanted(s.Source, s.Now, true)
	if err != nil {
		return Decision{}, unmappable(s, err)
	}
	d := Decision{
		Action: ActionCreate, Reason: reason,
		Operations: []Operation{
			{Kind: OpInvite, Address: address, DisplayName: name},
			write(diff(want, invited.Attributes), invited.Attributes, sourceKey(s)),
		},
		State: LinkActive,
	}
	return d, planTies(s, External{}, true, &d)
}

// write is an update of some attributes.
func write(attributes, have Attributes, key string) Operation {
	before := Attributes{}
	for name := range attributes {
		if value := normal(have[name]); value != nil {
			before[name] = value
		}
	}
	return Operation{Kind: OpUpdate, Attributes: attributes, SourceKey: key, Before: before}
}

func unmappable(s Situation, err error) error {
	return outcome.Fail("mapping refused", fmt.Errorf("user %s: %w", s.User, err))
}

// planDisabled is for a user that is disabled in the source and has an external user. What the rules make of that comes first: its
// attributes must not stand in the way.
func planDisabled(s Situation, ext External) (Decision, error) {
	d := departure{reason: "the source user was disabled", rule: s.rules().Leave.Disabled}
	if d.rule.Action == LeaveRemove {
		return remove(s, ext, d.reason), nil
	}
	if due, again := d.rule.due(s.left()); again && !due.After(s.Now) {
		return planDisable(s, ext, d), nil
	}
	out, err := planUpdate(s, ext)
	if err != nil && d.rule.Action == LeaveKeep {
		return Decision{}, err
	}
	if err != nil {
		d.reason += ", and its attributes cannot be computed: " + err.Error()
		out = planDisable(s, ext, d)
	}
	if d.rule.Action == LeaveDisable {
		out.LeftAt = s.left()
		if due, again := d.rule.due(out.LeftAt); again {
			out.Due = due
			out.lookAgain(due)
		}
	}
	return out, nil
}

func planUpdate(s Situation, ext External) (Decision, error) {
	d := Decision{Action: ActionNone, External: ext.ID, State: LinkActive, Reason: "everything is as it should be"}
	want, report, err := s.rules().wanted(s.Source, s.Now, false)
	if err != nil {
		return Decision{}, unmappable(s, err)
	}
	if enabled, say := s.enabled(ext); say {
		want[AttrAccountEnabled] = enabled
	}
	changes := diff(want, ext.Attributes)
	d.Drift = diff(report, ext.Attributes).Names()
	d.Blocked = s.Link.Blocked && !ext.Enabled()
	switch changes[AttrAccountEnabled] {
	case false:
		d.Action, d.Reason, d.Blocked = ActionDisable, "the source user was disabled", true
	case true:
		d.Action, d.Reason, d.Blocked = ActionEnable, "the source user was enabled again", false
	default:
		if len(changes) > 0 {
			d.Action, d.Reason = ActionUpdate, "these attributes differ: "+strings.Join(changes.Names(), ", ")
		}
	}
	key := ""
	if ext.SourceKey != sourceKey(s) {
		key = sourceKey(s)
		if d.Action == ActionNone || d.Action == ActionUpdate {
			d.Action, d.Reason = ActionUpdate, "an existing external user of this person is taken over"
		}
	}
	if ext.Deleted {
		d.Action, d.Reason = ActionRestore, "the source user is back"
		if s.Link.State == LinkActive {
			d.Reason = "somebody removed the external user in the target, but its source user is still here"
		}
		d.Operations = append(d.Operations, Operation{Kind: OpRestore})
	}
	if changes[AttrAccountEnabled] == false && len(changes) > 1 {
		// By itself and first: a block must not fail because another attribute is refused.
		d.Operations = append(d.Operations, write(Attributes{AttrAccountEnabled: false}, ext.Attributes, ""))
		delete(changes, AttrAccountEnabled)
	}
	if len(changes) > 0 || key != "" {
		d.Operations = append(d.Operations, write(changes, ext.Attributes, key))
	}
	return d, planTies(s, ext, false, &d)
}

// enabled tells what accountEnabled is to be, if the route has a say. A block that an administrator of the target set is respected,
// unless the rules override it: accountEnabled goes back to true only when it was us who took it away.
func (s Situation) enabled(ext External) (enabled, say bool) {
	if !s.Source.Enabled() {
		return false, s.rules().Leave.Disabled.Action != LeaveKeep
	}
	return true, s.Link.Blocked || ext.Enabled() || s.rules().OverrideBlocks
}

func sourceKey(s Situation) string { return SourceKey(s.Route.Source.ID, s.User) }

// refusedInAddress are the characters that Graph refuses in an invited address (Graph: invitation resource).
const refusedInAddress = "~!#$%^&*()+=[]{}\\/|;:\"<>?, "

func invitable(address string) error {
	local, domain, ok := strings.Cut(address, "@")
	switch {
	case address == "":
		return errors.New("it has neither a mail address nor a user principal name")
	case !ok || local == "" || !strings.Contains(domain, "."):
		return errors.New("its address is not one that mail could be sent to; set the user's mail")
	case strings.ContainsAny(local, refusedInAddress) || strings.ContainsAny(domain, refusedInAddress+"@"):
		return errors.New("its address has a character that Microsoft Graph refuses in invitations (" + refusedInAddress + "); give it a mail address without")
	case strings.ContainsAny(local[:1]+local[len(local)-1:], ".-"):
		return errors.New("its address begins or ends with a dot or hyphen before the @, which Microsoft Graph refuses; give it another mail address")
	}
	return nil
}
