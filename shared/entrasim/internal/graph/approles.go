package graph

import (
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// listPrincipals answers GET /servicePrincipals.
func (s *Service) listPrincipals(c *call) (answer, error) {
	return s.list(c, directory.ServicePrincipals, directory.View.List)
}

// getPrincipal answers GET /servicePrincipals/{principal}.
func (s *Service) getPrincipal(c *call) (answer, error) {
	return s.get(c, directory.ServicePrincipals, c.params["principal"])
}

// getPrincipalOf answers GET /servicePrincipals(appId='{appId}').
func (s *Service) getPrincipalOf(c *call) (answer, error) {
	id, err := c.view.PrincipalID(c.params["appId"])
	if err != nil {
		return answer{}, err
	}
	return s.get(c, directory.ServicePrincipals, id)
}

// assignment is the body that asks for one.
type assignment struct {
	PrincipalID string `json:"principalId"`
	ResourceID  string `json:"resourceId"`
	AppRoleID   string `json:"appRoleId"`
}

// assign answers POST to the appRoleAssignedTo of an application and to the appRoleAssignments of a user, a group or another
// application. The body names both sides, and one of them has to be the one in the path.
func (s *Service) assign(c *call) (answer, error) {
	var body assignment
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if body.PrincipalID == "" || body.ResourceID == "" || body.AppRoleID == "" {
		return answer{}, fault.BadRequest("principalId, resourceId and appRoleId are required.")
	}
	resource, principal, err := c.sides()
	if err != nil {
		return answer{}, err
	}
	if (resource != "" && !strings.EqualFold(resource, body.ResourceID)) || (principal != "" && !strings.EqualFold(principal, body.PrincipalID)) {
		return answer{}, fault.BadRequest("The resource or principal in the body is not the one in the path.")
	}
	if err := c.noGrant(body.PrincipalID); err != nil {
		return answer{}, err
	}
	a, err := c.dir.Assign(body.ResourceID, body.PrincipalID, body.AppRoleID)
	if err != nil {
		return answer{}, err
	}
	shown := renderAssignment(a)
	shown["@odata.context"] = c.assignmentContext() + "/$entity"
	return created(shown), nil
}

// noGrant refuses to give or take permissions of an application: its tokens would not know of it.
func (c *call) noGrant(principalID string) error {
	if _, err := c.view.Get(directory.ServicePrincipals, principalID); err == nil {
		return fault.NotModelled("granting and revoking permissions of applications")
	}
	return nil
}

// sides are the resource or the principal in the path, by id.
func (c *call) sides() (resource, principal string, err error) {
	if id, is := c.params["resource"]; is {
		e, err := c.view.Get(directory.ServicePrincipals, id)
		if err != nil {
			return "", "", err
		}
		return e.ID(), "", nil
	}
	e, err := c.view.Get(c.subject())
	if err != nil {
		return "", "", err
	}
	return "", e.ID(), nil
}

func (c *call) assignmentContext() string {
	if id, is := c.params["resource"]; is {
		return c.context("servicePrincipals('" + id + "')/appRoleAssignedTo")
	}
	return c.context("appRoleAssignments")
}

// listAssignments answers GET of the same paths, with $filter=resourceId eq '…' or principalId eq '…'.
func (s *Service) listAssignments(c *call) (answer, error) {
	o, err := c.options("filter", "top", "skiptoken")
	if err != nil {
		return answer{}, err
	}
	q := directory.AssignmentQuery{After: o.after, Limit: s.limit(o)}
	if q.ResourceID, q.PrincipalID, err = c.sides(); err != nil {
		return answer{}, err
	}
	if o.filter != nil {
		property, value, is := equalTo(o.filter)
		switch {
		case is && property == "resourceid":
			q.Match = func(a directory.Assignment) bool { return strings.EqualFold(a.Resource.ID(), value) }
		case is && property == "principalid":
			q.Match = func(a directory.Assignment) bool { return strings.EqualFold(a.Principal.ID(), value) }
		default:
			return answer{}, fault.NotModelled("the filter %s of assignments", o.filter)
		}
	}
	list, next, err := c.view.Assignments(q)
	if err != nil {
		return answer{}, err
	}
	value := make([]map[string]any, len(list))
	for i, a := range list {
		value[i] = renderAssignment(a)
	}
	body := map[string]any{"@odata.context": c.assignmentContext(), "value": value}
	if next > 0 {
		body["@odata.nextLink"] = c.nextLink(next)
	}
	return ok(body), nil
}

// unassign answers DELETE below the same paths.
func (s *Service) unassign(c *call) (answer, error) {
	resource, principal, err := c.sides()
	if err != nil {
		return answer{}, err
	}
	a, err := c.view.Assignment(c.params["assignment"])
	if err != nil {
		return answer{}, err
	}
	if err := c.noGrant(a.Principal.ID()); err != nil {
		return answer{}, err
	}
	return noContent, c.dir.Unassign(c.params["assignment"], resource, principal)
}

func renderAssignment(a directory.Assignment) map[string]any {
	kind := a.Principal.Schema().Name
	return map[string]any{
		"id": a.ID, "deletedDateTime": nil, "appRoleId": a.RoleID, "createdDateTime": a.AssignedAt,
		"principalDisplayName": a.Principal.Get("displayName"), "principalId": a.Principal.ID(),
		"principalType":       strings.ToUpper(kind[:1]) + kind[1:],
		"resourceDisplayName": a.Resource.Get("displayName"), "resourceId": a.Resource.ID(),
	}
}
