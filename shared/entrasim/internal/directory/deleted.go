package directory

import (
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// retention is how long a deleted item can be restored.
const retention = 30 * 24 * time.Hour

// Delete removes an object: users, by id or principal name, and Microsoft 365 groups become deleted items, whose names and
// addresses are free; other groups are gone for good, as the reference of group-delete says.
func (d *Directory) Delete(s *Schema, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find(s, name)
	if err != nil {
		return err
	}
	if s == Groups && !o.now.unified() {
		d.purge(o)
		return nil
	}
	n := d.draft(s, o.now)
	n.put("deletedDateTime", moment(d.Now()))
	d.commit(o, n.fields, deleted)
	d.kinds[s].deleted.add(o, o.changed)
	d.purgeBy(o.now.at.Truncate(time.Second).Add(d.Pace.Span(retention)))
	d.trackMemberships(o)
	return nil
}

// RestoreOptions is the body of POST /directory/deletedItems/{id}/restore.
type RestoreOptions struct {
	// AutoReconcileProxyConflict drops the proxy addresses that are taken by now.
	AutoReconcileProxyConflict bool
	// NewUserPrincipalName, if not empty, replaces the name the user had.
	NewUserPrincipalName string
}

// Restore brings a deleted item back as the same object with the same links, unless its name or address is taken by now.
// may is asked whether the caller may restore objects of its schema.
func (d *Directory) Restore(id string, o RestoreOptions, may func(*Schema) bool) (*Entity, error) {
	upn := o.NewUserPrincipalName
	if upn != "" && (!principalName.MatchString(upn) || !d.verified(domainOf(upn))) {
		return nil, fault.InvalidValue("newUserPrincipalName")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.findDeleted(id, may)
	if err != nil {
		return nil, err
	}
	n := d.draft(old.schema, old.now)
	n.put("deletedDateTime", nil)
	if upn != "" && old.schema == Users {
		n.put("userPrincipalName", upn)
		n.setIdentities(d.initialDomain())
	}
	if o.AutoReconcileProxyConflict {
		n.put("proxyAddresses", slices.DeleteFunc(slices.Clone(n.texts("proxyAddresses")), func(proxy string) bool {
			return d.unique[proxyKey(proxy)] != nil
		}))
	}
	if _, taken := d.conflict(old, n.fields); taken {
		return nil, fault.ConflictingObjects()
	}
	old.since = d.version + 1 // change tracking shows it as if it were new
	d.commit(old, n.fields, live)
	d.trackMemberships(old)
	return old.now, nil
}

// Purge removes a deleted item for good.
func (d *Directory) Purge(id string, may func(*Schema) bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.findDeleted(id, may)
	if err != nil {
		return err
	}
	d.purge(o)
	return nil
}

// findDeleted resolves the id of a deleted item. d is locked.
func (d *Directory) findDeleted(id string, may func(*Schema) bool) (*object, error) {
	d.expire()
	o := d.objects[fold(id)]
	switch {
	case o == nil || o.now.life != deleted:
		return nil, fault.NotFound(id)
	case !may(o.schema):
		return nil, fault.Denied()
	}
	return o, nil
}

// purge removes an object with all its links. What is left of it is known to change tracking only. d is locked.
func (d *Directory) purge(o *object) {
	o.leaveReports()
	d.commit(o, nil, purged)
	delete(d.objects, o.id)
	d.unlink(o)
}

// unlink ends the links of an object at their other ends, too. d is locked.
func (d *Directory) unlink(o *object) {
	l := o.links
	if l == nil {
		return
	}
	for _, e := range slices.Clone(l.memberOf) {
		d.endMembership(e)
	}
	if l.members != nil {
		for member := range l.members.edges {
			member.links.forget(l.members.edges[member])
		}
	}
	for _, a := range slices.Clone(l.assigned) {
		d.unassign(a)
	}
	o.links = nil
}

// due reports whether it is time to look for what nobody can restore any more. d is locked for reading.
func (d *Directory) due() bool { return !d.purgeAt.IsZero() && !d.Now().Before(d.purgeAt) }

// Expire purges what nobody can restore any more. It runs by itself whenever somebody looks at the directory; who waits for the
// notification of a purge without looking has to call it.
func (d *Directory) Expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire()
}

// expire purges the oldest first. d is locked.
func (d *Directory) expire() {
	if !d.due() {
		return
	}
	d.purgeAt = time.Time{}
	for _, s := range []*Schema{Users, Groups} {
		for o, is := d.kinds[s].deleted.first(); is; o, is = d.kinds[s].deleted.first() {
			end := o.now.at.Truncate(time.Second).Add(d.Pace.Span(retention)) // of deletedDateTime
			if end.After(d.Now()) {
				d.purgeBy(end)
				break
			}
			d.purge(o)
		}
	}
}

// purgeBy makes due report that it is time at t. d is locked.
func (d *Directory) purgeBy(t time.Time) {
	if d.purgeAt.IsZero() || t.Before(d.purgeAt) {
		d.purgeAt = t
	}
}
