package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/functions/replay"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
)

// bus reports what the test says, and keeps the requests it got.
type bus struct {
	report   deadletter.Report
	err      error
	requests []deadletter.Request
}

func (b *bus) Replay(_ context.Context, r deadletter.Request) (deadletter.Report, error) {
	b.requests = append(b.requests, r)
	if r.Queue != change.QueueChanges {
		return deadletter.Report{}, nil
	}
	return b.report, b.err
}

func call(b *bus, method, body string) *httptest.ResponseRecorder {
	h := &replay.Handler{Bus: b, Log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/api/replay", strings.NewReader(body)))
	return w
}

func TestARequestChoosesLetters(t *testing.T) {
	all := deadletter.Request{Queue: change.QueueChanges, Max: deadletter.DefaultReplay}
	for _, tt := range []struct {
		name, body string
		want       func(*deadletter.Request)
	}{
		{name: "no body takes the oldest thousand", body: ""},
		{name: "an empty object is the same", body: "{}"},
		{name: "white space around it does not matter", body: " \n{}\n "},
		{name: "by route, user and reason", body: `{"route":"fabrikam-us→contoso","user":"u1","reason":"ambiguous match"}`, want: func(r *deadletter.Request) {
			r.Filter = deadletter.Filter{Route: "fabrikam-us→contoso", User: "u1", Reason: "ambiguous match"}
		}},
		{name: "fewer", body: `{"max":1}`, want: func(r *deadletter.Request) { r.Max = 1 }},
		{name: "as many as there may be", body: `{"max":10000}`, want: func(r *deadletter.Request) { r.Max = deadletter.MaxReplay }},
		{name: "only counting", body: `{"dryRun":true}`, want: func(r *deadletter.Request) { r.DryRun = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &bus{}
			if w := call(b, http.MethodPost, tt.body); w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			want := all
			if tt.want != nil {
				tt.want(&want)
			}
			bulk := want
			bulk.Queue = change.QueueBackfill
			if !reflect.DeepEqual(b.requests, []deadletter.Request{want, bulk}) {
				t.Errorf("asked the bus for %+v, want %+v, and the same of the other queue", b.requests, want)
			}
		})
	}
}

func TestABadRequestSaysWhatToWriteAndReplaysNothing(t *testing.T) {
	for _, tt := range []struct{ name, body, says string }{
		{"an unknown field", `{"rout":"x"}`, "known fields are route, user, reason, max and dryRun"},
		{"not JSON", `max=3`, "not a replay request"},
		{"JSON that breaks off", `{"max":`, "not a replay request"},
		{"a list", `[]`, "not a replay request"},
		{"a number as text", `{"max":"3"}`, "not a replay request"},
		{"something after the object", `{"dryRun":true} {"dryRun":false}`, "something follows the object"},
		{"a brace too many", `{"dryRun":true}}`, "something follows the object"},
		{"none at all", `{"max":0}`, "write 1 to 10000"},
		{"less than none", `{"max":-1}`, "write 1 to 10000"},
		{"more than there may be", `{"max":10001}`, "write 1 to 10000"},
		{"a body without end", `{"reason":"` + strings.Repeat("x", 65<<10) + `"}`, "not a replay request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &bus{}
			w := call(b, http.MethodPost, tt.body)
			var answer struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("the answer is not JSON: %s", w.Body)
			}
			if w.Code != http.StatusBadRequest || !strings.Contains(answer.Error, tt.says) {
				t.Errorf("%d %q, want 400 and %q", w.Code, answer.Error, tt.says)
			}
			if len(b.requests) > 0 {
				t.Errorf("the bus was asked for %+v", b.requests)
			}
		})
	}
}

func TestTheAnswerIsTheReport(t *testing.T) {
	report := deadletter.Report{Examined: 5, Replayed: 3, Skipped: 1, Broken: 1, ByReason: map[string]int{"ambiguous match": 3}}
	const counts = `"examined":5,"replayed":3,"skipped":1,"unreadable":1,"byReason":{"ambiguous match":3},"dryRun":false`
	for _, tt := range []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"all of it when the bus took everything", nil, http.StatusOK, "{" + counts + "}\n"},
		{"what was replayed until the bus failed", errors.New("the bus is away"), http.StatusBadGateway,
			fmt.Sprintf(`{"error":"the bus is away","report":{%s}}`, counts) + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := call(&bus{report: report, err: tt.err}, http.MethodPost, "")
			if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %s %s\nwant %d %s", w.Code, w.Header().Get("Content-Type"), w.Body, tt.status, tt.body)
			}
		})
	}
}

func TestTheOtherQueueGivesOnlyWhatIsLeftToTake(t *testing.T) {
	for taken, want := range map[int]int{0: 5, 3: 2, 5: 0} {
		b := &bus{report: deadletter.Report{Replayed: taken}}
		call(b, http.MethodPost, `{"max":5}`)
		got := 0
		if len(b.requests) == 2 {
			got = b.requests[1].Max
		}
		if got != want {
			t.Errorf("after %d of 5, the other queue is asked for %d, want %d", taken, got, want)
		}
	}
}

func TestOnlyPOSTReplays(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		b := &bus{}
		w := call(b, method, "")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost || len(b.requests) > 0 {
			t.Errorf("%s: %d, Allow %q, %d requests to the bus", method, w.Code, w.Header().Get("Allow"), len(b.requests))
		}
	}
}
