package graph

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
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
	restoreGroups    = permissions{"Group.ReadWrite.All"}
	revokeSessions   = permissions{"User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	writeGroups      = permissions{"Group.ReadWrite.All", "Directory.ReadWrite.All"}
	createGroups     = append(permissions{"Group.Create"}, writeGroups...)
	writeMembers     = append(permissions{"GroupMember.ReadWrite.All"}, writeGroups...)
	readMembers      = append(permissions{"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"}, writeMembers...)
	readGroups       = readMembers
	readGroupsOnly   = append(permissions{"Group.Read.All", "Directory.Read.All"}, writeGroups...)
	readObjects      = permissions{"Directory.Read.All", "Directory.ReadWrite.All"}
	readUserGroups   = append(permissions{"User.Read.All", "User.ReadWrite.All"}, readMembers...)
	invite           = permissions{"User.Invite.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	readApps         = append(permissions{"Application.Read.All", "Directory.Read.All"}, writeApps...)
	writeApps        = permissions{"Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", "Directory.ReadWrite.All"}
	perObject        = permissions(nil) // decided by the handler
	assignRoles      = permissions{"AppRoleAssignment.ReadWrite.All"}
	readAssignments  = append(permissions{"Application.Read.All", "Directory.Read.All"}, assignRoles...)
	readPrincipals   = append(permissions{"Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"}, readAssignments...)
	readPolicies     = permissions{"Policy.Read.All", "Policy.ReadWrite.CrossTenantAccess"}
	writeCrossTenant = permissions{"Policy.ReadWrite.CrossTenantAccess"}
	ownResource      = permissions(nil) // an application may always look after its own subscriptions
)

// Permissions by the kind of a deleted item: to read it, and to restore or purge it.
var (
	readDeleted    = map[*directory.Schema]permissions{directory.Users: readUsers, directory.Groups: readGroupsOnly}
	restoreDeleted = map[*directory.Schema]permissions{directory.Users: restoreUsers, directory.Groups: restoreGroups}
	readAny        = slices.Concat(readUsers, readGroupsOnly)
	restoreAny     = slices.Concat(restoreUsers, restoreGroups)
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
	{"GET", "/users/delta", readUsers, (*Service).userDelta},
	{"GET", "/users/delta()", readUsers, (*Service).userDelta},
	{"POST", "/users", createUsers, (*Service).createUser},
	{"GET", "/users/{user}", readUsers, (*Service).getUser},
	{"PATCH", "/users/{user}", perObject, (*Service).updateUser},
	{"DELETE", "/users/{user}", deleteUsers, (*Service).deleteUser},
	{"POST", "/users/{user}/revokeSignInSessions", revokeSessions, (*Service).revokeSessions},

	{"GET", "/users/{user}/manager", readUsers, (*Service).getManager},
	{"PUT", "/users/{user}/manager/$ref", createUsers, (*Service).setManager},
	{"DELETE", "/users/{user}/manager/$ref", createUsers, (*Service).removeManager},
	{"GET", "/users/{user}/directReports", readUsers, (*Service).directReports},
	{"GET", "/users/{user}/directReports/microsoft.graph.{kind}", readUsers, (*Service).directReports},

	{"POST", "/users/{user}/checkMemberGroups", readUserGroups, (*Service).checkMemberGroups},
	{"POST", "/users/{user}/getMemberGroups", readUserGroups, (*Service).getMemberGroups},
	{"POST", "/groups/{group}/checkMemberGroups", readMembers, (*Service).checkMemberGroups},
	{"POST", "/groups/{group}/getMemberGroups", readMembers, (*Service).getMemberGroups},
	{"POST", "/directoryObjects/{id}/checkMemberGroups", readObjects, (*Service).checkMemberGroups},
	{"POST", "/directoryObjects/{id}/getMemberGroups", readObjects, (*Service).getMemberGroups},
	{"POST", "/directoryObjects/getByIds", readObjects, (*Service).getByIDs},
	{"GET", "/directoryObjects/{id}", readObjects, (*Service).getObject},

	{"GET", "/groups", readGroups, (*Service).listGroups},
	{"GET", "/groups/$count", readGroups, (*Service).countGroups},
	{"GET", "/groups/delta", readGroups, (*Service).groupDelta},
	{"GET", "/groups/delta()", readGroups, (*Service).groupDelta},
	{"POST", "/groups", createGroups, (*Service).createGroup},
	{"GET", "/groups/{group}", readGroups, (*Service).getGroup},
	{"PATCH", "/groups/{group}", writeMembers, (*Service).updateGroup},
	{"DELETE", "/groups/{group}", writeGroups, (*Service).deleteGroup},
	{"POST", "/groups/{group}/members/$ref", writeMembers, (*Service).addMember},
	{"DELETE", "/groups/{group}/members/{member}/$ref", writeMembers, (*Service).removeMember},
	{"DELETE", "/groups/{group}/members/{member}", perObject, (*Service).deleteMember},

	{"POST", "/invitations", invite, (*Service).invite},

	{"GET", "/directory/deletedItems/microsoft.graph.user", readUsers, (*Service).listDeletedUsers},
	{"GET", "/directory/deletedItems/microsoft.graph.group", readGroupsOnly, (*Service).listDeletedGroups},
	{"GET", "/directory/deletedItems/{id}", readAny, (*Service).getDeleted},
	{"GET", "/directory/deletedItems/{id}/microsoft.graph.{kind}", readAny, (*Service).getDeleted},
	{"DELETE", "/directory/deletedItems/{id}", restoreAny, (*Service).purge},
	{"POST", "/directory/deletedItems/{id}/restore", restoreAny, (*Service).restore},

	{"GET", "/applications", readApps, (*Service).listApplications},
	{"GET", "/applications(appId='{appId}')", readApps, (*Service).getApplication},
	{"GET", "/applications/{id}", readApps, (*Service).getApplication},
	{"GET", "/applications/{id}/extensionProperties", readApps, (*Service).listExtensions},
	{"POST", "/applications/{id}/extensionProperties", writeApps, (*Service).createExtension},

	{"GET", "/servicePrincipals", readPrincipals, (*Service).listPrincipals},
	{"GET", "/servicePrincipals(appId='{appId}')", readPrincipals, (*Service).getPrincipalOf},
	{"GET", "/servicePrincipals/{principal}", readPrincipals, (*Service).getPrincipal},

	{"GET", "/policies/crossTenantAccessPolicy", readPolicies, (*Service).getCrossTenant},
	{"GET", "/policies/crossTenantAccessPolicy/default", readPolicies, (*Service).getDefaultPolicy},
	{"PATCH", "/policies/crossTenantAccessPolicy/default", writeCrossTenant, (*Service).updateDefaultPolicy},
	{"POST", "/policies/crossTenantAccessPolicy/default/resetToSystemDefault", writeCrossTenant, (*Service).resetDefaultPolicy},
	{"GET", "/policies/crossTenantAccessPolicy/partners", readPolicies, (*Service).listPartners},
	{"POST", "/policies/crossTenantAccessPolicy/partners", writeCrossTenant, (*Service).addPartner},
	{"GET", "/policies/crossTenantAccessPolicy/partners/{tenant}", readPolicies, (*Service).getPartner},
	{"PATCH", "/policies/crossTenantAccessPolicy/partners/{tenant}", writeCrossTenant, (*Service).updatePartner},
	{"DELETE", "/policies/crossTenantAccessPolicy/partners/{tenant}", writeCrossTenant, (*Service).removePartner},
	{"GET", "/policies/crossTenantAccessPolicy/partners/{tenant}/identitySynchronization", readPolicies, (*Service).getSynchronization},
	{"PUT", "/policies/crossTenantAccessPolicy/partners/{tenant}/identitySynchronization", writeCrossTenant, (*Service).putSynchronization},
	{"PATCH", "/policies/crossTenantAccessPolicy/partners/{tenant}/identitySynchronization", writeCrossTenant, (*Service).updateSynchronization},
	{"GET", "/policies/authorizationPolicy", readPolicies, (*Service).getAuthorization},
	{"PATCH", "/policies/authorizationPolicy", permissions{"Policy.ReadWrite.Authorization"}, (*Service).updateAuthorization},

	{"GET", "/organization", readOrganization, (*Service).organization},

	{"GET", "/subscriptions", ownResource, (*Service).listSubscriptions},
	{"POST", "/subscriptions", perObject, (*Service).createSubscription},
	{"GET", "/subscriptions/{id}", ownResource, (*Service).getSubscription},
	{"PATCH", "/subscriptions/{id}", perObject, (*Service).updateSubscription},
	{"DELETE", "/subscriptions/{id}", ownResource, (*Service).deleteSubscription},
	{"POST", "/subscriptions/{id}/reauthorize", perObject, (*Service).reauthorize},
}

// Collections that several resources have come with and without a cast, and with the number of what is in them. The table refers
// to batch, which looks into the table.
func init() {
	for _, relation := range []struct {
		path   string
		needs  permissions
		handle func(*Service, *call) (answer, error)
	}{
		{"/groups/{group}/members", readMembers, (*Service).members},
		{"/groups/{group}/transitiveMembers", readMembers, (*Service).transitiveMembers},
		{"/users/{user}/memberOf", readUserGroups, (*Service).memberOf},
		{"/users/{user}/transitiveMemberOf", readUserGroups, (*Service).transitiveMemberOf},
		{"/groups/{group}/memberOf", readMembers, (*Service).memberOf},
		{"/groups/{group}/transitiveMemberOf", readMembers, (*Service).transitiveMemberOf},
		{"/servicePrincipals/{principal}/memberOf", readPrincipals, (*Service).memberOf},
		{"/servicePrincipals/{principal}/transitiveMemberOf", readPrincipals, (*Service).transitiveMemberOf},
	} {
		for _, form := range []string{"", "/$count", "/microsoft.graph.{kind}", "/microsoft.graph.{kind}/$count"} {
			routes = append(routes, route{"GET", relation.path + form, relation.needs, relation.handle})
		}
	}
	for _, side := range []string{
		"/servicePrincipals/{resource}/appRoleAssignedTo", "/servicePrincipals/{principal}/appRoleAssignments",
		"/users/{user}/appRoleAssignments", "/groups/{group}/appRoleAssignments",
	} {
		routes = append(routes,
			route{"GET", side, readAssignments, (*Service).listAssignments},
			route{"POST", side, assignRoles, (*Service).assign},
			route{"DELETE", side + "/{assignment}", assignRoles, (*Service).unassign},
		)
	}
	routes = append(routes, route{"POST", "/$batch", ownResource, (*Service).batch})
}

// Permissions are the application permissions that some request or some property takes, in alphabetical order.
func Permissions() []string {
	all := []string{rolesPermission}
	for _, r := range routes {
		all = append(all, r.needs...)
	}
	all = slices.Concat(all, updateUsers, deleteUsers, writeGroups, readAny, restoreAny, directory.Users.Permissions())
	slices.Sort(all)
	return slices.Compact(all)
}

// pattern is a route with its path in segments.
type pattern struct {
	*route
	segments []string
}

// patterns are the routes when the table is complete.
var patterns = sync.OnceValue(func() []pattern {
	list := make([]pattern, len(routes))
	for i := range routes {
		list[i] = pattern{&routes[i], strings.Split(routes[i].path, "/")[1:]}
	}
	return list
})

// match finds the route of an escaped path and what its {names} stand for.
func match(method, escapedPath string) (*route, map[string]string) {
	path, ok := segmentsOf(escapedPath)
	if !ok || len(path) == 0 || !strings.EqualFold(path[0], Prefix) {
		return nil, nil
	}
	for _, p := range patterns() {
		if p.method != method || len(p.segments) != len(path)-1 {
			continue
		}
		if params, ok := matchSegments(p.segments, path[1:]); ok {
			return p.route, params
		}
	}
	return nil, nil
}

// key is a collection with the key of an object in it: users('{id}') or users(userPrincipalName='{name}').
var key = regexp.MustCompile(`^(?i)(users|groups|servicePrincipals|directoryObjects)\(((?:id|userPrincipalName)=)?'(.+)'\)$`)

// segmentsOf are the segments of an escaped path, unescaped. A key is a segment of its own.
func segmentsOf(escapedPath string) (segments []string, ok bool) {
	for escaped := range strings.SplitSeq(strings.Trim(escapedPath, "/"), "/") {
		segment, err := url.PathUnescape(escaped)
		if err != nil {
			return nil, false
		}
		if !strings.HasSuffix(segment, ")") {
			segments = append(segments, segment)
		} else if m := key.FindStringSubmatch(segment); m != nil {
			segments = append(segments, m[1], strings.ReplaceAll(m[3], "''", "'"))
		} else {
			segments = append(segments, segment)
		}
	}
	return segments, true
}

func matchSegments(pattern, path []string) (map[string]string, bool) {
	var params map[string]string
	for i, segment := range path {
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
		if params == nil {
			params = map[string]string{}
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
