package directory

import (
	"maps"
	"slices"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// managerName is the navigation property of a user that leads to the manager. Change tracking follows it like a property.
const managerName = "manager"

// errNoManager is the answer to who asks for a manager that is not there.
func errNoManager() error { return fault.NotFound(managerName) }

// Manager returns the manager of a user. One who is soft-deleted is not there, until restored.
func (d *Directory) Manager(name string) (User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.find(name)
	if err != nil {
		return nil, err
	}
	manager := d.live[r.manager]
	if manager == nil {
		return nil, errNoManager()
	}
	return manager.user.Clone(), nil
}

// SetManager makes a live user the manager of another.
func (d *Directory) SetManager(name, managerID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.find(name)
	if err != nil {
		return err
	}
	manager, err := d.find(managerID)
	if err != nil {
		return err
	}
	if r.manager != manager.id() {
		d.assignManager(r, manager.id())
	}
	return nil
}

// RemoveManager takes the manager of a user away.
func (d *Directory) RemoveManager(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.find(name)
	if err != nil {
		return err
	}
	if d.live[r.manager] == nil {
		return errNoManager()
	}
	d.assignManager(r, "")
	return nil
}

// assignManager changes the manager of a live user, which is a change of that user. d is locked.
func (d *Directory) assignManager(r *record, id string) {
	touched := maps.Clone(r.touched)
	if touched == nil {
		touched = map[string]int64{}
	}
	touched[managerName] = d.version + 1
	r.manager, r.former, r.touched = id, r.manager, touched
	d.emit(r, false)
}

// DirectReports returns the users whose manager somebody is, in the order of creation.
func (d *Directory) DirectReports(name string) ([]User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	manager, err := d.find(name)
	if err != nil {
		return nil, err
	}
	var reports []*record
	for _, r := range d.live {
		if r.manager == manager.id() {
			reports = append(reports, r)
		}
	}
	slices.SortFunc(reports, bySeq)
	users := make([]User, len(reports))
	for i, r := range reports {
		users[i] = r.user.Clone()
	}
	return users, nil
}
