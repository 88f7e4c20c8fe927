package status_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	function "github.com/tenantsync/tenantsync/functions/status"
	"github.com/tenantsync/tenantsync/shared/status"
)

type reporter struct{ err error }

func (r reporter) Report(context.Context) (status.Report, error) {
	return status.Report{Queues: []status.Queue{{Name: "changes"}}, Problems: []string{}}, r.err
}

func TestTheReportOrWhyThereIsNone(t *testing.T) {
	for _, tt := range []struct {
		method string
		err    error
		status int
		body   string
	}{
		{http.MethodGet, nil, http.StatusOK, `"queues":[{"name":"changes","active":0,"scheduled":0,"deadLettered":0}],"timers":null,"problems":[]`},
		{http.MethodGet, errors.New("the bus is away"), http.StatusInternalServerError, `{"error":"the bus is away"}`},
		{http.MethodPost, nil, http.StatusMethodNotAllowed, `{"error":"use GET"}`},
	} {
		rec := httptest.NewRecorder()
		(&function.Handler{Reporter: reporter{tt.err}, Log: slog.New(slog.DiscardHandler)}).ServeHTTP(rec, httptest.NewRequest(tt.method, "/api/status", nil))
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.body) || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s, %v: %d %s", tt.method, tt.err, rec.Code, rec.Body)
		}
	}
}
