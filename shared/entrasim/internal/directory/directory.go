// Package directory is one tenant's directory as a state machine: users, groups, service principals and the links between them,
// their soft-deleted remains, and the external users that invitations leave behind. It decides what may be written, what
// follows from it (proxy addresses, identities, principal names of external users), and what changed. It knows time only
// through its clock and speaks no HTTP.
//
// A Directory is written to; a View of it is read, now or as it was a while ago.
package directory

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/pace"
)

// Change says that an object is different now. It names the object and nothing else.
type Change struct {
	TenantID string
	Kind     string // of the object: user or group
	ObjectID string
	// Link is the relation that changed: members of a group, or manager of a user. Empty: something else.
	Link   string
	Purged bool      // gone for good; a soft delete and a restore are mere updates
	Time   time.Time // strictly increasing within a directory, by 100 ns at least
}

// Config describes a directory. Every field is needed unless it says otherwise.
type Config struct {
	TenantID string
	// Domains are the verified ones; the first is the initial onmicrosoft.com domain, which names external users.
	Domains    []string
	Extensions *Extensions
	Now        func() time.Time
	// Pace shortens how long deleted objects and tokens of change tracking are kept.
	Pace pace.Pace
	// Seed makes object ids repeatable.
	Seed uint64
	// OnChange is called for every change in order, with the directory locked: it must neither block nor call back.
	OnChange func(Change)
	// AutoRedeem reports whether both this tenant and the owner of an address's domain redeem invitations by policy.
	AutoRedeem func(domain string) bool
	// Admit refuses an invitation of somebody of a domain that this tenant's policies do not allow; nil: all are allowed.
	Admit  func(domain string) error
	Invite InvitePolicy
}

// Directory holds the objects of one tenant. Safe for concurrent use.
type Directory struct {
	Config

	mu         sync.RWMutex
	ids        io.Reader
	seq        int64
	version    int64     // counts changes
	generation int       // of tokens of change tracking
	last       time.Time // of the newest change
	objects    map[string]*object
	unique     map[key]*object // live ones, by what no two of them may share
	kinds      map[*Schema]*collection
	purgeAt    time.Time    // before which nothing is to be purged; zero: nothing is deleted
	past       []*Entity    // those that remember what was before them, the oldest first
	memory     atomic.Int64 // see Remember
	apps
}

// collection keeps the objects of one schema in the orders in which they are read.
type collection struct {
	created timeline[*object] // live and deleted, by creation
	changed timeline[*object] // by the last change, also those purged as long as change tracking tells of them
	deleted timeline[*object] // by the time at which they were deleted
	live    int
}

// New returns an empty directory.
func New(c Config) *Directory {
	seed := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, c.Seed), c.TenantID...))
	d := &Directory{
		Config:  c,
		ids:     rand.NewChaCha8(seed),
		objects: map[string]*object{},
		unique:  map[key]*object{},
		kinds:   map[*Schema]*collection{},
		apps:    newApps(),
	}
	for _, s := range []*Schema{Users, Groups, ServicePrincipals} {
		d.kinds[s] = d.newCollection()
	}
	return d
}

func (d *Directory) newCollection() *collection {
	return &collection{
		created: timeline[*object]{mark: func(o *object) int64 {
			if o.now.life == purged {
				return 0
			}
			return o.seq
		}},
		changed: timeline[*object]{mark: func(o *object) int64 {
			if o.now.life == purged && d.Now().Sub(o.now.at) > d.DeltaLife() {
				return 0 // no token is that old
			}
			return o.changed
		}},
		deleted: timeline[*object]{mark: func(o *object) int64 {
			if o.now.life != deleted {
				return 0
			}
			return o.changed
		}},
	}
}

func (d *Directory) initialDomain() string { return d.Domains[0] }

func (d *Directory) verified(domain string) bool {
	return slices.ContainsFunc(d.Domains, func(own string) bool { return strings.EqualFold(own, domain) })
}

// Property finds a property by its exact name, as request bodies write it, and a directory extension of users by its name in any
// case; nil if the resource has none.
func (d *Directory) Property(s *Schema, name string) *Property {
	if s == Users && isExtension(name) {
		return d.Extensions.lookup(name)
	}
	return s.byName[name]
}

// FoldedProperty finds a property by its name in any case, as query options write it.
func (d *Directory) FoldedProperty(s *Schema, name string) *Property {
	if s == Users && isExtension(name) {
		return d.Extensions.lookup(name)
	}
	return s.byFolded[strings.ToLower(name)]
}

// Size is the number of live users.
func (d *Directory) Size() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.kinds[Users].live
}

// key is a value no two live objects of a directory may share, with the property it comes from. Values are folded.
type key struct{ property, value string }

func nameKey(upn string) key    { return key{"userPrincipalName", strings.ToLower(upn)} }
func proxyKey(p string) key     { return key{"proxyAddresses", strings.ToLower(p)} }
func inviteKey(a string) key    { return key{"invitedUserEmailAddress", strings.ToLower(a)} }
func principalKey(a string) key { return key{"appId", strings.ToLower(a)} }

// keys are those of an object with the given fields.
func (o *object) keys(fields []field) []key {
	e := Entity{of: o, fields: fields}
	var keys []key
	switch o.schema {
	case Users:
		keys = append(keys, nameKey(e.text("userPrincipalName")))
		if o.invitedAs != "" {
			keys = append(keys, inviteKey(o.invitedAs))
		}
	case ServicePrincipals:
		keys = append(keys, principalKey(e.text("appId")))
	}
	for _, proxy := range e.texts("proxyAddresses") {
		keys = append(keys, proxyKey(proxy))
	}
	return keys
}

// conflict finds a key that another live object holds. d is locked.
func (d *Directory) conflict(o *object, fields []field) (key, bool) {
	for _, k := range o.keys(fields) {
		if other := d.unique[k]; other != nil && other != o {
			return k, true
		}
	}
	return key{}, false
}

// add gives the object an identity and its first fields. d is locked.
func (d *Directory) add(o *object, fields []field) (*Entity, error) {
	if k, taken := d.conflict(o, fields); taken {
		return nil, fault.Conflict(k.property)
	}
	if o.id == "" {
		id, err := uuid.NewRandomFromReader(d.ids)
		if err != nil {
			return nil, err
		}
		o.id = id.String()
	}
	d.seq++
	o.seq, o.since = d.seq, d.version+1
	d.objects[o.id] = o
	d.commit(o, slices.Clone(fields), live) // no larger than needed
	d.kinds[o.schema].created.add(o, o.seq)
	return o.now, nil
}

// commit makes the fields those of the object from now on, in a life that may be another one. d is locked.
func (d *Directory) commit(o *object, fields []field, l life) {
	c := d.kinds[o.schema]
	if o.now != nil && o.now.life == live {
		c.live--
		for _, k := range o.keys(o.now.fields) {
			delete(d.unique, k)
		}
	}
	if l == live {
		c.live++
		for _, k := range o.keys(fields) {
			d.unique[k] = o
		}
	}
	next := &Entity{of: o, fields: fields, life: l}
	if o.now != nil {
		next.boss = o.now.boss
	}
	d.become(next, "")
}

// become makes an entity what its object is from now on. link is the relation that changed, if it is one. d is locked.
func (d *Directory) become(next *Entity, link string) {
	o := next.of
	before := o.now
	o.now = next
	if o.schema == ServicePrincipals {
		next.at = d.Now() // they are there from the start, and nobody follows them
		return
	}
	next.at = d.tick()
	d.remember(next, before)
	d.track(o, link)
}

// track counts a change of an object, or of a link of it, and tells OnChange. d is locked, so changes leave in the order they
// happened, each at the time of the last tick.
func (d *Directory) track(o *object, link string) {
	d.version++
	o.changed, o.at = d.version, d.last
	d.kinds[o.schema].changed.add(o, o.changed)
	if d.OnChange != nil {
		d.OnChange(Change{TenantID: d.TenantID, Kind: o.schema.Name, ObjectID: o.id, Link: link, Purged: o.now.life == purged, Time: d.last})
	}
}

// tick is the time of the next change, which no other change has. d is locked.
func (d *Directory) tick() time.Time {
	const tick = 100 * time.Nanosecond
	now := d.Now().UTC().Truncate(tick)
	if !now.After(d.last) {
		now = d.last.Add(tick)
	}
	d.last = now
	return now
}

// remember lets an entity know what was before, as long as a View can look back that far. d is locked.
func (d *Directory) remember(e, before *Entity) {
	back := time.Duration(d.memory.Load())
	if back > 0 {
		e.before = before
		d.past = append(d.past, e)
	}
	horizon := d.last.Add(-back)
	for len(d.past) > 0 && !d.past[0].at.After(horizon) {
		d.past[0].before, d.past[0] = nil, nil
		d.past = d.past[1:]
	}
}

// find resolves an id among the live objects of a schema, and of users the principal name. d is locked.
func (d *Directory) find(s *Schema, name string) (*object, error) {
	if o := d.objects[fold(name)]; o != nil && o.now.life == live && o.schema == s {
		return o, nil
	}
	if o := d.unique[nameKey(name)]; s == Users && o != nil {
		return o, nil
	}
	return nil, fault.NotFound(name)
}

// object finds a live object of any schema by id. d is locked.
func (d *Directory) object(id string) (*object, error) {
	if o := d.objects[fold(id)]; o != nil && o.now.life == live {
		return o, nil
	}
	return nil, fault.NotFound(id)
}
