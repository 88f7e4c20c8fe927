// Package azfn feeds the functions from the Azure Functions host, as a custom handler.
//
// It decides how the host's calls become calls of the table of functions, and how their results become answers the
// host understands:
//
//	GET  /                 the host asks whether we are there; any answer means yes
//	POST /<function>       one invocation as a JSON envelope: timers, queues, and HTTP when the host does not proxy it
//	any  /api/<route>      the HTTP request itself (enableProxyingHttpRequest or enableForwardingHttpRequest)
//
// Names of bindings in function.json are the ones the samples of the platform use: req and res, msg, timer. Another
// name for the trigger works too when it is the only input.
//
// Host source: src/WebJobs.Script/Workers/Http of Azure/azure-functions-host.
package azfn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/functions"
)

// invocationHeader carries the id of the invocation. The host does not add it to the lines a handler prints.
const invocationHeader = "X-Azure-Functions-InvocationId"

// invocationLimit ends the context of an invocation before the host loses patience: a function that
// runs into functionTimeout (5 minutes on the Consumption plan) gets the whole process killed, and everything in it.
// The platform hangs up on HTTP requests after 230 seconds, so nothing may take longer than that either.
const invocationLimit = 220 * time.Second

// maxBody bounds what one call may send, in bytes: a request of 5 MB in an envelope, base64 and JSON escapes included.
const maxBody = 32 << 20

// functionName is what the host accepts (it also refuses "host"); fixedRoute is a route without parameters.
var (
	functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)
	fixedRoute   = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)
	httpMethod   = regexp.MustCompile(`^[A-Z]+$`)
)

// Handler serves the table. It refuses a table that the host could not call: names and routes must be unique, whatever
// their case, and every function needs exactly one complete trigger.
func Handler(table []functions.Function, log *slog.Logger) (http.Handler, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &handler{mux: http.NewServeMux(), log: log, now: time.Now}
	patterns := map[string]string{} // pattern → the function that has it
	add := func(f functions.Function, pattern string, handle http.HandlerFunc) error {
		if other, taken := patterns[pattern]; taken {
			return fmt.Errorf("functions %s and %s both answer %s", other, f.Name, pattern)
		}
		patterns[pattern] = f.Name
		h.mux.HandleFunc(pattern, handle)
		return nil
	}
	h.mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {}) // 200
	var errs []error
	for _, f := range table {
		if err := check(f); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, add(f, "POST /"+strings.ToLower(f.Name), h.envelope(f)))
		if f.HTTP == nil {
			continue
		}
		for _, method := range f.HTTP.Methods {
			errs = append(errs, add(f, method+" /api/"+strings.ToLower(f.HTTP.Route), h.raw(f)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return h, nil
}

func check(f functions.Function) error {
	if !functionName.MatchString(f.Name) || strings.EqualFold(f.Name, "host") {
		return fmt.Errorf("function %q: the name must be a letter followed by at most 127 letters, digits, - or _, and not host", f.Name)
	}
	triggers := 0
	for _, has := range []bool{f.HTTP != nil, f.Timer != nil, f.Queue != nil} {
		if has {
			triggers++
		}
	}
	switch {
	case triggers != 1:
		return fmt.Errorf("function %s: it has %d triggers instead of one", f.Name, triggers)
	case f.Timer != nil && f.Timer.Run == nil, f.Queue != nil && f.Queue.Handle == nil, f.HTTP != nil && f.HTTP.Handler == nil:
		return fmt.Errorf("function %s: it does nothing", f.Name)
	case f.HTTP != nil && !fixedRoute.MatchString(f.HTTP.Route):
		return fmt.Errorf("function %s: route %q is not a fixed path like a/b", f.Name, f.HTTP.Route)
	case f.HTTP != nil && len(f.HTTP.Methods) == 0:
		return fmt.Errorf("function %s: it has no methods", f.Name)
	}
	if f.HTTP != nil {
		for _, m := range f.HTTP.Methods {
			if !httpMethod.MatchString(m) {
				return fmt.Errorf("function %s: %q is not a method", f.Name, m)
			}
		}
	}
	return nil
}

// handler is the table as an http.Handler. The patterns of mux are lower-case.
type handler struct {
	mux *http.ServeMux
	log *slog.Logger
	now func() time.Time
}

// ServeHTTP finds the function whatever the case of the path, as the host does, and gives it the request unchanged.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, _ := h.mux.Handler(&http.Request{
		Method: r.Method, Host: r.Host, URL: &url.URL{Path: strings.ToLower(r.URL.Path)},
	})
	found.ServeHTTP(w, r)
}

// raw hands over the request as it came. What the function answers goes to the caller, a 5xx too.
func (h *handler) raw(f functions.Function) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := &statusWriter{ResponseWriter: w}
		ctx, cancel := context.WithTimeout(r.Context(), invocationLimit)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := h.observe(r, f.Name, func() error {
			f.HTTP.Handler.ServeHTTP(answer, r)
			return nil
		})
		if err != nil && answer.status == 0 {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	}
}

// observe runs one invocation and logs how it ended, in one line. A panic ends the invocation, not the process, which
// has others in flight.
func (h *handler) observe(r *http.Request, function string, run func() error) (err error) {
	began := h.now()
	log := h.log.With("function", function, "invocation_id", r.Header.Get(invocationHeader))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			log = log.With("stack", string(debug.Stack()))
		}
		log = log.With("ms", h.now().Sub(began).Milliseconds())
		if err != nil {
			log.ErrorContext(r.Context(), "invocation failed", "error", err)
			return
		}
		log.InfoContext(r.Context(), "invocation done")
	}()
	return run()
}

// statusWriter remembers the status that was sent; 0 when none was.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // a 1xx is not the answer yet
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}
