package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/config"
)

// simulate runs sim until the test ends, and returns once sim.env is there.
func simulate(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- Program{Getenv: environment{}.get, Stdout: &stdout, Stderr: &stderr}.Run(ctx, []string{"sim", "--dir", dir})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK || !strings.Contains(stderr.String(), "simulated tenants are ready at https://127.0.0.1:") {
			t.Errorf("sim ended with %d and says %s", code, &stderr)
		}
	})
	for range 1000 {
		if _, err := os.Stat(filepath.Join(dir, envFile)); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("sim wrote nothing within five seconds")
}

// source is what a shell has in its environment after it has read sim.env.
func source(t *testing.T, path string) environment {
	t.Helper()
	shell := exec.Command("/bin/sh", "-e", "-u", "-c", `. "$1"; env -0`, "sh", path)
	shell.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("sh: %v", err)
	}
	e := environment{}
	for line := range strings.SplitSeq(string(out), "\x00") {
		name, value, _ := strings.Cut(line, "=")
		e[name] = value
	}
	return e
}

func TestSimWritesAllThatServeAndOtherClientsNeed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `it's a "dir" with $HOME, a \ and spaces`)
	simulate(t, dir)
	e := source(t, filepath.Join(dir, envFile))

	for _, name := range []string{caFile, configFile, envFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v: it is for its owner only", name, info.Mode())
		}
	}
	c, err := config.Load(filepath.Join(dir, configFile), e.get)
	if err != nil {
		t.Fatalf("serve would refuse the configuration: %v", err)
	}
	if !c.Bus.Configured() || len(c.Topology.Sources()) != 2 {
		t.Errorf("configuration %+v", c)
	}
	if e["SSL_CERT_FILE"] != filepath.Join(dir, caFile) {
		t.Errorf("SSL_CERT_FILE is %q, want the file in %q", e["SSL_CERT_FILE"], dir)
	}
	usage, err := http.Get(e["SIM_ADMIN_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer usage.Body.Close()
	if text, _ := io.ReadAll(usage.Body); usage.StatusCode != http.StatusOK || !strings.Contains(string(text), "PUT  /weather") {
		t.Errorf("the admin API says %d %s", usage.StatusCode, text)
	}
	contoso := c.Topology.Routes()[0].Target
	if token := signIn(t, e, contoso.ID); token == "" {
		t.Error("the token endpoint gives no token")
	}
}

func TestSimRefusesWhatHasToBeMendedFirst(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sim"}, "--dir DIR"},
		{[]string{"sim", "--dir", t.TempDir(), "--speed", "0"}, "--speed is 0"},
		{[]string{"sim", "--dir", t.TempDir(), "--speed", "NaN"}, "--speed is NaN"},
		{[]string{"sim", "--dir", t.TempDir(), "--admin", "0.0.0.0:0"}, "not on loopback"},
		{[]string{"sim", "--dir", t.TempDir(), "--admin", "here"}, "not on loopback"},
	} {
		var stdout, stderr bytes.Buffer
		code := Program{Getenv: environment{}.get, Stdout: &stdout, Stderr: &stderr}.Run(t.Context(), c.args)
		if code == exitOK || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, &stderr)
		}
	}
}

// signIn asks for a token as the README tells other clients to.
func signIn(t *testing.T, e environment, tenantID string) string {
	t.Helper()
	ca, err := os.ReadFile(e["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).PostForm(e["SIM_TOKEN_URL"]+"/"+tenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {e["SIM_CLIENT_ID"]}, "client_secret": {e["SIM_CLIENT_SECRET"]},
		"scope": {"https://graph.microsoft.com/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.AccessToken
}

func TestQuoteMakesOneWordForTheShell(t *testing.T) {
	for _, text := range []string{"", "plain", "two words", "it's", `"double"`, "$HOME `id` $(id)", `back\slash`, "line\nbreak", "'", "→ñ", "a;b&c|d>e#f*"} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("the shell makes %q of %s, want %q (%v)", out, quote(text), text, err)
		}
	}
}
