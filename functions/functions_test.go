package functions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/functions/backfill"
	"github.com/tenantsync/tenantsync/functions/guard"
	"github.com/tenantsync/tenantsync/functions/lifecycle"
	"github.com/tenantsync/tenantsync/functions/look"
	"github.com/tenantsync/tenantsync/functions/notify"
	"github.com/tenantsync/tenantsync/functions/provision"
	"github.com/tenantsync/tenantsync/functions/renew"
	"github.com/tenantsync/tenantsync/functions/replay"
	"github.com/tenantsync/tenantsync/functions/status"
	"github.com/tenantsync/tenantsync/functions/sweep"
)

func table() []functions.Function {
	return functions.Table(functions.Handlers{
		Notify: &notify.Handler{}, Provision: &provision.Handler{}, Backfill: &backfill.Handler{}, Renew: &renew.Handler{}, Replay: &replay.Handler{}, Guard: &guard.Handler{}, Look: &look.Handler{}, Status: &status.Handler{}, Lifecycle: &lifecycle.Handler{}, Sweep: &sweep.Handler{},
	})
}

// schedules are the intervals that the table uses, as NCRONTAB spells them: {second} {minute} {hour} {day} {month} {weekday}.
var schedules = map[time.Duration]string{5 * time.Minute: "0 */5 * * * *"}

// binding is one binding of a function.json, every field of it.
type binding struct {
	Type, Direction, Name string
	AuthLevel, Route      string
	Methods               []string
	QueueName, Connection string
	DataType              string
	Schedule              string
	UseMonitor            bool
}

// bindings are those that a function.json must have so that the Functions host triggers f as every other host does.
func bindings(f functions.Function) []binding {
	switch {
	case f.HTTP != nil:
		level := "anonymous"
		if f.HTTP.Keyed {
			level = "function"
		}
		methods := make([]string, len(f.HTTP.Methods))
		for i, m := range f.HTTP.Methods {
			methods[i] = strings.ToLower(m)
		}
		return []binding{
			{Type: "httpTrigger", Direction: "in", Name: "req", AuthLevel: level, Methods: methods, Route: f.HTTP.Route},
			{Type: "http", Direction: "out", Name: "res"},
		}
	case f.Timer != nil:
		return []binding{{Type: "timerTrigger", Direction: "in", Name: "timer", Schedule: schedules[f.Timer.Every], UseMonitor: true}}
	case f.Queue != nil:
		return []binding{{Type: "serviceBusTrigger", Direction: "in", Name: "msg", QueueName: f.Queue.Name,
			Connection: "ServiceBusConnection", DataType: "binary"}}
	}
	return nil
}

func TestFunctionJSONTriggersWhatTheTableSays(t *testing.T) {
	for _, f := range table() {
		t.Run(f.Name, func(t *testing.T) {
			var got struct {
				Bindings []binding
				Retry    json.RawMessage
			}
			decode(t, filepath.Join(f.Name, "function.json"), &got)
			if want := bindings(f); fmt.Sprintf("%+v", got.Bindings) != fmt.Sprintf("%+v", want) {
				t.Errorf("function.json binds\n%+v, and the table says\n%+v", got.Bindings, want)
			}
			if f.Queue != nil && got.Retry != nil {
				t.Error("function.json has a retry policy: the host would then call again for a message that is already settled")
			}
		})
	}
}

func TestEveryFunctionHasAFolderAndEveryFolderAFunction(t *testing.T) {
	found, err := filepath.Glob("*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]bool{}
	for _, path := range found {
		folders[filepath.Dir(path)] = true
	}
	names := map[string]bool{}
	for _, f := range table() {
		if names[f.Name] {
			t.Errorf("two functions are called %s", f.Name)
		}
		names[f.Name] = true
	}
	if !maps.Equal(folders, names) {
		t.Errorf("folders with a function.json: %v; functions of the table: %v", slices.Sorted(maps.Keys(folders)), slices.Sorted(maps.Keys(names)))
	}
}

func TestOnlyWhatGraphCallsIsOpenToEverybody(t *testing.T) {
	for _, f := range table() {
		if f.HTTP != nil && !f.HTTP.Keyed && f.Name != "notify" && f.Name != "lifecycle" {
			t.Errorf("%s can be called without a key", f.Name)
		}
		if f.HTTP != nil && !f.HTTP.Keyed && !slices.Equal(f.HTTP.Methods, []string{http.MethodPost}) {
			t.Errorf("%s answers %v to everybody", f.Name, f.HTTP.Methods)
		}
	}
}

func TestTheHostLeavesSettlementAndRequestsToUs(t *testing.T) {
	var host struct {
		FunctionTimeout string
		CustomHandler   struct {
			Description                struct{ DefaultExecutablePath string }
			EnableProxyingHTTPRequest  bool `json:"enableProxyingHttpRequest"`
			EnableForwardingHTTPReques bool `json:"enableForwardingHttpRequest"`
		}
		Extensions struct {
			HTTP       struct{ RoutePrefix string }
			ServiceBus struct {
				AutoCompleteMessages *bool
				PrefetchCount        int
			}
		}
	}
	decode(t, filepath.Join("..", "host.json"), &host)
	bus := host.Extensions.ServiceBus
	if bus.AutoCompleteMessages == nil || *bus.AutoCompleteMessages {
		t.Error("extensions.serviceBus.autoCompleteMessages must be false: provision settles every message itself")
	}
	if bus.PrefetchCount != 0 {
		t.Error("extensions.serviceBus.prefetchCount must be 0: a message that waits in a buffer loses its lock there")
	}
	if got := host.Extensions.HTTP.RoutePrefix; got != "api" {
		t.Errorf("extensions.http.routePrefix is %q; subscriptions name /api/%s", got, notify.Route)
	}
	if got := host.CustomHandler.Description.DefaultExecutablePath; got != "tenantsync" {
		t.Errorf("customHandler.description.defaultExecutablePath is %q; infra/package stages the program as tenantsync", got)
	}
	if !host.CustomHandler.EnableProxyingHTTPRequest && !host.CustomHandler.EnableForwardingHTTPReques {
		t.Error("the host neither proxies nor forwards requests: validation tokens would not come back as they are")
	}
	if limit := "00:05:00"; host.FunctionTimeout != limit {
		t.Errorf("functionTimeout is %q; shared/azfn ends an invocation shortly before %s", host.FunctionTimeout, limit)
	}
}

// decode reads a JSON file; a field that the test does not know is fine in host.json and a mistake in a binding.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dec := json.NewDecoder(file)
	if filepath.Base(path) == "function.json" {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
