package entrasim_test

import (
	"net/http"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// What changes the meaning of a request is played or refused, never ignored.
func TestAHeaderIsKnownOrRefused(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for _, c := range []struct {
		path, name, value string
		status            int
	}{
		{"/users", "ConsistencyLevel", "Eventual", 200},
		{"/users", "ConsistencyLevel", "strong", 501},
		{"/users", "x-ms-throttle-priority", "low", 200},
		{"/users", "x-ms-throttle-priority", "urgent", 501},
		{"/users", "If-None-Match", "*", 501},
		{"/users", "OData-MaxVersion", "4.01", 200},
		{"/users", "OData-MaxVersion", "3.0", 501},
		{"/users", "Accept", "application/json;odata.metadata=minimal", 200},
		{"/users", "Accept", "text/html, */*", 200},
		{"/users", "Accept", "application/atom+xml", 501},
		{"/users", "Prefer", "return=minimal", 501},
		{"/users", "Prefer", "odata.maxpagesize=5", 501},
		{"/users/delta", "Prefer", "return=minimal, odata.maxpagesize=5", 200},
		{"/users/delta", "Prefer", "odata.maxpagesize=many", 501},
		{"/users/delta", "Prefer", "respond-async", 501},
	} {
		r := w.graphWith("contoso", "GET", c.path, http.Header{http.CanonicalHeaderKey(c.name): {c.value}}, nil)
		if r.status != c.status {
			t.Errorf("%s with %s: %s answered %d %s, want %d", c.path, c.name, c.value, r.status, r.text, c.status)
		}
	}
}

// A PATCH of a user answers 204 whatever it prefers: microsoftgraph/msgraph-sdk-dotnet issue 1682.
func TestAPatchNeverAnswersABody(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "a")
	r := w.graphWith("contoso", "PATCH", "/users/"+id, http.Header{"Prefer": {"return=representation"}}, map[string]any{"city": "x"})
	if r.status != http.StatusNoContent || r.text != "" {
		t.Errorf("answered %d %q", r.status, r.text)
	}
}

func TestAMethodIsKnownOrRefused(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for _, method := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"} {
		if r := w.graph("contoso", method, "/users", nil); r.status != http.StatusNotImplemented {
			t.Errorf("%s answered %d", method, r.status)
		}
	}
}

func TestAWriteTakesNoQueryOptions(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "a")
	w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "PATCH", "/users/"+id+"?$select=id", map[string]any{"city": "x"})
	w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "DELETE", "/users/"+id+"?force=true", nil)
	if r := w.must(http.StatusOK, "contoso", "GET", "/users/"+id+"?$select=city", nil); r.body["city"] != nil {
		t.Errorf("a refused write happened: %s", r.text)
	}
}

// Names in JSON mean themselves in one case only.
func TestAPropertyIsSpelledRight(t *testing.T) {
	w := newWorld(t, entrasim.Options{AutoRedeem: true})
	e := newEndpoint(t)
	misspelt := w.newSubscription(e.URL, nil)
	misspelt["ChangeType"] = misspelt["changeType"]
	delete(misspelt, "changeType")
	id := w.join("contoso", "a")
	for name, c := range map[string]struct {
		method, path string
		body         any
	}{
		"a user's":           {"PATCH", "/users/" + id, map[string]any{"City": "x"}},
		"an invitation's":    {"POST", "/invitations", map[string]any{"InvitedUserEmailAddress": "a@b.com", "inviteRedirectUrl": "https://a.com"}},
		"an inner object's":  {"POST", "/invitations", map[string]any{"invitedUserEmailAddress": "a@b.com", "inviteRedirectUrl": "https://a.com", "invitedUserMessageInfo": map[string]any{"MessageLanguage": "en"}}},
		"a subscription's":   {"POST", "/subscriptions", misspelt},
		"a batch's":          {"POST", "/$batch", map[string]any{"Requests": []any{}}},
		"a step's":           {"POST", "/$batch", map[string]any{"requests": []any{map[string]any{"ID": "1", "method": "GET", "url": "/users"}}}},
		"a restore's":        {"POST", "/directory/deletedItems/" + id + "/restore", map[string]any{"newuserprincipalname": "x"}},
		"one that is absent": {"POST", "/invitations", map[string]any{"invitedUserEmailAddress": "a@b.com", "inviteRedirectUrl": "https://a.com", "shoeSize": 43}},
	} {
		if r := w.graph("contoso", c.method, c.path, c.body); r.status != http.StatusBadRequest {
			t.Errorf("%s misspelt property answered %d %s", name, r.status, r.text)
		}
	}
}
