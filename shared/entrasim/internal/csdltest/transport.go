package csdltest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// Transport checks every JSON answer of Graph that passes through it.
type Transport struct {
	Next  http.RoundTripper
	Model *Model
	// Found is told of each problem; it must not block.
	Found func(r *http.Request, problem string)
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Next.RoundTrip(r)
	if err != nil || r.Method == http.MethodHead || !strings.HasPrefix(r.URL.Path, "/v1.0/") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil { // an answer that was cut off is nobody's to check
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
		return resp, nil
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	for _, problem := range t.Model.Check(resp.StatusCode, body) {
		t.Found(r, problem)
	}
	return resp, nil
}

// CloseIdleConnections is what http.Client asks of its transport.
func (t Transport) CloseIdleConnections() {
	if next, can := t.Next.(interface{ CloseIdleConnections() }); can {
		next.CloseIdleConnections()
	}
}

// broken is the end of a body that was cut off.
type broken struct{ error }

func (b broken) Read([]byte) (int, error) { return 0, b.error }
