package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/weather"
)

// maxBatch is how many requests a batch may hold.
const maxBatch = 20

// step is one request of a batch.
type step struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	DependsOn []string          `json:"dependsOn"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
}

// hasBody tells whether there is a body: the official Go client sends an empty one with every request.
func (s step) hasBody() bool {
	text := string(bytes.TrimSpace(s.Body))
	takesNone := strings.EqualFold(s.Method, http.MethodGet) || strings.EqualFold(s.Method, http.MethodDelete)
	return text != "" && text != "null" && !(takesNone && text == "{}")
}

// stepAnswer is the answer to one of them.
type stepAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body,omitempty"`
}

// batch answers POST /$batch. Each request passes as if it came alone, with weather and limits of its own. The answers come in
// another order than the requests, because nothing is promised about it.
func (s *Service) batch(c *call) (answer, error) {
	steps, err := c.steps()
	if err != nil {
		return answer{}, err
	}
	status := map[string]int{}
	answers := make([]stepAnswer, 0, len(steps))
	for _, one := range ordered(steps) {
		a := s.step(c, one, status)
		status[a.ID] = a.Status
		answers = append(answers, a)
	}
	slices.Reverse(answers)
	return ok(map[string]any{"responses": answers}), nil
}

// steps reads the body. What the requests in it say is theirs, annotations included.
func (c *call) steps() ([]step, error) {
	data, err := c.read()
	if err != nil {
		return nil, err
	}
	object, err := c.parse(data)
	if err != nil {
		return nil, err
	}
	var body struct {
		Requests []step `json:"requests"`
	}
	if name := misspelt(object, reflect.TypeOf(body)); name != "" {
		return nil, badRequest("The batch is not valid: unknown property '" + name + "'.")
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, badRequest("The batch is not valid: " + strings.TrimPrefix(err.Error(), "json: ") + ".")
	}
	return body.Requests, checkBatch(body.Requests)
}

// checkBatch refuses a batch as a whole.
func checkBatch(steps []step) error {
	if len(steps) == 0 || len(steps) > maxBatch {
		return badRequest(fmt.Sprintf("A batch holds 1 to %d requests, not %d.", maxBatch, len(steps)))
	}
	ids := map[string]bool{}
	for _, one := range steps {
		switch {
		case one.ID == "" || ids[one.ID]:
			return badRequest("Each request of a batch needs an id of its own: '" + one.ID + "' is missing or used twice.")
		case one.URL == "" || strings.Contains(one.URL, "://"):
			return badRequest("The URL of a request in a batch is relative: '" + one.URL + "' is not.")
		case strings.Contains(strings.ToLower(one.URL), "$batch"):
			return badRequest("A batch cannot hold another one.")
		case one.hasBody() && header(one.Headers, "Content-Type") == "":
			return badRequest("Request '" + one.ID + "' has a body and no Content-Type header.")
		}
		ids[one.ID] = true
	}
	return checkOrder(steps, ids)
}

// checkOrder takes what Graph takes: all in parallel, each after the one before it, or all after the same one.
func checkOrder(steps []step, ids map[string]bool) error {
	serial, star, first := true, true, ""
	for i, one := range steps {
		for _, id := range one.DependsOn {
			if !ids[id] || id == one.ID {
				return badRequest("Request '" + one.ID + "' depends on '" + id + "', which is not in the batch.")
			}
		}
		if len(one.DependsOn) > 0 && first == "" {
			first = one.DependsOn[0]
		}
		serial = serial && (i == 0) == (len(one.DependsOn) == 0) && (i == 0 || slices.Equal(one.DependsOn, []string{steps[i-1].ID}))
	}
	for _, one := range steps {
		star = star && (one.ID == first) == (len(one.DependsOn) == 0) && (one.ID == first || slices.Equal(one.DependsOn, []string{first}))
	}
	if first != "" && !serial && !star {
		return badRequest("Requests of a batch are independent, or each depends on the one before it, or all depend on the same one.")
	}
	return nil
}

// ordered puts the request that all others depend on before them.
func ordered(steps []step) []step {
	sorted := slices.Clone(steps)
	slices.SortStableFunc(sorted, func(a, b step) int { return min(len(a.DependsOn), 1) - min(len(b.DependsOn), 1) })
	return sorted
}

// step plays one request, unless one that it depends on failed.
func (s *Service) step(outer *call, one step, status map[string]int) stepAnswer {
	inner, err := one.request(outer)
	if err != nil {
		return s.stepAnswer(one.ID, newCall(outer.Request), answer{}, badRequest("The URL '"+one.URL+"' is not valid."))
	}
	c := newCall(inner)
	for _, id := range one.DependsOn {
		if status[id] >= http.StatusBadRequest {
			return s.stepAnswer(one.ID, c, answer{}, fault.New(http.StatusFailedDependency, "FailedDependency", "The request '%s', which this one depends on, failed.", id))
		}
	}
	if !c.calm() {
		if fate := s.Forecast.Next(); fate.Kind == weather.Throttled || fate.Kind == weather.Failed {
			return s.stepAnswer(one.ID, c, answer{}, trouble(fate))
		}
	}
	a, err := s.handle(c)
	return s.stepAnswer(one.ID, c, a, err)
}

// request is the request as if it came alone, from the same caller.
func (one step) request(outer *call) (*http.Request, error) {
	target, err := url.Parse("/" + Prefix + "/" + strings.TrimPrefix(one.URL, "/"))
	if err != nil {
		return nil, err
	}
	body := one.Body
	if !one.hasBody() {
		body = nil
	}
	inner, err := http.NewRequestWithContext(outer.Context(), strings.ToUpper(one.Method), target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	inner.Host = outer.Host
	inner.Header.Set("Authorization", outer.Header.Get("Authorization"))
	if outer.calm() {
		inner.Header.Set(CalmHeader, outer.Header.Get(CalmHeader))
	}
	for name, value := range one.Headers {
		inner.Header.Set(name, value)
	}
	return inner, nil
}

func (s *Service) stepAnswer(id string, c *call, a answer, err error) stepAnswer {
	if err != nil {
		a = s.refusal(c, err)
	}
	w := &recorder{header: http.Header{}}
	s.write(w, c, a)
	one := stepAnswer{ID: id, Status: w.status, Headers: map[string]string{}, Body: a.body}
	for name := range w.header {
		one.Headers[name] = w.header.Get(name)
	}
	return one
}

// recorder takes an answer that goes into another one.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

// header is a header by its name in any case.
func header(headers map[string]string, name string) string {
	for key, value := range headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}
