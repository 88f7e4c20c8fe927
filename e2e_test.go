// The tests here hold the program to its contract from outside: the binary, the simulated tenants and the bus run as
// processes of their own, and what happens is read from Microsoft Graph alone. Only where the weather of the simulation
// matters (duplicates_test.go) does the whole program run in the process of the test.
package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that has no time of its own to keep. It is over the lock of a message on the
// bus, which is what a killed worker leaves behind for longest.
const patience = 75 * time.Second

// scratch holds the program; it is removed after the last test.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "tenantsync-test-"); err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the program:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// program is the binary, built once as the Makefile does.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "tenantsync")
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// process is a run of the program. It ends with the test; what it printed is in the log of a test that failed.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr recorder
	ended          chan struct{}
}

// start runs the program with these arguments and nothing in its environment but env.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("tenantsync %s\n%s%s", strings.Join(args, " "), p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill() // it may be gone already
	<-p.ended
}

// exitCode waits for the process to end by itself.
func (p *process) exitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the process has not ended after %s", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// interrupt asks the process to end, as Ctrl-C does, and returns its exit code.
func (p *process) interrupt(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	return p.exitCode(t)
}

// recorder keeps what a process prints. Safe for concurrent use.
type recorder struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// eventually looks again and again until nothing is wrong, and returns how long that took.
func eventually(t testing.TB, within time.Duration, look func() (wrong string)) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		wrong := look()
		took := time.Since(began)
		switch {
		case wrong == "":
			return took
		case took > within:
			t.Fatalf("after %s: %s", within, wrong)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// service is a running `tenantsync serve`.
type service struct {
	*process
	data, url, listen string
}

// serve starts `tenantsync serve` and returns once it says that it serves.
func serve(t testing.TB, env []string, config, data, listen string) *service {
	t.Helper()
	s := &service{process: start(t, env, "serve", "--config", config, "--data", data, "--listen", listen), data: data}
	eventually(t, patience, func() string {
		for line := range strings.Lines(s.stdout.String()) {
			var entry struct{ Msg, Listen, PublicURL string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
				s.listen, s.url = entry.Listen, entry.PublicURL
				return ""
			}
		}
		select {
		case <-s.ended:
			t.Fatal("serve ended before it served")
		default:
		}
		return "serve has not said that it serves"
	})
	return s
}

// simulation is a running `tenantsync sim`.
type simulation struct {
	*process
	config string // its tenantsync.yaml
	vars   map[string]string
	client *http.Client
}

// simulate starts `tenantsync sim` and reads sim.env as a shell does.
func simulate(t testing.TB) *simulation {
	t.Helper()
	dir := t.TempDir()
	s := &simulation{process: start(t, nil, "sim", "--calm", "--dir", dir), config: filepath.Join(dir, "tenantsync.yaml"), vars: map[string]string{}}
	file := filepath.Join(dir, "sim.env")
	eventually(t, patience, func() string {
		if _, err := os.Stat(file); err != nil {
			return err.Error()
		}
		return ""
	})
	shell := exec.Command("sh", "-c", `. "$0" && env`, file)
	shell.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("source %s: %v", file, err)
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		s.vars[name] = value
	}
	s.client = trusting(t, s.vars["SSL_CERT_FILE"])
	return s
}

// environ is what sim.env sets, for another process.
func (s *simulation) environ() (env []string) {
	for name, value := range s.vars {
		env = append(env, name+"="+value)
	}
	return env
}

// serve starts `tenantsync serve` in this world, on a folder of its own.
func (s *simulation) serve(t testing.TB) *service {
	t.Helper()
	return serve(t, s.environ(), s.config, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
}

// directory signs in to a tenant of the simulation.
func (s *simulation) directory(t testing.TB, tenant string) *directory {
	t.Helper()
	d, err := signIn(s.client, s.vars["SIM_TOKEN_URL"], s.vars["SIM_GRAPH_URL"], tenant, s.vars["SIM_CLIENT_ID"], s.vars["SIM_CLIENT_SECRET"])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// answers reports whether anybody answers at a URL, on a connection of its own.
func answers(url string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// all runs do for each of the items at once and joins the errors.
func all[T any](items []T, do func(i int, item T) error) error {
	errs := make([]error, len(items))
	var group sync.WaitGroup
	for i, item := range items {
		group.Go(func() { errs[i] = do(i, item) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// burst lets people join at once and returns when the first of them are in the target; the channel tells when all have joined.
func burst(t *testing.T, source, target *directory, people []map[string]any) (joined <-chan error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		ended <- all(people, func(_ int, person map[string]any) error { _, err := source.join(person); return err })
	}()
	eventually(t, patience, func() string {
		if users, err := target.external(); err != nil || len(users) < 5 {
			return fmt.Sprintf("%d external users, %v; the burst has not begun", len(users), err)
		}
		return ""
	})
	return ended
}
