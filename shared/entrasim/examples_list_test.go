package entrasim_test

import (
	"net/http"
	"regexp"
	"time"
)

// leftOut says why the examples that fit a pattern are not what a test plays.
type leftOut struct{ pattern, reason string }

const (
	delegated  = "it is about the person who signed in, and the simulator knows applications only"
	noCustom   = "custom security attributes are not modelled"
	noRich     = "Graph sends no resource data for users and groups"
	otherHosts = "delivery to Event Hubs and Event Grid is not modelled"
)

// notPlayed are examples of what the simulator does not play, and others that no request can be made of.
var notPlayed = []leftOut{
	{"batch/json-batching__02-*", "its body holds comments; batch_test.go plays batches"},
	{"delta/*-nextlink.http", "its token is a placeholder; delta_test.go follows real ones"},
	{"delta/*-deltalink.http", "its token is a placeholder; delta_test.go follows real ones"},
	{"delta/cur-users-delta-manager.http", "a request and its answer in one, with comments; delta_test.go follows managers"},
	{"delta/delta-query-*__02-response-initial.http", "its request is printed in words; delta_test.go compares pages with what changed"},
	{"delta/*-response-large-group-members.http", "its body holds comments; delta_test.go follows the members of large groups"},
	{"delta/*-delta__02-response-*.http", "its request is printed in words; delta_test.go compares pages with what changed"},
	{"delta/delta-query-users__0[46]-*", "its request has a token that is a placeholder"},
	{"delta/delta-query-groups__0[46]-*", "its request has a token that is a placeholder"},
	{"delta/serviceprincipal-delta__*", "changes of service principals are not tracked"},
	{"groups/group-get__02-*", "its request is not printed; groups_test.go reads groups"},
	{"notifications/change-notifications-delivery__0*", otherHosts},
	{"notifications/cur-event*", otherHosts},
	{"notifications/cur-validation-token*", noRich},
	{"notifications/webhooks-with-resource-data__*", noRich},
	{"notifications/webhooks__04-*", "it is about mail"},
	{"notifications/webhooks-lifecycle__06-*", "it shows two requests at once, on beta"},
	{"subscriptions/cur-create-rich.*", noRich},
	{"subscriptions/cur-create-users-eventgrid.*", otherHosts},
	{"subscriptions/cur-endpoint-validation.*", "it is a request of Graph; subscriptions_test.go checks the handshake"},
	{"subscriptions/subscription-get__02-*", "its request is not printed, and it is about mail"},
	{"users/directoryobject-*-me.http", delegated},
	{"users/user-list-manager__*", delegated},
	{"users/user-revokesigninsessions__*", delegated},
	{"users/user-update__0[12]-*", delegated},
	{"users/user-update__0[78]-*", "schema extensions are not modelled"},
	{"users/user-list__1[34]-*", "the request is misprinted: $orderbydisplayName"},
	{"users/user-list__06-*", "a number alone"},
	{"users/user-get__04-*", "its request is not printed, and it shows an earlier default"},
	{"users/directoryobject-checkmembergroups__02-*", "its request is not printed"},
	{"users/obs-b2b-user-*", "assembled from tables; invitations_test.go checks the external user"},
	{"groups/group-post-members__0[34]-*", "its three members are one placeholder; members_test.go adds several"},
	{"app-role-assignments/user-post-approleassignments__*", "its ids are of different people; approles_test.go assigns"},
	{"extensions/application-delete-extensionproperty__*", "directory extensions are not deleted"},
	{"extensions/custom-security-attributes-examples__*-response-*", noCustom},
	{"extensions/extensibility-overview__0[38]-*", "its request is not printed; extensions_test.go reads extensions"},
	{"extensions/extensibility-overview__06-*", "the extension in it belongs to another application"},
	{"deleted-items/directory-deleteditems-delete__*", "its request is not printed; deleted_test.go purges"},
	{"deleted-items/directory-deleteditems-list__04-*", "its request is not printed"},
	{"cross-tenant-access/*resettosystemdefault__*", "its request is not printed; policies_test.go resets"},
	{"cross-tenant-access/crosstenantaccesspolicyconfigurationpartner-get__*", "its request is not printed; the list shows the same"},
	{"federated-identity/*", "made by people in the portal; login_test.go uses such credentials"},
}

// elsewhere are payloads that other tests hold the simulator to.
var elsewhere = []leftOut{
	{"batch/json-batching__03-*", "batch_test.go: dependencies"},
	{"batch/obs-batch-404-and-429*", "batch_test.go: an answer for each"},
	{"batch/throttling__01-*", "limits and weather tests: 429 with Retry-After"},
	{"errors/errors__0*", "graph_test.go: the envelope of errors; every error of every test is checked for it"},
	{"notifications/obs-group-updated-webhook*", "notifications_test.go: the payload"},
	{"notifications/cur-lifecycle-structure*", "lifecycle_test.go: the payload"},
	{"notifications/webhooks-lifecycle__0[234]-*", "lifecycle_test.go: the payload"},
	{"invitations/obs-already-exists*", "invitations_test.go: who is invited twice"},
	{"errors/obs-401-compacttoken*", "an older text for the same refusal"},
	{"errors/obs-403-directory-quotaexceeded*", "the quota of a tenant's objects is not modelled"},
	{"errors/obs-409-subscription-exists*", "subscriptions_test.go: a second subscription"},
	{"errors/obs-429-directory*", "limits_test.go: the documented limits"},
	{"errors/aad-advanced-queries__0[13]-*", "texts for queries that the simulator answers with the more exact one"},
	{"delta/obs-users-delta-410*", "delta_test.go: a state that was lost"},
}

// refused are requests that get 501, since the simulator plays no such thing.
var refused = []leftOut{
	{"extensions/custom-security-attributes-examples__*-request-*", noCustom},
	{"delta/delta-query-overview__01-*", "the property is kept outside of the directory: Graph answers 501, too"},
	{"groups/group-get__03-*", "what Exchange knows of a group is not modelled"},
	{"cross-tenant-access/crosstenantaccesspolicy-update__*", "the policy itself is not changed, only its parts"},
	{"cross-tenant-access/cur-mto-identitysync-template*", "templates of multi-tenant organizations are not modelled"},
	{"notifications/webhooks-lifecycle__01-*", "subscriptions to mail are not modelled"},
	{"subscriptions/cur-create-with-lifecycleurl*", "subscriptions to mail are not modelled"},
	{"subscriptions/subscription-post-subscriptions__01-*", "subscriptions to mail are not modelled"},
	{"invitations/cur-reset-redemption*", "resetting the redemption is not modelled: tenantsync never does"},
	{"users/user-list__15-*", "licences are not modelled"},
	{"users/user-post-users__03-*", "local accounts of customers are not modelled"},
	{"app-role-assignments/user-list-approleassignments__03-*", "assignments are filtered by principalId only"},
}

// lack is a part of examples that the simulator's answers do not have, or only sometimes. where is matched with the name of the request
// and the path in the answer.
type lack struct {
	where  *regexp.Regexp
	reason string
}

var lacking = []lack{
	{regexp.MustCompile(`^users/user-list__01.*\.(mailNickname|otherMails|proxyAddresses)$`), "the example shows more than the documented default"},
	{regexp.MustCompile(`^deleted-items/.*\.(groupTypes|mailEnabled|mailNickname|securityEnabled|visibility)$`), "the example is about a group"},
	{regexp.MustCompile(`^delta/.*\.@odata\.nextLink$`), "the example shows the first of several pages"},
	{regexp.MustCompile(`^cross-tenant-access/crosstenantaccesspolicy-get.*\.value$`), "the example shows a list, the metadata a single policy"},
	{regexp.MustCompile(`^cross-tenant-access/crosstenantaccesspolicy-list-partners.*b2bDirectConnectInbound is no object$`), "null: it inherits the default"},
}

// provoked are requests that get a documented error.
var provoked = map[string]func(*stage) reply{
	"errors/obs-404-request-resourcenotfound.payload.json": func(s *stage) reply { return s.graph("contoso", "GET", "/users/"+anyID, nil) },
	"errors/obs-404-request-resourcenotfound-with-client-request-id.payload.json": func(s *stage) reply {
		return s.graphWith("contoso", "GET", "/groups/"+anyID, http.Header{"Client-Request-Id": {anyID}}, nil)
	},
	"errors/obs-401-invalidauthenticationtoken.payload.json": func(s *stage) reply { return s.send("GET", s.URL()+"/v1.0/users", nil, nil) },
	"errors/cur-403-authorization-requestdenied.payload.json": func(s *stage) reply {
		return s.graph("fabrikam", "POST", "/groups", map[string]any{"displayName": "x"})
	},
	"errors/cur-409-multipleobjectswithsamekeyvalue.txt": func(s *stage) reply {
		return s.graph("contoso", "POST", partners, map[string]any{"tenantId": s.ids["partners"]})
	},
	"errors/obs-400-subscription-validation-failed.payload.json": func(s *stage) reply {
		return s.subscribe("contoso", "http://127.0.0.1:1", map[string]any{"resource": "/groups"})
	},
	"errors/obs-400-subscription-expiration-too-long-message.txt": func(s *stage) reply {
		return s.subscribe("contoso", "http://127.0.0.1:1", map[string]any{"expirationDateTime": s.clock.Now().Add(30 * 24 * time.Hour)})
	},
	"errors/aad-advanced-queries__02-payload-advanced-query-error.json": func(s *stage) reply {
		return s.graph("contoso", "GET", "/users"+query("$search", `"displayName:a"`), nil)
	},
	"errors/aad-advanced-queries__04-payload-advanced-query-error.json": func(s *stage) reply {
		return s.graph("contoso", "GET", "/users"+query("$filter", "passwordProfile eq 'x'"), nil)
	},
	"groups/obs-400-member-already-exists.payload.json": func(s *stage) reply {
		return s.graph("contoso", "POST", "/groups/"+s.ids["groups"]+"/members/$ref", map[string]any{"@odata.id": s.URL() + "/v1.0/users/" + s.ids["users"]})
	},
	"groups/obs-remove-nonmember-message.txt": func(s *stage) reply {
		return s.graph("contoso", "DELETE", "/groups/"+s.ids["groups"]+"/members/"+s.ids["directoryObjects"]+"/$ref", nil)
	},
	"app-role-assignments/obs-400-already-assigned.payload.json": func(s *stage) reply {
		return s.graph("contoso", "POST", "/users/"+s.ids["users"]+"/appRoleAssignments",
			map[string]any{"principalId": s.ids["users"], "resourceId": s.ids["servicePrincipals"], "appRoleId": s.ids["appRoleId"]})
	},
	"invitations/obs-guest-invitations-not-allowed-message.txt": func(s *stage) reply {
		s.must(204, "contoso", "PATCH", "/policies/authorizationPolicy", map[string]any{"allowInvitesFrom": "none"})
		return s.invite("contoso", "somebody@fabrikam.com")
	},
	"invitations/cur-blocked-by-cross-tenant-access-message.txt": func(s *stage) reply {
		s.must(204, "contoso", "PATCH", partners+"/"+s.ids["partners"], map[string]any{"b2bCollaborationInbound": map[string]any{
			"usersAndGroups": map[string]any{"accessType": "blocked", "targets": []any{map[string]any{"target": "AllUsers", "targetType": "user"}}},
		}})
		return s.invite("contoso", "somebody@fabrikam.com")
	},
}
