package directory

import (
	"slices"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// retention is how long a soft-deleted user can be restored.
const retention = 30 * 24 * time.Hour

// Delete soft-deletes a user: it leaves the live ones, and its name and addresses become free.
func (d *Directory) Delete(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.find(name)
	if err != nil {
		return err
	}
	d.displace(r)
	r.deleted = d.Now()
	r.user["deletedDateTime"] = moment(r.deleted)
	d.deleted[r.id()] = r
	d.emit(r, false)
	return nil
}

// GetDeleted finds a soft-deleted user by object id.
func (d *Directory) GetDeleted(id string) (User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.findDeleted(id)
	if err != nil {
		return nil, err
	}
	return r.user.Clone(), nil
}

// RestoreOptions is the body of POST /directory/deletedItems/{id}/restore.
type RestoreOptions struct {
	// AutoReconcileProxyConflict drops the proxy addresses that are taken by now.
	AutoReconcileProxyConflict bool
	// NewUserPrincipalName, if not empty, replaces the name the user had.
	NewUserPrincipalName string
}

// Restore brings a soft-deleted user back as the same object, unless its name or address is taken by now.
func (d *Directory) Restore(id string, o RestoreOptions) (User, error) {
	upn := o.NewUserPrincipalName
	if upn != "" && (!principalName.MatchString(upn) || !d.verified(domainOf(upn))) {
		return nil, fault.InvalidValue("newUserPrincipalName")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.findDeleted(id)
	if err != nil {
		return nil, err
	}
	next := *old
	next.user, next.deleted = old.user.Clone(), time.Time{}
	delete(next.user, "deletedDateTime")
	if upn != "" {
		next.user["userPrincipalName"] = upn
		next.user.setIdentities(d.initialDomain())
	}
	if o.AutoReconcileProxyConflict {
		next.user["proxyAddresses"] = slices.DeleteFunc(next.user.texts("proxyAddresses"), func(proxy string) bool {
			return d.unique[proxyKey(proxy)] != nil
		})
	}
	if _, taken := d.conflict(&next); taken {
		return nil, fault.ConflictingObjects()
	}
	next.history = d.born() // change tracking shows it as if it were new
	delete(d.deleted, next.id())
	d.place(&next)
	d.emit(&next, false)
	return next.user.Clone(), nil
}

// Purge removes a soft-deleted user for good.
func (d *Directory) Purge(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.findDeleted(id)
	if err != nil {
		return err
	}
	d.purge(r)
	return nil
}

func (d *Directory) findDeleted(id string) (*record, error) {
	d.expire()
	if r := d.deleted[strings.ToLower(id)]; r != nil {
		return r, nil
	}
	return nil, fault.NotFound(id)
}

func (d *Directory) purge(r *record) {
	delete(d.deleted, r.id())
	for _, g := range d.groups.groups {
		delete(g.members, r.id())
	}
	d.unassignAll(r.id())
	d.emit(r, true)
}

// expire purges, oldest first, what nobody can restore any more. It runs whenever somebody looks at the deleted ones.
// d is locked.
func (d *Directory) expire() {
	var due []*record
	for _, r := range d.deleted {
		if d.Now().Sub(r.deleted) >= retention {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *record) int { return a.deleted.Compare(b.deleted) })
	for _, r := range due {
		d.purge(r)
	}
}
