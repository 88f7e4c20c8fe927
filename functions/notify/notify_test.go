package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantsync/tenantsync/functions/notify"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

const (
	sourceID       = "00000000-0000-4000-8000-000000000001"
	targetID       = "00000000-0000-4000-8000-000000000002"
	otherTargetID  = "00000000-0000-4000-8000-000000000003"
	userID         = "11111111-1111-4111-8111-111111111111"
	subscriptionID = "22222222-2222-4222-8222-222222222222"
)

var (
	key      = []byte("a key of more than thirty-two characters")
	previous = []byte("the key that was in use before this one.")
	arrival  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// bus keeps what it takes; while down, it takes nothing and answers when the sender gives up.
type bus struct {
	mu   sync.Mutex
	down bool
	held []change.Change
}

func (b *bus) Send(ctx context.Context, queue string, changes []change.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		<-ctx.Done()
		return ctx.Err()
	}
	if queue != change.QueueChanges {
		return fmt.Errorf("there is no queue %q", queue)
	}
	b.held = append(b.held, changes...)
	return nil
}

// known are the subscriptions of the store.
type known struct {
	mu   sync.Mutex
	held map[string]subscription.Held
	err  error
}

func (k *known) Subscription(_ context.Context, id string) (subscription.Held, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return subscription.Held{}, k.err
	}
	h, ok := k.held[id]
	if !ok {
		return h, subscription.ErrNotFound
	}
	return h, nil
}

func (k *known) add(h subscription.Held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[h.ID] = h
}

type bench struct {
	bus     *bus
	known   *known
	handler *notify.Handler
}

// newBench watches one source that feeds two targets.
func newBench(t testing.TB) *bench {
	topology, err := tenant.NewTopology(
		[]tenant.Tenant{{Name: "source", ID: sourceID}, {Name: "target", ID: targetID}, {Name: "other", ID: otherTargetID}},
		[]tenant.RouteSpec{{Source: "source", Target: "target"}, {Source: "source", Target: "other"}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{bus: &bus{}, known: &known{held: map[string]subscription.Held{}}}
	b.known.add(subscription.Held{ID: subscriptionID, TenantID: sourceID})
	b.handler = &notify.Handler{Topology: topology, Gate: notify.NewGate(b.known, []string{sourceID}, key, previous),
		Bus: b.bus, Now: func() time.Time { return arrival }, Log: slog.New(slog.DiscardHandler)}
	return b
}

func (b *bench) post(body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/notifications", strings.NewReader(body)))
	return w
}

// item is a notification as Graph writes it, with some fields replaced ("resourceData.id") or, given nil, left out.
func item(replace map[string]any) map[string]any {
	data := map[string]any{"@odata.type": "#Microsoft.Graph.User", "@odata.id": "Users/" + userID, "id": userID,
		"organizationId": sourceID, "eventTime": "2026-11-24T11:59:58.123Z", "sequenceNumber": json.Number("638995103981230000")}
	n := map[string]any{"changeType": "updated", "clientState": subscription.Secret(key, sourceID), "resource": "Users/" + userID,
		"subscriptionExpirationDateTime": "2026-12-20T00:00:00Z", "subscriptionId": subscriptionID, "tenantId": sourceID, "resourceData": data}
	for name, value := range replace {
		into := n
		if inner, ok := strings.CutPrefix(name, "resourceData."); ok {
			into, name = data, inner
		}
		if into[name] = value; value == nil {
			delete(into, name)
		}
	}
	return n
}

func envelope(t testing.TB, items ...map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"value": items})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// inFakeTime runs a test in which waiting takes no time.
func inFakeTime(test func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

func TestANotificationBecomesOneChangePerRoute(t *testing.T) {
	b := newBench(t)
	if w := b.post(envelope(t, item(nil))); w.Code != http.StatusAccepted {
		t.Fatalf("status %d, want 202", w.Code)
	}
	if len(b.bus.held) != 2 {
		t.Fatalf("%d changes on the bus, want one for each of the two routes", len(b.bus.held))
	}
	ids := map[string]bool{}
	for i, route := range []string{"source→target", "source→other"} {
		c := b.bus.held[i]
		if c.Route != route || c.User != userID || c.Deleted || c.Cause != change.CauseNotification {
			t.Errorf("change %d is %+v", i, c)
		}
		if want := time.Date(2026, 11, 24, 11, 59, 58, 123e6, time.UTC); !c.EventAt.Equal(want) || !c.ArrivedAt.Equal(arrival) {
			t.Errorf("change %d has the times %s and %s", i, c.EventAt, c.ArrivedAt)
		}
		ids[c.MessageID()] = true
	}
	if len(ids) != 2 {
		t.Error("the two routes' messages have the same id: duplicate detection would drop one")
	}
}

func TestTheSameEventHasTheSameMessageID(t *testing.T) {
	b := newBench(t)
	b.post(envelope(t, item(nil), item(nil), item(map[string]any{"resourceData.sequenceNumber": "638995103981230000"})))
	other := map[string]any{"resourceData.sequenceNumber": json.Number("638995103981230001")}
	purge := map[string]any{"changeType": "deleted"}
	b.post(envelope(t, item(other), item(purge)))
	ids := map[string]int{}
	for _, c := range b.bus.held {
		ids[c.MessageID()]++
	}
	if len(ids) != 6 {
		t.Errorf("%d message ids for three events on two routes, want 6: %v", len(ids), ids)
	}
}

func TestWhatDoesNotBelongIsDropped(t *testing.T) {
	for _, row := range []struct {
		name string
		item map[string]any
	}{
		{"a wrong clientState", item(map[string]any{"clientState": "guess"})},
		{"no clientState", item(map[string]any{"clientState": nil})},
		{"the clientState of another tenant", item(map[string]any{"clientState": subscription.Secret(key, targetID)})},
		{"an unknown subscription", item(map[string]any{"subscriptionId": "33333333-3333-4333-8333-333333333333"})},
		{"an unknown tenant", item(map[string]any{"tenantId": otherTargetID})},
		{"no tenant", item(map[string]any{"tenantId": nil})},
		{"a group", item(map[string]any{"resource": "Groups/" + userID})},
		{"no user id", item(map[string]any{"resource": "Users/", "resourceData.id": nil})},
		{"a user id that is a path", item(map[string]any{"resourceData.id": "../groups/" + userID})},
		{"a lifecycle event", item(map[string]any{"lifecycleEvent": "reauthorizationRequired"})},
		{"a number for a tenant", item(map[string]any{"tenantId": 7})},
	} {
		t.Run(row.name, inFakeTime(func(t *testing.T) {
			b := newBench(t)
			if w := b.post(envelope(t, row.item)); w.Code != http.StatusAccepted || w.Body.Len() > 0 {
				t.Errorf("answer %d %q, want 202 and nothing that tells the sender why", w.Code, w.Body)
			}
			if len(b.bus.held) > 0 {
				t.Errorf("on the bus: %+v", b.bus.held)
			}
		}))
		t.Run(row.name+" beside a good one", inFakeTime(func(t *testing.T) {
			b := newBench(t)
			b.post(envelope(t, row.item, item(nil)))
			if len(b.bus.held) != 2 {
				t.Errorf("%d changes on the bus, want the two of the good one", len(b.bus.held))
			}
		}))
	}
}

func TestThePreviousClientStateIsStillAccepted(t *testing.T) {
	b := newBench(t)
	b.post(envelope(t, item(map[string]any{"clientState": subscription.Secret(previous, sourceID)})))
	if len(b.bus.held) != 2 {
		t.Errorf("%d changes on the bus, want 2", len(b.bus.held))
	}
}

func TestANotificationMayBeFasterThanTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		fresh := "44444444-4444-4444-8444-444444444444"
		time.AfterFunc(700*time.Millisecond, func() { b.known.add(subscription.Held{ID: fresh, TenantID: sourceID}) })
		b.post(envelope(t, item(map[string]any{"subscriptionId": fresh})))
		if len(b.bus.held) != 2 {
			t.Errorf("%d changes on the bus, want 2: a subscription that is about to be stored was not waited for", len(b.bus.held))
		}
	})
}

func TestTheValidationTokenComesBackDecoded(t *testing.T) {
	for _, token := range []string{
		"Validation: Testing client application reachability for subscription Request-Id: 1",
		`<script>alert("1")</script>`, "100%25 + 1 & 2 = ½", "",
	} {
		b := newBench(t)
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/notifications?validationToken="+url.QueryEscape(token), nil))
		if w.Code != http.StatusOK || w.Body.String() != token {
			t.Errorf("answer %d %q, want 200 %q", w.Code, w.Body, token)
		}
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
			t.Errorf("content type %q, want text/plain: a browser must not take it for markup", got)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Error("the answer lacks nosniff")
		}
	}
}

func TestBodiesThatGraphNeverSends(t *testing.T) {
	for _, row := range []struct {
		name, body string
		status     int
	}{
		{"nothing", "", 400},
		{"no JSON", "{", 400},
		{"another object", `{"values":[]}`, 400},
		{"a list", `[]`, 400},
		{"5 MB", `{"value":[` + strings.Repeat(" ", 5<<20) + `]}`, 413},
		{"an empty list", `{"value":[]}`, 202},
		{"items that are no objects", `{"value":[1,"a",null,[]]}`, 202},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			if w := b.post(row.body); w.Code != row.status {
				t.Errorf("status %d, want %d", w.Code, row.status)
			}
			if len(b.bus.held) > 0 {
				t.Errorf("on the bus: %+v", b.bus.held)
			}
		})
	}
}

func TestAThousandNotificationsInOnePost(t *testing.T) {
	b := newBench(t)
	items := make([]map[string]any, 1000)
	for i := range items {
		id := fmt.Sprintf("%08d-1111-4111-8111-111111111111", i)
		items[i] = item(map[string]any{"resourceData.id": id, "resource": "Users/" + id})
	}
	if w := b.post(envelope(t, items...)); w.Code != http.StatusAccepted {
		t.Errorf("status %d, want 202", w.Code)
	}
	if len(b.bus.held) != 2000 {
		t.Errorf("%d changes on the bus, want 2000", len(b.bus.held))
	}
}

func TestGraphIsAskedToDeliverAgain(t *testing.T) {
	t.Run("within three seconds when the bus is down", inFakeTime(func(t *testing.T) {
		b := newBench(t)
		b.bus.down = true
		began := time.Now()
		if w := b.post(envelope(t, item(nil))); w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", w.Code)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s; Graph waits for three seconds", took)
		}
	}))
	t.Run("when the store cannot be read", func(t *testing.T) {
		b := newBench(t)
		b.known.err = errors.New("disk full")
		if w := b.post(envelope(t, item(nil))); w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", w.Code)
		}
	})
}

func TestOnlyPostIsAnswered(t *testing.T) {
	b := newBench(t)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/notifications?validationToken=x", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
		t.Errorf("answer %d, Allow %q; want 405, POST", w.Code, w.Header().Get("Allow"))
	}
}

func BenchmarkNotify(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			bench := newBench(b)
			items := make([]map[string]any, n)
			for i := range items {
				items[i] = item(nil)
			}
			body := envelope(b, items...)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				bench.post(body)
				bench.bus.held = bench.bus.held[:0]
			}
		})
	}
}
