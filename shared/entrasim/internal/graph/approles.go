package graph

import (
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// listPrincipals answers GET /servicePrincipals, with $filter=appId eq '…' or displayName eq '…'.
func (s *Service) listPrincipals(c *call) (answer, error) {
	o, err := c.options("filter")
	if err != nil {
		return answer{}, err
	}
	match := func(directory.ServicePrincipal) bool { return true }
	if o.filter != nil {
		if match, err = principalFilter(o.filter); err != nil {
			return answer{}, err
		}
	}
	value := []map[string]any{}
	for _, p := range c.dir.ServicePrincipals() {
		if match(p) {
			value = append(value, renderPrincipal(p))
		}
	}
	return ok(map[string]any{"@odata.context": c.context("servicePrincipals"), "value": value}), nil
}

func principalFilter(e filter.Expr) (func(directory.ServicePrincipal) bool, error) {
	equal, is := e.(*filter.Equal)
	if is && len(equal.Path) == 1 {
		want, _ := equal.Value.(string)
		switch strings.ToLower(equal.Path[0]) {
		case "appid":
			return func(p directory.ServicePrincipal) bool { return strings.EqualFold(p.AppID, want) }, nil
		case "displayname":
			return func(p directory.ServicePrincipal) bool { return strings.EqualFold(p.DisplayName, want) }, nil
		}
	}
	return nil, fault.NotModelled("the filter %s of service principals", e)
}

// getPrincipal answers GET /servicePrincipals/{id}.
func (s *Service) getPrincipal(c *call) (answer, error) {
	p, err := c.dir.ServicePrincipal(c.params["id"])
	if err != nil {
		return answer{}, err
	}
	body := renderPrincipal(p)
	body["@odata.context"] = c.context("servicePrincipals/$entity")
	return ok(body), c.noOptions()
}

func renderPrincipal(p directory.ServicePrincipal) map[string]any {
	roles := []map[string]any{}
	for _, r := range p.Roles {
		roles = append(roles, map[string]any{
			"allowedMemberTypes": []string{"User"}, "description": r.Value, "displayName": r.Value, "id": r.ID,
			"isEnabled": true, "origin": "Application", "value": r.Value,
		})
	}
	return map[string]any{
		"id": p.ID, "appId": p.AppID, "displayName": p.DisplayName, "appDisplayName": p.DisplayName, "accountEnabled": true,
		"appRoleAssignmentRequired": true, "appRoles": roles, "servicePrincipalType": "Application",
	}
}

// assignment is the body that asks for one.
type assignment struct {
	PrincipalID string `json:"principalId"`
	ResourceID  string `json:"resourceId"`
	AppRoleID   string `json:"appRoleId"`
}

// assign answers POST /servicePrincipals/{id}/appRoleAssignedTo and POST /users/{user}/appRoleAssignments. The body names both
// sides, and one of them has to be the one in the path.
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
	a, err := c.dir.Assign(body.ResourceID, body.PrincipalID, body.AppRoleID)
	if err != nil {
		return answer{}, err
	}
	shown := renderAssignment(a)
	shown["@odata.context"] = c.context("appRoleAssignments/$entity")
	return created(shown), nil
}

// sides are the resource or the principal in the path, by id.
func (c *call) sides() (resource, principal string, err error) {
	if id, is := c.params["id"]; is {
		p, err := c.dir.ServicePrincipal(id)
		return p.ID, "", err
	}
	u, err := c.dir.Get(c.params["user"])
	if err != nil {
		return "", "", err
	}
	return "", u["id"].(string), nil
}

// listAssignments answers GET of the same paths, on one page.
func (s *Service) listAssignments(c *call) (answer, error) {
	resource, principal, err := c.sides()
	if err != nil {
		return answer{}, err
	}
	value := []map[string]any{}
	for _, a := range c.dir.Assignments(resource, principal) {
		value = append(value, renderAssignment(a))
	}
	return ok(map[string]any{"@odata.context": c.context("appRoleAssignments"), "value": value}), c.noOptions()
}

// unassign answers DELETE below the same paths.
func (s *Service) unassign(c *call) (answer, error) {
	resource, principal, err := c.sides()
	if err != nil {
		return answer{}, err
	}
	return noContent, c.dir.Unassign(c.params["assignment"], resource, principal)
}

func renderAssignment(a directory.Assignment) map[string]any {
	return map[string]any{
		"id": a.ID, "deletedDateTime": nil, "appRoleId": a.RoleID, "createdDateTime": a.AssignedAt,
		"principalDisplayName": a.PrincipalName, "principalId": a.PrincipalID, "principalType": strings.ToUpper(a.Kind[:1]) + a.Kind[1:],
		"resourceDisplayName": a.ResourceName, "resourceId": a.ResourceID,
	}
}
