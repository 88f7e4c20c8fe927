package entrasim_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// request is one request of a batch, with more of its fields.
func request(id, method, url string, more ...any) map[string]any {
	r := map[string]any{"id": id, "method": method, "url": url}
	for i := 0; i < len(more); i += 2 {
		r[more[i].(string)] = more[i+1]
	}
	return r
}

var jsonHeader = map[string]string{"Content-Type": "application/json"}

// batch sends requests in one and returns the answers by id.
func (w *world) batch(requests ...map[string]any) map[string]map[string]any {
	w.t.Helper()
	r := w.must(200, "contoso", "POST", "/$batch", map[string]any{"requests": requests})
	answers := map[string]map[string]any{}
	list, _ := r.body["responses"].([]any)
	for _, a := range list {
		one := a.(map[string]any)
		answers[one["id"].(string)] = one
	}
	if len(answers) != len(requests) {
		w.t.Fatalf("%d answers to %d requests: %s", len(answers), len(requests), r.text)
	}
	return answers
}

func TestEachRequestOfABatchIsAnsweredByItself(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "a")
	answers := w.batch(
		request("read", "GET", "/users/"+id+"?$select=displayName"),
		request("count", "GET", "users/$count", "headers", map[string]string{"ConsistencyLevel": "eventual"}),
		request("missing", "GET", "/users/nobody@contoso.com"),
		request("change", "PATCH", "/users/"+id, "headers", jsonHeader, "body", map[string]any{"department": "Sales"}),
		request("unknown", "GET", "/planets"),
	)
	for name, want := range map[string]float64{"read": 200, "count": 200, "missing": 404, "change": 204, "unknown": 501} {
		if got := answers[name]["status"]; got != want {
			t.Errorf("%s was answered %v, want %v", name, got, want)
		}
	}
	if body, _ := answers["read"]["body"].(map[string]any); body["displayName"] != "User a" {
		t.Errorf("read gave %v", answers["read"])
	}
	if answers["count"]["body"] != "1" {
		t.Errorf("count gave %v", answers["count"])
	}
	if got := w.must(200, "contoso", "GET", "/users/"+id+"?$select=department", nil).body["department"]; got != "Sales" {
		t.Errorf("the department is %v", got)
	}
}

func TestAnAnswerMayComeBeforeAnEarlierOne(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	r := w.must(200, "contoso", "POST", "/$batch", map[string]any{"requests": []any{request("1", "GET", "/users"), request("2", "GET", "/users")}})
	if first := r.body["responses"].([]any)[0].(map[string]any)["id"]; first != "2" {
		t.Errorf("the first answer is that to %v: who relies on the order would not notice", first)
	}
}

func TestWhatDependsOnAFailureFails(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "a")
	fails, works := request("1", "GET", "/users/nobody@contoso.com"), request("1", "GET", "/users/"+id)
	change := func(id, on string) map[string]any {
		return request(id, "PATCH", "/users/"+id, "dependsOn", []string{on}, "headers", jsonHeader, "body", map[string]any{"jobTitle": "x"})
	}
	for name, c := range map[string]struct {
		requests []map[string]any
		want     map[string]float64
	}{
		"one after the other":        {[]map[string]any{fails, change("2", "1"), change("3", "2")}, map[string]float64{"1": 404, "2": 424, "3": 424}},
		"all on one":                 {[]map[string]any{change("2", "1"), fails, change("3", "1")}, map[string]float64{"1": 404, "2": 424, "3": 424}},
		"on one that works":          {[]map[string]any{works, change("2", "1")}, map[string]float64{"1": 200, "2": 404}},
		"independent of one another": {[]map[string]any{fails, request("2", "GET", "/users/"+id)}, map[string]float64{"1": 404, "2": 200}},
		"a failure in the middle":    {[]map[string]any{works, change("2", "1"), change("3", "2")}, map[string]float64{"1": 200, "2": 404, "3": 424}},
	} {
		t.Run(name, func(t *testing.T) {
			for id, answer := range w.batch(c.requests...) {
				if answer["status"] != c.want[id] {
					t.Errorf("request %s was answered %v, want %v", id, answer["status"], c.want[id])
				}
			}
		})
	}
}

func TestABatchIsRefusedAsAWhole(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	get := func(id string, on ...string) map[string]any { return request(id, "GET", "/users", "dependsOn", on) }
	var tooMany []map[string]any
	for i := range 21 {
		tooMany = append(tooMany, get(fmt.Sprint(i)))
	}
	for name, requests := range map[string][]map[string]any{
		"empty":                   {},
		"too many":                tooMany,
		"an id twice":             {get("1"), get("1")},
		"no id":                   {get("")},
		"an absolute URL":         {request("1", "GET", "https://graph.microsoft.com/v1.0/users")},
		"a batch in it":           {request("1", "POST", "/$batch", "headers", jsonHeader, "body", map[string]any{})},
		"a body without its type": {request("1", "PATCH", "/users/x", "body", map[string]any{})},
		"a dependency on nobody":  {get("1", "2")},
		"a dependency on itself":  {get("1", "1")},
		"two on one, one on two":  {get("1"), get("2", "1"), get("3", "1"), get("4", "2")},
		"a field nobody knows":    {request("1", "GET", "/users", "atomicityGroup", "g")},
	} {
		t.Run(name, func(t *testing.T) {
			if r := w.graph("contoso", "POST", "/$batch", map[string]any{"requests": requests}); r.status != 400 {
				t.Errorf("answered %d %s", r.status, r.text)
			}
		})
	}
}

func TestRequestsOfABatchAreThrottledOneByOne(t *testing.T) {
	w := newWorld(t, entrasim.Options{Limits: true})
	for range 39 {
		w.must(200, "contoso", "GET", "/subscriptions", nil)
	}
	throttled := 0
	for _, a := range w.batch(request("1", "GET", "/subscriptions"), request("2", "GET", "/subscriptions"), request("3", "GET", "/users")) {
		headers, _ := a["headers"].(map[string]any)
		if a["status"] == float64(http.StatusTooManyRequests) && headers["Retry-After"] != nil {
			throttled++
		}
	}
	if throttled != 1 {
		t.Errorf("%d requests of three were throttled, want the one over the limit", throttled)
	}
}
