package graph

import (
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// members answers GET /groups/{group}/members.
func (s *Service) members(c *call) (answer, error) {
	all, err := c.view.Members(c.params["group"], false)
	return s.related(c, all, err)
}

// transitiveMembers answers GET /groups/{group}/transitiveMembers.
func (s *Service) transitiveMembers(c *call) (answer, error) {
	all, err := c.view.Members(c.params["group"], true)
	return s.related(c, all, err)
}

// addMember answers POST /groups/{group}/members/$ref.
func (s *Service) addMember(c *call) (answer, error) {
	id, err := c.reference()
	if err != nil {
		return answer{}, err
	}
	return noContent, c.dir.AddMember(c.params["group"], id, c.rights())
}

// removeMember answers DELETE /groups/{group}/members/{member}/$ref.
func (s *Service) removeMember(c *call) (answer, error) {
	return noContent, c.dir.RemoveMember(c.params["group"], c.params["member"], c.rights())
}

// deleteMember answers DELETE /groups/{group}/members/{member} without $ref, which deletes the member itself: the reference of
// group-delete-members warns of it.
func (s *Service) deleteMember(c *call) (answer, error) {
	members, err := c.view.Members(c.params["group"], false)
	if err != nil {
		return answer{}, err
	}
	i := slices.IndexFunc(members, func(e *directory.Entity) bool { return strings.EqualFold(e.ID(), c.params["member"]) })
	switch {
	case i < 0:
		return answer{}, fault.NotFound(c.params["member"])
	case members[i].Schema() == directory.Users && deleteUsers.heldBy(c.caller):
		return noContent, c.dir.Delete(directory.Users, members[i].ID())
	case members[i].Schema() == directory.Groups && writeGroups.heldBy(c.caller):
		return noContent, c.dir.DeleteGroup(members[i].ID(), c.rights())
	}
	return answer{}, fault.Denied()
}

// memberOf answers GET of the memberOf of a user, a group or a service principal.
func (s *Service) memberOf(c *call) (answer, error) {
	schema, name := c.subject()
	all, err := c.view.MemberOf(schema, name, false)
	return s.related(c, all, err)
}

// transitiveMemberOf answers GET of the transitiveMemberOf of the same.
func (s *Service) transitiveMemberOf(c *call) (answer, error) {
	schema, name := c.subject()
	all, err := c.view.MemberOf(schema, name, true)
	return s.related(c, all, err)
}

// subject is the object that the path is about, by its id or principal name.
func (c *call) subject() (*directory.Schema, string) {
	for param, schema := range map[string]*directory.Schema{
		"user": directory.Users, "group": directory.Groups, "principal": directory.ServicePrincipals,
	} {
		if name, is := c.params[param]; is {
			return schema, name
		}
	}
	return nil, ""
}

// groupsOf are the groups that the subject of the path, or the directory object, is a member of, also by way of other groups.
func (c *call) groupsOf() ([]*directory.Entity, error) {
	schema, name := c.subject()
	if schema == nil {
		e, err := c.view.Object(c.params["id"])
		if err != nil {
			return nil, err
		}
		schema, name = e.Schema(), e.ID()
	}
	return c.view.MemberOf(schema, name, true)
}

// maxCheckedGroups is how many groups checkMemberGroups takes: the reference of directoryobject-checkmembergroups.
const maxCheckedGroups = 20

// checkMemberGroups answers POST …/checkMemberGroups: those of the given groups that the subject is a member of.
func (s *Service) checkMemberGroups(c *call) (answer, error) {
	var body struct {
		GroupIDs []string `json:"groupIds"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if len(body.GroupIDs) == 0 || len(body.GroupIDs) > maxCheckedGroups {
		return answer{}, fault.BadRequest("The request holds %d groups, 1 to %d are allowed.", len(body.GroupIDs), maxCheckedGroups)
	}
	groups, err := c.groupsOf()
	return c.ids(groups, err, func(g *directory.Entity) bool {
		return slices.ContainsFunc(body.GroupIDs, func(id string) bool { return strings.EqualFold(id, g.ID()) })
	})
}

// getMemberGroups answers POST …/getMemberGroups: all groups that the subject is a member of, or those that can secure things.
func (s *Service) getMemberGroups(c *call) (answer, error) {
	var body struct {
		SecurityEnabledOnly *bool `json:"securityEnabledOnly"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if body.SecurityEnabledOnly == nil {
		return answer{}, fault.BadRequest("A value is required for parameter 'securityEnabledOnly'.")
	}
	groups, err := c.groupsOf()
	return c.ids(groups, err, func(g *directory.Entity) bool {
		return !*body.SecurityEnabledOnly || g.Get("securityEnabled") == true
	})
}

// ids answers the ids of some objects.
func (c *call) ids(all []*directory.Entity, err error, match func(*directory.Entity) bool) (answer, error) {
	value := []string{}
	for _, e := range all {
		if match(e) {
			value = append(value, e.ID())
		}
	}
	return ok(map[string]any{"@odata.context": c.context("Collection(Edm.String)"), "value": value}), err
}
