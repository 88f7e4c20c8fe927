package entrasim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// item is a notification as an endpoint reads it.
type item struct {
	ChangeType     string       `json:"changeType"`
	ClientState    string       `json:"clientState"`
	Resource       string       `json:"resource"`
	SubscriptionID string       `json:"subscriptionId"`
	TenantID       string       `json:"tenantId"`
	ResourceData   resourceData `json:"resourceData"`
}

type resourceData struct {
	ID             string      `json:"id"`
	EventTime      string      `json:"eventTime"`
	SequenceNumber json.Number `json:"sequenceNumber"`
}

// endpoint is a well-behaved receiver of notifications, unless told to fail.
type endpoint struct {
	*httptest.Server
	received chan []byte // bodies of accepted deliveries

	mu      sync.Mutex
	refuse  []int // statuses of the next deliveries
	queries []string
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{received: make(chan []byte, 1000)}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queries = append(e.queries, r.URL.RawQuery)
	if token := r.URL.Query().Get("validationToken"); token != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, token)
		return
	}
	if len(e.refuse) > 0 {
		w.WriteHeader(e.refuse[0])
		e.refuse = e.refuse[1:]
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	e.received <- body
}

// next waits for n notifications, in however many requests they come.
func (e *endpoint) next(t *testing.T, n int) []item {
	t.Helper()
	var items []item
	deadline := time.After(10 * time.Second)
	for len(items) < n {
		select {
		case body := <-e.received:
			var envelope struct{ Value []item }
			if err := json.Unmarshal(body, &envelope); err != nil {
				t.Fatal(err)
			}
			items = append(items, envelope.Value...)
		case <-deadline:
			t.Fatalf("%d notifications came, want %d", len(items), n)
		}
	}
	if len(items) > n {
		t.Fatalf("%d notifications came, want %d", len(items), n)
	}
	return items
}

func (w *world) subscribe(tenant, endpoint string, replace map[string]any) reply {
	w.t.Helper()
	return w.graph(tenant, "POST", "/subscriptions", w.newSubscription(endpoint, replace))
}

func (w *world) newSubscription(endpoint string, replace map[string]any) map[string]any {
	body := map[string]any{
		"changeType": "updated,deleted", "notificationUrl": endpoint, "resource": "/users", "clientState": "secret",
		"expirationDateTime": w.clock.Now().Add(time.Hour).Format(time.RFC3339),
	}
	for name, v := range replace {
		if body[name] = v; v == nil {
			delete(body, name)
		}
	}
	return body
}

func TestNotificationPayload(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	sub := w.subscribe("contoso", e.URL+"/hook?code=key", nil)
	id := w.join("contoso", "adele")

	var got, want map[string]any
	decode := func(data []byte, into *map[string]any) {
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	decode(<-e.received, &got)
	golden, err := os.ReadFile("testdata/graph/examples/notifications/obs-group-updated-webhook.payload.json")
	if err != nil {
		t.Fatal(err)
	}
	decode(golden, &want)
	recorded := want["value"].([]any)[0].(map[string]any)
	for name, v := range map[string]any{
		"clientState": "secret", "resource": "Users/" + id, "subscriptionId": sub.id(), "tenantId": w.tenantID("contoso"),
		"subscriptionExpirationDateTime": "2026-03-01T13:00:00+00:00",
	} {
		recorded[name] = v
	}
	data := recorded["resourceData"].(map[string]any)
	for name, v := range map[string]any{
		"@odata.type": "#Microsoft.Graph.User", "@odata.id": "Users/" + id, "id": id, "organizationId": w.tenantID("contoso"),
		"eventTime": "2026-03-01T12:00:00Z", "sequenceNumber": json.Number("639079632000000000"),
	} {
		data[name] = v
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v, want the recorded shape\n%v", got, want)
	}
	if last := e.queries[len(e.queries)-1]; last != "code=key" {
		t.Errorf("the query of the notification URL became %q", last)
	}
}

func TestEveryChangeIsNotified(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	w.subscribe("contoso", e.URL, nil)
	id := w.join("contoso", "adele")
	user, deleted := "/users/"+id, "/directory/deletedItems/"+id
	w.must(http.StatusNoContent, "contoso", "PATCH", user, map[string]any{"department": "Sales"})
	w.must(http.StatusNoContent, "contoso", "PATCH", user, map[string]any{"department": "Sales"}) // nothing new, no notification
	w.must(http.StatusNoContent, "contoso", "DELETE", user, nil)
	w.must(http.StatusOK, "contoso", "POST", deleted+"/restore", nil)
	w.must(http.StatusNoContent, "contoso", "DELETE", user, nil)
	w.must(http.StatusNoContent, "contoso", "DELETE", deleted, nil)
	w.join("fabrikam-us", "elsewhere")

	var types []string
	last := json.Number("")
	for _, i := range e.next(t, 6) {
		types = append(types, i.ChangeType)
		if i.ResourceData.ID != id || i.ResourceData.SequenceNumber.String() <= last.String() {
			t.Errorf("%+v does not follow %s", i, last)
		}
		last = i.ResourceData.SequenceNumber
	}
	if got, want := strings.Join(types, " "), "updated updated updated updated updated deleted"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestThirtyDayPurgeIsNotified(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	id := w.join("contoso", "adele")
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+id, nil)
	w.clock.advance(10 * 24 * time.Hour)
	w.tokens = map[string]string{}
	w.subscribe("contoso", e.URL, map[string]any{"expirationDateTime": w.clock.Now().Add(28 * 24 * time.Hour)})
	w.clock.advance(20 * 24 * time.Hour)
	w.DeletedUsers("contoso") // somebody looks
	if i := e.next(t, 1)[0]; i.ChangeType != "deleted" || i.ResourceData.ID != id {
		t.Errorf("got %+v", i)
	}
}

func TestSubscriptionOfOneUser(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	one, other := w.join("contoso", "one"), w.join("contoso", "other")
	w.subscribe("contoso", e.URL, map[string]any{"resource": "Users/" + strings.ToUpper(one)})
	for _, id := range []string{other, one} {
		w.must(http.StatusNoContent, "contoso", "PATCH", "/users/"+id, map[string]any{"city": "Austin"})
	}
	if i := e.next(t, 1)[0]; i.ResourceData.ID != one {
		t.Errorf("got %+v, want the one user", i)
	}
}

func TestNotificationsAreRetried(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{Notify: entrasim.Notify{Backoff: time.Millisecond}}), newEndpoint(t)
	w.subscribe("contoso", e.URL, nil)
	e.refuse = []int{503, 500, 404, 302}
	id := w.join("contoso", "adele")
	if i := e.next(t, 1)[0]; i.ResourceData.ID != id {
		t.Errorf("got %+v", i)
	}
}

func TestOneEndpointDoesNotWaitForAnother(t *testing.T) {
	w, good := newWorld(t, entrasim.Options{}), newEndpoint(t)
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("validationToken") {
			good.ServeHTTP(rw, r)
			return
		}
		<-release
	}))
	defer stuck.Close()
	defer close(release)
	w.subscribe("contoso", stuck.URL, map[string]any{"changeType": "updated"})
	w.subscribe("contoso", good.URL, map[string]any{"changeType": "updated,deleted"})
	w.join("contoso", "adele")
	good.next(t, 1)
}

// troubled is an endpoint that answers the handshake, and 503 to everything else until it is well.
func troubled(t *testing.T, good *endpoint) (server *httptest.Server, attempts chan struct{}) {
	attempts = make(chan struct{}, 1000)
	server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("validationToken") {
			good.ServeHTTP(rw, r)
			return
		}
		attempts <- struct{}{}
		rw.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	return server, attempts
}

func TestPendingNotificationsFollowTheirSubscription(t *testing.T) {
	w, good := newWorld(t, entrasim.Options{Notify: entrasim.Notify{Backoff: 20 * time.Millisecond}}), newEndpoint(t)
	bad, attempts := troubled(t, good)
	id := w.subscribe("contoso", bad.URL, nil).id()
	user := w.join("contoso", "adele")
	<-attempts
	w.must(http.StatusOK, "contoso", "PATCH", "/subscriptions/"+id, map[string]any{"notificationUrl": good.URL})
	if i := good.next(t, 1)[0]; i.ResourceData.ID != user {
		t.Errorf("at the new address came %+v", i)
	}
}

func TestPendingNotificationsEndWithTheirSubscription(t *testing.T) {
	w, good := newWorld(t, entrasim.Options{Notify: entrasim.Notify{Backoff: 20 * time.Millisecond}}), newEndpoint(t)
	bad, attempts := troubled(t, good)
	id := w.subscribe("contoso", bad.URL, nil).id()
	w.join("contoso", "adele")
	<-attempts
	w.must(http.StatusNoContent, "contoso", "DELETE", "/subscriptions/"+id, nil)
	for quiet := false; !quiet; {
		select {
		case <-attempts: // what was on its way
		case <-time.After(200 * time.Millisecond):
			quiet = true
		}
	}
}

func TestFreshNotificationsDoNotWaitForOnesThatFailed(t *testing.T) {
	w, good := newWorld(t, entrasim.Options{Notify: entrasim.Notify{Backoff: time.Millisecond}}), newEndpoint(t)
	release, hanging := make(chan struct{}), make(chan struct{}, 100)
	var deliveries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch n := deliveries.Add(1); {
		case r.URL.Query().Has("validationToken"):
			deliveries.Store(0)
			good.ServeHTTP(rw, r)
		case n == 1: // fails, and is tried again
			rw.WriteHeader(http.StatusServiceUnavailable)
		case n == 2: // the second attempt hangs
			hanging <- struct{}{}
			<-release
		default:
			good.ServeHTTP(rw, r)
		}
	}))
	defer server.Close()
	defer close(release)
	w.subscribe("contoso", server.URL, nil)
	w.join("contoso", "adele")
	<-hanging
	user := w.join("contoso", "bob")
	if i := good.next(t, 1)[0]; i.ResourceData.ID != user {
		t.Errorf("got %+v", i)
	}
}

func TestDuplicatedAndReordered(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{Seed: 7, Notify: entrasim.Notify{
		Duplicate: true, Reorder: true, ReorderWindow: 300 * time.Millisecond,
	}}), newEndpoint(t)
	w.subscribe("contoso", e.URL, nil)
	id := w.join("contoso", "adele")
	const updates = 20
	for i := range updates - 1 {
		w.must(http.StatusNoContent, "contoso", "PATCH", "/users/"+id, map[string]any{"city": strings.Repeat("x", i+1)})
	}
	seen, inOrder, last := map[string]int{}, true, ""
	for _, i := range e.next(t, 2*updates) {
		n := i.ResourceData.SequenceNumber.String()
		seen[n]++
		inOrder = inOrder && n >= last
		last = n
	}
	for n, times := range seen {
		if times != 2 {
			t.Errorf("notification %s came %d times, want twice", n, times)
		}
	}
	if len(seen) != updates || inOrder {
		t.Errorf("%d different notifications came, want %d; in order: %t", len(seen), updates, inOrder)
	}
}
