package entrasim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/csdltest"
)

// clock is the simulated time, which stands still until somebody moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// metadata is that of Microsoft Graph, which every answer in these tests is checked against.
var metadata = sync.OnceValue(func() *csdltest.Model {
	f, err := os.Open("testdata/graph/v1.0.csdl.xml")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	m, err := csdltest.Read(f)
	if err != nil {
		panic(err)
	}
	return m
})

// world is a running simulator and a plain HTTP client of it.
type world struct {
	*entrasim.Server
	t      *testing.T
	clock  *clock
	client *http.Client
	tokens map[string]string // by tenant name
}

func newWorld(t *testing.T, o entrasim.Options) *world {
	t.Helper()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if o.Now == nil {
		o.Now = c.Now
	}
	s, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	client := s.Client()
	client.Transport = csdltest.Transport{Next: client.Transport, Model: metadata(), Found: func(r *http.Request, problem string) {
		t.Errorf("the answer to %s %s: %s", r.Method, r.URL.Path, problem)
	}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{Server: s, t: t, clock: c, client: client, tokens: map[string]string{}}
}

// reply is an answer of the simulator, its body decoded.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (r reply) id() string { id, _ := r.body["id"].(string); return id }

// fault is the code and message of a Graph error.
func (r reply) fault() (code, message string) {
	e, _ := r.body["error"].(map[string]any)
	code, _ = e["code"].(string)
	message, _ = e["message"].(string)
	return code, message
}

// values are the objects of a collection.
func (r reply) values() []map[string]any {
	list, _ := r.body["value"].([]any)
	var objects []map[string]any
	for _, v := range list {
		objects = append(objects, v.(map[string]any))
	}
	return objects
}

// send makes any request; body is nil, raw bytes or something to encode.
func (w *world) send(method, address string, header http.Header, body any) reply {
	w.t.Helper()
	data, raw := body.([]byte)
	if !raw && body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, address, bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	if len(data) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if len(text) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &r.body); err != nil {
			w.t.Fatalf("%s %s answered no JSON: %v", method, address, err)
		}
	}
	return r
}

// graph makes a Graph request as the application in a tenant.
func (w *world) graph(tenant, method, path string, body any) reply {
	w.t.Helper()
	return w.graphWith(tenant, method, path, nil, body)
}

func (w *world) graphWith(tenant, method, path string, header http.Header, body any) reply {
	w.t.Helper()
	all := http.Header{"Authorization": {"Bearer " + w.token(tenant)}}
	for name, values := range header {
		all[name] = values
	}
	return w.send(method, w.URL()+"/v1.0"+path, all, body)
}

// must makes a request that is expected to end with the status.
func (w *world) must(status int, tenant, method, path string, body any) reply {
	w.t.Helper()
	r := w.graph(tenant, method, path, body)
	if r.status != status {
		w.t.Fatalf("%s %s answered %d, want %d: %s", method, path, r.status, status, r.text)
	}
	return r
}

// refused makes a request that is expected to be refused.
func (w *world) refused(status int, code, tenant, method, path string, body any) {
	w.t.Helper()
	r := w.graph(tenant, method, path, body)
	if got, _ := r.fault(); r.status != status || got != code {
		w.t.Fatalf("%s %s answered %d %s, want %d %s: %s", method, path, r.status, got, status, code, r.text)
	}
}

// token returns a token of the application in a tenant, had by its secret.
func (w *world) token(tenant string) string {
	w.t.Helper()
	if w.tokens[tenant] == "" {
		r := w.askToken(w.tenantID(tenant), nil)
		access, _ := r.body["access_token"].(string)
		if r.status != http.StatusOK || access == "" {
			w.t.Fatalf("no token for %s: %d %s", tenant, r.status, r.text)
		}
		w.tokens[tenant] = access
	}
	return w.tokens[tenant]
}

// askToken posts a token request: the good one, with some fields replaced.
func (w *world) askToken(tenant string, replace map[string]string) reply {
	w.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
		"client_id": {w.App().ID}, "client_secret": {w.App().Secret},
	}
	for name, value := range replace {
		form.Set(name, value)
	}
	return w.send("POST", w.URL()+"/"+tenant+"/oauth2/v2.0/token",
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
}

func (w *world) tenantID(name string) string {
	w.t.Helper()
	for _, t := range w.Tenants() {
		if t.Name == name {
			return t.ID
		}
	}
	w.t.Fatalf("no tenant %s", name)
	return ""
}

// newUser is the body of a POST /users that is accepted, with some properties replaced; a nil one is left out.
func newUser(nickname, tenant string, replace map[string]any) map[string]any {
	body := map[string]any{
		"accountEnabled":    true,
		"displayName":       "User " + nickname,
		"mailNickname":      nickname,
		"userPrincipalName": nickname + "@" + tenant + ".onmicrosoft.com",
		"passwordProfile":   map[string]any{"password": "correct-Horse-9"},
	}
	for name, v := range replace {
		if body[name] = v; v == nil {
			delete(body, name)
		}
	}
	return body
}

// join creates a user with a mail address and returns its id.
func (w *world) join(tenant, nickname string) string {
	w.t.Helper()
	return w.must(http.StatusCreated, tenant, "POST", "/users", newUser(nickname, tenant, map[string]any{
		"mail": nickname + "@" + tenant + ".example.com",
	})).id()
}

func (w *world) invite(tenant, address string) reply {
	w.t.Helper()
	return w.graph(tenant, "POST", "/invitations", map[string]any{
		"invitedUserEmailAddress": address, "inviteRedirectUrl": "https://myapps.microsoft.com",
	})
}

func query(options ...string) string {
	var parts []string
	for i := 0; i < len(options); i += 2 {
		parts = append(parts, fmt.Sprintf("%s=%s", options[i], url.QueryEscape(options[i+1])))
	}
	return "?" + strings.Join(parts, "&")
}
