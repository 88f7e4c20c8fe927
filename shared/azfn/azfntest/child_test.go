package azfntest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/shared/azfn"
	"github.com/tenantsync/tenantsync/shared/change"
)

// childMode makes this test binary, started again by a host, a custom handler of some kind.
const childMode = "AZFNTEST_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	if mode == "deaf" {
		time.Sleep(time.Minute) // it is killed long before
	}
	code, err := strconv.Atoi(mode)
	if err == nil {
		os.Exit(code) // before it listens
	}
	handler := http.Handler(http.HandlerFunc(rough))
	if mode == "azfn" {
		if handler, err = azfn.Handler(table(), slog.New(slog.NewJSONHandler(os.Stdout, nil))); err != nil {
			panic(err)
		}
	}
	fmt.Println("in", cwd(), "with", os.Args[1:])
	listener, err := azfn.Listen(context.Background(), os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"))
	if err != nil {
		panic(err)
	}
	panic(azfn.Serve(context.Background(), listener, handler))
}

func cwd() string {
	dir, err := os.Getwd()
	if err != nil {
		return err.Error()
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return err.Error()
	}
	return dir
}

// rough is a handler that answers each function the way its name says.
func rough(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	typed := func(kind, body string) {
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, body)
	}
	switch r.URL.Path {
	case "/":
		w.WriteHeader(http.StatusNotFound) // is an answer
	case "/empty":
	case "/null":
		typed("application/json", " null\n")
	case "/untyped":
		io.WriteString(w, `{"Outputs":{}}`)
	case "/broken":
		typed("application/json", `{"Outputs":`)
	case "/list":
		typed("application/json", `[]`)
	case "/fail":
		w.WriteHeader(http.StatusInternalServerError)
	case "/slow":
		fmt.Println("slow begins")
		<-r.Context().Done()
	case "/crash":
		os.Exit(1)
	case "/restart":
		os.Exit(200)
	case "/leave":
		os.Exit(0)
	case "/print":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "a WARNing")
		fmt.Fprint(os.Stderr, "an error\n")
		typed("application/json", `{"logs":["a log"]}`)
	default:
		typed("application/json; charset=utf-8", `{"Outputs":{},"Logs":[],"ReturnValue":null}`)
	}
}

// table is a decent app, to be served by azfn.
func table() []functions.Function {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Echo", r.Header.Get("X-Echo"))
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	}
	return []functions.Function{
		{Name: "web", HTTP: &functions.HTTP{Route: "a/b", Methods: []string{"POST"}, Handler: http.HandlerFunc(echo)}},
		{Name: "locked", HTTP: &functions.HTTP{Route: "locked", Methods: []string{"GET"}, Handler: http.HandlerFunc(echo)}},
		{Name: "tick", Timer: &functions.Timer{Every: time.Minute, Run: func(context.Context) error { return nil }}},
		{Name: "work", Queue: &functions.Queue{Name: "changes", Handle: func(_ context.Context, d change.Delivery) error {
			fmt.Printf("delivery %d of %s: %s\n", d.DeliveryCount, d.MessageID, d.Body)
			if string(d.Body) == "fail" {
				return errors.New("asked to fail")
			}
			return nil
		}}},
	}
}

// Function files.
const (
	timerJSON  = `{"bindings":[{"type":"timerTrigger","name":"timer","direction":"in","schedule":"0 */5 * * * *"}]}`
	webJSON    = `{"bindings":[{"type":"httpTrigger","name":"req","direction":"in","authLevel":"anonymous","methods":["post"],"route":"a/b"},{"type":"http","name":"res","direction":"out"}]}`
	lockedJSON = `{"bindings":[{"type":"httpTrigger","name":"req","direction":"in","authLevel":"function"},{"type":"http","name":"res","direction":"out"}]}`
	queueJSON  = `{"bindings":[{"type":"serviceBusTrigger","name":"msg","direction":"in","queueName":"%QUEUE%","connection":"Bus","dataType":"binary"}]}`
)

// hostJSON is a host.json whose handler is this test binary; more are further members.
func hostJSON(t *testing.T, more string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, err := json.Marshal(exe)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":%s},"enableProxyingHttpRequest":true}%s}`, path, more)
}

// stage writes the files of an app.
func stage(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// roughApp starts a host whose functions are timers with the names that rough knows.
func roughApp(t *testing.T, options Options, names ...string) *Host {
	t.Helper()
	files := map[string]string{"host.json": hostJSON(t, ""), "ok/function.json": timerJSON}
	for _, name := range names {
		files[name+"/function.json"] = timerJSON
	}
	options.Env = append(options.Env, childMode+"=rough")
	return Start(t, stage(t, files), options)
}

// free is a listener on a free port.
func free(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
