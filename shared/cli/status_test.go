package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/status"
)

// running is a tenantsync that answers with a report, to whoever has the key.
func running(t *testing.T, report status.Report) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("x-functions-key") != "key":
			http.Error(w, "no", http.StatusUnauthorized)
		case r.Method != http.MethodGet || r.URL.Path != "/api/status":
			http.NotFound(w, r)
		default:
			_ = json.NewEncoder(w).Encode(report)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestStatusIsATableAndItsProblemsAreAnExitCode(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	report := status.Report{
		At:      now,
		Sources: []status.Source{{Name: "fabrikam-us", ExpiresAt: now.Add(28 * 24 * time.Hour)}, {Name: "fabrikam-mexico"}},
		Routes: []status.Route{{Name: "fabrikam-us→contoso", Linked: 1204, Held: 3,
			FromEvent:   status.Latency{N: 40, P50: 812 * time.Millisecond, P99: 31 * time.Second},
			FromArrival: status.Latency{N: 41, P50: 5300 * time.Microsecond, P99: 90 * time.Minute}}},
		Queues: []status.Queue{{Name: "changes", Active: 1, Scheduled: 12}, {Name: "backfill", DeadLettered: 2}},
		Timers: []status.Timer{{Name: "renew", At: now.Add(-100 * time.Second)}, {Name: "sweep"}},
	}
	s := running(t, report)
	e := environment{"TENANTSYNC_ADMIN_KEY": "key"}
	code, stdout, stderr := run(t, e, "status", "--url", s.URL)
	const want = `SOURCE           WATCHED FOR
fabrikam-us      28 days
fabrikam-mexico  not watched

ROUTE                PEOPLE  HELD  CHANGES IN 24 H  FROM EVENT (HALF, 99 %)  FROM ARRIVAL (HALF, 99 %)
fabrikam-us→contoso  1204    3     41               812ms, 31s               5.3ms, 1h30m0s

QUEUE     WAITING  LATER  DEAD LETTERS
changes   1        12     0
backfill  0        0      2

TIMER  LAST SUCCESS
renew  1m40s ago
sweep  never
`
	if code != exitOK || stdout != want || stderr != "" {
		t.Errorf("exit %d, %s\n%s\nwant\n%s", code, stderr, stdout, want)
	}
	report.Problems = []string{"fabrikam-mexico is not watched", "2 dead letters wait"}
	s = running(t, report)
	code, stdout, stderr = run(t, e, "status", "--url", s.URL)
	if code != exitFailed || !strings.HasSuffix(stdout, "\nfabrikam-mexico is not watched\n\n2 dead letters wait\n") || stderr != "tenantsync: 2 problems to look at\n" {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	var got status.Report
	code, stdout, _ = run(t, e, "status", "--url", s.URL, "--json")
	if err := json.Unmarshal([]byte(stdout), &got); code != exitFailed || err != nil || got.Routes[0] != report.Routes[0] {
		t.Errorf("exit %d, %v, %s", code, err, stdout)
	}
}

func TestAnAdministratorIsToldWhyNobodyAnswers(t *testing.T) {
	s := running(t, status.Report{})
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer other.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, want := range map[string]string{
		s.URL:     "does not take this key",
		other.URL: "answers 418; is this the address of a tenantsync?",
		gone.URL:  "nobody answers",
	} {
		code, _, stderr := run(t, environment{"TENANTSYNC_ADMIN_KEY": "another"}, "status", "--url", url)
		if code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("exit %d, %s; want %q", code, stderr, want)
		}
	}
	var out bytes.Buffer
	if err := showStatus(&out, status.Report{}); err != nil || !strings.Contains(out.String(), "TIMER") {
		t.Errorf("%v, %s", err, &out)
	}
}
