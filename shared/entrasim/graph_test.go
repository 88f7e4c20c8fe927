package entrasim_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

const anyID = "5b31c38c-2584-42f0-aa47-657fb3a84230"

func TestEachCallNeedsItsPermission(t *testing.T) {
	subscription, groups := map[string]any{"resource": "/users"}, map[string]any{"resource": "/groups"}
	invitation := map[string]any{"invitedUserEmailAddress": "a@b.com", "inviteRedirectUrl": "https://a.com"}
	for name, tc := range map[string]struct {
		method, path string
		body         any
		enough       string // roles, separated by spaces
		lacking      string // every other role of the table
		status       int    // of the permitted call
	}{
		"read users":      {"GET", "/users", nil, "User.Read.All", "User.Invite.All User.DeleteRestore.All", 200},
		"read one user":   {"GET", "/users/" + anyID, nil, "User.Read.All", "User.Invite.All", 404},
		"create":          {"POST", "/users", newUser("a", "contoso", nil), "User.ReadWrite.All", "User.ReadUpdate.All User.Read.All User.Invite.All", 201},
		"update":          {"PATCH", "/users/" + anyID, map[string]any{"city": "x"}, "User.ReadUpdate.All", "User.Read.All User-Phone.ReadWrite.All", 404},
		"update a phone":  {"PATCH", "/users/" + anyID, map[string]any{"mobilePhone": "1"}, "User-Phone.ReadWrite.All", "User.ReadUpdate.All", 404},
		"update a mail":   {"PATCH", "/users/" + anyID, map[string]any{"otherMails": []string{}}, "User-Mail.ReadWrite.All", "User.ReadUpdate.All", 404},
		"update anything": {"PATCH", "/users/" + anyID, map[string]any{"mobilePhone": "1", "accountEnabled": true}, "User.ReadWrite.All", "User-Phone.ReadWrite.All User.ReadUpdate.All", 404},
		"disable": {"PATCH", "/users/" + anyID, map[string]any{"accountEnabled": false}, "User.EnableDisableAccount.All User.Read.All",
			"User.EnableDisableAccount.All User.ReadUpdate.All", 404},
		"set a leave date":    {"PATCH", "/users/" + anyID, map[string]any{"employeeLeaveDateTime": "2026-04-01T00:00:00Z"}, "User-LifeCycleInfo.ReadWrite.All User.Read.All", "User.ReadWrite.All Directory.ReadWrite.All", 404},
		"delete":              {"DELETE", "/users/" + anyID, nil, "User.DeleteRestore.All", "User.ReadUpdate.All User.Read.All", 404},
		"list deleted":        {"GET", "/directory/deletedItems/microsoft.graph.user", nil, "User.Read.All", "User.Invite.All", 200},
		"restore":             {"POST", "/directory/deletedItems/" + anyID + "/restore", nil, "User.DeleteRestore.All", "User.Read.All User.ReadWrite.All Directory.ReadWrite.All", 404},
		"purge":               {"DELETE", "/directory/deletedItems/" + anyID, nil, "User.DeleteRestore.All", "User.ReadWrite.All", 404},
		"invite":              {"POST", "/invitations", invitation, "User.Invite.All", "User.ReadUpdate.All User.Read.All", 201},
		"read applications":   {"GET", "/applications", nil, "Application.Read.All", "User.ReadWrite.All", 200},
		"define a property":   {"POST", "/applications/" + anyID + "/extensionProperties", map[string]any{}, "Application.ReadWrite.OwnedBy", "Application.Read.All", 404},
		"subscribe to users":  {"POST", "/subscriptions", subscription, "User.Read.All", "User.Invite.All", 400},
		"subscribe to groups": {"POST", "/subscriptions", groups, "Group.Read.All", "User.ReadWrite.All GroupMember.Read.All", 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{
				{Name: "contoso", Roles: strings.Fields(tc.enough)},
				{Name: "lacking", Roles: strings.Fields(tc.lacking)},
			}})
			w.refused(http.StatusForbidden, "Authorization_RequestDenied", "lacking", tc.method, tc.path, tc.body)
			w.must(tc.status, "contoso", tc.method, tc.path, tc.body)
		})
	}
}

func TestErrorsHaveTheEnvelopeOfGraph(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	r := w.graphWith("contoso", "GET", "/users/"+anyID, http.Header{"Client-Request-Id": {"mine"}}, nil)
	e, _ := r.body["error"].(map[string]any)
	inner, _ := e["innerError"].(map[string]any)
	if e["code"] != "Request_ResourceNotFound" ||
		e["message"] != "Resource '"+anyID+"' does not exist or one of its queried reference-property objects are not present." {
		t.Errorf("error is %v", e)
	}
	if inner["date"] != "2026-03-01T12:00:00" || inner["client-request-id"] != "mine" || inner["request-id"] != r.header.Get("request-id") ||
		r.header.Get("client-request-id") != "mine" || len(r.header.Get("request-id")) != 36 {
		t.Errorf("innerError is %v, headers %v", inner, r.header)
	}
}

func TestUnknownRequestsFailLoudly(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, entrasim.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	for _, request := range [][2]string{
		{"GET", "/v1.0/planner"},
		{"PUT", "/v1.0/users/a@contoso.com/photo/$value"},
		{"DELETE", "/v1.0/users"},
		{"GET", "/beta/users"},
		{"GET", "/"},
		{"GET", "/v1.0/directory/deletedItems/microsoft.graph.application"},
		{"GET", "/v1.0/directory/deletedItems/graph.application"},
	} {
		log.Reset()
		r := w.send(request[0], w.URL()+request[1], http.Header{"Authorization": {"Bearer " + w.token("contoso")}}, nil)
		code, message := r.fault()
		if r.status != http.StatusNotImplemented || code != "NotImplemented" || !strings.Contains(message, request[0]+" "+request[1]) {
			t.Errorf("%v answered %d %s", request, r.status, r.text)
		}
		if line := log.String(); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, request[0]) || strings.Contains(line, "@") {
			t.Errorf("%v was logged as %q", request, line)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]entrasim.Options{
		"has no name":                {Tenants: []entrasim.Tenant{{}}},
		"another tenant has":         {Tenants: []entrasim.Tenant{{Name: "contoso"}, {Name: "Contoso"}}},
		"is not a UUID":              {Tenants: []entrasim.Tenant{{Name: "contoso", ID: "1"}}},
		"no tenant has the name":     {App: entrasim.App{HomeTenant: "nowhere"}},
		"define extension property ": {App: entrasim.App{ExtensionProperties: []string{"a-b"}}},
		`application: the id "1"`:    {App: entrasim.App{ID: "1"}},
	} {
		if _, err := entrasim.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
