package main_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// gate stands before Graph and decides what becomes of invitations, by the invited address, until it is opened.
type gate struct {
	*httptest.Server
	mu     sync.Mutex
	fate   map[string]string // by address: "hangs", "fails"; others pass
	failed map[string]bool   // addresses whose invitation has failed
	hang   int               // invitations that hang now
}

func openGate(t *testing.T, s *simulation) *gate {
	t.Helper()
	g := &gate{fate: map[string]string{}, failed: map[string]bool{}}
	proxy := forward(t, s.vars["SIM_GRAPH_URL"])
	proxy.Transport = s.client.Transport
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/invitations") {
			proxy.ServeHTTP(w, r)
			return
		}
		body := keepBody(r)
		var invitation struct{ InvitedUserEmailAddress string }
		if err := json.Unmarshal(body, &invitation); err != nil {
			t.Errorf("read an invitation: %v", err)
		}
		switch g.meet(invitation.InvitedUserEmailAddress) {
		case "hangs":
			<-r.Context().Done() // whoever asked is dead
		case "fails":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// meet notes an invitation and tells its fate.
func (g *gate) meet(address string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.fate[address] {
	case "hangs":
		g.hang++
	case "fails":
		g.failed[address] = true
	}
	return g.fate[address]
}

// decide sets the fate of people who are about to join.
func (g *gate) decide(fate string, people []map[string]any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range people {
		g.fate[p["mail"].(string)] = fate
	}
}

// lacks tells whether fewer people than these have met their fate.
func (g *gate) lacks(failed, hang int) (wrong string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.failed) < failed || g.hang < hang {
		return fmt.Sprintf("%d invitations have failed and %d hang, want %d and %d", len(g.failed), g.hang, failed, hang)
	}
	return ""
}

// trusted writes the authorities that serve has to trust.
func (g *gate) trusted(t *testing.T, s *simulation) (path string) {
	t.Helper()
	pool, err := os.ReadFile(s.vars["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "trusted.pem")
	pool = append(pool, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})...)
	if err := os.WriteFile(path, pool, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// open lets everybody pass from now on.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.fate)
}

// postbox is where Graph delivers notifications; it hands them on to serve, and remembers for whom it got a 202.
type postbox struct {
	*httptest.Server
	mu       sync.Mutex
	accepted map[string]bool // by user id
	closed   bool
}

func openPostbox(t *testing.T, listen string) *postbox {
	t.Helper()
	p := &postbox{accepted: map[string]bool{}}
	proxy := forward(t, "http://"+listen)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := keepBody(r)
		if p.isClosed() {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		p.note(body, answer.Code)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = answer.Body.WriteTo(w)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *postbox) note(body []byte, status int) {
	var notifications struct {
		Value []struct{ ResourceData struct{ ID string } }
	}
	if status != http.StatusAccepted || json.Unmarshal(body, &notifications) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range notifications.Value {
		p.accepted[n.ResourceData.ID] = true
	}
}

// close makes it swallow what comes from now on.
func (p *postbox) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

func (p *postbox) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// lacks tells which of the users no notification was accepted for.
func (p *postbox) lacks(ids []string) (missing []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if !p.accepted[id] {
			missing = append(missing, id)
		}
	}
	return missing
}

func forward(t *testing.T, to string) *httputil.ReverseProxy {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
}

// keepBody reads the body of a request that somebody else will read again.
func keepBody(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return body
}
