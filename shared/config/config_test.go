package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// env is an environment; what it does not hold is not set.
type env map[string]string

func (e env) get(name string) string { return e[name] }

// complete is an environment in which a good file is enough.
func complete() env { return env{EnvClientID: "app", EnvClientSecret: "secret"} }

// load reads a file by its bare name, so that what it says is the same on every machine.
func load(t *testing.T, path string, e env) (*Config, error) {
	t.Helper()
	t.Chdir(filepath.Dir(path))
	return Load(filepath.Base(path), e.get)
}

func TestABadFileGetsAllItsMistakesToldWithTheirLines(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files (%v)", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := load(t, path, complete())
			var invalid Invalid
			if c != nil || !errors.As(err, &invalid) {
				t.Fatalf("Load = %v, %v; want Invalid", c, err)
			}
			if !slices.IsSortedFunc(invalid, func(a, b Mistake) int { return order(a) - order(b) }) {
				t.Errorf("the mistakes are not in the order of the file:\n%v", invalid)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".golden", invalid.Error()+"\n")
			if f, alone := ReadFile(filepath.Base(path)); f != nil || alone == nil || alone.Error() != invalid.Error() {
				t.Errorf("read alone, without the environment, it says\n%v", alone)
			}
		})
	}
}

// golden compares a text with a file, or writes it there.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

func TestAGoodFileNamesTenantsAndRoutes(t *testing.T) {
	e := env{
		EnvAuthorityHost: "https://login.example", EnvGraphEndpoint: "https://graph.example/", EnvClientID: "app", EnvClientSecret: "secret",
		EnvClientStateKey: "state", EnvClientStateBefore: "before", EnvAdminKey: "admin", EnvPublicURL: "https://sync.example/", EnvDataDir: "/data",
		EnvBusNamespace: "bus.example", EnvBusIdentity: "bus-identity",
	}
	c, err := load(t, "testdata/good.yaml", e)
	if err != nil {
		t.Fatal(err)
	}
	us := tenant.Tenant{Name: "fabrikam-us", ID: "00000000-0000-0000-0000-00000000000a"}
	contoso := tenant.Tenant{Name: "contoso", ID: "00000000-0000-0000-0000-000000000002"}
	routes := []tenant.Route{{Name: "fabrikam-us→contoso", Source: us, Target: contoso}, {Name: "home", Source: contoso, Target: us}}
	if got := c.Topology.Routes(); !slices.Equal(got, routes) {
		t.Errorf("routes %+v, want %+v", got, routes)
	}
	c.Topology, c.Rules = nil, nil
	want := &Config{
		Graph:          Graph{AuthorityHost: "https://login.example", Endpoint: "https://graph.example", ClientID: "app", ClientSecret: "secret"},
		Bus:            Bus{Namespace: "bus.example", ManagedIdentityClientID: "bus-identity"},
		ClientStateKey: []byte("state"), PreviousClientStateKey: []byte("before"),
		AdminKey: "admin", PublicURL: "https://sync.example", DataDir: "/data",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("config %+v\nwant %+v", c, want)
	}
	if !c.Bus.Configured() {
		t.Error("a namespace is named, and yet there is no bus")
	}
}

func TestTheEnvironmentHasMistakesOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  env // on top of complete; an empty value unsets
		want string
	}{
		{name: "nothing to mend"},
		{name: "a managed identity instead of a secret", set: env{EnvClientSecret: "", EnvManagedIdentity: "identity"}},
		{name: "no application", set: env{EnvClientID: ""},
			want: "good.yaml:2: there is no application to reach these tenants with; set TENANTSYNC_CLIENT_ID to the client ID of the app registration"},
		{name: "no credential", set: env{EnvClientSecret: ""},
			want: "good.yaml:2: there is no credential to reach these tenants with; set TENANTSYNC_MANAGED_IDENTITY_CLIENT_ID to the client ID of a user-assigned managed identity that the app trusts, or TENANTSYNC_CLIENT_SECRET"},
		{name: "two credentials", set: env{EnvManagedIdentity: "identity"},
			want: "environment: both TENANTSYNC_CLIENT_SECRET and TENANTSYNC_MANAGED_IDENTITY_CLIENT_ID are set; unset one of them"},
		{name: "two buses", set: env{EnvBus: "Endpoint=sb://a", EnvBusNamespace: "b.example"},
			want: "environment: both ServiceBusConnection and ServiceBusConnection__fullyQualifiedNamespace are set; unset one of them"},
		{name: "addresses without https", set: env{EnvAuthorityHost: "login.example", EnvGraphEndpoint: "http://graph.example"},
			want: `environment: TENANTSYNC_AUTHORITY_HOST is "login.example"; write an address that begins with https://
environment: TENANTSYNC_GRAPH_ENDPOINT is "http://graph.example"; write an address that begins with https://`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := complete()
			for name, value := range tt.set {
				e[name] = value
			}
			_, err := load(t, "testdata/good.yaml", e)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("it says\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestTheDocumentsNameOnlySettingsThatThereAre(t *testing.T) {
	known := []string{EnvAuthorityHost, EnvGraphEndpoint, EnvClientID, EnvClientSecret, EnvManagedIdentity, EnvClientStateKey, EnvClientStateBefore,
		EnvAdminKey, EnvPublicURL, EnvDataDir, EnvConfigFile, EnvBus, EnvBusNamespace, EnvBusIdentity,
		"ServiceBusConnection__credential"} // for the Functions host alone
	setting := regexp.MustCompile(`\b(TENANTSYNC_[A-Z_]+|ServiceBusConnection(__[A-Za-z]+)?)\b`)
	for _, document := range []string{"../../README.md", "../../local.settings.json.example"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		named := setting.FindAllString(string(text), -1)
		if len(named) == 0 {
			t.Errorf("%s names no setting", document)
		}
		for _, name := range named {
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which nothing reads", document, name)
			}
		}
	}
}

func TestMistakesOfFileAndEnvironmentAreToldTogether(t *testing.T) {
	_, err := load(t, "testdata/bad/unknown-tenant.yaml", env{EnvBus: "a", EnvBusNamespace: "b"})
	var lines []int
	var invalid Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("error %v, want Invalid", err)
	}
	for _, m := range invalid {
		lines = append(lines, m.Line)
	}
	if want := []int{1, 1, 7, 8, 0}; !slices.Equal(lines, want) {
		t.Errorf("mistakes on lines %v, want %v:\n%v", lines, want, err)
	}
}

func TestAFileThatCannotBeReadSaysWhatToDo(t *testing.T) {
	_, err := Load("missing.yaml", complete().get)
	want := "missing.yaml: it cannot be read (no such file or directory); write one with tenants and routes, see README"
	var invalid Invalid
	if !errors.As(err, &invalid) || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
}

// FuzzParse: whatever the file holds, it is read without a panic, every mistake has a line of the file, and without one it is shown as
// a file that means the same.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("no seeds in %s (%v)", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, mistakes := parse("f.yaml", text)
		for _, m := range mistakes {
			// A line ends with \n, \r, NEL, LS or PS in YAML; one more is where the parser stops at the end.
			lines := 2
			for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
				lines += strings.Count(string(text), end)
			}
			if m.Line < 1 || m.Line > lines || m.Text == "" || m.File != "f.yaml" {
				t.Errorf("mistake %+v in a file of at most %d lines", m, lines)
			}
		}
		if doc.topology == nil && len(mistakes) == 0 {
			t.Error("there is no topology and no mistake")
		}
		if len(mistakes) == 0 {
			want := doc.file()
			text, got := shown(t, &want)
			if !reflect.DeepEqual(meaningOf(got), meaningOf(&want)) {
				t.Errorf("it is shown as something else:\n%s", text)
			}
		}
	})
}

func TestAFileSaysWhatARouteDoesWithPeople(t *testing.T) {
	c, err := load(t, "testdata/rules.yaml", complete())
	if err != nil {
		t.Fatal(err)
	}
	got := c.Rules["fabrikam-us→contoso"]
	scope := got.Scope
	if text := scope.When.String(); text != `user.department in ["Sales", "Board"] && has(user.manager.city)` {
		t.Errorf("the scope is %s", text)
	}
	scope.When = nil
	if want := (provisioning.Scope{
		Guests: true, Groups: []string{"00000000-0000-0000-0000-00000000000a"},
		Include: map[string]bool{"ana@fabrikam.example": true}, Exclude: map[string]bool{"00000000-0000-0000-0000-00000000000b": true},
	}); !reflect.DeepEqual(scope, want) {
		t.Errorf("scope\n got %+v\nwant %+v", scope, want)
	}
	if want := (provisioning.LeaveRules{
		Deleted:    provisioning.Leave{Action: provisioning.LeaveRemove},
		OutOfScope: provisioning.Leave{Action: provisioning.LeaveDisable, RemoveAfter: 30 * 24 * time.Hour},
		Disabled:   provisioning.Leave{Action: provisioning.LeaveKeep},
	}); got.Leave != want {
		t.Errorf("leave\n got %+v\nwant %+v", got.Leave, want)
	}
	if !got.OverrideBlocks {
		t.Error("blocks are not overridden")
	}
	if !got.TrustAssumed {
		t.Error("trust is not assumed")
	}

	rules := map[string]string{}
	for _, r := range got.Attributes {
		rules[r.Attribute.Name] = fmt.Sprint(r.Copy, r.Constant, r.Expression, r.Policy, r.Truncate)
	}
	for name, want := range map[string]string{
		"companyName":          fmt.Sprint(false, "Fabrikam", (*mapping.Expression)(nil), "enforce", false),
		"displayName":          `false<nil>user.displayName + " (Fabrikam)" once true`,
		"department":           fmt.Sprint(true, nil, (*mapping.Expression)(nil), "report", false),
		"extensionAttribute7":  `false<nil>user.employeeId enforce false`,
		"faxNumber":            fmt.Sprint(true, nil, (*mapping.Expression)(nil), "enforce", false),
		"userType":             fmt.Sprint(false, "Guest", (*mapping.Expression)(nil), "once", false),
		"showInAddressList":    fmt.Sprint(false, false, (*mapping.Expression)(nil), "enforce", false),
		"businessPhones":       fmt.Sprint(false, []string{"+1 555 0100"}, (*mapping.Expression)(nil), "enforce", false),
		"givenName":            fmt.Sprint(true, nil, (*mapping.Expression)(nil), "enforce", false),
		"mobilePhone":          "",
		"preferredDataCountry": "",
	} {
		if strings.ReplaceAll(rules[name], " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s: %s, want %s", name, rules[name], want)
		}
	}
	if want := (guard.Limits{Removals: 5, Percent: 2.5, Window: 7 * 24 * time.Hour}); got.Guard != want {
		t.Errorf("guard %+v, want %+v", got.Guard, want)
	}
	if !got.JournalValues {
		t.Error("the journal holds no values")
	}
	if got.Manager != provisioning.Once {
		t.Errorf("the manager is written %q", got.Manager)
	}
	var access []string
	for _, rule := range got.Access {
		access = append(access, fmt.Sprint(rule.Grant, " when ", rule.When))
	}
	const id = "00000000-0000-0000-0000-00000000000"
	if want := []string{
		"group " + id + `d when user.department == "Sales"`,
		"group " + id + "c when <nil>",
		"app " + id + "e role " + id + `f when user.manager.city == "Oslo"`,
		"app " + id + "e role " + provisioning.DefaultRole + " when <nil>",
	}; !slices.Equal(access, want) {
		t.Errorf("access\n got %q\nwant %q", access, want)
	}
	silent := provisioning.DefaultRules()
	silent.Guard = guard.Limits{}
	if home := c.Rules["home"]; !reflect.DeepEqual(home, silent) {
		t.Errorf("a route that says nothing has the rules %+v", home)
	}
}
