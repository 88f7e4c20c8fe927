package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const topology = `tenants:
  - {name: fabrikam-us, id: 6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f02}
  - {name: contoso, id: 6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f03}
routes:
  - {source: fabrikam-us, target: contoso}
`

// write puts a configuration into a folder of its own.
func write(t testing.TB, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "tenantsync.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// leadingTo are settings by which the login service, Graph and the bus are all at one address.
func leadingTo(address, data string) []string {
	return []string{
		"TENANTSYNC_AUTHORITY_HOST=https://" + address, "TENANTSYNC_GRAPH_ENDPOINT=https://" + address,
		"TENANTSYNC_CLIENT_ID=a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", "TENANTSYNC_CLIENT_SECRET=secret",
		"ServiceBusConnection=Endpoint=sb://" + address + ";SharedAccessKeyName=key;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true",
		"TENANTSYNC_CLIENT_STATE_KEY=a key that has more than 32 characters",
		"TENANTSYNC_PUBLIC_URL=https://sync.example.com", "TENANTSYNC_DATA=" + data,
	}
}

// silent is the address of somebody who takes connections and never says a word.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// launch starts the program as one of its two hosts, in a world that is all at one address, and returns where it will answer.
func launch(t testing.TB, host, config, world string) (p *process, url string) {
	t.Helper()
	address := freeAddress(t)
	data := filepath.Join(t.TempDir(), "data")
	env := leadingTo(world, data)
	if host == "handler" {
		_, port, _ := strings.Cut(address, ":")
		return start(t, append(env, "FUNCTIONS_CUSTOMHANDLER_PORT="+port, "TENANTSYNC_CONFIG="+config)), "http://" + address
	}
	return start(t, env, "serve", "--config", config, "--data", data, "--listen", address), "http://" + address
}

func TestAColdStartAnswersWhateverTheWorldDoes(t *testing.T) {
	t.Parallel()
	config := write(t, topology)
	for _, world := range []struct {
		name    string
		address func(testing.TB) string
	}{{"while the world refuses connections", freeAddress}, {"while the world never answers", silent}} {
		for _, host := range []string{"serve", "handler"} {
			t.Run(host+" "+world.name, func(t *testing.T) {
				_, url := launch(t, host, config, world.address(t))
				took := eventually(t, patience, func() string {
					if err := answers(url); err != nil {
						return err.Error()
					}
					return ""
				})
				t.Logf("the first answer came after %s", took.Round(time.Millisecond))
				resp, err := http.Post(url+"/api/notifications?validationToken=one%2Btwo%20%3Cb%3E", "text/plain", nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK || string(body) != "one+two <b>" {
					t.Errorf("the validation handshake is answered with %d %q (%v)", resp.StatusCode, body, err)
				}
			})
		}
	}
}

func TestAHandlerThatIsToldToEndDoesNotEndWith0(t *testing.T) {
	t.Parallel()
	p, url := launch(t, "handler", write(t, topology), freeAddress(t))
	eventually(t, patience, func() string {
		if err := answers(url); err != nil {
			return err.Error()
		}
		return ""
	})
	if code := p.interrupt(t); code <= 0 {
		t.Errorf("exit code %d; the Functions host starts a handler again only when it ended with another than 0", code)
	}
}

// BenchmarkColdStart measures the time from exec to the first answer over HTTP.
func BenchmarkColdStart(b *testing.B) {
	config, world := write(b, topology), freeAddress(b)
	if _, err := program(); err != nil { // building is no part of the first start
		b.Fatal(err)
	}
	for _, host := range []string{"serve", "handler"} {
		b.Run(host, func(b *testing.B) {
			var total time.Duration
			for range b.N {
				began := time.Now()
				p, url := launch(b, host, config, world)
				for answers(url) != nil {
					time.Sleep(time.Millisecond / 2)
				}
				total += time.Since(began)
				p.kill()
			}
			b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms/start")
			b.ReportMetric(0, "ns/op") // it counts the end of the process too
		})
	}
}

// mistaken has one mistake of each kind; %[1]s in what is said of it stands for its path.
const mistaken = `tenants:
  - name: fabrikam-us
    id: 6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f02
    colour: blue
  - name: contoso
    id: 6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f03
routes:
  - source: fabrikam-us
    target: contoso
  - source: fabrikam-eu
    target: contoso
  - source: fabrikam-us
    target: contoso
`

const complaint = `%[1]s:1: there is no credential to reach these tenants with; set TENANTSYNC_MANAGED_IDENTITY_CLIENT_ID to the client ID of a user-assigned managed identity that the app trusts, or TENANTSYNC_CLIENT_SECRET
%[1]s:4: tenants[0].colour: there is no key "colour" here; write one of: id, name
%[1]s:10: routes[1].source: there is no tenant "fabrikam-eu"; name one of: fabrikam-us, contoso
%[1]s:13: routes[2].target: routes[0] already leads from fabrikam-us to contoso; delete one of the two
`

func TestABadConfigurationIsExplainedAllAtOnceAndEndsWith2(t *testing.T) {
	t.Parallel()
	config := write(t, mistaken)
	for host, begin := range map[string]func(t *testing.T) *process{
		"serve": func(t *testing.T) *process {
			return start(t, []string{"TENANTSYNC_CLIENT_ID=app"}, "serve", "--config", config, "--data", t.TempDir())
		},
		"handler": func(t *testing.T) *process {
			_, port, _ := strings.Cut(freeAddress(t), ":")
			return start(t, []string{"TENANTSYNC_CLIENT_ID=app", "FUNCTIONS_CUSTOMHANDLER_PORT=" + port, "TENANTSYNC_CONFIG=" + config})
		},
	} {
		t.Run(host, func(t *testing.T) {
			p := begin(t)
			if code := p.exitCode(t); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if got, want := p.stderr.String(), fmt.Sprintf(complaint, config); got != want {
				t.Errorf("it says\n%s\nwant\n%s", got, want)
			}
		})
	}
}
