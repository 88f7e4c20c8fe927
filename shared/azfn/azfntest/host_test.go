package azfntest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAnyAnswerMeansReady(t *testing.T) {
	h := roughApp(t, Options{}) // it answers GET / with 404
	if err := h.FireTimer("ok"); err != nil {
		t.Error(err)
	}
}

func TestTheHandlerRunsInTheFolderOfHostJSON(t *testing.T) {
	host := strings.Replace(hostJSON(t, ""), `"defaultExec`, `"arguments":["handle","%WHAT%"],"defaultExec`, 1)
	h := Start(t, stage(t, map[string]string{"host.json": host, "ok/function.json": timerJSON}),
		Options{Env: []string{childMode + "=rough", "WHAT=all"}})
	if lines := h.Lines(); len(lines) == 0 || lines[0].Text != "in "+h.app.dir+" with [handle all]" {
		t.Errorf("it printed %v, want the folder %s and its arguments", lines, h.app.dir)
	}
}

func TestAnswersThatFailAnInvocation(t *testing.T) {
	h := roughApp(t, Options{}, "untyped", "broken", "list", "fail")
	for name, want := range map[string]string{
		"untyped": `Content-Type "text/plain`, "broken": "invalid HttpResponseMessage", "list": "invalid HttpResponseMessage", "fail": "500",
	} {
		if err := h.FireTimer(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", name, err, want)
		}
	}
	if err := h.FireTimer("ok"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAnAnswerOfNothingHangsAndCostsTheProcess(t *testing.T) {
	for _, name := range []string{"empty", "null", "slow"} {
		t.Run(name, func(t *testing.T) {
			h := roughApp(t, Options{FunctionTimeout: 200 * time.Millisecond}, name)
			before, err := h.ready(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for range maxCrashes { // it is no crash, however often
				if err := h.FireTimer(name); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("got error %v, want a timeout", err)
				}
			}
			if err := h.FireTimer("ok"); err != nil {
				t.Fatal(err)
			}
			if after, _ := h.ready(t.Context(), nil); after == before {
				t.Error("the process is still the same")
			}
			if n := len(h.Invocations(name)); n != maxCrashes {
				t.Errorf("%d invocations", n)
			}
		})
	}
}

func TestTheThirdCrashEndsTheHost(t *testing.T) {
	h := roughApp(t, Options{}, "crash", "restart")
	for range 2 * maxCrashes { // asked for by the handler: no crash
		if err := h.FireTimer("restart"); err == nil {
			t.Fatal("an invocation without an answer succeeded")
		}
	}
	if err := h.Restart(); err != nil { // asked for by the platform
		t.Fatal(err)
	}
	if err := h.FireTimer("crash"); err == nil {
		t.Fatal("a crash succeeded")
	}
	if err := h.Kill(); err != nil {
		t.Fatalf("the second crash: %v", err)
	}
	if err := h.Kill(); err == nil || !strings.Contains(err.Error(), "exceeded http worker restart retry count") {
		t.Errorf("the third crash: %v", err)
	}
	if h.Down() == nil || h.FireTimer("ok") == nil {
		t.Error("the host goes on")
	}
}

func TestExitCode0IsNotRestarted(t *testing.T) {
	h := roughApp(t, Options{}, "leave")
	if err := h.FireTimer("leave"); err == nil {
		t.Fatal("it succeeded")
	}
	if err := h.FireTimer("ok"); err == nil || !strings.Contains(err.Error(), "code 0") {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAHandlerThatIsNeverReady(t *testing.T) {
	hasty := strings.Replace(hostJSON(t, ""), `"enableProxying`, `"initializationTimeout":"00:00:01","enableProxying`, 1)
	for name, test := range map[string]struct{ host, mode, want string }{
		"ends with 1":     {hostJSON(t, ""), "1", "exited with code 1"},
		"ends with 0":     {hostJSON(t, ""), "0", "exited with code 0"},
		"does not listen": {hasty, "deaf", "did not answer GET / within 1s"},
		"does not exist":  {`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"no such handler"}}}`, "", "no such handler"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := start(stage(t, map[string]string{"host.json": test.host, "ok/function.json": timerJSON}),
				Options{Env: []string{childMode + "=" + test.mode}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestStderrIsAnError(t *testing.T) {
	h := roughApp(t, Options{}, "print")
	if err := h.FireTimer("print"); err != nil {
		t.Fatal(err)
	}
	if got := h.Invocations("print")[0].Logs; !slices.Equal(got, []string{"a log"}) {
		t.Errorf("logs %q", got)
	}
	h.Stop() // by then all that was printed has been read
	for _, want := range []Line{{"Information", "to stdout"}, {"Warning", "a WARNing"}, {"Error", "an error"}} {
		if !slices.Contains(h.Lines(), want) {
			t.Errorf("no %v among %v", want, h.Lines())
		}
	}
}

func TestStopIsTheEnd(t *testing.T) {
	h := roughApp(t, Options{})
	p, err := h.ready(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Stop()
	h.Stop()
	select {
	case <-p.ended:
	default:
		t.Error("the process lives on")
	}
	if err := h.FireTimer("ok"); !errors.Is(err, errStopped) {
		t.Errorf("afterwards: %v", err)
	}
}

// do sends a request and reads the answer.
func do(t *testing.T, method, url string, body io.Reader, header ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestHTTPReachesTheFunctionInEveryMode(t *testing.T) {
	proxied := hostJSON(t, "")
	for name, test := range map[string]struct {
		host    string
		mode    HTTPMode
		chunked string // what is left of a body that comes in chunks
	}{
		"proxied":             {proxied, HTTPAsConfigured, "hello"},
		"forwarded":           {strings.Replace(proxied, "enableProxying", "enableForwarding", 1), HTTPAsConfigured, ""},
		"in an envelope":      {strings.Replace(proxied, `,"enableProxyingHttpRequest":true`, "", 1), HTTPAsConfigured, ""},
		"by a host that must": {proxied, HTTPEnvelope, ""},
	} {
		t.Run(name, func(t *testing.T) {
			listener := free(t)
			h := Start(t, stage(t, map[string]string{
				"host.json": test.host, "web/function.json": webJSON, "locked/function.json": lockedJSON,
				"work/deeper/function.json": `no function, for it is two levels deep`,
			}), Options{Env: []string{childMode + "=azfn"}, HTTPMode: test.mode, Listener: listener})
			if want := "http://" + listener.Addr().String(); h.URL() != want {
				t.Errorf("URL %s, want %s", h.URL(), want)
			}
			url := h.URL() + "/api/a/b?x=%20y"
			status, text, header := do(t, "POST", url, strings.NewReader("hello"), "X-Echo", "e")
			if status != http.StatusAccepted || text != "POST /api/a/b?x=%20y hello" || header.Get("X-Echo") != "e" {
				t.Errorf("%d %q %v", status, text, header)
			}
			if _, text, _ = do(t, "POST", url, io.MultiReader(strings.NewReader("hello"))); text != "POST /api/a/b?x=%20y "+test.chunked {
				t.Errorf("in chunks: %q", text)
			}
			for _, r := range []struct {
				method, path, key string
				want              int
			}{
				{"GET", "/api/a/b", "", 404},
				{"POST", "/api/nobody", "", 404},
				{"POST", "/web", "", 404},
				{"GET", "/api/locked", "", 401},
				{"GET", "/api/locked", "wrong", 401},
				{"GET", "/api/locked", FunctionKey, 202},
				{"GET", "/api/locked?code=" + FunctionKey, "", 202},
				{"GET", "/API/Locked", FunctionKey, 202},
			} {
				if status, _, _ := do(t, r.method, h.URL()+r.path, nil, "x-functions-key", r.key); status != r.want {
					t.Errorf("%s %s: status %d, want %d", r.method, r.path, status, r.want)
				}
			}
			for _, i := range h.Invocations("web") {
				if i.Err != nil || !logged(h, i.ID) {
					t.Errorf("invocation %+v, logged %v", i, logged(h, i.ID))
				}
			}
		})
	}
}

// logged says whether the handler has printed the id of the invocation.
func logged(h *Host, id string) bool {
	h.Stop() // by then all that was printed has been read
	return slices.ContainsFunc(h.Lines(), func(l Line) bool { return strings.Contains(l.Text, id) })
}

func TestAHandlerThatCannotAnswerIsABadGateway(t *testing.T) {
	h := Start(t, stage(t, map[string]string{
		"host.json": hostJSON(t, ""), "web/function.json": strings.Replace(webJSON, "a/b", "slow", 1),
	}), Options{Env: []string{childMode + "=rough"}, FunctionTimeout: 200 * time.Millisecond})
	// rough knows /slow, not /api/slow: what it answers there is an answer.
	if status, _, _ := do(t, "POST", h.URL()+"/api/slow", nil); status != 200 {
		t.Errorf("status %d", status)
	}
	for range maxCrashes {
		h.Kill() // the last one says that it is the last
	}
	if status, _, _ := do(t, "POST", h.URL()+"/api/slow", nil); status != http.StatusServiceUnavailable {
		t.Errorf("without a handler: status %d", status)
	}
}
