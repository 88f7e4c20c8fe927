package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/config"
)

const twoRoutes = goodConfig + `  - {name: back, source: contoso, target: fabrikam-us, guard: off}
`

func TestAConfigurationFileIsValidWhateverTheEnvironment(t *testing.T) {
	for text, want := range map[string]string{goodConfig: " is valid: 2 tenants, 1 route\n", twoRoutes: " is valid: 2 tenants, 2 routes\n"} {
		path := write(t, text)
		for _, e := range []environment{nil, {"TENANTSYNC_GRAPH_ENDPOINT": "nowhere"}} {
			if code, stdout, stderr := run(t, e, "config", "validate", "--config", path); code != exitOK || stdout != path+want || stderr != "" {
				t.Errorf("exit %d, prints %q and %q; want 0 and %q", code, stdout, stderr, path+want)
			}
		}
		e := environment{"TENANTSYNC_CONFIG": path}
		if code, stdout, _ := run(t, e, "config", "validate"); code != exitOK || stdout != path+want {
			t.Errorf("exit %d, prints %q for the file that the environment names", code, stdout)
		}
	}
}

func TestConfigCommandsTellEveryMistakeOfTheFileAndExit2(t *testing.T) {
	bad := write(t, strings.Replace(goodConfig, "target: contoso", "target: contosso\n    priority: all", 1))
	mistakes := bad + `:8: routes[0].target: there is no tenant "contosso"; name one of: fabrikam-us, contoso` + "\n" +
		bad + `:9: routes[0].priority: there is no key "priority" here; write one of: ` +
		"access, attributes, guard, journal, leave, name, overrideBlocks, scope, source, target, trust\n"
	missing := filepath.Join(filepath.Dir(bad), "missing.yaml")
	for path, want := range map[string]string{
		bad:     mistakes,
		missing: missing + ": it cannot be read (no such file or directory); write one with tenants and routes, see README\n",
	} {
		for _, args := range [][]string{{"config", "validate"}, {"config", "show"}, {"config", "show", "--route", "any", "--json"}} {
			if code, stdout, stderr := run(t, nil, append(args, "--config", path)...); code != exitInvalid || stdout != "" || stderr != want {
				t.Errorf("%v: exit %d, prints %q and\n%s\nwant 2, nothing and\n%s", args, code, stdout, stderr, want)
			}
		}
	}
}

func TestShownConfigurationIsValidAndShownAgainTheSame(t *testing.T) {
	path := write(t, twoRoutes)
	for _, args := range [][]string{nil, {"--json"}, {"--route", "back"}, {"--route", "back", "--json"}} {
		show := append([]string{"config", "show"}, args...)
		code, first, stderr := run(t, nil, append(show, "--config", path)...)
		if code != exitOK || stderr != "" {
			t.Fatalf("%v: exit %d, %s", args, code, stderr)
		}
		again := write(t, first)
		if code, second, stderr := run(t, nil, append(show, "--config", again)...); code != exitOK || second != first {
			t.Errorf("%v: exit %d, %s, shows\n%s\nand again\n%s", args, code, stderr, first, second)
		}
		if isJSON := json.Valid([]byte(first)); isJSON != strings.Contains(strings.Join(args, " "), "--json") {
			t.Errorf("%v: it prints JSON: %v", args, isJSON)
		}
		if alone := !strings.Contains(first, "fabrikam-us→contoso"); alone != strings.Contains(strings.Join(args, " "), "--route") {
			t.Errorf("%v: the other route is left out: %v", args, alone)
		}
	}
}

func TestARouteThatIsNotThereIsToldWithThoseThatAre(t *testing.T) {
	code, stdout, stderr := run(t, nil, "config", "show", "--config", write(t, twoRoutes), "--route", "forth")
	want := "tenantsync: there is no route \"forth\"; name one of: fabrikam-us→contoso, back; see tenantsync --help\n"
	if code != exitInvalid || stdout != "" || stderr != want {
		t.Errorf("exit %d, prints %q and %q; want 2, nothing and %q", code, stdout, stderr, want)
	}
}

func TestTheSchemaIsPrinted(t *testing.T) {
	code, stdout, stderr := run(t, nil, "config", "schema")
	if code != exitOK || stdout != config.Schema() || !json.Valid([]byte(stdout)) || stderr != "" {
		t.Errorf("exit %d, prints %q and %q", code, stdout, stderr)
	}
}

func TestConfigWithoutACommandPrintsHelp(t *testing.T) {
	code, stdout, stderr := run(t, nil, "config")
	if code != exitOK || stderr != "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for _, command := range []string{"\n  validate ", "\n  show ", "\n  schema "} {
		if !strings.Contains(stdout, command) {
			t.Errorf("the help does not list%q:\n%s", command, stdout)
		}
	}
}
