package azfntest

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// openFrontEnd begins to answer HTTP for the functions that have an HTTP trigger.
func (h *Host) openFrontEnd() error {
	listener := h.options.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	h.address = listener.Addr().String()
	h.frontEnd = &http.Server{Handler: http.HandlerFunc(h.serveHTTP), ReadHeaderTimeout: 10 * time.Second, TLSConfig: h.options.TLS}
	if h.options.TLS != nil {
		go h.frontEnd.ServeTLS(listener, "", "") // it ends with Stop
		return nil
	}
	go h.frontEnd.Serve(listener) // it ends with Stop
	return nil
}

func (h *Host) serveHTTP(w http.ResponseWriter, r *http.Request) {
	f, found := h.route(r)
	switch {
	case !found: // of another method too
		w.WriteHeader(http.StatusNotFound)
	case !authorized(f.trigger, r):
		w.WriteHeader(http.StatusUnauthorized)
	case h.options.HTTPMode == HTTPAsConfigured && h.app.isProxied(f):
		h.proxy(w, r, f)
	default:
		h.wrap(w, r, f)
	}
}

// route finds the function of a request. Routes know no case; without one, the name of the function is its route, and
// without methods it takes all.
func (h *Host) route(r *http.Request) (function, bool) {
	prefix := "api"
	if p := h.app.host.Extensions.HTTP.RoutePrefix; p != nil {
		prefix = *p
	}
	for _, f := range h.app.functions {
		if f.trigger.Type != "httpTrigger" {
			continue
		}
		route := f.name
		if f.trigger.Route != nil {
			route = *f.trigger.Route
		}
		path := "/" + strings.Trim(prefix+"/"+strings.Trim(route, "/"), "/")
		takes := len(f.trigger.Methods) == 0 || slices.ContainsFunc(f.trigger.Methods, func(m string) bool { return strings.EqualFold(m, r.Method) })
		if takes && strings.EqualFold(path, strings.TrimSuffix(r.URL.Path, "/")) {
			return f, true
		}
	}
	return function{}, false
}

// authorized checks the key of a function. The platform's default level is function.
func authorized(b binding, r *http.Request) bool {
	if strings.EqualFold(b.AuthLevel, "anonymous") {
		return true
	}
	key := r.Header.Get("x-functions-key")
	if key == "" {
		key = r.URL.Query().Get("code")
	}
	return subtle.ConstantTimeCompare([]byte(key), []byte(FunctionKey)) == 1
}

// proxy passes the request on as it is, and the answer back. A 5xx is an answer like any other. The older way of doing
// so, forwarding, loses a body that came in chunks.
func (h *Host) proxy(w http.ResponseWriter, r *http.Request, f function) {
	if !h.app.host.CustomHandler.EnableProxyingHTTPRequest && r.ContentLength < 0 {
		r = r.WithContext(r.Context()) // the server needs its own to stay as it is
		r.Body, r.ContentLength = http.NoBody, 0
	}
	called := false
	err := h.run(r.Context(), f, func(ctx context.Context, id string, p *process) ([]string, error) {
		called = true
		target, err := url.Parse(p.url)
		if err != nil {
			return nil, err
		}
		var failed error
		(&httputil.ReverseProxy{
			Transport:     h.client.Transport,
			FlushInterval: -1,
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(target)
				pr.SetXForwarded()
				pr.Out.Header.Set(invocationHeader, id)
				pr.Out.Header.Set(versionHeader, hostVersion)
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				failed = fmt.Errorf("%w: %w", errNoAnswer, err)
				w.WriteHeader(http.StatusBadGateway)
			},
		}).ServeHTTP(w, r.WithContext(ctx))
		return nil, failed
	})
	if err != nil && !called { // there is no handler
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// wrap puts the request into an envelope, and makes an answer of the http output binding.
func (h *Host) wrap(w http.ResponseWriter, r *http.Request, f function) {
	value, err := requestValue(r, h.URL())
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	got, err := h.invoke(r.Context(), f, value, map[string]any{})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if err := writeOutput(w, got.Outputs[f.output()]); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// requestValue is HttpRequestExtensions.GetRequestAsJObject. A body whose length is not known is dropped, as the host does.
func requestValue(r *http.Request, base string) (map[string]any, error) {
	query, params := map[string]string{}, map[string]string{}
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	headers := r.Header.Clone()
	headers.Set("Host", r.Host)
	value := map[string]any{
		"Url": base + r.URL.RequestURI(), "Method": r.Method, "Query": query, "Headers": headers, "Params": params,
		"Identities": []any{map[string]any{"AuthenticationType": nil, "IsAuthenticated": false, "Claims": []any{}}},
	}
	if r.ContentLength <= 0 {
		return value, nil
	}
	headers.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	value["Body"] = string(body)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/octet-stream" || strings.HasPrefix(kind, "multipart/") {
		value["Body"] = base64.StdEncoding.EncodeToString(body)
	}
	return value, nil
}

// writeOutput answers what an http output says: {"statusCode":"202","body":…,"headers":{…}}.
func writeOutput(w http.ResponseWriter, output json.RawMessage) error {
	var out struct {
		StatusCode any
		Body       any
		Headers    map[string]string
	}
	if len(output) == 0 {
		w.WriteHeader(http.StatusOK) // no output, no answer of its own
		return nil
	}
	if err := json.Unmarshal(output, &out); err != nil {
		return fmt.Errorf("the http output is no object: %w", err)
	}
	status := http.StatusOK
	if out.StatusCode != nil {
		var err error
		if status, err = strconv.Atoi(fmt.Sprint(out.StatusCode)); err != nil {
			return fmt.Errorf("the http output has a bad statusCode: %w", err)
		}
	}
	for name, value := range out.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	if text, ok := out.Body.(string); ok || out.Body == nil {
		io.WriteString(w, text) // a caller that hung up
		return nil
	}
	return json.NewEncoder(w).Encode(out.Body)
}
