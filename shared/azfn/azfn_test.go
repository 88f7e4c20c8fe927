package azfn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/shared/change"
)

// app is a table with one function of each trigger; the fields say what they do and what they got.
type app struct {
	http  http.HandlerFunc
	timer func(context.Context) error
	queue func(context.Context, change.Delivery) error
	log   bytes.Buffer
}

func (a *app) handler(t *testing.T) http.Handler {
	t.Helper()
	h, err := Handler([]functions.Function{
		{Name: "notify", HTTP: &functions.HTTP{Route: "notifications", Methods: []string{"POST"}, Handler: a.http}},
		{Name: "renew", Timer: &functions.Timer{Every: time.Minute, Run: func(ctx context.Context) error { return a.timer(ctx) }}},
		{Name: "provision", Queue: &functions.Queue{Name: "changes", Handle: func(ctx context.Context, d change.Delivery) error { return a.queue(ctx, d) }}},
	}, slog.New(slog.NewJSONHandler(&a.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (a *app) post(t *testing.T, path string, body []byte) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, io.MultiReader(bytes.NewReader(body))) // no Content-Length
	r.Header.Set(invocationHeader, "inv-1")
	w := httptest.NewRecorder()
	a.handler(t).ServeHTTP(w, r)
	return w.Result()
}

// logged is the one line the app has logged.
func (a *app) logged(t *testing.T) map[string]any {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal(a.log.Bytes(), &line); err != nil {
		t.Fatalf("want one line: %v\n%s", err, a.log.String())
	}
	return line
}

type result struct {
	Outputs map[string]struct {
		StatusCode string
		Headers    map[string]string
		Body       string
	}
	Logs        []string
	ReturnValue any
}

// answered checks what the host insists on, whatever the status, and reads it.
func answered(t *testing.T, resp *http.Response) result {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(body, []byte("{")) {
		t.Fatalf("the answer is no object: %q", body)
	}
	var r result
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadinessAnswersAtOnce(t *testing.T) {
	w := httptest.NewRecorder()
	new(app).handler(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func TestEnvelopeReachesTheFunction(t *testing.T) {
	var ran string
	a := &app{
		timer: func(context.Context) error { ran = "timer"; return nil },
		queue: func(_ context.Context, d change.Delivery) error { ran = d.Queue + " " + string(d.Body); return nil },
	}
	for _, test := range []struct{ path, file, want string }{
		{"/renew", "timer.json", "timer"},
		{"/provision", "servicebus-binary.json", `changes {"a":1}`},
	} {
		a.log.Reset()
		resp := a.post(t, test.path, sample(t, test.file))
		if answered(t, resp); resp.StatusCode != http.StatusOK || ran != test.want {
			t.Errorf("%s: status %d, ran %q", test.path, resp.StatusCode, ran)
		}
		if line := a.logged(t); line["invocation_id"] != "inv-1" || line["function"] != test.path[1:] || line["msg"] != "invocation done" {
			t.Errorf("log line %v", line)
		}
	}
}

func TestInvocationsEndBeforeTheHostKillsTheProcess(t *testing.T) {
	a := &app{timer: func(ctx context.Context) error {
		end, ok := ctx.Deadline()
		if left := time.Until(end); !ok || left > 5*time.Minute {
			return fmt.Errorf("it may take %s", left)
		}
		return nil
	}}
	if resp := a.post(t, "/renew", sample(t, "timer.json")); resp.StatusCode != http.StatusOK {
		t.Error(answered(t, resp).Logs)
	}
}

func TestFailureIsJSONWithStatus500(t *testing.T) {
	for name, test := range map[string]struct {
		body  string
		queue func(context.Context, change.Delivery) error
		want  string
	}{
		"the function fails":  {"", func(context.Context, change.Delivery) error { return errors.New("bus is down") }, "bus is down"},
		"the function panics": {"", func(context.Context, change.Delivery) error { panic("oh") }, "panic: oh"},
		"no JSON":             {"<x>", nil, "decode envelope"},
		"null":                {"null", nil, "decode envelope"},
		"empty":               {" ", nil, "decode envelope"},
		"too long":            {strings.Repeat(" ", maxBody+1), nil, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{queue: test.queue}
			body := []byte(test.body)
			if test.body == "" {
				body = sample(t, "servicebus-binary.json")
			}
			resp := a.post(t, "/provision", body)
			logs := answered(t, resp).Logs
			if resp.StatusCode != http.StatusInternalServerError || len(logs) != 1 || !strings.Contains(logs[0], test.want) {
				t.Errorf("status %d, logs %q", resp.StatusCode, logs)
			}
			if line := a.logged(t); line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["error"]), test.want) {
				t.Errorf("log line %v", line)
			}
		})
	}
}

func TestHTTPInAnEnvelope(t *testing.T) {
	a := &app{http: func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Query", r.URL.Query().Get("validationToken"))
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Header().Set("X-Late", "never sent")
		w.Write(body)
	}}
	resp := a.post(t, "/notify", sample(t, "http.json"))
	res := answered(t, resp).Outputs["res"]
	if resp.StatusCode != http.StatusOK { // the invocation went well: its answer is a 503
		t.Errorf("status %d", resp.StatusCode)
	}
	if res.StatusCode != "503" || res.Body != `{"a":1}` || res.Headers["X-Query"] != "a b" || res.Headers["X-Late"] != "" ||
		res.Headers["Content-Type"] != "text/plain; charset=utf-8" {
		t.Errorf("%+v", res)
	}
}

func TestHTTPInAnEnvelopeIsText(t *testing.T) {
	a := &app{http: func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0xff}) }}
	if resp := a.post(t, "/notify", sample(t, "http.json")); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", resp.StatusCode)
	}
	a = &app{http: func(http.ResponseWriter, *http.Request) {}}
	if res := answered(t, a.post(t, "/notify", sample(t, "http.json"))).Outputs["res"]; res.StatusCode != "200" || res.Body != "" {
		t.Errorf("an empty answer: %+v", res)
	}
}

func TestProxiedHTTPReachesTheFunctionAsItIs(t *testing.T) {
	a := &app{http: func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s", r.RequestURI, body)
	}}
	resp := a.post(t, "/API/Notifications?a=%20b", []byte("x")) // routes know no case
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusAccepted || string(body) != "/API/Notifications?a=%20b x" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if line := a.logged(t); line["invocation_id"] != "inv-1" {
		t.Errorf("log line %v", line)
	}
}

func TestProxiedHTTPSurvivesAPanic(t *testing.T) {
	a := &app{http: func(http.ResponseWriter, *http.Request) { panic("oh") }}
	if resp := a.post(t, "/api/notifications", nil); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", resp.StatusCode)
	}
	a = &app{http: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "half"); panic("oh") }}
	if resp := a.post(t, "/api/notifications", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("the status was sent already, and became %d", resp.StatusCode)
	}
}

func TestProxiedHTTPHasABodyLimit(t *testing.T) {
	a := &app{http: func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}}
	if resp := a.post(t, "/api/notifications", make([]byte, maxBody+1)); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestUnknownPathsAndMethodsAreRefused(t *testing.T) {
	for path, want := range map[string]int{
		"GET /api/notifications": http.StatusMethodNotAllowed, "POST /api/renew": http.StatusNotFound,
		"POST /nobody": http.StatusNotFound, "GET /renew": http.StatusMethodNotAllowed,
	} {
		method, target, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		new(app).handler(t).ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

func TestHandlerRefusesABadTable(t *testing.T) {
	ok := http.NotFoundHandler()
	web := func(name, route string, methods ...string) functions.Function {
		return functions.Function{Name: name, HTTP: &functions.HTTP{Route: route, Methods: methods, Handler: ok}}
	}
	run := &functions.Timer{Run: func(context.Context) error { return nil }}
	for want, table := range map[string][]functions.Function{
		"0 triggers":         {{Name: "a"}},
		"2 triggers":         {{Name: "a", Timer: run, Queue: &functions.Queue{}}},
		"it does nothing":    {{Name: "a", Timer: &functions.Timer{}}},
		"the name must":      {{Name: "1a", Timer: run}},
		"and not host":       {{Name: "Host", Timer: run}},
		"no methods":         {web("a", "r")},
		"is not a method":    {web("a", "r", "post")},
		"not a fixed path":   {web("a", "r/{id}", "GET")},
		"both answer POST /": {{Name: "same", Timer: run}, {Name: "Same", Timer: run}},
		"POST /api/r":        {web("a", "r", "POST"), web("b", "R", "POST")},
	} {
		if _, err := Handler(table, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

func TestServeAnswersUntilToldToStop(t *testing.T) {
	listener, err := Listen(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	inside, leave := make(chan bool), make(chan bool)
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, listener, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside <- true; <-leave }))
	}()
	answer := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + listener.Addr().String())
		if err == nil {
			err = resp.Body.Close()
		}
		answer <- err
	}()
	<-inside
	stop()
	close(leave)
	if err := <-answer; err != nil {
		t.Errorf("what was in flight: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	other, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := Listen(t.Context(), port); err == nil {
		t.Error("two listen on one port")
	}
}
