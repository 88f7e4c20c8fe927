package graph

import (
	"net/url"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/login"
)

// permissions are alternatives: a call needs one of them. None at all is enough for a call that needs none.
type permissions []string

func (p permissions) heldBy(c login.Caller) bool {
	return len(p) == 0 || slices.ContainsFunc(p, func(role string) bool { return slices.Contains(c.Roles, role) })
}

// Application permissions as the API reference documents them, least first.
var (
	readUsers        = permissions{"User.Read.All", "User.ReadUpdate.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	createUsers      = permissions{"User.ReadWrite.All", "Directory.ReadWrite.All"} // and say who their manager is
	updateUsers      = permissions{"User.ReadUpdate.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	deleteUsers      = permissions{"User.DeleteRestore.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	restoreUsers     = permissions{"User.DeleteRestore.All"} // and purge them: no wider permission includes this one
	writeGroups      = permissions{"Group.ReadWrite.All", "Directory.ReadWrite.All"}
	createGroups     = append(permissions{"Group.Create"}, writeGroups...)
	writeMembers     = append(permissions{"GroupMember.ReadWrite.All"}, writeGroups...)
	readMembers      = append(permissions{"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"}, writeMembers...)
	readGroups       = readMembers
	readUserGroups   = append(permissions{"User.Read.All", "User.ReadWrite.All"}, readMembers...)
	invite           = permissions{"User.Invite.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	readApps         = append(permissions{"Application.Read.All", "Directory.Read.All"}, writeApps...)
	writeApps        = permissions{"Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", "Directory.ReadWrite.All"}
	perProperty      = permissions(nil) // decided by the handler
	assignRoles      = permissions{"AppRoleAssignment.ReadWrite.All"}
	readAssignments  = append(permissions{"Application.Read.All", "Directory.Read.All"}, assignRoles...)
	readPrincipals   = append(permissions{"Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"}, readAssignments...)
	readPolicies     = permissions{"Policy.Read.All", "Policy.ReadWrite.CrossTenantAccess"}
	writeCrossTenant = permissions{"Policy.ReadWrite.CrossTenantAccess"}
	ownResource      = permissions(nil) // an application may always look after its own subscriptions
	subscribeUser    = readUsers
)

// route is a request the service knows. Segments of its path match in any case; {name} captures.
type route struct {
	method, path string
	needs        permissions
	handle       func(*Service, *call) (answer, error)
}

// routes are searched in order.
var routes = []route{
	{"GET", "/users", readUsers, (*Service).listUsers},
	{"GET", "/users/$count", readUsers, (*Service).countUsers},
	{"GET", "/users/delta", readUsers, (*Service).delta},
	{"GET", "/users/delta()", readUsers, (*Service).delta},
	{"POST", "/users", createUsers, (*Service).createUser},
	{"GET", "/users/{user}", readUsers, (*Service).getUser},
	{"PATCH", "/users/{user}", perProperty, (*Service).updateUser},
	{"DELETE", "/users/{user}", deleteUsers, (*Service).deleteUser},

	{"GET", "/users/{user}/manager", readUsers, (*Service).getManager},
	{"PUT", "/users/{user}/manager/$ref", createUsers, (*Service).setManager},
	{"DELETE", "/users/{user}/manager/$ref", createUsers, (*Service).removeManager},
	{"GET", "/users/{user}/directReports", readUsers, (*Service).directReports},

	{"GET", "/users/{user}/memberOf", readUserGroups, (*Service).memberOf},
	{"GET", "/users/{user}/memberOf/microsoft.graph.{kind}", readUserGroups, (*Service).memberOf},
	{"GET", "/users/{user}/transitiveMemberOf", readUserGroups, (*Service).transitiveMemberOf},
	{"GET", "/users/{user}/transitiveMemberOf/microsoft.graph.{kind}", readUserGroups, (*Service).transitiveMemberOf},

	{"GET", "/groups", readGroups, (*Service).listGroups},
	{"POST", "/groups", createGroups, (*Service).createGroup},
	{"GET", "/groups/{id}", readGroups, (*Service).getGroup},
	{"PATCH", "/groups/{id}", writeMembers, (*Service).updateGroup},
	{"DELETE", "/groups/{id}", writeGroups, (*Service).deleteGroup},
	{"GET", "/groups/{id}/members", readMembers, (*Service).members},
	{"GET", "/groups/{id}/members/$count", readMembers, (*Service).members},
	{"GET", "/groups/{id}/members/microsoft.graph.{kind}", readMembers, (*Service).members},
	{"GET", "/groups/{id}/members/microsoft.graph.{kind}/$count", readMembers, (*Service).members},
	{"POST", "/groups/{id}/members/$ref", writeMembers, (*Service).addMember},
	{"DELETE", "/groups/{id}/members/{member}/$ref", writeMembers, (*Service).removeMember},
	{"DELETE", "/groups/{id}/members/{member}", writeMembers, (*Service).deleteMember},
	{"GET", "/groups/{id}/transitiveMembers", readMembers, (*Service).transitiveMembers},
	{"GET", "/groups/{id}/transitiveMembers/$count", readMembers, (*Service).transitiveMembers},
	{"GET", "/groups/{id}/transitiveMembers/microsoft.graph.{kind}", readMembers, (*Service).transitiveMembers},

	{"POST", "/invitations", invite, (*Service).invite},

	{"GET", "/directory/deletedItems/microsoft.graph.user", readUsers, (*Service).listDeleted},
	{"GET", "/directory/deletedItems/{id}", readUsers, (*Service).getDeleted},
	{"GET", "/directory/deletedItems/{id}/microsoft.graph.user", readUsers, (*Service).getDeleted},
	{"DELETE", "/directory/deletedItems/{id}", restoreUsers, (*Service).purge},
	{"POST", "/directory/deletedItems/{id}/restore", restoreUsers, (*Service).restore},

	{"GET", "/applications", readApps, (*Service).listApplications},
	{"GET", "/applications(appId='{appId}')", readApps, (*Service).getApplication},
	{"GET", "/applications/{id}", readApps, (*Service).getApplication},
	{"GET", "/applications/{id}/extensionProperties", readApps, (*Service).listExtensions},
	{"POST", "/applications/{id}/extensionProperties", writeApps, (*Service).createExtension},

	{"GET", "/servicePrincipals", readPrincipals, (*Service).listPrincipals},
	{"GET", "/servicePrincipals/{id}", readPrincipals, (*Service).getPrincipal},
	{"GET", "/servicePrincipals/{id}/appRoleAssignedTo", readAssignments, (*Service).listAssignments},
	{"POST", "/servicePrincipals/{id}/appRoleAssignedTo", assignRoles, (*Service).assign},
	{"DELETE", "/servicePrincipals/{id}/appRoleAssignedTo/{assignment}", assignRoles, (*Service).unassign},
	{"GET", "/users/{user}/appRoleAssignments", readAssignments, (*Service).listAssignments},
	{"POST", "/users/{user}/appRoleAssignments", assignRoles, (*Service).assign},
	{"DELETE", "/users/{user}/appRoleAssignments/{assignment}", assignRoles, (*Service).unassign},

	{"GET", "/policies/crossTenantAccessPolicy", readPolicies, (*Service).getCrossTenant},
	{"GET", "/policies/crossTenantAccessPolicy/default", readPolicies, (*Service).getDefaultPolicy},
	{"PATCH", "/policies/crossTenantAccessPolicy/default", writeCrossTenant, (*Service).updateDefaultPolicy},
	{"POST", "/policies/crossTenantAccessPolicy/default/resetToSystemDefault", writeCrossTenant, (*Service).resetDefaultPolicy},
	{"GET", "/policies/crossTenantAccessPolicy/partners", readPolicies, (*Service).listPartners},
	{"POST", "/policies/crossTenantAccessPolicy/partners", writeCrossTenant, (*Service).addPartner},
	{"GET", "/policies/crossTenantAccessPolicy/partners/{tenant}", readPolicies, (*Service).getPartner},
	{"PATCH", "/policies/crossTenantAccessPolicy/partners/{tenant}", writeCrossTenant, (*Service).updatePartner},
	{"DELETE", "/policies/crossTenantAccessPolicy/partners/{tenant}", writeCrossTenant, (*Service).removePartner},
	{"GET", "/policies/authorizationPolicy", readPolicies, (*Service).getAuthorization},
	{"PATCH", "/policies/authorizationPolicy", permissions{"Policy.ReadWrite.Authorization"}, (*Service).updateAuthorization},

	{"GET", "/subscriptions", ownResource, (*Service).listSubscriptions},
	{"POST", "/subscriptions", subscribeUser, (*Service).createSubscription},
	{"GET", "/subscriptions/{id}", ownResource, (*Service).getSubscription},
	{"PATCH", "/subscriptions/{id}", subscribeUser, (*Service).updateSubscription},
	{"DELETE", "/subscriptions/{id}", ownResource, (*Service).deleteSubscription},
	{"POST", "/subscriptions/{id}/reauthorize", subscribeUser, (*Service).reauthorize},
}

// The table refers to batch, which looks into the table.
func init() {
	routes = append(routes, route{"POST", "/$batch", ownResource, (*Service).batch})
}

// match finds the route of an escaped path and what its {names} stand for.
func match(method, escapedPath string) (*route, map[string]string) {
	path := strings.Split(strings.TrimSuffix(escapedPath, "/"), "/")
	if len(path) < 2 || path[0] != "" || !strings.EqualFold(path[1], Prefix) {
		return nil, nil
	}
	for i := range routes {
		if routes[i].method != method {
			continue
		}
		if params, ok := matchSegments(strings.Split(routes[i].path, "/")[1:], path[2:]); ok {
			return &routes[i], params
		}
	}
	return nil, nil
}

func matchSegments(pattern, path []string) (map[string]string, bool) {
	if len(pattern) != len(path) {
		return nil, false
	}
	params := map[string]string{}
	for i := range pattern {
		segment, err := url.PathUnescape(path[i])
		if err != nil {
			return nil, false
		}
		before, rest, captures := strings.Cut(pattern[i], "{")
		if !captures {
			if !strings.EqualFold(spellOut(segment), before) {
				return nil, false
			}
			continue
		}
		name, after, _ := strings.Cut(rest, "}")
		if before == castPrefix {
			segment = spellOut(segment)
		}
		value, ok := cutFolded(segment, before, after)
		if !ok {
			return nil, false
		}
		params[name] = value
	}
	return params, true
}

// castPrefix begins the segment of a type cast, as in /directory/deletedItems/microsoft.graph.user.
const castPrefix = "microsoft.graph."

// spellOut gives a cast its full name: the schema has the alias graph, which the SDKs use.
func spellOut(segment string) string {
	if len(segment) > 6 && strings.EqualFold(segment[:6], "graph.") {
		return castPrefix + segment[6:]
	}
	return segment
}

// cutFolded removes a prefix and a suffix in any case; what remains must not be empty.
func cutFolded(s, prefix, suffix string) (string, bool) {
	inner := len(s) - len(prefix) - len(suffix)
	if inner < 1 || !strings.EqualFold(s[:len(prefix)], prefix) || !strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return "", false
	}
	return s[len(prefix) : len(prefix)+inner], true
}
