package azfntest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Headers of every call.
const (
	invocationHeader = "X-Azure-Functions-InvocationId"
	versionHeader    = "X-Azure-Functions-HostVersion"
	hostVersion      = "4.1045.200"
)

// Invocation is one call of a function and how it ended.
type Invocation struct {
	Function string
	ID       string
	Began    time.Time
	Took     time.Duration
	// Err is why the host takes it for failed; nil when it succeeded.
	Err error
	// Logs are the handler's, which the host reads from a success only.
	Logs []string
}

// Invocations are those of a function that have ended, in that order; the empty name means all functions.
func (h *Host) Invocations(function string) []Invocation {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Invocation
	for _, i := range h.invocations {
		if function == "" || i.Function == function {
			out = append(out, i)
		}
	}
	return out
}

// FireTimer runs a timer function now and returns when it has ended: nil when the host takes it for a success.
func (h *Host) FireTimer(name string) error {
	f, err := h.function(name)
	if err != nil {
		return err
	}
	if f.trigger.Type != "timerTrigger" {
		return fmt.Errorf("function %s has a %s", name, f.trigger.Type)
	}
	now := time.Now().UTC()
	_, err = h.invoke(h.ctx, f, map[string]any{
		"Schedule":       map[string]any{"AdjustForDST": true},
		"ScheduleStatus": map[string]any{"Last": now, "Next": now, "LastUpdated": now},
		"IsPastDue":      false,
	}, map[string]any{})
	return err
}

// answer is what a handler answers to an envelope. The host reads it whatever the case of its keys.
type answer struct {
	Outputs     map[string]json.RawMessage
	Logs        []string
	ReturnValue json.RawMessage
}

// errHangs: the answer completes nothing. The host waits on until the function times out.
var errHangs = errors.New("the answer is empty or null")

// errNoAnswer: the handler's end of the connection is gone, and the handler perhaps too.
var errNoAnswer = errors.New("no answer from the handler")

// invoke calls a function by envelope, with the value of its trigger and the metadata around it, encoded already.
func (h *Host) invoke(ctx context.Context, f function, value any, metadata map[string]any) (answer, error) {
	metadata["sys"] = map[string]any{
		"MethodName": f.name, "UtcNow": time.Now().UTC().Format("2006-01-02T15:04:05.9999999Z"), "RandGuid": uuid.NewString(),
	}
	body, err := json.Marshal(map[string]any{"Data": map[string]any{f.trigger.Name: value}, "Metadata": metadata})
	if err != nil {
		return answer{}, err
	}
	var got answer
	err = h.run(ctx, f, func(ctx context.Context, id string, p *process) ([]string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/"+f.name, io.MultiReader(bytes.NewReader(body))) // in chunks
		if err != nil {
			return nil, err
		}
		r.Header = http.Header{
			"Content-Type": {"application/json; charset=utf-8"}, "User-Agent": {"Azure-Functions-Host/" + hostVersion},
			invocationHeader: {id}, versionHeader: {hostVersion},
		}
		resp, err := h.client.Do(r)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		defer resp.Body.Close()
		got, err = read(resp)
		if errors.Is(err, errHangs) {
			<-ctx.Done()
		}
		return got.Logs, err
	})
	return got, err
}

// crashMoment is how long a process may take to be gone once its connections are.
const crashMoment = 200 * time.Millisecond

// run is one invocation: it waits for a handler, calls it, and records the end. When the function times out, the host
// knows no other way than to replace the whole process.
func (h *Host) run(ctx context.Context, f function, call func(ctx context.Context, id string, p *process) ([]string, error)) error {
	p, err := h.ready(ctx, nil)
	if err != nil {
		return err
	}
	i := Invocation{Function: f.name, ID: uuid.NewString(), Began: time.Now()}
	limited, cancel := context.WithTimeout(ctx, h.options.FunctionTimeout)
	defer cancel()
	i.Logs, i.Err = call(limited, i.ID, p)
	switch {
	case ctx.Err() == nil && limited.Err() != nil:
		i.Err = fmt.Errorf("timeout value of %s was exceeded by function %s: %w", h.options.FunctionTimeout, f.name, errors.Join(context.DeadlineExceeded, i.Err))
		p.replace()
		<-p.ended
	case errors.Is(i.Err, errNoAnswer):
		// A handler that crashes breaks its connections a moment before it is gone.
		select {
		case <-p.ended:
		case <-time.After(crashMoment):
		}
	}
	if i.Err != nil {
		i.Err = fmt.Errorf("function %s: %w", f.name, i.Err)
	}
	i.Took = time.Since(i.Began)
	h.mu.Lock()
	h.invocations = append(h.invocations, i)
	h.mu.Unlock()
	return i.Err
}

// read is what the host makes of an answer to an envelope.
func read(resp *http.Response) (answer, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answer{}, fmt.Errorf("response status code does not indicate success: %s", resp.Status)
	}
	if len(body) == 0 {
		return answer{}, errHangs
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" && kind != "text/json" && !strings.HasSuffix(kind, "+json") {
		return answer{}, fmt.Errorf("invalid HttpResponseMessage: Content-Type %q", resp.Header.Get("Content-Type"))
	}
	if string(bytes.TrimSpace(body)) == "null" {
		return answer{}, errHangs
	}
	var got answer
	if err := json.Unmarshal(body, &got); err != nil {
		return answer{}, fmt.Errorf("invalid HttpResponseMessage: %w", err)
	}
	return got, nil
}

// newClient is the host's client of the handler: it keeps connections for a while, as many as it needs.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
