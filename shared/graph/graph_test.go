package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

const (
	tenantID = "11111111-1111-1111-1111-111111111111"
	clientID = "22222222-2222-2222-2222-222222222222"
	userID   = "33333333-3333-3333-3333-333333333333"
	keyName  = "extension_22222222222222222222222222222222_tenantsyncSource"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// recorder plays the authority and Graph: it answers what it is told to and keeps what it was asked.
type recorder struct {
	refuse func(line string) bool // answers 400 to these; may be nil
	*httptest.Server
	mu      sync.Mutex
	answers map[string]answer // by "METHOD path", without /v1.0
	asked   []string          // "METHOD path?query body"
	tokens  int               // tokens issued
	signIn  *answer           // instead of a token
}

type answer struct {
	status int
	body   string
	header http.Header
}

// play starts a recorder. The answers' bodies may name it as $SERVER.
func play(t *testing.T, answers map[string]answer) *recorder {
	t.Helper()
	r := &recorder{answers: answers}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(q.URL.Path, "/.well-known/openid-configuration"):
		base := r.URL + strings.TrimSuffix(q.URL.Path, "/v2.0/.well-known/openid-configuration")
		fmt.Fprintf(w, `{"authorization_endpoint":"%s/oauth2/v2.0/authorize","token_endpoint":"%s/oauth2/v2.0/token","issuer":"%s/v2.0"}`, base, base, base)
	case strings.HasSuffix(q.URL.Path, "/oauth2/v2.0/token"):
		if r.signIn != nil {
			r.write(w, *r.signIn)
			return
		}
		r.tokens++
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"token-%d"}`, r.tokens)
	default:
		r.graph(w, q)
	}
}

func (r *recorder) graph(w http.ResponseWriter, q *http.Request) {
	path := strings.TrimPrefix(q.URL.EscapedPath(), "/v1.0")
	line := q.Method + " " + path
	if query, _ := url.QueryUnescape(q.URL.RawQuery); query != "" {
		line += "?" + query
	}
	if body, _ := io.ReadAll(q.Body); len(body) > 0 {
		line += " " + sorted(body)
	}
	r.asked = append(r.asked, line)
	if q.Header.Get("Authorization") == "" || q.Header.Get("client-request-id") == "" {
		http.Error(w, "no token or no client-request-id", http.StatusTeapot)
		return
	}
	if r.refuse != nil && r.refuse(line) {
		r.write(w, answer{status: http.StatusBadRequest, body: `{"error":{"code":"Request_UnsupportedQuery","message":"Unsupported Query."}}`})
		return
	}
	a, ok := r.answers[q.Method+" "+path]
	if !ok {
		a = answer{status: http.StatusNotImplemented, body: `{"error":{"code":"NotImplemented","message":"` + path + `"}}`}
	}
	r.write(w, a)
}

func (r *recorder) write(w http.ResponseWriter, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	io.WriteString(w, strings.ReplaceAll(a.body, "$SERVER", r.URL))
}

// sorted is a JSON body with its keys in order.
func sorted(body []byte) string {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return string(body)
	}
	out, _ := json.Marshal(value)
	return string(bytes.TrimSpace(out))
}

func (r *recorder) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

func (r *recorder) issued() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tokens
}

func (r *recorder) options() graph.Options {
	return graph.Options{
		AuthorityHost: r.URL, Endpoint: r.URL, ClientID: clientID, Transport: r.Client().Transport,
		Credential: graph.Credential{ClientSecret: "secret"}, Now: func() time.Time { return noon }, PageWait: time.Millisecond,
	}
}

func (r *recorder) open(t *testing.T) *graph.Graph {
	t.Helper()
	g, err := graph.New(r.options())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (r *recorder) source(t *testing.T) provisioning.Source {
	t.Helper()
	s, err := r.open(t).Source(tenantID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *recorder) target(t *testing.T) provisioning.Target {
	t.Helper()
	target, err := r.open(t).Target(tenantID)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func recorded(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestNew(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*graph.Options)
		want   string
	}{
		"no client id":  {func(o *graph.Options) { o.ClientID = "" }, "no client id"},
		"no credential": {func(o *graph.Options) { o.Credential = graph.Credential{} }, "no credential"},
		"two credentials": {func(o *graph.Options) {
			o.Credential.Assertion = func(context.Context) (string, error) { return "", nil }
		}, "two credentials"},
		"plain http":         {func(o *graph.Options) { o.Endpoint = "http://graph.example" }, `Graph endpoint is "http://graph.example"`},
		"authority no URL":   {func(o *graph.Options) { o.AuthorityHost = "login" }, `authority host is "login"`},
		"everything missing": {func(o *graph.Options) { o.ClientID, o.Credential = "", graph.Credential{} }, "no credential"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			o := graph.Options{ClientID: clientID, Credential: graph.Credential{ClientSecret: "secret"}}
			c.change(&o)
			if _, err := graph.New(o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
	t.Run("a bad tenant id is refused when the tenant is asked for", func(t *testing.T) {
		if _, err := play(t, nil).open(t).Source("no tenant!"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("nothing is sent before the first call", func(t *testing.T) {
		r := play(t, nil)
		r.target(t)
		if r.issued() != 0 || len(r.requests()) != 0 {
			t.Errorf("%d tokens, requests %v", r.issued(), r.requests())
		}
	})
}

func TestSignIn(t *testing.T) {
	user := answer{body: `{"id":"` + userID + `"}`}
	t.Run("one token serves many calls and both roles of a tenant", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: user})
		g := r.open(t)
		for range 3 {
			s, _ := g.Source(tenantID)
			if _, err := s.User(t.Context(), userID); err != nil {
				t.Fatal(err)
			}
			target, _ := g.Target(strings.ToUpper(tenantID))
			if _, err := target.External(t.Context(), userID); err != nil {
				t.Fatal(err)
			}
		}
		if r.issued() != 1 {
			t.Errorf("%d tokens", r.issued())
		}
	})
	t.Run("an assertion is used instead of a secret", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: user})
		o := r.options()
		asked := 0
		o.Credential = graph.Credential{Assertion: func(context.Context) (string, error) { asked++; return "assertion", nil }}
		g, err := graph.New(o)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := g.Source(tenantID)
		if _, err := s.User(t.Context(), userID); err != nil || asked != 1 {
			t.Errorf("error %v, asked %d times", err, asked)
		}
	})
	t.Run("after a 401 the next call has a new token", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: {status: 401, body: recorded(t, "401-invalid-token.json")}})
		s := r.source(t)
		if _, err := s.User(t.Context(), userID); err == nil {
			t.Fatal("no error")
		}
		r.mu.Lock()
		r.answers["GET /users/"+userID] = user
		r.mu.Unlock()
		if _, err := s.User(t.Context(), userID); err != nil || r.issued() != 2 {
			t.Errorf("error %v, %d tokens", err, r.issued())
		}
	})
	t.Run("tenants are used side by side", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: user})
		g := r.open(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := g.Source(fmt.Sprintf("%08d-1111-1111-1111-111111111111", i%4))
				if err == nil {
					_, err = s.User(t.Context(), userID)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}
