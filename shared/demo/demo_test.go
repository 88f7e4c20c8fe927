package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// somebody is a person of the story, and the external user that must be there for them.
func somebody(id string) (*person, map[string]any) {
	p := newPerson(entrasim.People(1, 1)[0])
	p.id = id
	u := map[string]any{"id": "external-" + id, "creationType": "Invitation", linkProperty: p.key(),
		"userType": "Member", "accountEnabled": true, "showInAddressList": true}
	for _, name := range copied {
		u[name] = p.properties[name]
	}
	return p, u
}

func TestTheCheckFindsEveryDifference(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(p *person, u map[string]any) []map[string]any // returns the users of the target
		wrong string                                             // a part of the only sentence; empty: nothing is wrong
	}{
		{"all is right", func(_ *person, u map[string]any) []map[string]any { return []map[string]any{u} }, ""},
		{"who left is gone", func(p *person, _ map[string]any) []map[string]any { p.left = true; return nil }, ""},
		{"the target's own users do not matter", func(_ *person, u map[string]any) []map[string]any {
			return []map[string]any{u, {"id": "own", "userType": "Member"}}
		}, ""},
		{"somebody is missing", func(*person, map[string]any) []map[string]any { return nil }, "has no external user"},
		{"who left is still there", func(p *person, u map[string]any) []map[string]any { p.left = true; return []map[string]any{u} }, "left and still has external user external-1"},
		{"somebody is there twice", func(_ *person, u map[string]any) []map[string]any {
			twin := maps.Clone(u)
			return []map[string]any{u, twin}
		}, "two external users of"},
		{"somebody nobody knows", func(_ *person, u map[string]any) []map[string]any {
			other := maps.Clone(u)
			other[linkProperty] = "other"
			return []map[string]any{u, other}
		}, "nobody knows the external user of other"},
		{"no link key", func(p *person, u map[string]any) []map[string]any {
			p.left = true
			delete(u, linkProperty)
			return []map[string]any{u}
		}, "external user external-1 carries no link key"},
		{"another department", func(_ *person, u map[string]any) []map[string]any { u["department"] = "x"; return []map[string]any{u} }, "department is x and must be"},
		{"no department", func(_ *person, u map[string]any) []map[string]any {
			delete(u, "department")
			return []map[string]any{u}
		}, "department is <nil> and must be"},
		{"a guest", func(_ *person, u map[string]any) []map[string]any {
			u["userType"] = "Guest"
			return []map[string]any{u}
		}, "userType is Guest and must be Member"},
		{"disabled", func(_ *person, u map[string]any) []map[string]any {
			u["accountEnabled"] = false
			return []map[string]any{u}
		}, "accountEnabled is false and must be true"},
		{"hidden", func(_ *person, u map[string]any) []map[string]any {
			delete(u, "showInAddressList")
			return []map[string]any{u}
		}, "showInAddressList is <nil> and must be true"},
		{"another object than before", func(p *person, u map[string]any) []map[string]any {
			p.external = "former"
			return []map[string]any{u}
		}, "id is external-1 and must be former"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, u := somebody("1")
			wrong := check([]*person{p}, tt.spoil(p, u))
			if tt.wrong == "" {
				if len(wrong) > 0 {
					t.Errorf("wrong: %q", wrong)
				}
				return
			}
			if len(wrong) != 1 || !strings.Contains(wrong[0], tt.wrong) {
				t.Errorf("wrong: %q, want one that says %q", wrong, tt.wrong)
			}
		})
	}
}

var arrival = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// entry is a journey of so many milliseconds.
func entry(user string, action provisioning.Action, outcome string, ms int) provisioning.Entry {
	return provisioning.Entry{User: user, Route: "fabrikam-us→contoso", Action: action, Outcome: outcome, ArrivedAt: arrival,
		At: arrival.Add(time.Duration(ms) * time.Millisecond), Error: "why"}
}

// play shows a small story.
func play(out Output) {
	w := newWatcher(out)
	p, _ := somebody("u1")
	w.chapter("two join")
	w.meet("u1", "Zoë Núñez")
	w.see(entry("u1", provisioning.ActionCreate, "done", 12))
	w.see(entry("u1", provisioning.ActionNone, "done", 1)) // nothing happened: not a journey
	w.see(entry("u2", provisioning.ActionCreate, "done", 8))
	w.meet("u2", "Bo Li") // known only after the journey
	w.see(entry("u1", provisioning.ActionUpdate, "retry", 5))
	w.result([]*person{p}, nil)
}

func TestWhatAPersonSeesIsAligned(t *testing.T) {
	var out bytes.Buffer
	play(Output{To: &out, Live: true})
	want := `
two join
  create    Zoë Núñez                     fabrikam-us→contoso        12.0 ms
  create    Bo Li                         fabrikam-us→contoso         8.0 ms
  retry     Zoë Núñez                     fabrikam-us→contoso      why

2 journeys: 2 create
from notification to the external user being right: half within 12.0 ms, 99 % within 12.0 ms
right: all 1 external users that must be in contoso are there, as they must be, and no other
`
	if out.String() != want {
		t.Errorf("it shows%s\nwant%s", out.String(), want)
	}
}

func TestTheCheckComparesAllThatThePeopleOfTheStoryHave(t *testing.T) {
	p, _ := somebody("1")
	if has, compared := slices.Sorted(maps.Keys(p.properties)), slices.Sorted(slices.Values(copied)); !slices.Equal(has, compared) {
		t.Errorf("people have %v\nand compared are %v", has, compared)
	}
}

func TestAJourneyWaitsForTheNameOfItsTraveller(t *testing.T) {
	var out bytes.Buffer
	w := newWatcher(Output{To: &out, Live: true})
	w.see(entry("u1", provisioning.ActionCreate, "done", 1))
	w.see(entry("u2", provisioning.ActionCreate, "done", 2))
	if out.Len() > 0 {
		t.Errorf("before anybody is known, it shows %s", &out)
	}
	for _, name := range []string{"u2", "u1", "u1"} {
		w.meet(name, "name of "+name)
	}
	if shown := out.String(); strings.Count(shown, "\n") != 2 || strings.Index(shown, "name of u2") > strings.Index(shown, "name of u1") {
		t.Errorf("it shows\n%s", shown)
	}
}

func TestAPipeGetsNoJourneysButFailures(t *testing.T) {
	var out bytes.Buffer
	play(Output{To: &out})
	if strings.Contains(out.String(), "Bo Li") || !strings.Contains(out.String(), "why") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("it shows%s", out.String())
	}
}

func TestColoursLeaveTheTextAsItIs(t *testing.T) {
	var plain, colored bytes.Buffer
	play(Output{To: &plain, Live: true})
	play(Output{To: &colored, Live: true, Color: true})
	text := colored.String()
	for _, code := range []string{bold, red, green, yellow, blue, cyan, "0"} {
		text = strings.ReplaceAll(text, "\x1b["+code+"m", "")
	}
	if text != plain.String() || text == colored.String() {
		t.Errorf("with colours it shows%s\nwithout%s", colored.String(), plain.String())
	}
}

func TestAMachineGetsOneObjectPerLine(t *testing.T) {
	var out bytes.Buffer
	play(Output{To: &out, JSON: true})
	var events []string
	var last map[string]any
	for line := range strings.Lines(out.String()) {
		last = map[string]any{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events = append(events, fmt.Sprint(last["event"]))
	}
	if want := []string{"chapter", "journey", "journey", "journey", "result"}; !slices.Equal(events, want) {
		t.Errorf("events %v, want %v", events, want)
	}
	if last["ok"] != true || last["failures"] != 1.0 || last["external"] != 1.0 || fmt.Sprint(last["wrong"]) != "[]" {
		t.Errorf("result %v", last)
	}
}

func TestWhatIsWrongIsShown(t *testing.T) {
	var text, lines bytes.Buffer
	newWatcher(Output{To: &text}).result(nil, []string{"somebody is missing"})
	newWatcher(Output{To: &lines, JSON: true}).result(nil, []string{"somebody is missing"})
	if !strings.Contains(text.String(), "wrong: somebody is missing") || strings.Contains(text.String(), "every one") {
		t.Errorf("it shows%s", text.String())
	}
	if !strings.Contains(lines.String(), `"ok":false`) || !strings.Contains(lines.String(), `"wrong":["somebody is missing"]`) {
		t.Errorf("it shows %s", lines.String())
	}
}

func TestAQuantileIsOneOfTheDurations(t *testing.T) {
	for _, tt := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{{nil, 0.5, 0}, {[]time.Duration{7}, 0.99, 7}, {[]time.Duration{1, 2, 3, 4}, 0.5, 3}, {[]time.Duration{1, 2, 3, 4}, 1, 4}} {
		if got := quantile(tt.of, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", tt.of, tt.q, got, tt.want)
		}
	}
}

func TestTheConfigurationOfTheWorldIsOneThatServeTakes(t *testing.T) {
	world, err := Open(WorldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Close(); err != nil {
			t.Error(err)
		}
	})
	path, env := filepath.Join(t.TempDir(), "tenantsync.yaml"), map[string]string{}
	var file bytes.Buffer
	if err := world.WriteConfig(&file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range world.Settings() {
		env[s.Name] = s.Value
	}
	c, err := config.Load(path, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if !c.Bus.Configured() || c.Graph.Endpoint != world.Graph.URL() || len(c.Topology.From(Mexico.ID)) != 1 || len(c.Topology.From(US.ID)) != 1 {
		t.Errorf("configuration %+v", c)
	}
}

func TestAnAddressThatIsTakenIsTold(t *testing.T) {
	world, err := Open(WorldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	for name, o := range map[string]WorldOptions{"of Graph": {GraphAddr: world.Graph.Addr()}, "of the bus": {BusAddr: world.Graph.Addr()}} {
		t.Run(name, func(t *testing.T) {
			if other, err := Open(o); err == nil || !strings.Contains(err.Error(), "address already in use") {
				t.Errorf("Open = %v, %v", other, err)
			}
		})
	}
}
