package graph_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

const (
	groupID = "44444444-4444-4444-4444-444444444444"
	appID   = "55555555-5555-5555-5555-555555555555"
	roleID  = "66666666-6666-6666-6666-666666666666"

	toGroup   = "POST /groups/" + groupID + "/members/$ref"
	outOf     = "DELETE /groups/" + groupID + "/members/" + userID + "/$ref"
	theGroup  = "GET /groups/" + groupID
	toApp     = "POST /servicePrincipals/" + appID + "/appRoleAssignedTo"
	theApp    = "GET /servicePrincipals/" + appID
	theGroups = "GET /users/" + userID + "/memberOf"
	theRoles  = "GET /users/" + userID + "/appRoleAssignments"
	lookGroup = theGroup + "?$select=id,groupTypes,isAssignableToRole,mailEnabled,onPremisesSyncEnabled"
)

var (
	member = provisioning.Grant{Group: groupID}
	reader = provisioning.Grant{App: appID, Role: roleID}
)

// refused is an error answer of Graph.
func refused(status int, code, message string) answer {
	return answer{status: status, body: `{"error":{"code":"` + code + `","message":"` + message + `"}}`}
}

func missing(id string) answer {
	return refused(404, "Request_ResourceNotFound", "Resource '"+id+"' does not exist or one of its queried reference-property objects are not present.")
}

var denied = refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

func TestWhatGraphIsAskedForAccess(t *testing.T) {
	r := play(t, map[string]answer{
		toGroup: {status: 204}, outOf: {status: 204}, toApp: {status: 201, body: `{"id":"a1"}`},
		theGroups: {body: `{"value":[]}`},
		theRoles: {body: `{"value":[
			{"id":"of-a-group","appRoleId":"` + roleID + `","resourceId":"` + appID + `","principalId":"` + groupID + `","principalType":"Group"},
			{"id":"a1","appRoleId":"` + roleID + `","resourceId":"` + appID + `","principalId":"` + userID + `","principalType":"User"}]}`},
		"DELETE /servicePrincipals/" + appID + "/appRoleAssignedTo/a1": {status: 204},
		"PUT /users/" + userID + "/manager/$ref":                       {status: 204},
	})
	target := r.target(t)
	for _, err := range []error{
		target.Grant(t.Context(), userID, member), target.Revoke(t.Context(), userID, member),
		target.Grant(t.Context(), userID, reader), target.Revoke(t.Context(), userID, reader),
		target.SetManager(t.Context(), userID, groupID),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	got, err := target.Grants(t.Context(), userID)
	if err != nil || !slices.Equal(got, []provisioning.Grant{reader}) {
		t.Errorf("the user's own are %v, %v", got, err)
	}
	want := []string{
		toGroup + ` {"@odata.id":"` + r.URL + `/v1.0/directoryObjects/` + userID + `"}`,
		outOf, // never without /$ref: that deletes the user
		toApp + ` {"@odata.type":"#microsoft.graph.appRoleAssignment","appRoleId":"` + roleID + `","principalId":"` + userID + `","resourceId":"` + appID + `"}`,
		theRoles + "?$top=999",
		"DELETE /servicePrincipals/" + appID + "/appRoleAssignedTo/a1",
		"PUT /users/" + userID + `/manager/$ref {"@odata.id":"` + r.URL + `/v1.0/users/` + groupID + `"}`,
		theGroups + "?$select=id&$top=999",
		theRoles + "?$top=999",
	}
	if asked := r.requests(); !slices.Equal(asked, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

func TestOnlyGroupsAreMembershipsThatCanBeGranted(t *testing.T) {
	r := play(t, map[string]answer{
		theGroups: {body: `{"value":[
			{"@odata.type":"#microsoft.graph.directoryRole","id":"` + roleID + `"},
			{"@odata.type":"#microsoft.graph.group","id":"` + strings.ToUpper(groupID) + `","displayName":null},
			{"@odata.type":"#microsoft.graph.administrativeUnit","id":"` + appID + `"}]}`},
		theRoles: {body: `{"value":[]}`},
	})
	got, err := r.target(t).Grants(t.Context(), userID)
	if err != nil || !slices.Equal(got, []provisioning.Grant{member}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhyAGroupRefuses(t *testing.T) {
	malformed := refused(400, "Request_BadRequest", "Invalid object identifier 'x'.")
	external := refused(400, "Request_BadRequest", "Unable to update the specified properties for objects that have originated within an external service.")
	for name, c := range map[string]struct {
		answer, group answer
		kind          outcome.Kind
		code, says    string
	}{
		"a dynamic one, denied":          {denied, answer{body: `{"groupTypes":["DynamicMembership"],"isAssignableToRole":false}`}, outcome.Terminal, "dynamic group", "a rule says"},
		"one of an on-premises AD":       {external, answer{body: `{"onPremisesSyncEnabled":true,"mailEnabled":true,"groupTypes":[]}`}, outcome.Terminal, "on-premises group", "of the cloud"},
		"a distribution list":            {external, answer{body: `{"onPremisesSyncEnabled":null,"mailEnabled":true,"groupTypes":[]}`}, outcome.Terminal, "mail group", "Exchange"},
		"one that can hold roles":        {denied, answer{body: `{"isAssignableToRole":true,"groupTypes":[]}`}, outcome.Terminal, "role-assignable group", "RoleManagement.ReadWrite.Directory"},
		"one without peculiarities":      {denied, answer{body: `{"mailEnabled":true,"groupTypes":["Unified"]}`}, outcome.Terminal, "permission denied", "GroupMember.ReadWrite.All"},
		"one that cannot be read either": {denied, denied, outcome.Terminal, "permission denied", "GroupMember.ReadWrite.All"},
		"one that cannot be read now":    {denied, answer{status: 503, body: "{}"}, outcome.Retry, "service unavailable", "read group"},
		"one that is not there":          {missing(groupID), missing(groupID), outcome.Terminal, "group not found", "correct it in the route"},
		"a gateway's 404 of the group":   {missing(groupID), answer{status: 404, body: "<html>"}, outcome.Retry, "unexpected answer", "gateway"},
		"one that is there after all":    {missing(groupID), answer{body: `{"groupTypes":[]}`}, outcome.Retry, "not replicated", groupID},
		"an id that is none":             {malformed, malformed, outcome.Terminal, "refused by graph", "Invalid object"},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, map[string]answer{toGroup: c.answer, outOf: c.answer, theGroup: c.group})
			target := r.target(t)
			errs := map[string]error{"grant": target.Grant(t.Context(), userID, member)}
			if c.answer.status != 404 {
				errs["revoke"] = target.Revoke(t.Context(), userID, member)
			}
			for verb, err := range errs {
				if got := outcome.Of(err); got.Kind != c.kind || got.Code != c.code || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), groupID) {
					t.Errorf("%s: %v %q: %v", verb, got.Kind, got.Code, err)
				}
			}
			if asked := r.requests(); !slices.Contains(asked, lookGroup) || len(asked) != 2*len(errs) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

func TestWhyAnAppRoleIsRefused(t *testing.T) {
	unknown := refused(400, "Request_BadRequest", "Permission being assigned was not found on application")
	lagging := refused(400, "Request_BadRequest", "Not a valid reference update.")
	for name, c := range map[string]struct {
		answer, app answer
		kind        outcome.Kind
		code, says  string
	}{
		"the permission is missing":       {denied, answer{}, outcome.Terminal, "permission denied", "AppRoleAssignment.ReadWrite.All"},
		"the role is not there":           {unknown, answer{}, outcome.Terminal, "app role not found", "for users"},
		"the application is not there":    {missing(appID), missing(appID), outcome.Terminal, "app not found", "client id"},
		"no reference, and no app either": {lagging, missing(appID), outcome.Terminal, "app not found", "client id"},
		"a user who is not there yet":     {lagging, answer{body: `{"id":"` + appID + `"}`}, outcome.Retry, "not replicated", "Not a valid reference update"},
		"the application may not be read": {missing(appID), denied, outcome.Retry, "not replicated", appID},
		"it cannot be read now":           {lagging, answer{status: 503, body: "{}"}, outcome.Retry, "service unavailable", "read application"},
		"something else":                  {refused(400, "Request_BadRequest", "No."), answer{body: `{"id":"` + appID + `"}`}, outcome.Terminal, "refused by graph", "No."},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, map[string]answer{toApp: c.answer, theApp: c.app})
			err := r.target(t).Grant(t.Context(), userID, reader)
			if got := outcome.Of(err); got.Kind != c.kind || got.Code != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v %q: %v", got.Kind, got.Code, err)
			}
			if asked := r.requests(); len(asked) == 2 != (c.app.body != "") {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

func TestRefusalsThatNeedNoSecondLook(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		kind   outcome.Kind
		code   string
	}{
		"the user is not there yet": {missing(userID), outcome.Retry, "not replicated"},
		"the tenant is full":        {answer{status: 403, body: recorded(t, "403-quota-exceeded.json")}, outcome.Terminal, "quota exceeded"},
		"it is too early":           {answer{status: 429, body: recorded(t, "429-too-many-requests.json")}, outcome.Retry, "throttled"},
		"somebody else writes":      {refused(409, "Directory_ConcurrencyViolation", "wait"), outcome.Retry, "conflicting change"},
		"a gateway does not know":   {answer{status: 404, body: "<html>"}, outcome.Retry, "unexpected answer"},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, map[string]answer{toGroup: c.answer, toApp: c.answer})
			for _, g := range []provisioning.Grant{member, reader} {
				err := r.target(t).Grant(t.Context(), userID, g)
				if got := outcome.Of(err); got.Kind != c.kind || got.Code != c.code {
					t.Errorf("%s: %v %q: %v", g, got.Kind, got.Code, err)
				}
			}
			if asked := r.requests(); len(asked) != 2 {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

func TestWhatIsThereAlreadyAndWhatIsGoneAlready(t *testing.T) {
	for name, c := range map[string]struct {
		grant  provisioning.Grant
		answer answer
	}{
		"a member":             {member, refused(400, "Request_BadRequest", "One or more added object references already exist for the following modified properties: 'members'.")},
		"an app role":          {reader, refused(400, "Request_BadRequest", "Permission being assigned already exists on the object")},
		"an app role, old way": {reader, refused(409, "Request_MultipleObjectsWithSameKeyValue", "EntitlementGrant entry already exists.")},
	} {
		r := play(t, map[string]answer{toGroup: c.answer, toApp: c.answer})
		if err := r.target(t).Grant(t.Context(), userID, c.grant); !errors.Is(err, provisioning.ErrAlready) {
			t.Errorf("%s: %v, want ErrAlready", name, err)
		}
	}
	for name, a := range map[string]answer{
		"no member":     refused(400, "Request_BadRequest", "One or more removed object references do not exist for the following modified properties: 'members'."),
		"no such user":  missing(userID),
		"no such group": missing(groupID),
	} {
		r := play(t, map[string]answer{outOf: a})
		if err := r.target(t).Revoke(t.Context(), userID, member); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, a := range map[string]answer{"a gateway's 404": {status: 404, body: "<html>"}, "a 503": {status: 503, body: "{}"}} {
		r := play(t, map[string]answer{outOf: a, theRoles: a})
		for _, g := range []provisioning.Grant{member, reader} {
			if got := outcome.Of(r.target(t).Revoke(t.Context(), userID, g)); got.Kind != outcome.Retry {
				t.Errorf("%s of %s says that it is gone: %v %q", name, g, got.Kind, got.Code)
			}
		}
	}
}
