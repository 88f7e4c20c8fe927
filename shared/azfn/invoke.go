package azfn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenantsync/tenantsync/functions"
)

// Names of bindings.
const (
	bindingRequest  = "req"
	bindingResponse = "res"
	bindingMessage  = "msg"
)

// envelope serves the invocations of one function that come as an envelope.
func (h *handler) envelope(f functions.Function) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var outputs map[string]any
		err := h.observe(r, f.Name, func() error {
			// The body comes in chunks: its length is not known before.
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil {
				return fmt.Errorf("read envelope: %w", err)
			}
			outputs, err = invoke(r.Context(), f, body, r.RemoteAddr)
			return err
		})
		answer(w, outputs, err)
	}
}

// invoke decodes one envelope and runs the function with it. outputs are values for its output bindings, by name.
func invoke(ctx context.Context, f functions.Function, body []byte, remote string) (outputs map[string]any, err error) {
	in, err := decode(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, invocationLimit)
	defer cancel()
	if f.HTTP != nil {
		return invokeHTTP(ctx, f.HTTP.Handler, in, remote)
	}
	if f.Timer != nil {
		return nil, f.Timer.Run(ctx)
	}
	d, err := in.delivery(f.Queue.Name)
	if err != nil {
		return nil, err
	}
	return nil, f.Queue.Handle(ctx, d)
}

func invokeHTTP(ctx context.Context, handler http.Handler, in envelope, remote string) (map[string]any, error) {
	r, err := in.request(ctx)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = remote
	rec := &recorder{header: http.Header{}}
	handler.ServeHTTP(rec, r)
	out, err := rec.output()
	if err != nil {
		return nil, err
	}
	return map[string]any{bindingResponse: out}, nil
}

// answer writes every answer to an envelope, success or not. It must be JSON by its Content-Type, and an object: for
// an empty body or null the host waits until functionTimeout and then kills the process. Any status but 2xx fails the
// invocation, and the host reads nothing of the body then; what went wrong is there for people who call by hand.
func answer(w http.ResponseWriter, outputs map[string]any, failure error) {
	var result struct {
		Outputs     map[string]any
		Logs        []string
		ReturnValue any
	}
	result.Outputs, result.Logs = outputs, []string{}
	if outputs == nil {
		result.Outputs = map[string]any{}
	}
	status := http.StatusOK
	if failure != nil {
		status = http.StatusInternalServerError
		result.Logs = append(result.Logs, failure.Error())
	}
	body, err := json.Marshal(result)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"Outputs":{},"Logs":["the outputs are not JSON"],"ReturnValue":null}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // a host that hung up needs no answer
}

// recorder keeps the answer of an http.Handler, to be sent inside of an envelope.
type recorder struct {
	header http.Header
	sent   http.Header // header as it was when the status was sent
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 { // a 1xx has no place in an envelope
		r.status, r.sent = status, r.header.Clone()
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// output is the value of an http output binding.
func (r *recorder) output() (any, error) {
	r.WriteHeader(http.StatusOK)
	if !utf8.Valid(r.body.Bytes()) {
		return nil, errors.New("answer in an envelope: its body is not text; let the host proxy HTTP (enableProxyingHttpRequest)")
	}
	headers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.sent)) {
		headers[name] = strings.Join(r.sent[name], ", ")
	}
	if headers["Content-Type"] == "" && r.body.Len() > 0 {
		headers["Content-Type"] = http.DetectContentType(r.body.Bytes()) // as net/http does
	}
	return map[string]any{
		"statusCode": strconv.Itoa(r.status),
		"headers":    headers,
		"body":       r.body.String(),
	}, nil
}
