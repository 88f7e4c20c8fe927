package provisioning

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/guard"
)

// ErrNotFound: the directory answered that there is no such object (404). It is never used for a read that failed.
var ErrNotFound = errors.New("not found")

// ErrLeaseHeld: another worker works on this user and route. It has been told to look again.
var ErrLeaseHeld = errors.New("another worker holds the link")

// ErrLeaseLost: the lease ran out and somebody else may hold it now.
var ErrLeaseLost = errors.New("the lease on the link was lost")

// Source reads the tenant that people come from. Errors other than ErrNotFound carry an outcome (package outcome)
// and never mean that a person is gone.
type Source interface {
	// User reads one user by object id. ErrNotFound: no live object of that id, now, at this replica.
	User(ctx context.Context, id string) (User, error)
	// Deleted reports whether the user is among the soft-deleted ones.
	Deleted(ctx context.Context, id string) (bool, error)
	// Groups returns those of the groups, by object id, that the user is in, directly or through other groups.
	Groups(ctx context.Context, id string, groups []string) ([]string, error)
}

// Target reads and changes the tenant that gets external users.
type Target interface {
	Finder
	Writer
	Access
}

// Finder finds external users, with every attribute that a plan compares.
type Finder interface {
	// External reads a user object by id, live or soft-deleted. ErrNotFound: neither.
	External(ctx context.Context, id string) (External, error)
	// ByKey finds the objects that carry a link key, live and soft-deleted.
	ByKey(ctx context.Context, sourceKey string) ([]External, error)
	// ByMail finds the live objects with this address in mail, otherMails or proxyAddresses, invited or not.
	ByMail(ctx context.Context, address string) ([]External, error)
}

// Writer changes external users. Each call is one request to Graph.
type Writer interface {
	// Invite creates an external user without sending a mail and returns its id. When the directory says that a user
	// with this address is there already, the error is Exists: it may be somebody else's and must be looked at first.
	Invite(ctx context.Context, address, displayName string) (id string, err error)
	// Update writes attributes; nil clears. sourceKey, when not empty, is written too.
	Update(ctx context.Context, id string, attributes Attributes, sourceKey string) error
	// Remove soft-deletes. Removing what is gone is no error.
	Remove(ctx context.Context, id string) error
	// Restore brings a soft-deleted user back.
	Restore(ctx context.Context, id string) error
	// SetManager makes another user of the target the manager of one; "" takes the manager away. ErrNotFound, with an outcome: one of the
	// two is not there.
	SetManager(ctx context.Context, id, manager string) error
}

// Access reads and changes what external users have in a target.
type Access interface {
	// Grants are the groups that a user is a direct member of, and its app roles. ErrNotFound: no such user, now, at this replica.
	Grants(ctx context.Context, id string) ([]Grant, error)
	// Grant gives; ErrAlready when it is there already.
	Grant(ctx context.Context, id string, g Grant) error
	// Revoke takes away. What is not there is no error.
	Revoke(ctx context.Context, id string, g Grant) error
}

// Exists is the directory's refusal to invite an address that one of its users has. ID is that user's object id.
type Exists struct{ ID string }

func (e Exists) Error() string { return "user " + e.ID + " has this address already" }

// Directories gives the tenants their roles.
type Directories interface {
	Source(tenantID string) (Source, error)
	Target(tenantID string) (Target, error)
}

// LinkKey names a link: one source user on one route.
type LinkKey struct {
	Route string
	User  string // object id in the source tenant
}

// LinkState says what we did last.
type LinkState string

// States of a link.
const (
	LinkNone    LinkState = ""        // nothing is known yet
	LinkActive  LinkState = "active"  // the external user should be there
	LinkRemoved LinkState = "removed" // we removed it; it can be restored for 30 days
)

// Link is what we remember of one user on one route.
type Link struct {
	Key   LinkKey
	State LinkState
	// External is the object id in the target; empty until it is known.
	External string
	// Inviting is the address of an invitation whose answer is not known yet; empty otherwise. If the answer is lost, the
	// external user it made is found by this address, even when its source user has another by then, or is gone.
	Inviting string
	// Blocked: it was us who last set accountEnabled to false. Only then do we set it back.
	Blocked bool
	// LeftAt is since when the source user is leaving, while its external user is disabled and not removed; else zero.
	LeftAt    time.Time
	UpdatedAt time.Time
	// Dead names the dead letter that the last look at this user made, by what failed, why and on which event; "" if it made none.
	Dead string
	// Held: a departure of this user waits for somebody to decide. Approved: the last one happened because somebody approved it. The guard
	// alone changes them.
	Held, Approved bool
	Ties
}

// Ties are what an external user has besides its attributes.
type Ties struct {
	// Manager is the source user's manager, by its object id in the source, also while that one is deleted and may come back, and ManagerAs
	// the external user that was written as the manager; "" while there is none.
	Manager, ManagerAs string
	// Granted is what we granted, and nobody else. It may name what we only tried to grant. Revoked was such, and may still be there.
	Granted, Revoked []Grant
}

// ours is all that we granted and that may be there.
func (t Ties) ours() []Grant {
	all := slices.Clone(t.Granted)
	for _, g := range t.Revoked {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

func (t Ties) equal(o Ties) bool {
	return t.Manager == o.Manager && t.ManagerAs == o.ManagerAs && slices.Equal(t.Granted, o.Granted) && slices.Equal(t.Revoked, o.Revoked)
}

// equal compares all that a link says.
func (l Link) equal(o Link) bool {
	same := l.Ties.equal(o.Ties)
	l.Ties, o.Ties = Ties{}, Ties{}
	return same && reflect.DeepEqual(l, o)
}

// Lease is the right to work on a link until Until. Holder is the message it is held for, Token one acquisition.
type Lease struct {
	Key    LinkKey
	Holder string
	Token  string
	Until  time.Time
}

// Links keeps links and their leases. All calls are safe from several processes.
type Links interface {
	// Acquire takes the lease for holder (a message id) until the given time and returns the link (a new one has only its Key).
	// While another holder has an unexpired lease, it sets the dirty mark on the link and returns ErrLeaseHeld.
	// When the SAME holder has an unexpired lease (its message came back although the worker may still live), it returns
	// HeldBySame and marks nothing: the message must stay on the bus, for it may be all that is left of the work.
	Acquire(ctx context.Context, key LinkKey, holder string, now, until time.Time) (Lease, Link, error)
	// Save stores the link under the lease. ErrLeaseLost when the lease is not ours any more.
	Save(ctx context.Context, lease Lease, link Link) error
	// Release ends the lease. When the dirty mark was set it clears the mark, extends the lease to until, and returns the extended lease
	// and true: look again. ErrLeaseLost when it is not ours any more.
	Release(ctx context.Context, lease Lease, until time.Time) (Lease, bool, error)
	// Find reads a link without a lease; false if nobody ever acquired it.
	Find(ctx context.Context, key LinkKey) (Link, bool, error)
	// Reports are the users on the route of manager whose link is active, who are not leaving, and whose link names it as the manager, but
	// not external as what was written. "" as external is nobody's, so that all are returned.
	Reports(ctx context.Context, manager LinkKey, external string) ([]string, error)
}

// Bus takes changes of users that have to be looked at.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Guard counts departures and holds those that are too many. All calls are safe from several processes.
type Guard interface {
	// Admit decides about a departure and counts it if it is admitted. One that was admitted within the window is not counted
	// again, and one that somebody approved is admitted whatever the limits say, and not counted. What is held stays so until somebody
	// approves it, also when there is room for it by then.
	Admit(ctx context.Context, d guard.Departure, l guard.Limits) (guard.Verdict, error)
	// Withdraw forgets a departure that is held, for the user does not leave any more, and an approval, for the user is back.
	Withdraw(ctx context.Context, key LinkKey) error
}

// HeldBySame: the lease is held for this very message, until Until.
type HeldBySame struct{ Until time.Time }

func (h HeldBySame) Error() string {
	return "an earlier delivery of this message still holds the link until " + h.Until.UTC().Format(time.RFC3339)
}

// Journal is the provisioning log.
type Journal interface {
	Append(ctx context.Context, e Entry) error
}
