package directory

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// groupProperties are those of group in v1.0 that the simulator keeps. Names, kinds and limits: the reference of group.
var groupProperties = []Property{
	{Name: "id", Access: ReadOnly, Default: true},
	{Name: "createdDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "deletedDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "description", Max: 1024, Default: true},
	{Name: "displayName", Max: 256, Required: true, Default: true},
	{Name: "groupTypes", Kind: Texts, Default: true, Valid: isGroupType},
	{Name: "isAssignableToRole", Kind: Flag, Default: true},
	{Name: "mail", Access: ReadOnly, Default: true},
	{Name: "mailEnabled", Kind: Flag, Required: true, Default: true},
	{Name: "mailNickname", Max: 64, Required: true, Default: true, Valid: nickname.MatchString},
	{Name: "membershipRule", Max: 3072, Default: true},
	{Name: "membershipRuleProcessingState", Default: true, Valid: isRuleState},
	{Name: "securityEnabled", Kind: Flag, Required: true, Default: true},
	{Name: "visibility", Default: true, Valid: isVisibility},
}

var (
	groupByName   = map[string]*Property{}
	groupDefaults []string
)

func init() {
	for i := range groupProperties {
		p := &groupProperties[i]
		p.Of = "Group"
		groupByName[strings.ToLower(p.Name)] = p
		groupDefaults = append(groupDefaults, p.Name)
	}
}

// GroupProperty finds a property of groups by its name in any case, nil if there is none that the simulator keeps.
func GroupProperty(name string) *Property { return groupByName[strings.ToLower(name)] }

// DefaultGroupProperties are those in answers without $select.
func DefaultGroupProperties() []string { return groupDefaults }

func isGroupType(s string) bool  { return s == "Unified" || s == dynamicMembership }
func isRuleState(s string) bool  { return s == "On" || s == "Paused" }
func isVisibility(s string) bool { return s == "Public" || s == "Private" || s == "HiddenMembership" }

const dynamicMembership = "DynamicMembership"

// group is a group with its direct members, by object id: the order in which they came. Members who are gone stay until they
// are gone for good, because who is restored is a member again.
type group struct {
	values  User
	seq     int64
	members map[string]int64
}

func (g *group) id() string { return g.values.text("id") }

func (g *group) dynamic() bool {
	return slices.Contains(g.values.texts("groupTypes"), dynamicMembership)
}

// roleAssignable tells whether a group can be given roles of the directory, so that its members are protected.
func (g *group) roleAssignable() bool { is, _ := g.values["isAssignableToRole"].(bool); return is }

// groups are the groups of a directory.
type groups struct {
	groups map[string]*group // by id
}

// CreateGroup adds a group from the body of POST /groups.
func (d *Directory) CreateGroup(body map[string]any) (User, error) {
	values, err := decodeGroup(body, true)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"displayName", "mailEnabled", "mailNickname", "securityEnabled"} {
		if values[name] == nil {
			return nil, fault.BadRequest("A value is required for property '%s' of resource 'Group'.", name)
		}
	}
	g := &group{values: values, members: map[string]int64{}}
	if g.dynamic() != (values["membershipRule"] != nil) {
		return nil, fault.BadRequest("A group with dynamic membership has a membershipRule, and no other has one.")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id, err := uuid.NewRandomFromReader(d.ids)
	if err != nil {
		return nil, err
	}
	d.seq++
	g.seq = d.seq
	values["id"], values["createdDateTime"] = id.String(), moment(d.Now())
	if d.groups.groups == nil {
		d.groups.groups = map[string]*group{}
	}
	d.groups.groups[g.id()] = g
	return values.Clone(), nil
}

// decodeGroup checks a body against the schema.
func decodeGroup(body map[string]any, fresh bool) (User, error) {
	values := User{}
	for name, raw := range body {
		p := groupByName[strings.ToLower(name)]
		switch {
		case p == nil || p.Name != name:
			return nil, fault.NotModelled("writing %s of a group", name)
		case p.Access == ReadOnly:
			return nil, fault.BadRequest("Property '%s' is read-only and cannot be set.", name)
		case name == "isAssignableToRole" && !fresh:
			return nil, fault.BadRequest("Property 'isAssignableToRole' can be set at creation only.")
		}
		v, err := p.decode(raw)
		if err != nil {
			return nil, err
		}
		values[name] = v
	}
	return values, nil
}

// Group finds a group by id.
func (d *Directory) Group(id string) (User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.findGroup(id)
	if err != nil {
		return nil, err
	}
	return g.values.Clone(), nil
}

// UpdateGroup applies the properties in the body of PATCH /groups/{id}.
func (d *Directory) UpdateGroup(id string, body map[string]any) error {
	values, err := decodeGroup(body, false)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.findGroup(id)
	if err != nil {
		return err
	}
	next := g.values.Clone()
	for name, v := range values {
		if next[name] = v; isEmpty(v) {
			delete(next, name)
		}
	}
	g.values = next
	return nil
}

// DeleteGroup removes a group for good, as Graph does with security groups.
func (d *Directory) DeleteGroup(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.findGroup(id)
	if err != nil {
		return err
	}
	delete(d.groups.groups, g.id())
	d.unassignAll(g.id())
	for _, other := range d.groups.groups {
		delete(other.members, g.id())
	}
	return nil
}

// Groups returns a page of the groups, in the order of creation. q.Match is not asked.
func (d *Directory) Groups(q Query) Page {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := Page{Total: len(d.groups.groups)}
	rest := slices.SortedFunc(maps.Values(d.groups.groups), func(a, b *group) int { return cmp.Compare(a.seq, b.seq) })
	rest = slices.DeleteFunc(rest, func(g *group) bool { return g.seq <= q.After })
	if len(rest) > q.Limit {
		rest = rest[:q.Limit]
		p.Next = rest[q.Limit-1].seq
	}
	for _, g := range rest {
		p.Users = append(p.Users, g.values.Clone())
	}
	return p
}

// findGroup resolves an id. d is locked.
func (d *Directory) findGroup(id string) (*group, error) {
	if g := d.groups.groups[strings.ToLower(id)]; g != nil {
		return g, nil
	}
	return nil, fault.NotFound(id)
}
