package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// maxErrorBody is how much of an error answer is read. Graph's are about 400 bytes.
const maxErrorBody = 64 << 10

// exchange is the last step before the wire. It hands every error answer to the SDK in the one shape the SDK can
// read: the SDK fails on an HTML page of a gateway, on a date without a zone (which Graph sends), and panics when there is no message.
type exchange struct {
	next   http.RoundTripper
	tenant string
	logger *slog.Logger
	now    func() time.Time
}

func (e exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	begin := e.now()
	if provisioning.Bulk(r.Context()) {
		r = r.Clone(r.Context()) // a RoundTripper must not change what it got
		r.Header.Set("x-ms-throttle-priority", "low")
	}
	answer, err := e.next.RoundTrip(r)
	// The query is left out: filters hold addresses.
	noted := provisioning.Request{Method: r.Method, Path: r.URL.Path}
	if err != nil {
		provisioning.Note(r.Context(), noted)
		return nil, err
	}
	noted.Status, noted.ID = answer.StatusCode, answer.Header.Get("request-id")
	provisioning.Note(r.Context(), noted)
	e.logger.DebugContext(r.Context(), "graph request", "tenant", e.tenant, "method", noted.Method, "path", noted.Path,
		"status", noted.Status, "requestID", noted.ID, "took", e.now().Sub(begin))
	if answer.StatusCode >= http.StatusBadRequest {
		if err := plainError(answer); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// errorBody is Graph's error envelope, as far as we use it. innerError is written in two ways; Go's decoder takes both.
type errorBody struct {
	Error struct {
		Code       string `json:"code"`
		Message    string `json:"message"`
		InnerError struct {
			RequestID string `json:"request-id,omitempty"`
		} `json:"innerError"`
	} `json:"error"`
}

// plainError replaces the body of an error answer. A body that is not Graph's gets an empty code.
func plainError(answer *http.Response) error {
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody))
	if err != nil {
		return fmt.Errorf("read the error answer: %w", err)
	}
	var body errorBody
	if err := json.Unmarshal(raw, &body); err != nil {
		body = errorBody{}
	}
	if body.Error.Code == "" {
		body.Error.Message = fmt.Sprintf("the answer (%d bytes of %q) is not in Graph's error format; is there a gateway between?",
			len(raw), answer.Header.Get("Content-Type"))
	}
	if body.Error.InnerError.RequestID == "" {
		body.Error.InnerError.RequestID = answer.Header.Get("request-id")
	}
	plain, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("rewrite the error answer: %w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(plain))
	answer.ContentLength = int64(len(plain))
	answer.Header.Set("Content-Type", "application/json")
	answer.Header.Set("Content-Length", strconv.Itoa(len(plain)))
	return nil
}
