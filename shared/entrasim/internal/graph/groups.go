package graph

import (
	"slices"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// membersBind is the property with which a group is given members.
const membersBind = "members@odata.bind"

// listGroups answers GET /groups.
func (s *Service) listGroups(c *call) (answer, error) {
	return s.list(c, directory.Groups, directory.View.List)
}

// countGroups answers GET /groups/$count.
func (s *Service) countGroups(c *call) (answer, error) { return s.count(c, directory.Groups) }

// getGroup answers GET /groups/{group}.
func (s *Service) getGroup(c *call) (answer, error) {
	return s.get(c, directory.Groups, c.params["group"])
}

// createGroup answers POST /groups.
func (s *Service) createGroup(c *call) (answer, error) {
	body, members, err := c.group()
	if err != nil {
		return answer{}, err
	}
	e, err := c.dir.CreateGroup(body, members, c.rights())
	if err != nil {
		return answer{}, err
	}
	return created(c.entity(e, directory.Groups.Defaults(), options{})), nil
}

// updateGroup answers PATCH /groups/{group}, of properties and of members, who are added all or none.
func (s *Service) updateGroup(c *call) (answer, error) {
	body, members, err := c.group()
	if err != nil {
		return answer{}, err
	}
	if (len(body) > 0 || members == nil) && !writeGroups.heldBy(c.caller) {
		return answer{}, fault.Denied()
	}
	return noContent, c.dir.UpdateGroup(c.params["group"], body, members, c.rights())
}

// group reads a body with properties of a group, and the ids of the members in it.
func (c *call) group() (body map[string]any, members []string, err error) {
	if body, err = c.object(); err != nil {
		return nil, nil, err
	}
	bind, sent := body[membersBind]
	if !sent {
		return body, nil, nil
	}
	delete(body, membersBind)
	references, is := bind.([]any)
	if !is {
		return nil, nil, badRequest("The value of '" + membersBind + "' is not a list of references.")
	}
	members = []string{}
	for _, reference := range references {
		text, _ := reference.(string)
		id, err := referenceID(text)
		if err != nil {
			return nil, nil, err
		}
		members = append(members, id)
	}
	return body, members, nil
}

// rolesPermission lets an application change groups that can be given roles of the directory.
const rolesPermission = "RoleManagement.ReadWrite.Directory"

// rights are what the caller may do with groups beyond what the routes ask for.
func (c *call) rights() directory.Rights {
	return directory.Rights{Roles: slices.Contains(c.caller.Roles, rolesPermission)}
}

// deleteGroup answers DELETE /groups/{group}.
func (s *Service) deleteGroup(c *call) (answer, error) {
	return noContent, c.dir.DeleteGroup(c.params["group"], c.rights())
}
