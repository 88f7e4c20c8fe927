package directory

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// DefaultAccess is the app role of those who are assigned without one.
const DefaultAccess = "00000000-0000-0000-0000-000000000000"

// AppRole is a role that an application offers to users and groups.
type AppRole struct{ ID, Value string }

// ServicePrincipal is an application in this tenant.
type ServicePrincipal struct {
	ID, AppID, DisplayName string
	Roles                  []AppRole // none: everybody gets DefaultAccess
}

// Assignment is a role of an application that a user or a group has.
type Assignment struct {
	ID, RoleID                           string
	PrincipalID, PrincipalName, Kind     string // Kind is user or group
	ResourceID, ResourceName, AssignedAt string
	seq                                  int64
}

// apps are the applications of a tenant and who may use them.
type apps struct {
	principals  []ServicePrincipal
	assignments map[string]*Assignment // by id
}

// AddServicePrincipal makes an application known here.
func (d *Directory) AddServicePrincipal(p ServicePrincipal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.principals = append(d.principals, p)
}

// ServicePrincipals lists the applications.
func (d *Directory) ServicePrincipals() []ServicePrincipal {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.principals)
}

// ServicePrincipal finds an application by its object id.
func (d *Directory) ServicePrincipal(id string) (ServicePrincipal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.servicePrincipal(id)
}

func (d *Directory) servicePrincipal(id string) (ServicePrincipal, error) {
	for _, p := range d.principals {
		if strings.EqualFold(p.ID, id) {
			return p, nil
		}
	}
	return ServicePrincipal{}, fault.NotFound(id)
}

// offers tells whether an application has a role. Without roles it has DefaultAccess.
func (p ServicePrincipal) offers(roleID string) bool {
	if len(p.Roles) == 0 {
		return roleID == DefaultAccess
	}
	return slices.ContainsFunc(p.Roles, func(r AppRole) bool { return strings.EqualFold(r.ID, roleID) })
}

// Assign gives a role of an application to a user or a group.
func (d *Directory) Assign(resourceID, principalID, roleID string) (Assignment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	resource, err := d.servicePrincipal(resourceID)
	if err != nil {
		return Assignment{}, err
	}
	principal, err := d.object(principalID)
	switch {
	case err != nil:
		return Assignment{}, err
	case !resource.offers(roleID):
		return Assignment{}, fault.BadRequest("Permission being assigned was not found on application")
	}
	for _, a := range d.assignments {
		if a.ResourceID == resource.ID && a.PrincipalID == principal.Values.text("id") && strings.EqualFold(a.RoleID, roleID) {
			return Assignment{}, fault.BadRequest("Permission being assigned already exists on the object")
		}
	}
	id, err := uuid.NewRandomFromReader(d.ids)
	if err != nil {
		return Assignment{}, err
	}
	d.seq++
	a := &Assignment{
		ID: base64.RawURLEncoding.EncodeToString(append(id[:], resource.ID[:8]...)), RoleID: strings.ToLower(roleID),
		PrincipalID: principal.Values.text("id"), PrincipalName: principal.Values.text("displayName"), Kind: principal.Kind,
		ResourceID: resource.ID, ResourceName: resource.DisplayName, AssignedAt: moment(d.Now()), seq: d.seq,
	}
	if d.assignments == nil {
		d.assignments = map[string]*Assignment{}
	}
	d.assignments[a.ID] = a
	return *a, nil
}

// Assignments lists those of one application, or of one principal, or of both; "" is any. Those of principals who are gone for
// now do not show.
func (d *Directory) Assignments(resourceID, principalID string) []Assignment {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []Assignment
	for _, a := range d.assignments {
		_, err := d.object(a.PrincipalID)
		if err == nil && (resourceID == "" || strings.EqualFold(resourceID, a.ResourceID)) && (principalID == "" || strings.EqualFold(principalID, a.PrincipalID)) {
			list = append(list, *a)
		}
	}
	slices.SortFunc(list, func(a, b Assignment) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// Unassign ends an assignment of an application, or of a principal, as whose it is named; "" is any.
func (d *Directory) Unassign(id, resourceID, principalID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.assignments[id]
	if a == nil || (resourceID != "" && !strings.EqualFold(resourceID, a.ResourceID)) || (principalID != "" && !strings.EqualFold(principalID, a.PrincipalID)) {
		return fault.NotFound(id)
	}
	delete(d.assignments, id)
	return nil
}

// unassignAll ends the assignments of a principal who is gone for good. d is locked.
func (d *Directory) unassignAll(principalID string) {
	for id, a := range d.assignments {
		if a.PrincipalID == principalID {
			delete(d.assignments, id)
		}
	}
}
