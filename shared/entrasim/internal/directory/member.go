package directory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// maxMembersAtOnce is how many members one PATCH of a group may add.
const maxMembersAtOnce = 20

// Object is a member of a group, or a group that something is a member of: a user or another group.
type Object struct {
	Kind   string // user or group
	Values User
}

const (
	kindUser  = "user"
	kindGroup = "group"
)

// AddMembers makes objects, by id, members of a group: all or none. mayRoles is whether the caller may change groups that can
// be given roles.
func (d *Directory) AddMembers(groupID string, ids []string, mayRoles bool) error {
	if len(ids) > maxMembersAtOnce {
		return fault.BadRequest("The request holds %d references, at most %d are allowed.", len(ids), maxMembersAtOnce)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.changeable(groupID, mayRoles)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, id := range ids {
		o, err := d.object(id)
		if err != nil {
			return err
		}
		key := o.Values.text("id")
		if _, is := g.members[key]; is || named[key] {
			return fault.BadRequest("One or more added object references already exist for the following modified properties: 'members'.")
		}
		if g.roleAssignable() && o.Kind == kindGroup {
			return fault.BadRequest("A group cannot be a member of a group that is assignable to a role.")
		}
		named[key] = true
	}
	for _, id := range ids {
		d.seq++
		g.members[strings.ToLower(id)] = d.seq
	}
	return nil
}

// RemoveMember ends a direct membership.
func (d *Directory) RemoveMember(groupID, id string, mayRoles bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.changeable(groupID, mayRoles)
	if err != nil {
		return err
	}
	if _, err := d.object(id); err != nil {
		return err
	}
	if _, is := g.members[strings.ToLower(id)]; !is {
		return fault.New(404, "Request_ResourceNotFound",
			"One or more removed object references do not exist for the following modified properties: 'members'.")
	}
	delete(g.members, strings.ToLower(id))
	return nil
}

// changeable is a group whose members may be changed by hand.
func (d *Directory) changeable(id string, mayRoles bool) (*group, error) {
	g, err := d.findGroup(id)
	switch {
	case err != nil:
		return nil, err
	case g.roleAssignable() && !mayRoles:
		return nil, fault.Denied()
	case g.dynamic():
		return nil, fault.BadRequest("Insufficient privileges or the group has dynamic membership: its members follow from its rule and cannot be changed.")
	}
	return g, nil
}

// object finds a live user or a group by id. d is locked.
func (d *Directory) object(id string) (Object, error) {
	id = strings.ToLower(id)
	if r := d.live[id]; r != nil {
		return Object{kindUser, r.user}, nil
	}
	if g := d.groups.groups[id]; g != nil {
		return Object{kindGroup, g.values}, nil
	}
	return Object{}, fault.NotFound(id)
}

// Members returns the members of a group, in the order in which they came: its own, or those of its groups, too.
func (d *Directory) Members(groupID string, transitive bool) ([]Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.findGroup(groupID)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{g.id(): true}
	var members []Object
	for queue := []*group{g}; len(queue) > 0; queue = queue[1:] {
		for _, id := range queue[0].ordered() {
			o, err := d.object(id)
			if err != nil || seen[id] { // gone for now, or met before
				continue
			}
			seen[id] = true
			members = append(members, Object{o.Kind, o.Values.Clone()})
			if inner := d.groups.groups[id]; transitive && inner != nil {
				queue = append(queue, inner)
			}
		}
	}
	return members, nil
}

func (g *group) ordered() []string {
	ids := make([]string, 0, len(g.members))
	for id := range g.members {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(g.members[a], g.members[b]) })
	return ids
}

// MemberOf returns the groups that a user, by id or principal name, is a member of: directly, or by way of other groups, too.
func (d *Directory) MemberOf(name string, transitive bool) ([]Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.find(name)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var found []*group
	for queue := []string{r.id()}; len(queue) > 0; queue = queue[1:] {
		for id, g := range d.groups.groups {
			if _, is := g.members[queue[0]]; is && !seen[id] {
				seen[id] = true
				found = append(found, g)
				if transitive {
					queue = append(queue, id)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b *group) int { return cmp.Compare(a.seq, b.seq) })
	objects := make([]Object, len(found))
	for i, g := range found {
		objects[i] = Object{kindGroup, g.values.Clone()}
	}
	return objects, nil
}
