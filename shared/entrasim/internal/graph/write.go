package graph

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// errorBody is the envelope of every Graph error.
type errorBody struct {
	Error struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Details []fault.Detail `json:"details,omitempty"`
		Inner   innerError     `json:"innerError"`
	} `json:"error"`
}

type innerError struct {
	Date            string `json:"date"` // without a zone
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

func (s *Service) envelope(c *call, f *fault.Fault) errorBody {
	var b errorBody
	b.Error.Code, b.Error.Message, b.Error.Details = f.Code, f.Message, f.Details
	b.Error.Inner = innerError{
		Date:            s.Now().UTC().Format("2006-01-02T15:04:05"),
		RequestID:       c.id,
		ClientRequestID: c.clientID,
	}
	return b
}

func (s *Service) write(w http.ResponseWriter, c *call, a answer) {
	h := w.Header()
	for _, more := range []http.Header{c.header, a.header} {
		maps.Copy(h, more)
	}
	h.Set("request-id", c.id)
	h.Set("client-request-id", c.clientID)
	h.Set("Cache-Control", "no-cache")
	switch body := a.body.(type) {
	case nil:
		w.WriteHeader(a.status)
	case string:
		h.Set("Content-Type", "text/plain")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, body) // the client may be gone
	default:
		s.writeJSON(w, c, a)
	}
}

func (s *Service) writeJSON(w http.ResponseWriter, c *call, a answer) {
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("Content-Type",
		"application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	w.WriteHeader(a.status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(a.body); err != nil {
		s.Logger.Debug("answer not written", "request", c.id, "error", err)
	}
}
