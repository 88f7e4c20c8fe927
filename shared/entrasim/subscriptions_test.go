package entrasim_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestSubscriptionLifecycle(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	r := w.subscribe("contoso", e.URL, map[string]any{"lifecycleNotificationUrl": e.URL})
	if r.status != http.StatusCreated || r.body["clientState"] != "secret" || r.body["applicationId"] != w.App().ID ||
		r.body["expirationDateTime"] != "2026-03-01T13:00:00Z" || r.body["changeType"] != "updated,deleted" || r.body["resource"] != "/users" {
		t.Fatalf("created %d %s", r.status, r.text)
	}
	if len(e.queries) != 2 {
		t.Errorf("%d validation requests came, want one for each URL even when they are equal", len(e.queries))
	}
	path := "/subscriptions/" + r.id()

	if list := w.must(http.StatusOK, "contoso", "GET", "/subscriptions", nil).values(); len(list) != 1 || list[0]["id"] != r.id() || list[0]["clientState"] != nil {
		t.Errorf("the list is %v", list)
	}
	if list := w.must(http.StatusOK, "fabrikam-us", "GET", "/subscriptions", nil).values(); len(list) != 0 {
		t.Errorf("another tenant sees %v", list)
	}
	w.refused(http.StatusNotFound, "ResourceNotFound", "fabrikam-us", "GET", path, nil)

	until := w.clock.Now().Add(41_760 * time.Minute)
	renewed := w.must(http.StatusOK, "contoso", "PATCH", path, map[string]any{"expirationDateTime": until.Format(time.RFC3339)})
	if renewed.body["expirationDateTime"] != until.Format(time.RFC3339) {
		t.Errorf("renewed until %v", renewed.body["expirationDateTime"])
	}
	other := newEndpoint(t)
	w.must(http.StatusOK, "contoso", "PATCH", path, map[string]any{"notificationUrl": other.URL})
	w.refused(http.StatusConflict, "Conflict", "contoso", "POST", path+"/reauthorize", nil) // it was renewed just now
	w.clock.advance(10 * time.Minute)
	w.must(http.StatusNoContent, "contoso", "POST", path+"/reauthorize", nil)
	w.refused(http.StatusConflict, "Conflict", "contoso", "PATCH", path, map[string]any{"expirationDateTime": until.Format(time.RFC3339)})
	w.join("contoso", "adele")
	other.next(t, 1)

	w.must(http.StatusNoContent, "contoso", "DELETE", path, nil)
	for _, request := range [][2]string{{"GET", path}, {"DELETE", path}, {"POST", path + "/reauthorize"}} {
		w.refused(http.StatusNotFound, "ResourceNotFound", "contoso", request[0], request[1], nil)
	}
}

func TestSubscriptionExpires(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	first := w.subscribe("contoso", e.URL, map[string]any{"expirationDateTime": w.clock.Now().Add(time.Minute)})
	w.clock.advance(time.Minute)
	w.refused(http.StatusNotFound, "ResourceNotFound", "contoso", "GET", "/subscriptions/"+first.id(), nil)
	w.join("contoso", "unheard")
	second := w.subscribe("contoso", e.URL, nil)
	id := w.join("contoso", "heard")
	if i := e.next(t, 1)[0]; i.SubscriptionID != second.id() || i.ResourceData.ID != id {
		t.Errorf("got %+v, want the second subscription to hear of the second user only", i)
	}
}

func TestDuplicateSubscription(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	id := w.subscribe("contoso", e.URL, nil).id()
	for _, same := range []map[string]any{
		nil, {"resource": "Users"}, {"changeType": "Deleted,updated"}, {"notificationUrl": e.URL + "/other"},
	} {
		r := w.subscribe("contoso", e.URL, same)
		if code, message := r.fault(); r.status != http.StatusConflict || code != "ObjectIdentifierInUse" ||
			message != "Subscription Id "+id+" already exists for the requested combination" {
			t.Errorf("%v: got %d %s", same, r.status, r.text)
		}
	}
	for _, different := range []map[string]any{{"changeType": "updated"}, {"resource": "users/" + anyID}} {
		if r := w.subscribe("contoso", e.URL, different); r.status != http.StatusCreated {
			t.Errorf("%v: got %d %s", different, r.status, r.text)
		}
	}
	if r := w.subscribe("fabrikam-us", e.URL, nil); r.status != http.StatusCreated {
		t.Errorf("in another tenant: got %d %s", r.status, r.text)
	}
}

func TestSubscriptionIsRefused(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	late := w.clock.Now().Add(41_761 * time.Minute)
	for name, tc := range map[string]struct {
		replace map[string]any
		status  int
	}{
		"no changeType":             {map[string]any{"changeType": nil}, 400},
		"no notificationUrl":        {map[string]any{"notificationUrl": nil}, 400},
		"no resource":               {map[string]any{"resource": nil}, 400},
		"no expirationDateTime":     {map[string]any{"expirationDateTime": nil}, 400},
		"an unknown changeType":     {map[string]any{"changeType": "updated,renamed"}, 400},
		"an expiration in the past": {map[string]any{"expirationDateTime": "2026-03-01T12:00:00Z"}, 400},
		"more than 41,760 minutes":  {map[string]any{"expirationDateTime": late}, 400},
		"a resource of 5":           {map[string]any{"resource": 5}, 400},
		"a clientState of 129":      {map[string]any{"clientState": strings.Repeat("x", 129)}, 400},
		"a URL as resource":         {map[string]any{"resource": "https://graph.microsoft.com/v1.0/users"}, 400},
		"http to a distant host":    {map[string]any{"notificationUrl": "http://example.com/hook"}, 400},
		"a lifecycle URL like that": {map[string]any{"lifecycleNotificationUrl": "http://example.com/hook"}, 400},
		"resource data":             {map[string]any{"includeResourceData": true}, 400},
		"an unknown property":       {map[string]any{"priority": "high"}, 400},
		"another resource":          {map[string]any{"resource": "/groups/5b31c38c-2584-42f0-aa47-657fb3a84230/owners"}, 501},
		"Event Hubs":                {map[string]any{"notificationUrl": "EventHub:https://x.vault.azure.net/secrets/s"}, 501},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			if r := w.subscribe("contoso", e.URL, tc.replace); r.status != tc.status {
				t.Errorf("got %d %s, want %d", r.status, r.text, tc.status)
			}
		})
	}
	if len(e.queries) != 0 {
		t.Errorf("the endpoint was asked although the request was wrong: %v", e.queries)
	}
	id := w.subscribe("contoso", e.URL, nil).id()
	for name, body := range map[string]map[string]any{
		"a late expiration":   {"expirationDateTime": late},
		"another changeType":  {"changeType": "updated"},
		"a later lifecycle":   {"lifecycleNotificationUrl": e.URL},
		"nothing":             {},
		"a broken expiration": {"expirationDateTime": "soon"},
		"a silent endpoint":   {"notificationUrl": "http://127.0.0.1:1"},
	} {
		t.Run("an update with "+name, func(t *testing.T) {
			w.t = t
			if r := w.graph("contoso", "PATCH", "/subscriptions/"+id, body); r.status != http.StatusBadRequest {
				t.Errorf("got %d %s, want 400", r.status, r.text)
			}
		})
	}
}

func TestSubscriptionQuota(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	resource := func(i int) map[string]any {
		return map[string]any{"resource": "users/5b31c38c-2584-42f0-aa47-657fb3a8" + strings.Repeat("0", 2) + string("0123456789"[i/10]) + string("0123456789"[i%10])}
	}
	for i := range 100 {
		if r := w.subscribe("contoso", e.URL, resource(i)); r.status != http.StatusCreated {
			t.Fatalf("number %d: %d %s", i+1, r.status, r.text)
		}
	}
	if r := w.subscribe("contoso", e.URL, nil); r.status != http.StatusForbidden || !strings.Contains(r.text, "limit of 100") {
		t.Errorf("number 101: %d %s", r.status, r.text)
	}
}

func TestHandshake(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	token := func(r *http.Request) string { return r.URL.Query().Get("validationToken") }
	for name, tc := range map[string]struct {
		endpoint http.HandlerFunc
		status   int
	}{
		"the decoded token": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.URL.Query().Get("code") != "key" {
				w.WriteHeader(http.StatusTeapot)
			}
			answer(200, "text/plain", token(r))(w, r)
		}, 201},
		"the decoded token, HTML escaped": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, "text/plain; charset=utf-8", html.EscapeString(token(r)))(w, r)
		}, 201},
		"the token as it stands in the URL": {func(w http.ResponseWriter, r *http.Request) {
			_, raw, _ := strings.Cut(r.URL.RawQuery, "validationToken=")
			answer(200, "text/plain", raw)(w, r)
		}, 400},
		"the token with pluses for spaces": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, "text/plain", strings.ReplaceAll(token(r), " ", "+"))(w, r)
		}, 400},
		"the token with a line break": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, "text/plain", token(r)+"\n")(w, r)
		}, 400},
		"the token as JSON": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, "application/json", token(r))(w, r)
		}, 400},
		"the token with 202": {func(w http.ResponseWriter, r *http.Request) {
			answer(202, "text/plain", token(r))(w, r)
		}, 400},
		"nothing":    {answer(200, "text/plain", ""), 400},
		"an error":   {answer(500, "text/plain", ""), 400},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, entrasim.Options{})
			e := httptest.NewServer(tc.endpoint)
			defer e.Close()
			r := w.subscribe("contoso", e.URL+"/hook?code=key", nil)
			if r.status != tc.status {
				t.Fatalf("got %d %s, want %d", r.status, r.text, tc.status)
			}
			if code, message := r.fault(); tc.status == 400 && (code != "InvalidRequest" || !strings.HasPrefix(message,
				"Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request.")) {
				t.Errorf("got %s", r.text)
			}
			want := map[int]int{201: 1, 400: 0}[tc.status]
			if list := w.must(http.StatusOK, "contoso", "GET", "/subscriptions", nil).values(); len(list) != want {
				t.Errorf("%d subscriptions exist, want %d", len(list), want)
			}
		})
	}
}
