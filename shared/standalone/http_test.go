package standalone

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions"
)

// says is an HTTP function that answers with its name and what it got.
func says(name string, keyed bool) functions.Function {
	return functions.Function{Name: name, HTTP: &functions.HTTP{Route: name, Methods: []string{http.MethodPost}, Keyed: keyed,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, name+" got "+string(body))
		})}}
}

func TestRequestsFindTheirFunction(t *testing.T) {
	h := &Host{Functions: []functions.Function{says("notifications", false), says("replay", true)}, AdminKey: "the key", Log: slog.New(slog.DiscardHandler)}
	for _, tt := range []struct {
		name, method, path, key string
		status                  int
		body                    string
	}{
		{name: "an open function answers anybody", method: "POST", path: "/api/notifications", status: 200, body: "notifications got it"},
		{name: "a query does not matter", method: "POST", path: "/api/notifications?validationToken=x", status: 200, body: "notifications got it"},
		{name: "somebody is there", method: "GET", path: "/", status: 200, body: "tenantsync is here\n"},
		{name: "without the prefix there is nothing", method: "POST", path: "/notifications", status: 404},
		{name: "below a function there is nothing", method: "POST", path: "/api/notifications/x", status: 404},
		{name: "an unknown function is not there", method: "POST", path: "/api/unknown", status: 404},
		{name: "a keyed function is closed", method: "POST", path: "/api/replay", status: 401},
		{name: "a wrong key does not open it", method: "POST", path: "/api/replay", key: "the kez", status: 401},
		{name: "a part of the key does not open it", method: "POST", path: "/api/replay", key: "the", status: 401},
		{name: "the key in the header opens it", method: "POST", path: "/api/replay", key: "the key", status: 200, body: "replay got it"},
		{name: "the key in the query opens it", method: "POST", path: "/api/replay?code=the+key", status: 200, body: "replay got it"},
		{name: "a wrong code in the query does not", method: "POST", path: "/api/replay?code=x", status: 401},
		{name: "the header goes before the query", method: "POST", path: "/api/replay?code=the+key", key: "x", status: 401},
		{name: "an open function asks for no key", method: "POST", path: "/api/notifications", key: "x", status: 200, body: "notifications got it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader("it"))
			if tt.key != "" {
				r.Header.Set("x-functions-key", tt.key)
			}
			w := httptest.NewRecorder()
			h.Handler().ServeHTTP(w, r)
			if w.Code != tt.status || (tt.body != "" && w.Body.String() != tt.body) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
			}
		})
	}
}

func TestWithoutAKeyKeyedFunctionsStayClosed(t *testing.T) {
	h := &Host{Functions: []functions.Function{says("replay", true)}, Log: slog.New(slog.DiscardHandler)}
	for _, path := range []string{"/api/replay", "/api/replay?code=", "/api/replay?code=x"} {
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", path, w.Code)
		}
	}
}

// serve runs a host on loopback and returns its address, and stop, which waits for its end.
func serve(t *testing.T, h *Host) (address string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx, ln) }()
	return "http://" + ln.Addr().String(), func() error { cancel(); return <-ended }
}

func TestARequestInProgressIsFinishedAfterTheOrderToStop(t *testing.T) {
	inside, mayEnd := make(chan struct{}), make(chan struct{})
	slow := functions.Function{Name: "slow", HTTP: &functions.HTTP{Route: "slow", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-mayEnd
		_, _ = io.WriteString(w, "done")
	})}}
	address, stop := serve(t, &Host{Functions: []functions.Function{slow}, Log: slog.New(slog.DiscardHandler)})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(address + "/api/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-inside
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for open := true; open; { // until the listener is closed
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if open = err == nil; open {
			conn.Close()
			time.Sleep(time.Millisecond)
		}
	}
	close(mayEnd)
	if got := <-answer; got != "done" {
		t.Errorf("the request in progress got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAListenerThatBreaksEndsTheHost(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	stopped := make(chan struct{})
	waits := functions.Function{Name: "timer", Timer: &functions.Timer{Every: time.Hour, Run: func(context.Context) error { close(stopped); return nil }}}
	err = (&Host{Functions: []functions.Function{waits}, Log: slog.New(slog.DiscardHandler)}).Run(t.Context(), ln)
	if err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Run = %v, want the error of the listener", err)
	}
	<-stopped
}
