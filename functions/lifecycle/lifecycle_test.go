package lifecycle_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions/lifecycle"
	"github.com/tenantsync/tenantsync/functions/notify"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

// world does what it is asked to, and keeps a list.
type world struct {
	done    []string
	failing string
	gate    error
}

func (w *world) do(what string) error {
	w.done = append(w.done, what)
	if what == w.failing {
		return errors.New("Graph is away")
	}
	return nil
}

func (w *world) Admit(_ context.Context, n subscription.Notification, _ time.Time) error {
	if n.ClientState != "secret" {
		return errors.New("wrong clientState")
	}
	return w.gate
}

func (w *world) Reauthorize(_ context.Context, tenantID string) error {
	return w.do("reauthorize " + tenantID)
}

type timer struct {
	*world
	name string
}

func (t timer) Run(context.Context) error { return t.do(t.name) }

// item is a lifecycle event as Graph posts it.
func item(tenantID, event, secret string) map[string]any {
	return map[string]any{"subscriptionId": "s-" + tenantID, "subscriptionExpirationDateTime": "2026-05-29T09:00:00Z", "tenantId": tenantID,
		"clientState": secret, "lifecycleEvent": event}
}

func (w *world) post(t *testing.T, items ...map[string]any) int {
	t.Helper()
	h := &lifecycle.Handler{Gate: w, Renewer: w, Renew: timer{w, "renew"}, Sweep: timer{w, "sweep"}, Log: slog.New(slog.DiscardHandler)}
	body, err := json.Marshal(map[string]any{"value": items})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/lifecycle", strings.NewReader(string(body))))
	slices.Sort(w.done)
	return rec.Code
}

func TestWhatASubscriptionNeedsIsDoneAtOnceAndOnce(t *testing.T) {
	w := &world{}
	status := w.post(t,
		item("t1", "reauthorizationRequired", "secret"), item("t1", "reauthorizationRequired", "secret"), item("T2", "reauthorizationRequired", "secret"),
		item("t1", "subscriptionRemoved", "secret"), item("t2", "subscriptionRemoved", "secret"), item("t1", "missed", "secret"),
		item("t1", "somethingNew", "secret"), item("t3", "reauthorizationRequired", "guess"), map[string]any{"resource": "Users/1", "clientState": "secret"},
	)
	if want := []string{"reauthorize t1", "reauthorize t2", "renew", "sweep"}; status != http.StatusAccepted || !slices.Equal(w.done, want) {
		t.Errorf("status %d, done %v, want %v", status, w.done, want)
	}
}

func TestWhatFailsIsSentAgain(t *testing.T) {
	for _, failing := range []string{"reauthorize t1", "renew", "sweep"} {
		w := &world{failing: failing}
		status := w.post(t, item("t1", "reauthorizationRequired", "secret"), item("t1", "subscriptionRemoved", "secret"), item("t1", "missed", "secret"))
		if status != http.StatusServiceUnavailable || len(w.done) != 3 {
			t.Errorf("%s fails: status %d, done %v", failing, status, w.done)
		}
	}
	w := &world{gate: notify.Unavailable{Err: errors.New("the disk is away")}}
	if status := w.post(t, item("t1", "missed", "secret")); status != http.StatusServiceUnavailable || len(w.done) > 0 {
		t.Errorf("nobody knows whose it is: status %d, done %v", status, w.done)
	}
}

func TestTheValidationTokenComesBackAsPlainText(t *testing.T) {
	rec := httptest.NewRecorder()
	(&lifecycle.Handler{}).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/lifecycle?validationToken=a%20%3Cb%3E", nil))
	if rec.Code != http.StatusOK || rec.Body.String() != "a <b>" || rec.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %q %s", rec.Code, rec.Body, rec.Header())
	}
}
