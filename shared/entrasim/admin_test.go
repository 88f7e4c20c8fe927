package entrasim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// admin asks what is behind the scenes.
func (w *world) admin(method, path, body string) (status int, answer map[string]any, text string) {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	record := httptest.NewRecorder()
	w.Admin().ServeHTTP(record, r)
	data, _ := io.ReadAll(record.Body)
	_ = json.Unmarshal(data, &answer)
	return record.Code, answer, string(data)
}

func TestTheWorldIsSeenAndChangedFromBehindTheScenes(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/tenants/contoso/people", `{"count": 20, "seed": 3}`},
		{"PUT", "/weather", `{"throttle": 1, "retryAfter": "3s"}`},
	} {
		if status, _, text := w.admin(c.method, c.path, c.body); status != 200 {
			t.Fatalf("%s %s: %d %s", c.method, c.path, status, text)
		}
	}
	if r := w.graph("contoso", "GET", "/users", nil); r.status != 429 {
		t.Errorf("in the new weather: %d", r.status)
	}
	if status, _, text := w.admin("PUT", "/weather", `{}`); status != 200 {
		t.Fatal(status, text)
	}
	w.subscribe("contoso", e.URL, nil)
	_, state, _ := w.admin("GET", "/tenants/"+w.tenantID("contoso"), "")
	users, groups, subscriptions := state["users"].([]any), state["groups"].([]any), state["subscriptions"].([]any)
	if len(users) != 20 || len(groups) == 0 || len(subscriptions) != 1 {
		t.Errorf("%d users, %d groups, %d subscriptions", len(users), len(groups), len(subscriptions))
	}
	if boss, member := users[1].(map[string]any)["manager"], groups[0].(map[string]any)["members"].([]any)[0]; boss != users[0].(map[string]any)["id"] || member == "" {
		t.Errorf("the manager of the second is %v, a member %v", boss, member)
	}
	before := w.clock.Now()
	if _, now, text := w.admin("POST", "/clock", `{"advance": "24h"}`); now["now"] != before.Add(24*time.Hour).Format(time.RFC3339) {
		t.Errorf("the clock shows %s", text)
	}
	w.refused(http.StatusUnauthorized, "InvalidAuthenticationToken", "contoso", "GET", "/users", nil) // a day later
	_, log, _ := w.admin("GET", "/requests?limit=3", "")
	latest := log["requests"].([]any)
	first := latest[0].(map[string]any)
	if len(latest) != 3 || first["status"] != 401.0 || first["method"] != "GET" || first["path"] != "/v1.0/users" || first["code"] != "InvalidAuthenticationToken" {
		t.Errorf("the log says %v", latest)
	}
	if throttled := latest[2].(map[string]any); throttled["weather"] != "throttled" || throttled["status"] != 429.0 {
		t.Errorf("of the throttled request it says %v", throttled)
	}
	if _, _, text := w.admin("GET", "/", ""); !strings.Contains(text, "POST /tenants/{tenant}/people") {
		t.Errorf("GET / says %s", text)
	}
	for _, path := range []string{"/tenants", "/weather", "/clock", "/traffic"} {
		if status, _, text := w.admin("GET", path, ""); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestBehindTheScenesMistakesAreTold(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"an unknown path":        {"GET", "/people", "", 404, "GET / tells"},
		"an unknown tenant":      {"GET", "/tenants/nowhere", "", 400, "nowhere"},
		"nobody to add":          {"POST", "/tenants/contoso/people", `{"count": 0}`, 400, "number from 1 on"},
		"too many to add":        {"POST", "/tenants/contoso/people", `{"count": 1000001}`, 400, "at most 100000"},
		"a misspelt property":    {"POST", "/tenants/contoso/people", `{"number": 3}`, 400, "number"},
		"no body":                {"POST", "/tenants/contoso/people", ``, 400, "body"},
		"an unknown event":       {"POST", "/tenants/contoso/lifecycle", `{"event": "renamed"}`, 400, "reauthorizationRequired"},
		"a share over 1":         {"PUT", "/weather", `{"fail": 2}`, 400, "fail is 2"},
		"shares over 1 together": {"PUT", "/weather", `{"fail": 0.6, "cut": 0.6}`, 400, "together"},
		"an unknown fault":       {"PUT", "/weather", `{"rain": 0.5}`, 400, "rain"},
		"no duration":            {"PUT", "/weather", `{"lagFor": "long"}`, 400, "no duration"},
		"a clock backwards":      {"POST", "/clock", `{"advance": "-1h"}`, 400, "forward"},
		"a clock to nowhere":     {"POST", "/clock", `{"advance": "tomorrow"}`, 400, "duration"},
		"a limit of none":        {"GET", "/requests?limit=0", "", 400, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			if status, _, text := w.admin(c.method, c.path, c.body); status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%d %s, want %d with %q", status, text, c.status, c.want)
			}
		})
	}
	r := httptest.NewRequest("POST", "http://evil.example/clock", strings.NewReader(`{"advance": "1h"}`))
	record := httptest.NewRecorder()
	if w.Admin().ServeHTTP(record, r); record.Code != http.StatusForbidden {
		t.Errorf("a request for another host: %d", record.Code)
	}
}

func TestTheLogKeepsTheLatestRequests(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for range 1005 {
		w.graph("contoso", "GET", "/users/$count", nil)
	}
	w.graph("contoso", "GET", "/groups/$count", nil)
	list, served := w.Requests(2000)
	if len(list) != 1000 || served != 1006 || list[0].Path != "/v1.0/groups/$count" || list[999].Path != "/v1.0/users/$count" {
		t.Errorf("%d of %d requests, the latest %s", len(list), served, list[0].Path)
	}
}

func TestAWeatherThatMakesNoSenseIsRefused(t *testing.T) {
	for _, weather := range []entrasim.Weather{{Lag: -1}, {Throttle: 0.7, Torn: 0.7}, {SlowFor: -1}} {
		if _, err := entrasim.New(entrasim.Options{Weather: weather}); err == nil {
			t.Errorf("%+v is accepted", weather)
		}
	}
}
