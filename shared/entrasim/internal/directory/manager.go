package directory

import (
	"cmp"
	"slices"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// managerLink is the navigation property of a user that leads to the manager.
const managerLink = "manager"

// manager is who a view shows as the manager of a user, nil for nobody: one who is deleted is not there, until restored.
// The directory is locked.
func (v View) manager(o *object) *Entity {
	if e := v.live(o); e != nil && e.boss != nil {
		return v.live(e.boss)
	}
	return nil
}

// ManagerOf returns the manager of a user whom the view has shown, nil if there is none.
func (v View) ManagerOf(user *Entity) *Entity {
	v.dir.mu.RLock()
	defer v.dir.mu.RUnlock()
	return v.manager(user.of)
}

// Manager returns the manager of a user.
func (v View) Manager(name string) (*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	o, _, err := v.find(Users, name)
	if err != nil {
		return nil, err
	}
	if m := v.manager(o); m != nil {
		return m, nil
	}
	return nil, fault.NotFound(managerLink)
}

// SetManager makes a live user the manager of another.
func (d *Directory) SetManager(name, managerID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find(Users, name)
	if err != nil {
		return err
	}
	manager, err := d.find(Users, managerID)
	if err != nil {
		return err
	}
	if o.now.boss != manager {
		d.assignManager(o, manager)
	}
	return nil
}

// RemoveManager takes the manager of a user away.
func (d *Directory) RemoveManager(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find(Users, name)
	if err != nil {
		return err
	}
	if d.View(0).manager(o) == nil {
		return fault.NotFound(managerLink)
	}
	d.assignManager(o, nil)
	return nil
}

// assignManager changes the manager of a live user, which is a change of that user. d is locked.
func (d *Directory) assignManager(o, manager *object) {
	o.leaveReports()
	if manager != nil {
		l := manager.linked()
		if l.reports == nil {
			l.reports = map[*object]bool{}
		}
		l.reports[o] = true
	}
	l := o.linked()
	l.former, l.bossed = o.now.boss, d.version+1
	d.become(&Entity{of: o, fields: o.now.fields, life: live, boss: manager}, managerLink)
}

// leaveReports takes a user from the reports of the manager.
func (o *object) leaveReports() {
	if o.now.boss != nil {
		delete(o.now.boss.linksOrNone().reports, o)
	}
}

// DirectReports returns the users whose manager somebody is, in the order of creation.
func (v View) DirectReports(name string) ([]*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	o, _, err := v.find(Users, name)
	if err != nil || o.links == nil {
		return nil, err
	}
	var reports []*Entity
	for report := range o.links.reports {
		if e := v.live(report); e != nil && v.manager(report) != nil {
			reports = append(reports, e)
		}
	}
	slices.SortFunc(reports, func(a, b *Entity) int { return cmp.Compare(a.of.seq, b.of.seq) })
	return reports, nil
}
