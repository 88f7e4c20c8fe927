// Package directory is one tenant's directory as a state machine: users, their soft-deleted remains, and the external users
// that invitations leave behind. It decides what may be written, what follows from it (proxy addresses, identities,
// principal names of external users), and what changed. It knows time only through its clock and speaks no HTTP.
package directory

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Change says that a user is different now. It names the user and nothing else.
type Change struct {
	TenantID string
	UserID   string
	Purged   bool      // gone for good; a soft delete and a restore are mere updates
	Time     time.Time // strictly increasing within a directory, by 100 ns at least
}

// Config describes a directory. Every field is needed unless it says otherwise.
type Config struct {
	TenantID string
	// Domains are the verified ones; the first is the initial onmicrosoft.com domain, which names external users.
	Domains    []string
	Extensions *Extensions
	Now        func() time.Time
	// Seed makes object ids repeatable.
	Seed uint64
	// OnChange is called for every change in order, with the directory locked: it must neither block nor call back.
	OnChange func(Change)
	// AutoRedeem reports whether both this tenant and the owner of an address's domain redeem invitations by policy.
	AutoRedeem func(domain string) bool
	// Admits reports whether this tenant's policies let somebody of a domain be invited; nil: anybody.
	Admits func(domain string) bool
	Invite InvitePolicy
}

// Directory holds the users of one tenant. Safe for concurrent use.
type Directory struct {
	Config

	mu      sync.Mutex
	ids     io.Reader
	seq     int64
	last    time.Time          // of the newest Change
	live    map[string]*record // by id
	unique  map[key]*record    // the same records, by what no two of them may share
	deleted map[string]*record // by id
	groups
	apps
	tracker
}

// New returns an empty directory.
func New(c Config) *Directory {
	seed := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, c.Seed), c.TenantID...))
	return &Directory{
		Config:  c,
		ids:     rand.NewChaCha8(seed),
		live:    map[string]*record{},
		unique:  map[key]*record{},
		deleted: map[string]*record{},
	}
}

func (d *Directory) initialDomain() string { return d.Domains[0] }

func (d *Directory) verified(domain string) bool {
	return slices.ContainsFunc(d.Domains, func(own string) bool { return strings.EqualFold(own, domain) })
}

// Property finds a property by its exact name, as request bodies write it, and a directory extension by its name in any
// case; nil if the user resource has none.
func (d *Directory) Property(name string) *Property {
	if isExtension(name) {
		return d.Extensions.lookup(name)
	}
	return byName[name]
}

// FoldedProperty finds a property by its name in any case, as query options write it.
func (d *Directory) FoldedProperty(name string) *Property {
	if isExtension(name) {
		return d.Extensions.lookup(name)
	}
	return byFoldedName[strings.ToLower(name)]
}

// Create adds a user from the body of POST /users.
func (d *Directory) Create(body map[string]any) (User, error) {
	values, properties, err := d.decode(body)
	if err != nil {
		return nil, err
	}
	if err := checkNew(body); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	user := User{"userType": "Member", "createdDateTime": moment(d.Now())}
	user.apply(values, properties, d.initialDomain())
	return d.add(&record{user: user})
}

// checkNew refuses a body that PATCH would take and POST does not.
func checkNew(body map[string]any) error {
	missing := func(property string) error {
		return fault.BadRequest("A value is required for property '%s' of resource 'User'.", property)
	}
	for _, name := range []string{"accountEnabled", "displayName", passwordProfile, "userPrincipalName", "mailNickname"} {
		if body[name] == nil {
			return missing(name)
		}
	}
	if profile, _ := body[passwordProfile].(map[string]any); profile["password"] == nil {
		return missing("password")
	}
	if body[extensionAttributes] != nil {
		return fault.BadRequest("Property '%s' cannot be set when a user is created.", extensionAttributes)
	}
	return nil
}

// add gives the record an identity and a place. d is locked.
func (d *Directory) add(r *record) (User, error) {
	if k, taken := d.conflict(r); taken {
		return nil, fault.Conflict(k.property)
	}
	id, err := uuid.NewRandomFromReader(d.ids)
	if err != nil {
		return nil, err
	}
	d.seq++
	r.seq, r.user["id"] = d.seq, id.String()
	r.history = d.born()
	d.place(r)
	d.emit(r, false)
	return r.user.Clone(), nil
}

// Get finds a live user by object id or principal name.
func (d *Directory) Get(name string) (User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return r.user.Clone(), nil
}

// Update applies the body of PATCH /users/{name}. A change that changes nothing is no Change.
func (d *Directory) Update(name string, body map[string]any) error {
	values, properties, err := d.decode(body)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.find(name)
	if err != nil {
		return err
	}
	next := *old
	next.user = old.user.Clone()
	if !next.user.apply(values, properties, d.initialDomain()) {
		return nil
	}
	if k, taken := d.conflict(&next); taken {
		return fault.Conflict(k.property)
	}
	next.history = d.edited(old, &next)
	d.displace(old)
	d.place(&next)
	d.emit(&next, false)
	return nil
}

// decode checks a body against the schema, without regard to any particular user.
func (d *Directory) decode(body map[string]any) (map[string]any, map[string]*Property, error) {
	values, properties := map[string]any{}, map[string]*Property{}
	for name, raw := range body {
		if strings.HasPrefix(name, "@odata.") {
			continue
		}
		p := d.Property(name)
		switch {
		case p == nil && isExtension(name):
			return nil, nil, fault.BadRequest("The following extension properties are not available: %s.", name)
		case p == nil:
			return nil, nil, invalidProperty(name)
		case p.Access == ReadOnly:
			return nil, nil, fault.BadRequest("Property '%s' is read-only and cannot be set.", name)
		case p.Access == Delegated:
			return nil, nil, fault.Denied()
		case p.Access == Unmodelled, p.Access == Absent:
			return nil, nil, fault.NotModelled("writing %s", name)
		}
		v, err := p.decode(raw)
		if err != nil {
			return nil, nil, err
		}
		values[p.Name], properties[p.Name] = v, p
	}
	if upn, ok := values["userPrincipalName"].(string); ok && !d.verified(domainOf(upn)) {
		return nil, nil, fault.BadRequest("The domain portion of the userPrincipalName property is invalid. " +
			"You must use one of the verified domain names in your organization.")
	}
	return values, properties, nil
}

// find resolves an id or principal name among the live. d is locked.
func (d *Directory) find(name string) (*record, error) {
	if r := d.live[strings.ToLower(name)]; r != nil {
		return r, nil
	}
	if r := d.unique[nameKey(name)]; r != nil {
		return r, nil
	}
	return nil, fault.NotFound(name)
}

// conflict finds a key of r that another live user holds. d is locked.
func (d *Directory) conflict(r *record) (key, bool) {
	for _, k := range r.keys() {
		if other := d.unique[k]; other != nil && other.seq != r.seq {
			return k, true
		}
	}
	return key{}, false
}

// place makes r findable, and displace makes it not. d is locked.
func (d *Directory) place(r *record) {
	d.live[r.id()] = r
	for _, k := range r.keys() {
		d.unique[k] = r
	}
}

func (d *Directory) displace(r *record) {
	delete(d.live, r.id())
	for _, k := range r.keys() {
		delete(d.unique, k)
	}
}

// emit reports a change. d is locked, so changes leave in the order they happened, each at a time of its own.
func (d *Directory) emit(r *record, purged bool) {
	const tick = 100 * time.Nanosecond
	now := d.Now().UTC().Truncate(tick)
	if !now.After(d.last) {
		now = d.last.Add(tick)
	}
	d.last = now
	d.record(r, purged)
	if d.OnChange != nil {
		d.OnChange(Change{TenantID: d.TenantID, UserID: r.id(), Purged: purged, Time: now})
	}
}

func bySeq(a, b *record) int { return cmp.Compare(a.seq, b.seq) }
