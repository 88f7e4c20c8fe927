// Package azfntest plays the Azure Functions host for tests: it starts a custom handler's binary from its staged
// folder and calls it as the real host does, over the same wire.
//
// It decides what the real host would make of the folder, of the process and of each answer: functions are found one
// level deep; any answer to GET / means ready; an empty answer hangs until the function times out and then costs the
// whole process; whatever is not a JSON object with a 2xx fails the invocation, and a failed message is abandoned at
// once; three crashes end the host, an exit code of 0 leaves the app dead, and 200 asks for a restart.
//
// Not modelled: sessions and batches, schedules (FireTimer is the clock), retry policies, output bindings other than
// http, route parameters, dynamic concurrency, identity-based connections, and the 30 minutes after which crashes
// are forgotten.
//
// It also plays the host's Service Bus extension, which is a client of the bus in its own right: that is why this test
// helper imports azservicebus, and only helpers for tests may besides package servicebus.
package azfntest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// FunctionKey opens functions whose authLevel is function or admin: header x-functions-key, or ?code=.
const FunctionKey = "azfntest-function-key"

// HTTPMode says how HTTP reaches the handler.
type HTTPMode int

// The modes.
const (
	HTTPAsConfigured HTTPMode = iota // what host.json says, which is the real thing
	HTTPEnvelope                     // always in an envelope, as a host that does not know the switches of host.json
)

// Options of a host. The zero value is ready to use.
type Options struct {
	// Env are the app settings, as NAME=VALUE. The handler gets them on top of the environment of the test.
	Env []string
	// FunctionTimeout replaces functionTimeout of host.json (default 30 minutes, as on Flex Consumption).
	FunctionTimeout time.Duration
	HTTPMode        HTTPMode
	// Listener is what the front end listens on. nil: a free port of 127.0.0.1. The handler learns of it by
	// WEBSITE_HOSTNAME, as on Azure.
	Listener net.Listener
	// TLS makes the front end speak HTTPS, as on Azure.
	TLS *tls.Config
}

// Line is one line that the handler printed.
type Line struct {
	// Level is what the host records: Information for stdout; Error for stderr, or Warning when the line has "warn" in it.
	Level string
	Text  string
}

// Host is a running host. It is safe for concurrent use.
type Host struct {
	app      *app
	options  Options
	client   *http.Client // to the handler
	frontEnd *http.Server
	address  string

	ctx       context.Context // ends when the host stops
	cancel    context.CancelFunc
	listening context.Context // ends before, when no more work is taken in
	deafen    context.CancelFunc
	stop      sync.Once
	inFlight  sync.WaitGroup // Service Bus listeners and what they have received
	ended     chan struct{}  // supervise has returned

	mu          sync.Mutex
	worker      *process      // the handler, when it is ready
	down        error         // why there will be no handler any more
	changed     chan struct{} // closed when worker or down changes
	lines       []Line
	invocations []Invocation
}

// errStopped is the state of a host after Stop.
var errStopped = errors.New("the host was stopped")

// Start starts a host on the folder with host.json and returns when the handler is ready. The host stops with the
// test. When the test fails, what the handler printed is in its log.
func Start(t testing.TB, dir string, options Options) *Host {
	t.Helper()
	h, err := start(dir, options)
	if err != nil {
		t.Fatalf("start the Functions host on %s: %v", dir, err)
	}
	t.Cleanup(func() {
		h.Stop()
		if t.Failed() {
			for _, line := range h.Lines() {
				t.Logf("handler, %s: %s", line.Level, line.Text)
			}
		}
	})
	return h
}

func start(dir string, options Options) (*Host, error) {
	app, err := load(dir, newSettings(options.Env))
	if err != nil {
		return nil, err
	}
	if options.FunctionTimeout == 0 {
		options.FunctionTimeout = app.host.FunctionTimeout.or(30 * time.Minute)
	}
	h := &Host{
		app: app, options: options,
		client:  newClient(),
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.listening, h.deafen = context.WithCancel(h.ctx)
	if err := h.openFrontEnd(); err != nil {
		return nil, err
	}
	go h.supervise()
	if _, err := h.ready(h.ctx, nil); err != nil {
		lines := h.Lines()
		h.Stop()
		return nil, fmt.Errorf("%w; the handler printed %q", err, lines)
	}
	if err := h.listen(); err != nil {
		h.Stop()
		return nil, err
	}
	return h, nil
}

// URL is where the front end answers, without a slash at its end; functions are below /api.
func (h *Host) URL() string {
	scheme := "http://"
	if h.options.TLS != nil {
		scheme = "https://"
	}
	return scheme + h.address
}

// Lines are what the handler has printed so far, restarts included.
func (h *Host) Lines() []Line {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// Down is nil while the host keeps the handler running, else why it does not any more.
func (h *Host) Down() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// Kill kills the handler with SIGKILL, which the host takes for a crash, and returns when another is ready. The error
// is that of Down: the third crash is the last one.
func (h *Host) Kill() error {
	return h.end(func(p *process) { p.kill() })
}

// Restart kills the handler and starts another, as the platform does when it moves an instance. It counts as no crash.
func (h *Host) Restart() error {
	return h.end(func(p *process) { p.replace() })
}

// end ends the handler and waits for another.
func (h *Host) end(how func(*process)) error {
	p, err := h.ready(h.ctx, nil)
	if err != nil {
		return err
	}
	how(p)
	_, err = h.ready(h.ctx, p)
	return err
}

// drainTime is how long messages in flight may take to finish when the host stops.
const drainTime = 5 * time.Second

// Stop takes in no more work, lets messages in flight finish for a moment, and kills the handler.
func (h *Host) Stop() {
	h.stop.Do(func() {
		h.deafen()
		drained := make(chan struct{})
		go func() { h.inFlight.Wait(); close(drained) }()
		select {
		case <-drained:
		case <-time.After(drainTime):
		}
		h.cancel()
		<-h.ended
		h.setWorker(nil, errStopped)
		<-drained
		h.frontEnd.Close() // nothing to save
		h.client.CloseIdleConnections()
	})
}

func (h *Host) setWorker(p *process, down error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.worker = p
	if h.down == nil {
		h.down = down
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// ready waits for a handler that is ready, and is not the given one.
func (h *Host) ready(ctx context.Context, not *process) (*process, error) {
	for {
		h.mu.Lock()
		worker, down, changed := h.worker, h.down, h.changed
		h.mu.Unlock()
		if down != nil {
			return nil, down
		}
		if worker != nil && worker != not && !worker.isGone() {
			return worker, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-h.ended:
			if err := h.Down(); err != nil {
				return nil, err
			}
			return nil, errStopped
		}
	}
}

// printed records a line of the handler.
func (h *Host) printed(stderr bool, text string) {
	level := "Information"
	if stderr {
		level = "Error"
		if strings.Contains(strings.ToLower(text), "warn") {
			level = "Warning"
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, Line{Level: level, Text: text})
}

// function finds a function by its name.
func (h *Host) function(name string) (function, error) {
	for _, f := range h.app.functions {
		if f.name == name {
			return f, nil
		}
	}
	return function{}, fmt.Errorf("no function %s in %s: %w", name, h.app.dir, os.ErrNotExist)
}
