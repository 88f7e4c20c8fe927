package azfntest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// How the host watches the handler (HttpWorkerProcess, HttpFunctionInvocationDispatcher).
const (
	readyInterval = 25 * time.Millisecond
	readyTimeout  = 30 * time.Second // initializationTimeout
	exitRestart   = 200              // this exit code asks for a restart
	maxCrashes    = 3
)

// process is one life of the handler.
type process struct {
	cmd     *exec.Cmd
	url     string
	ended   chan struct{} // closed when it is gone
	planned atomic.Bool   // the host ended it: no crash
}

func (p *process) kill() {
	p.cmd.Process.Kill() // it may be gone already
}

// replace kills the process without counting a crash.
func (p *process) replace() {
	p.planned.Store(true)
	p.kill()
}

func (p *process) isGone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// supervise keeps a handler running until the host stops or gives up.
func (h *Host) supervise() {
	defer close(h.ended)
	for crashes := 0; ; {
		p, err := h.launch()
		if err != nil {
			h.setWorker(nil, fmt.Errorf("start the handler: %w", err))
			return
		}
		stopping := context.AfterFunc(h.ctx, p.kill)
		late := h.awaitReady(p)
		if late == nil {
			h.setWorker(p, nil)
		} else {
			p.kill()
		}
		<-p.ended
		stopping()
		h.setWorker(nil, nil)
		switch code := p.cmd.ProcessState.ExitCode(); {
		case h.ctx.Err() != nil:
			return
		case p.planned.Load() || code == exitRestart:
		case code == 0:
			h.setWorker(nil, errors.New("the handler exited with code 0: the host does not start it again"))
			return
		default:
			if crashes++; crashes == maxCrashes {
				why := fmt.Errorf("it exited with code %d", code)
				h.setWorker(nil, fmt.Errorf("exceeded http worker restart retry count; shutting down Functions Host: %w", errors.Join(why, late)))
				return
			}
		}
	}
}

// launch starts the handler with the environment the host gives it, in the folder of host.json.
func (h *Host) launch() (*process, error) {
	path, err := h.app.executable()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	var args []string
	for _, arg := range h.app.host.CustomHandler.Description.Arguments {
		resolved, err := h.app.settings.resolve(arg)
		if err != nil {
			return nil, err
		}
		args = append(args, resolved)
	}
	id := uuid.NewString()
	cmd := exec.Command(path, args...)
	cmd.Dir = h.app.dir
	cmd.Env = append(append(cmd.Environ(), h.options.Env...),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+port, "FUNCTIONS_HTTPWORKER_PORT="+port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+id, "FUNCTIONS_HTTPWORKER_ID="+id,
		"FUNCTIONS_APP_ROOT_PATH="+h.app.dir, "WEBSITE_HOSTNAME="+h.address)
	stdout, stderr := &lineWriter{line: func(s string) { h.printed(false, s) }}, &lineWriter{line: func(s string) { h.printed(true, s) }}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // a grandchild may keep the pipes
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, url: "http://" + net.JoinHostPort("127.0.0.1", port), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		cmd.Wait() // the exit code is in ProcessState
		stdout.flush()
		stderr.flush()
	}()
	return p, nil
}

// awaitReady asks GET / until there is an answer, whatever it says.
func (h *Host) awaitReady(p *process) error {
	timeout := h.app.host.CustomHandler.InitializationTimeout.or(readyTimeout)
	ctx, cancel := context.WithTimeout(h.ctx, timeout)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		if r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/", nil); err != nil {
			return err
		} else if resp, err := h.client.Do(r); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return errors.New("it ended before it answered GET /")
		case <-ctx.Done():
			return fmt.Errorf("it did not answer GET / within %s", timeout)
		}
	}
}

// freePort finds a port as the host does: by taking one and giving it back.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// lineWriter calls line with each line written to it.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		text, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		w.line(string(bytes.TrimSuffix(text, []byte("\r"))))
		w.rest = rest
	}
}

// flush passes on a last line without an end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
	}
}
