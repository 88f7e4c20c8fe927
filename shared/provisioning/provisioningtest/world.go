// Package provisioningtest is a small world in memory for tests of provisioning: a source tenant, a target tenant,
// links and a journal, all of them safe for concurrent use, and all of them able to fail in the ways that real ones do.
//
// A World is the truth. Tests change it as people and administrators would (Hire, Leave, Block …), let a Reconciler
// work, and compare what is there afterwards.
package provisioningtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Route is the one route of a World.
var Route = tenant.Route{
	Name:   "fabrikam-us→contoso",
	Source: tenant.Tenant{Name: "fabrikam-us", ID: "11111111-1111-4111-8111-111111111111"},
	Target: tenant.Tenant{Name: "contoso", ID: "22222222-2222-4222-8222-222222222222"},
}

// World implements provisioning.Directories, provisioning.Links, provisioning.Guard, provisioning.Bus and provisioning.Journal.
type World struct {
	mu      sync.Mutex
	now     time.Time
	nextID  int
	people  map[string]*person
	objects map[string]provisioning.External
	// index is what searches see while they lag behind; nil when they do not. blind: so do reads by id.
	index      map[string]provisioning.External
	blind      bool
	duplicate  bool
	links      map[provisioning.LinkKey]*row
	journal    []provisioning.Entry
	holding    bool
	departures []guard.Departure
	// grants are those of external users; oldGrants is what reads show of them while they lag behind, nil when they do not.
	grants, oldGrants map[string][]provisioning.Grant
	sent              []change.Change
	queues            []string
	faults            faults
}

type person struct {
	user    provisioning.User
	deleted bool
}

// New returns a world with nobody in it, on the first of May 2026.
func New() *World {
	return &World{
		now:     time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC),
		people:  map[string]*person{},
		objects: map[string]provisioning.External{},
		links:   map[provisioning.LinkKey]*row{},
		grants:  map[string][]provisioning.Grant{},
	}
}

// Now is the time in this world; it only moves by Advance.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Advance moves the clock.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *World) id(prefix string) string {
	w.nextID++
	return fmt.Sprintf("%s-%d", prefix, w.nextID)
}

// Hire puts an enabled member with this address into the source and returns its object id.
func (w *World) Hire(address string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.id("source")
	w.people[id] = &person{user: provisioning.User{
		ID: id, PrincipalName: address, UserType: provisioning.Member,
		Attributes: provisioning.Attributes{
			provisioning.AttrAccountEnabled: true,
			provisioning.AttrMail:           address,
			provisioning.AttrDisplayName:    "Name of " + address,
			"department":                    "Sales",
		},
	}}
	return id
}

// Change edits attributes of a source user; nil clears.
func (w *World) Change(id string, attributes provisioning.Attributes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	write(w.people[id].user.Attributes, attributes)
}

// Join makes the groups, by object id, those a source user is in.
func (w *World) Join(id string, groups ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.people[id].user.Groups = groups
}

// Leave soft-deletes a source user.
func (w *World) Leave(id string) { w.setDeleted(id, true) }

// Return restores a soft-deleted source user.
func (w *World) Return(id string) { w.setDeleted(id, false) }

func (w *World) setDeleted(id string, deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.people[id].deleted = deleted
}

// Purge deletes a source user for good.
func (w *World) Purge(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.people, id)
}

// Put places an object in the target, as an administrator there would, and returns its id.
// It gets the address and is enabled and live unless e says otherwise.
func (w *World) Put(address string, e provisioning.External) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.ID == "" {
		e.ID = w.id("target")
	}
	attributes := provisioning.Attributes{
		provisioning.AttrMail: address, provisioning.AttrAccountEnabled: true, provisioning.AttrUserType: provisioning.Guest,
	}
	maps.Copy(attributes, e.Attributes)
	e.Attributes = attributes
	w.objects[e.ID] = typed(e)
	return e.ID
}

// Edit changes an object of the target behind the reconciler's back.
func (w *World) Edit(id string, f func(*provisioning.External)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := clone(w.objects[id])
	f(&e)
	w.objects[id] = typed(e)
}

// PurgeExternal deletes an object of the target for good.
func (w *World) PurgeExternal(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.objects, id)
}

// Objects lists what the target holds, live and soft-deleted, in the order of their ids.
func (w *World) Objects() []provisioning.External {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sorted(w.objects, func(provisioning.External) bool { return true })
}

// Live lists the objects of the target that are not deleted.
func (w *World) Live() []provisioning.External {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sorted(w.objects, func(e provisioning.External) bool { return !e.Deleted })
}

// Link returns what is stored of a source user.
func (w *World) Link(user string) provisioning.Link {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.links[Key(user)]; r != nil {
		return r.link
	}
	return provisioning.Link{Key: Key(user)}
}

// ForgetLinks loses the whole store of links, as when its file is gone.
func (w *World) ForgetLinks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.links)
}

// Entries returns the journal.
func (w *World) Entries() []provisioning.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.journal)
}

// Key is the link key of a source user on Route.
func Key(user string) provisioning.LinkKey {
	return provisioning.LinkKey{Route: Route.Name, User: user}
}

// write merges as Graph's PATCH does: nil clears.
func write(into, attributes provisioning.Attributes) {
	for name, value := range attributes {
		if value == nil {
			delete(into, name)
			continue
		}
		into[name] = value
	}
}

// typed keeps the two places where a user type stands in step.
func typed(e provisioning.External) provisioning.External {
	e.UserType, _ = e.Attributes[provisioning.AttrUserType].(string)
	return e
}

func clone(e provisioning.External) provisioning.External {
	e.Attributes = maps.Clone(e.Attributes)
	return e
}

func sorted(objects map[string]provisioning.External, keep func(provisioning.External) bool) []provisioning.External {
	var out []provisioning.External
	for _, id := range slices.Sorted(maps.Keys(objects)) {
		if e := objects[id]; keep(e) {
			out = append(out, clone(e))
		}
	}
	return out
}
