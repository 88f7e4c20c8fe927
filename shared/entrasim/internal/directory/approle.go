package directory

import (
	"encoding/base64"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// DefaultAccess is the app role of those who are assigned without one.
const DefaultAccess = "00000000-0000-0000-0000-000000000000"

// assignment is a role of an application that a principal has.
type assignment struct {
	id, roleID, at      string
	principal, resource *object
	seq                 int64 // 0: it ended
}

// Assignment is an assignment as a view shows it.
type Assignment struct {
	ID, RoleID, AssignedAt string
	Principal, Resource    *Entity
}

// grant is what no two assignments may share.
type grant struct {
	principal, resource *object
	roleID              string
}

// apps are the assignments of roles of applications.
type apps struct {
	byID    map[string]*assignment
	granted map[grant]*assignment
	to      map[*object]*timeline[*assignment] // by resource
}

func newApps() apps {
	return apps{byID: map[string]*assignment{}, granted: map[grant]*assignment{}, to: map[*object]*timeline[*assignment]{}}
}

// Assign gives a role of an application to a user, a group or another application.
func (d *Directory) Assign(resourceID, principalID, roleID string) (Assignment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	resource, err := d.find(ServicePrincipals, resourceID)
	if err != nil {
		return Assignment{}, err
	}
	principal, err := d.object(principalID)
	switch {
	case err != nil:
		return Assignment{}, err
	case !resource.now.offers(fold(roleID), principal.schema):
		return Assignment{}, fault.BadRequest("Permission being assigned was not found on application")
	}
	g := grant{principal, resource, fold(roleID)}
	if d.granted[g] != nil {
		return Assignment{}, fault.BadRequest("Permission being assigned already exists on the object")
	}
	id, err := uuid.NewRandomFromReader(d.ids)
	if err != nil {
		return Assignment{}, err
	}
	d.seq++
	a := &assignment{
		id: base64.RawURLEncoding.EncodeToString(append(id[:], resource.id[:8]...)), roleID: g.roleID, at: moment(d.Now()),
		principal: principal, resource: resource, seq: d.seq,
	}
	d.byID[a.id], d.granted[g] = a, a
	if d.to[resource] == nil {
		d.to[resource] = &timeline[*assignment]{mark: func(a *assignment) int64 { return a.seq }}
	}
	d.to[resource].add(a, a.seq)
	principal.linked().assigned = append(principal.links.assigned, a)
	return Assignment{a.id, a.roleID, a.at, principal.now, resource.now}, nil
}

// AssignmentQuery says whose assignments a list holds: those to one application, or of one principal; "" is any, and one of
// them is needed. Match, After and Limit are as in Query.
type AssignmentQuery struct {
	ResourceID, PrincipalID string
	Match                   func(Assignment) bool
	After                   int64
	Limit                   int
}

// Assignments lists a page of assignments in the order in which they were made, and says where the next page starts, 0 if there
// is none. Those of principals who are deleted do not show.
func (v View) Assignments(q AssignmentQuery) (list []Assignment, next int64, err error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	all, err := v.assignmentsOf(q)
	if err != nil {
		return nil, 0, err
	}
	last := q.After
	for a, seq := range all {
		shown := Assignment{a.id, a.roleID, a.at, v.live(a.principal), v.live(a.resource)}
		if seq <= q.After || shown.Principal == nil || shown.Resource == nil || q.Match != nil && !q.Match(shown) {
			continue
		}
		if len(list) == q.Limit {
			return list, last, nil
		}
		list, last = append(list, shown), seq
	}
	return list, 0, nil
}

// assignmentsOf yields assignments with the numbers that order them. The directory is locked.
func (v View) assignmentsOf(q AssignmentQuery) (iter.Seq2[*assignment, int64], error) {
	if q.ResourceID != "" {
		resource, _, err := v.find(ServicePrincipals, q.ResourceID)
		if err != nil || v.dir.to[resource] == nil {
			return func(func(*assignment, int64) bool) {}, err
		}
		return v.dir.to[resource].after(q.After), nil
	}
	principal, err := v.dir.object(q.PrincipalID)
	if err != nil {
		return nil, err
	}
	return func(yield func(*assignment, int64) bool) {
		for _, a := range principal.linksOrNone().assigned {
			if !yield(a, a.seq) {
				return
			}
		}
	}, nil
}

// linksOrNone are the links of an object for who only reads them.
func (o *object) linksOrNone() *links {
	if o.links == nil {
		return &links{}
	}
	return o.links
}

// Assignment finds an assignment by its id.
func (v View) Assignment(id string) (Assignment, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	if a := v.dir.byID[id]; a != nil {
		return Assignment{a.id, a.roleID, a.at, a.principal.now, a.resource.now}, nil
	}
	return Assignment{}, fault.NotFound(id)
}

// Unassign ends an assignment of an application, or of a principal, as whose it is named; "" is any.
func (d *Directory) Unassign(id, resourceID, principalID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.byID[id]
	named := func(o *object, id string) bool { return id == "" || strings.EqualFold(o.id, id) }
	if a == nil || !named(a.resource, resourceID) || !named(a.principal, principalID) {
		return fault.NotFound(id)
	}
	d.unassign(a)
	return nil
}

// unassign ends an assignment. d is locked.
func (d *Directory) unassign(a *assignment) {
	delete(d.byID, a.id)
	delete(d.granted, grant{a.principal, a.resource, a.roleID})
	a.principal.links.assigned = slices.DeleteFunc(a.principal.links.assigned, func(other *assignment) bool { return other == a })
	a.seq = 0
}
