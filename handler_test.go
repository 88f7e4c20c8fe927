package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/azfn/azfntest"
)

// functionApp starts the Functions host on a folder staged as `make package` stages dist/azure, in a simulated world,
// and lets the timer run once.
func functionApp(t *testing.T, s *simulation, mode azfntest.HTTPMode) *azfntest.Host {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := azfntest.Start(t, stage(t, s.config), azfntest.Options{
		Listener: listener, HTTPMode: mode,
		Env: append(s.environ(),
			"TENANTSYNC_PUBLIC_URL=http://"+listener.Addr().String(),
			"TENANTSYNC_CLIENT_STATE_KEY=a key that has more than 32 characters",
			"TENANTSYNC_DATA="+filepath.Join(t.TempDir(), "data")),
	})
	if err := host.FireTimer("renew"); err != nil {
		t.Fatal(err)
	}
	return host
}

func stage(t *testing.T, config string) (dir string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "azure")
	stage := exec.Command("go", "run", "./infra/package", "-binary", path, "-out", dir, "-config", config)
	stage.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := stage.CombinedOutput(); err != nil {
		t.Fatalf("stage the function app: %v\n%s", err, out)
	}
	return dir
}

// failures are the invocations that the host took for failed.
func failures(host *azfntest.Host) (failed []error) {
	for _, i := range host.Invocations("") {
		if i.Err != nil {
			failed = append(failed, i.Err)
		}
	}
	return failed
}

func TestTheStagedFunctionAppDoesTheSame(t *testing.T) {
	for name, mode := range map[string]azfntest.HTTPMode{
		"with requests proxied to the handler": azfntest.HTTPAsConfigured,
		"with requests in an envelope":         azfntest.HTTPEnvelope,
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate(t)
			host := functionApp(t, s, mode)
			story(t, s, promised)
			if failed := failures(host); len(failed) > 0 {
				t.Errorf("the host takes %d invocations for failed, the first: %v", len(failed), failed[0])
			}
			for _, line := range host.Lines() {
				if line.Level != "Information" {
					t.Errorf("the host records at level %s: %s", line.Level, line.Text)
				}
			}
		})
	}
}

func TestAHandlerKilledInABurstIsStartedAgainAndEndsRight(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	host := functionApp(t, s, azfntest.HTTPAsConfigured)
	source, target := s.directory(t, "fabrikam-mexico"), s.directory(t, "contoso")
	people := crowd(29, 40, mexicoDomain)
	joined := burst(t, source, target, people)
	if err := host.Kill(); err != nil {
		t.Fatal(err)
	}
	if len(failures(host)) == 0 {
		t.Error("no invocation failed; the burst has to be longer for this test to show anything")
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	took := eventually(t, patience, func() string { return unequal(target, people) })
	t.Logf("killed with %d invocations in hand; all %d were there %s after the new start", len(failures(host)), len(people), took.Round(time.Millisecond))
}

func TestTheFunctionAppReplaysForWhoBringsTheFunctionKey(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	host := functionApp(t, s, azfntest.HTTPAsConfigured)
	source := s.directory(t, "fabrikam-us")
	people := crowd(31, 1, usDomain)
	people[0]["mail"] = "somebody+else@" + usDomain
	if _, err := source.join(people[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() string {
		status, report := replay(t, host.URL(), azfntest.FunctionKey, map[string]any{"dryRun": true})
		if report.ByReason["address refused"] != 1 {
			return fmt.Sprintf("status %d, dead letters %v; want one whose address was refused", status, report.ByReason)
		}
		return ""
	})
	if status, _ := replay(t, host.URL(), "", map[string]any{}); status != 401 {
		t.Errorf("a replay without a key is answered with %d, want 401", status)
	}
}
