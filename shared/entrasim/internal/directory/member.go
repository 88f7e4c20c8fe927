package directory

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// maxMembersAtOnce is how many members one PATCH of a group may add.
const maxMembersAtOnce = 20

// memberLink is the navigation property of a group that leads to its members.
const memberLink = "members"

// edge is a direct membership, or what change tracking has to know of one that ended.
type edge struct {
	group, member *object
	began, ended  time.Time // zero: it has not ended
	changed       int64     // version at which it began or ended, or its member was deleted or restored
}

// membership is the members of a group. Members who are deleted stay until they are purged, because who is restored is a
// member again.
type membership struct {
	edges map[*object]*edge // those that did not end
	order timeline[*edge]   // those, and the ended ones as long as change tracking tells of them
}

// members of a group are made when it gets the first. d is locked.
func (d *Directory) members(g *object) *membership {
	l := g.linked()
	if l.members == nil {
		l.members = &membership{edges: map[*object]*edge{}, order: timeline[*edge]{mark: func(e *edge) int64 {
			if !e.ended.IsZero() && d.Now().Sub(e.ended) > d.DeltaLife() {
				return 0 // no token is that old
			}
			return e.changed
		}}}
	}
	return l.members
}

// AddMember makes an object, by id, a member of a group.
func (d *Directory) AddMember(groupID, id string, may Rights) error {
	return d.UpdateGroup(groupID, nil, []string{id}, may)
}

// joining are the objects with the given ids if they may become members of a group. d is locked.
func (d *Directory) joining(group *Entity, ids []string) ([]*object, error) {
	switch {
	case len(ids) > maxMembersAtOnce:
		return nil, fault.BadRequest("The request holds %d references, at most %d are allowed.", len(ids), maxMembersAtOnce)
	case len(ids) > 0 && group.dynamic():
		return nil, errDynamic()
	}
	var joining []*object
	for _, id := range ids {
		o, err := d.object(id)
		if err != nil {
			return nil, err
		}
		if group.of.has(o) || slices.Contains(joining, o) {
			return nil, fault.BadRequest("One or more added object references already exist for the following modified properties: 'members'.")
		}
		if err := group.admits(o); err != nil {
			return nil, err
		}
		joining = append(joining, o)
	}
	return joining, nil
}

func (o *object) has(member *object) bool {
	return o.links != nil && o.links.members != nil && o.links.members.edges[member] != nil
}

// admits refuses members of a kind the group can not have: the table in the reference of group-post-members.
func (e *Entity) admits(member *object) error {
	switch {
	case member.schema == Users:
		return nil
	case e.unified():
		return fault.BadRequest("The members of a Microsoft 365 group are users: a %s cannot be one.", member.schema.Name)
	case member.schema == Groups && member.now.unified():
		return fault.BadRequest("A Microsoft 365 group cannot be a member of a group.")
	case member.schema == Groups && e.roleAssignable():
		return fault.BadRequest("A group cannot be a member of a group that is assignable to a role.")
	}
	return nil
}

// join adds members. d is locked.
func (d *Directory) join(g *object, joining []*object) {
	for _, o := range joining {
		m := d.members(g)
		e := &edge{group: g, member: o, began: d.tick(), changed: d.version + 1}
		m.edges[o] = e
		m.order.add(e, e.changed)
		o.linked().memberOf = append(o.links.memberOf, e)
		d.track(g, memberLink)
	}
}

// RemoveMember ends a direct membership.
func (d *Directory) RemoveMember(groupID, id string, may Rights) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.writable(groupID, may)
	switch {
	case err != nil:
		return err
	case g.now.dynamic():
		return errDynamic()
	}
	o, err := d.object(id)
	if err != nil {
		return err
	}
	if !g.has(o) {
		return fault.New(404, "Request_ResourceNotFound",
			"One or more removed object references do not exist for the following modified properties: 'members'.")
	}
	d.endMembership(g.links.members.edges[o])
	return nil
}

func errDynamic() error {
	return fault.BadRequest("Insufficient privileges or the group has dynamic membership: its members follow from its rule and cannot be changed.")
}

// endMembership is a change of the group. d is locked.
func (d *Directory) endMembership(e *edge) {
	m := e.group.links.members
	delete(m.edges, e.member)
	e.member.links.forget(e)
	e.ended, e.changed = d.tick(), d.version+1
	m.order.add(e, e.changed)
	d.track(e.group, memberLink)
}

func (l *links) forget(e *edge) {
	l.memberOf = slices.DeleteFunc(l.memberOf, func(other *edge) bool { return other == e })
}

// trackMemberships makes it a change of its groups that an object was deleted or restored. d is locked.
func (d *Directory) trackMemberships(o *object) {
	if o.links == nil {
		return
	}
	for _, e := range o.links.memberOf {
		d.tick()
		e.changed = d.version + 1
		e.group.links.members.order.add(e, e.changed)
		d.track(e.group, memberLink)
	}
}

// member is the member as the view shows it, nil if it is none. The directory is locked.
func (v View) member(e *edge) *Entity {
	there := e.ended.IsZero()
	if !v.at.IsZero() {
		there = !e.began.After(v.at) && (there || e.ended.After(v.at))
	}
	if !there {
		return nil
	}
	return v.live(e.member)
}

// membersOf yields the direct members of a group in the order in which they came. The directory is locked.
func (v View) membersOf(g *object) iter.Seq[*Entity] {
	return func(yield func(*Entity) bool) {
		if g.links == nil || g.links.members == nil {
			return
		}
		for edge := range g.links.members.order.after(0) {
			if e := v.member(edge); e != nil && !yield(e) {
				return
			}
		}
	}
}

// Members returns the members of a group, in the order in which they came: its own, or those of its groups, too.
func (v View) Members(groupID string, transitive bool) ([]*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	g, _, err := v.find(Groups, groupID)
	if err != nil {
		return nil, err
	}
	seen := map[*object]bool{g: true}
	var members []*Entity
	for queue := []*object{g}; len(queue) > 0; queue = queue[1:] {
		for e := range v.membersOf(queue[0]) {
			if transitive && seen[e.of] {
				continue
			}
			seen[e.of] = true
			members = append(members, e)
			if transitive && e.of.schema == Groups {
				queue = append(queue, e.of)
			}
		}
	}
	return members, nil
}

// groupsOf yields the groups that an object is a member of: directly, or by way of other groups, too. The directory is locked.
func (v View) groupsOf(o *object, transitive bool) iter.Seq[*object] {
	return func(yield func(*object) bool) {
		seen := map[*object]bool{}
		for queue := []*object{o}; len(queue) > 0; queue = queue[1:] {
			if queue[0].links == nil {
				continue
			}
			for _, e := range queue[0].links.memberOf {
				if seen[e.group] || v.live(e.group) == nil || v.member(e) == nil {
					continue
				}
				if seen[e.group] = true; !yield(e.group) {
					return
				}
				if transitive {
					queue = append(queue, e.group)
				}
			}
		}
	}
}

// MemberOf returns the groups that an object of a schema is a member of, in the order of their creation: directly, or by way of
// other groups, too.
func (v View) MemberOf(s *Schema, name string, transitive bool) ([]*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	o, _, err := v.find(s, name)
	if err != nil {
		return nil, err
	}
	var groups []*Entity
	for g := range v.groupsOf(o, transitive) {
		groups = append(groups, v.live(g))
	}
	slices.SortFunc(groups, func(a, b *Entity) int { return cmp.Compare(a.of.seq, b.of.seq) })
	return groups, nil
}
