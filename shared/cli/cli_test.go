package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// environment is a fixed one; what it does not hold is not set.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

// run executes one command to its end.
func run(t *testing.T, e environment, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Program{Getenv: e.get, Stdout: &out, Stderr: &err}.Run(t.Context(), args)
	return code, out.String(), err.String()
}

func TestWrongUseIsSaidInOneLineAndExits2(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown command", []string{"frobnicate"}, `unknown command "frobnicate"`},
		{"an unknown flag", []string{"--frobnicate"}, "unknown flag: --frobnicate"},
		{"an unknown flag of a command", []string{"sim", "--frobnicate"}, "unknown flag: --frobnicate"},
		{"a flag without its value", []string{"sim", "--dir"}, "flag needs an argument: --dir"},
		{"a flag that is not a number or word it can be", []string{"demo", "--json=maybe"}, `invalid argument "maybe" for "--json" flag`},
		{"a word too many", []string{"demo", "now"}, `unknown command "now" for "tenantsync demo"`},
		{"a decision without a route", []string{"guard", "approve"}, "write tenantsync guard approve ROUTE"},
		{"a decision about nobody", []string{"guard", "approve", "a→b"}, "name users, or give --all"},
		{"a decision about all and one", []string{"guard", "reject", "a→b", "u1", "--all"}, "name users, or give --all"},
		{"a look at nobody", []string{"look", "a→b"}, "name users, or give --all"},
		{"a look on no route", []string{"look", "--all"}, "write tenantsync look ROUTE [USER…]"},
		{"an administrator without a key", []string{"guard", "list"}, "set TENANTSYNC_ADMIN_KEY"},
		{"an administrator of no address", []string{"guard", "list", "--url", "sync"}, "write an address such as"},
		{"an unknown command of config", []string{"config", "frobnicate"}, `unknown command "frobnicate" for "tenantsync config"`},
		{"sim without a folder", []string{"sim"}, "give --dir DIR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, nil, tt.args...)
			if code != exitInvalid || !strings.Contains(stderr, tt.want) || !strings.HasSuffix(stderr, "see tenantsync --help\n") {
				t.Errorf("exit %d, %q; want 2 and %q", code, stderr, tt.want)
			}
			if stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("it prints %q and %q", stdout, stderr)
			}
		})
	}
}

func TestHelpListsTheCommands(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		code, stdout, stderr := run(t, nil, args...)
		if code != exitOK || stderr != "" {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
		for _, command := range []string{"\n  demo ", "\n  sim ", "\n  broker ", "\n  serve ", "\n  config ", "\n  plan ", "\n  status ", "\n  guard ", "\n  look "} {
			if !strings.Contains(stdout, command) {
				t.Errorf("%v: the help does not list%q:\n%s", args, command, stdout)
			}
		}
	}
}

const goodConfig = `tenants:
  - name: fabrikam-us
    id: 00000000-0000-0000-0000-000000000001
  - name: contoso
    id: 00000000-0000-0000-0000-000000000002
routes:
  - source: fabrikam-us
    target: contoso
`

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tenantsync.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServeRefusesWhatHasToBeMendedFirst(t *testing.T) {
	good, bad := write(t, goodConfig), write(t, strings.Replace(goodConfig, "target: contoso", "target: contosso\n    priority: all", 1))
	complete := environment{"TENANTSYNC_CLIENT_ID": "app", "TENANTSYNC_CLIENT_SECRET": "secret"}
	for _, tt := range []struct {
		name string
		env  environment
		args []string
		want []string
	}{
		{"every mistake of the file, and the missing credential", nil, []string{"--config", bad},
			[]string{bad + ":1: there is no application", bad + ":1: there is no credential", bad + `:8: routes[0].target: there is no tenant "contosso"`, bad + `:9: routes[0].priority: there is no key "priority"`}},
		{"no file", complete, []string{"--config", "nowhere.yaml"}, []string{"nowhere.yaml: it cannot be read"}},
		{"no folder", complete, []string{"--config", good}, []string{"give --data DIR"}},
		{"a public URL that is none", complete, []string{"--config", good, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--public-url", "sync.contoso.com"},
			[]string{`"sync.contoso.com" is no address that Graph can reach`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, tt.env, append([]string{"serve"}, tt.args...)...)
			if code != exitInvalid || stdout != "" {
				t.Errorf("exit %d, prints %q; want 2 and nothing", code, stdout)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(tt.want), stderr)
			}
			for i, want := range tt.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d is %q, want %q", i+1, lines[i], want)
				}
			}
		})
	}
}

func TestTheHandlerNeverExitsWith0(t *testing.T) {
	root := filepath.Dir(write(t, goodConfig))
	complete := environment{"FUNCTIONS_APP_ROOT_PATH": root, "TENANTSYNC_CLIENT_ID": "app", "TENANTSYNC_CLIENT_SECRET": "secret",
		"ServiceBusConnection": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true", "TENANTSYNC_PUBLIC_URL": "https://sync.contoso.com",
		"TENANTSYNC_DATA": filepath.Join(root, "data"), "TENANTSYNC_CLIENT_STATE_KEY": strings.Repeat("k", 32)}
	t.Run("after an orderly end it is 1, so that the host starts it again", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		port := freePort(t)
		go func() { waitFor(ctx, "http://127.0.0.1:"+port); cancel() }()
		var stderr bytes.Buffer
		if code := (Program{Getenv: complete.get, Stdout: io.Discard, Stderr: &stderr}).Handler(ctx, port); code != exitFailed || stderr.Len() > 0 {
			t.Errorf("exit %d and says %q, want 1 and nothing", code, &stderr)
		}
	})
	t.Run("with app settings missing it is 2, and each is named", func(t *testing.T) {
		var stderr bytes.Buffer
		some := environment{}
		for _, name := range []string{"FUNCTIONS_APP_ROOT_PATH", "TENANTSYNC_CLIENT_ID", "TENANTSYNC_CLIENT_SECRET"} {
			some[name] = complete[name]
		}
		if code := (Program{Getenv: some.get, Stdout: io.Discard, Stderr: &stderr}).Handler(t.Context(), "0"); code != exitInvalid {
			t.Errorf("exit %d, want 2", code)
		}
		for _, name := range []string{"ServiceBusConnection", "TENANTSYNC_PUBLIC_URL", "TENANTSYNC_DATA", "TENANTSYNC_CLIENT_STATE_KEY"} {
			if !strings.Contains(stderr.String(), name) {
				t.Errorf("it does not name %s:\n%s", name, &stderr)
			}
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// waitFor returns once somebody answers at an address.
func waitFor(ctx context.Context, address string) {
	for ctx.Err() == nil {
		if resp, err := http.Get(address); err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTheDemoEndsRight(t *testing.T) {
	code, stdout, stderr := run(t, nil, "demo", "--json")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var result struct {
		Event    string
		OK       bool
		External int
		Wrong    []string
		Actions  map[string]int
	}
	lines := slices.Collect(strings.Lines(stdout))
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil {
		t.Fatal(err)
	}
	if result.Event != "result" || !result.OK || result.External < 50 || len(result.Wrong) > 0 {
		t.Errorf("result %+v", result)
	}
	for action, least := range map[string]int{"create": 60, "update": 20, "remove": 10, "restore": 2} {
		if result.Actions[action] < least {
			t.Errorf("%d times %s, want at least %d", result.Actions[action], action, least)
		}
	}
}
