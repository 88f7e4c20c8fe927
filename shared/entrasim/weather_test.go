package entrasim_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// try makes a request that may get no answer; err is what the client sees then, in the headers or in the body.
func (w *world) try(header http.Header) (resp *http.Response, err error) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.URL()+"/v1.0/users?$top=1", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = header
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Authorization", "Bearer "+w.token("contoso"))
	if resp, err = w.client.Do(req); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return resp, err
}

func TestABadDayAnswersAsGraphDoes(t *testing.T) {
	for name, c := range map[string]struct {
		weather  entrasim.Weather
		statuses []int
		code     []string
	}{
		"throttled": {entrasim.Weather{Throttle: 1, RetryAfter: entrasim.Duration(3 * time.Second)}, []int{429}, []string{"TooManyRequests"}},
		"failing":   {entrasim.Weather{Fail: 1}, []int{500, 502, 503, 504}, []string{"generalException", "serviceNotAvailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, entrasim.Options{Weather: c.weather})
			seen := map[int]bool{}
			for range 40 {
				r := w.graph("contoso", "GET", "/users", nil)
				code, _ := r.fault()
				if !slices.Contains(c.statuses, r.status) || !slices.Contains(c.code, code) {
					t.Fatalf("answer %d %s", r.status, code)
				}
				if wait := r.header.Get("Retry-After"); (r.status == 429 || r.status == 503) != (wait != "") {
					t.Errorf("%d with Retry-After %q", r.status, wait)
				}
				seen[r.status] = true
			}
			if len(seen) != len(c.statuses) {
				t.Errorf("answers %v, want each of %v", seen, c.statuses)
			}
		})
	}
}

func TestAConnectionIsCutBeforeOrAfterTheRequestTookEffect(t *testing.T) {
	for name, c := range map[string]struct {
		weather entrasim.Weather
		happens bool
	}{
		"before": {entrasim.Weather{Cut: 1}, false},
		"after":  {entrasim.Weather{CutAfter: 1}, true},
		"within": {entrasim.Weather{Torn: 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, entrasim.Options{})
			id := w.must(201, "contoso", "POST", "/users", newUser("somebody", "contoso", nil)).id()
			w.SetWeather(c.weather)
			req, _ := http.NewRequest(http.MethodPatch, w.URL()+"/v1.0/users/"+id, strings.NewReader(`{"department":"Sales"}`))
			req.Header.Set("Authorization", "Bearer "+w.token("contoso"))
			req.Header.Set("Content-Type", "application/json")
			if resp, err := w.client.Do(req); err == nil {
				t.Errorf("there is an answer: %d", resp.StatusCode)
			}
			w.SetWeather(entrasim.Weather{})
			got := w.must(200, "contoso", "GET", "/users/"+id+"?$select=department", nil).body["department"] == "Sales"
			if got != c.happens {
				t.Errorf("it happened: %v, want %v", got, c.happens)
			}
		})
	}
}

func TestAnAnswerIsTornInTheMiddle(t *testing.T) {
	w := newWorld(t, entrasim.Options{Weather: entrasim.Weather{Torn: 1}})
	resp, err := w.try(nil)
	if resp == nil || resp.StatusCode != 200 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("answer %v, %v; want 200 and a body that ends too early", resp, err)
	}
}

func TestWhoMakesTheWorldGoRoundMeetsNoWeather(t *testing.T) {
	w := newWorld(t, entrasim.Options{Weather: entrasim.Weather{Throttle: 1}, Limits: true})
	if resp, err := w.try(http.Header{"X-Entrasim-Calm": {"1"}}); err != nil || resp.StatusCode != 200 {
		t.Errorf("answer %v, %v", resp, err)
	}
}

func TestTheDocumentedLimitsHoldAndPassWithTime(t *testing.T) {
	w := newWorld(t, entrasim.Options{Limits: true})
	r := w.graph("contoso", "GET", "/users?$select=id&$top=100", nil)
	if got := r.header.Get("x-ms-resource-unit"); got != "1" { // 2 for users, 1 less for $select
		t.Errorf("a list with $select costs %q units", got)
	}
	for range 40 {
		r = w.graph("contoso", "GET", "/subscriptions", nil)
	}
	if r.status != 200 || r.header.Get("x-ms-throttle-limit-percentage") != "1.00" {
		t.Errorf("the fortieth list of subscriptions: %d, %q of the limit", r.status, r.header.Get("x-ms-throttle-limit-percentage"))
	}
	r = w.graph("contoso", "GET", "/subscriptions", nil)
	wait, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != 429 || err != nil || !strings.HasPrefix(r.header.Get("x-ms-throttle-scope"), "Tenant_Application/Read/") ||
		r.header.Get("x-ms-throttle-information") != "ResourceUnitLimitExceeded" {
		t.Fatalf("one list more: %d, %v", r.status, r.header)
	}
	w.clock.advance(time.Duration(wait) * time.Second)
	w.must(200, "contoso", "GET", "/subscriptions", nil)
}

func TestAReadMayShowThePast(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	old := w.join("contoso", "old")
	w.SetWeather(entrasim.Weather{Lag: 1, LagFor: entrasim.Duration(time.Minute)})
	w.clock.advance(10 * time.Minute)
	id := w.join("contoso", "new")
	w.must(204, "contoso", "PATCH", "/users/"+old, map[string]any{"department": "Sales"}) // writes are not late
	find := "/users?$select=id&$filter=" + url.QueryEscape("department eq 'Sales'")
	missing, stale, unfound := 0, 0, 0
	for range 50 {
		if w.graph("contoso", "GET", "/users/"+id, nil).status == 404 {
			missing++
		}
		if w.must(200, "contoso", "GET", "/users/"+old+"?$select=department", nil).body["department"] == nil {
			stale++
		}
		if len(w.must(200, "contoso", "GET", find, nil).values()) == 0 {
			unfound++
		}
	}
	if missing < 40 || stale < 40 || unfound < 40 {
		t.Errorf("of 50 reads each, %d did not find a new user, %d did not see a change, %d searches did not", missing, stale, unfound)
	}
	calm := w.graphWith("contoso", "GET", "/users/"+id, http.Header{entrasim.CalmHeader: {"1"}}, nil)
	if calm.status != 200 {
		t.Errorf("a calm request sees %d", calm.status)
	}
	w.clock.advance(time.Minute)
	for range 50 {
		w.must(200, "contoso", "GET", "/users/"+id, nil)
	}
}

func TestATokenOfChangeTrackingMayBeForgotten(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	link := w.must(200, "contoso", "GET", "/users/delta?$deltatoken=latest", nil).body["@odata.deltaLink"].(string)
	w.SetWeather(entrasim.Weather{Forget: 1})
	r := w.send("GET", link, http.Header{"Authorization": {"Bearer " + w.token("contoso")}}, nil)
	if code, _ := r.fault(); r.status != http.StatusGone || code != "syncStateNotFound" || !strings.HasSuffix(r.header.Get("Location"), "/users/delta?$deltatoken=") {
		t.Errorf("answer %d %s, Location %s", r.status, code, r.header.Get("Location"))
	}
	w.must(200, "contoso", "GET", "/users/delta", nil) // which has none
}

func TestTheWeatherIsToldInOneLine(t *testing.T) {
	text := entrasim.Options{}.Hostile().Weather.String()
	for _, part := range []string{`"throttle":0.02`, `"lagFor":"3s"`} {
		if !strings.Contains(text, part) || strings.Contains(text, "\n") {
			t.Errorf("%s does not say %s in one line", text, part)
		}
	}
}
