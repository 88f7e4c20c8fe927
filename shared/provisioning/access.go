package provisioning

import "errors"

// ErrAlready: the target says that what was to be granted is there already, by whomever.
var ErrAlready = errors.New("it is there already")

// DefaultRole is the app role of who is assigned to an application that asks for none (Graph: appRoleAssignment).
const DefaultRole = "00000000-0000-0000-0000-000000000000"

// Grant is one piece of access in a target: membership in a group, or an app role. Ids are in lower case.
type Grant struct {
	// Group is the object id of a group; empty for an app role.
	Group string `json:"group,omitempty"`
	// App is the object id of a service principal (enterprise application) of the target, and Role the id of one of its app roles.
	App  string `json:"app,omitempty"`
	Role string `json:"role,omitempty"`
}

// String names it by its ids.
func (g Grant) String() string {
	if g.Group != "" {
		return "group " + g.Group
	}
	return "app " + g.App + " role " + g.Role
}
