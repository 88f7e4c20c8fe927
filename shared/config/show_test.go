package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// meaning is a file in a form that can be compared: expressions as they are written, instead of compiled.
type meaning struct {
	Topology    *tenant.Topology
	Rules       map[string]provisioning.Rules
	Expressions map[string][]string
}

func meaningOf(f *File) meaning {
	m := meaning{f.Topology, map[string]provisioning.Rules{}, map[string][]string{}}
	for route, rules := range f.Rules {
		r := *rules
		r.Attributes = slices.Clone(r.Attributes)
		texts := []string{""}
		if r.Scope.When != nil {
			texts[0], r.Scope.When = r.Scope.When.Text(), nil
		}
		for i := range r.Attributes {
			a := &r.Attributes[i]
			if a.Expression != nil {
				texts, a.Expression = append(texts, a.Attribute.Name+" is "+a.Expression.Text()), nil
			}
			if values, is := a.Constant.([]string); is && len(values) == 0 {
				a.Constant = []string{}
			}
		}
		// Groups and apps are two lists, each in its order.
		r.Access = slices.Clone(r.Access)
		slices.SortStableFunc(r.Access, func(a, b provisioning.AccessRule) int { return cmp.Compare(len(a.Grant.App), len(b.Grant.App)) })
		for i := range r.Access {
			if a := &r.Access[i]; a.When != nil {
				texts, a.When = append(texts, fmt.Sprint(a.Grant, " when ", a.When.Text())), nil
			}
		}
		m.Rules[route], m.Expressions[route] = r, texts
	}
	return m
}

// shown shows a file, and reads what is shown.
func shown(t interface{ Fatalf(string, ...any) }, f *File) (text []byte, again *File) {
	text, err := f.YAML()
	if err != nil {
		t.Fatalf("%v", err)
	}
	doc, mistakes := parse("shown.yaml", text)
	if len(mistakes) > 0 {
		t.Fatalf("what is shown has mistakes:\n%v\n%s", Invalid(mistakes), text)
	}
	got := doc.file()
	return text, &got
}

func TestWhatIsShownMeansTheSame(t *testing.T) {
	schema := compiledSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		f := anyFile(t)
		text, again := shown(t, f)
		if got, want := meaningOf(again), meaningOf(f); !reflect.DeepEqual(got, want) {
			t.Errorf("it is shown as\n%s\nwhich means\n%+v\nand not\n%+v", text, got, want)
		}
		var asYAML, asJSON any
		if err := yaml.Unmarshal(text, &asYAML); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(asYAML); err != nil {
			t.Errorf("the schema refuses what is shown:\n%s\n%v", text, err)
		}
		inJSON, err := f.JSON()
		if err == nil {
			err = json.Unmarshal(inJSON, &asJSON)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(asJSON, throughJSON(t, asYAML)) {
			t.Errorf("the YAML\n%s\nis not the JSON\n%s", text, inJSON)
		}
	})
}

// throughJSON is a value of YAML with the types that a value of JSON has.
func throughJSON(t *rapid.T, value any) (same any) {
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &same)
	}
	if err != nil {
		t.Fatal(err)
	}
	return same
}

// anyFile draws two tenants with a route in each direction, and rules for them.
func anyFile(t *rapid.T) *File {
	name := rapid.String().Filter(func(s string) bool { return s != "" })
	names := rapid.SliceOfNDistinct(name, 2, 2, rapid.ID).Draw(t, "names of routes")
	tenants := []tenant.Tenant{{Name: "contoso", ID: "00000000-0000-0000-0000-00000000000a"}, {Name: "0e1", ID: "00000000-0000-0000-0000-000000000002"}}
	routes := []tenant.RouteSpec{{Name: names[0], Source: "contoso", Target: "0e1"}, {Name: names[1], Source: "0e1", Target: "contoso"}}
	topology, err := tenant.NewTopology(tenants, routes)
	if err != nil {
		t.Fatal(err)
	}
	return &File{Topology: topology, Rules: map[string]*provisioning.Rules{names[0]: anyRules(t), names[1]: anyRules(t)}}
}

func anyRules(t *rapid.T) *provisioning.Rules {
	r := provisioning.DefaultRules()
	id := rapid.StringMatching("0000000[0-9a-f]-0000-0000-0000-000000000000")
	person := rapid.OneOf(id, rapid.Map(rapid.String(), func(s string) string { return strings.ToLower(s + "@") }))
	some := func(prefix string) map[string]bool {
		var set map[string]bool
		for _, name := range rapid.SliceOfN(person, 0, 3).Draw(t, prefix) {
			if set == nil {
				set = map[string]bool{}
			}
			set[name] = true
		}
		return set
	}
	r.Scope = provisioning.Scope{Guests: rapid.Bool().Draw(t, "guests"), Include: some("include")}
	if r.Scope.Include == nil {
		r.Scope.Exclude = some("exclude")
	}
	r.Scope.Groups = append(r.Scope.Groups, rapid.SliceOfNDistinct(id, 0, 2, rapid.ID).Draw(t, "groups")...)
	if rapid.Bool().Draw(t, "a condition") {
		r.Scope.When = anyExpression(t, mapping.Flag)
	}
	kept := r.Attributes[:0]
	for _, a := range r.Attributes {
		if rapid.IntRange(0, 3).Draw(t, "leave "+a.Attribute.Name+" alone") > 0 {
			kept = append(kept, anyAttribute(t, a))
		}
	}
	r.Attributes = kept
	others := rapid.SampledFrom([]string{"faxNumber", "otherMails", "extensionAttribute3", "extension_00000000000000000000000000000001_badge"})
	for _, name := range rapid.SliceOfNDistinct(others, 0, 4, rapid.ID).Draw(t, "other attributes") {
		a, _ := mapping.AttributeOf(name)
		r.Attributes = append(r.Attributes, anyAttribute(t, provisioning.AttributeRule{Attribute: a, Copy: true, Policy: provisioning.Enforce}))
	}
	actions := rapid.SampledFrom([]provisioning.LeaveAction{provisioning.LeaveKeep, provisioning.LeaveDisable, provisioning.LeaveRemove})
	for _, l := range []*provisioning.Leave{&r.Leave.Deleted, &r.Leave.OutOfScope, &r.Leave.Disabled} {
		l.Action = actions.Draw(t, "action")
		if l.Action == provisioning.LeaveDisable && rapid.Bool().Draw(t, "removed later") {
			l.RemoveAfter = anySpan(t)
		}
	}
	r.OverrideBlocks = rapid.Bool().Draw(t, "override blocks")
	r.JournalValues, r.TrustAssumed = rapid.Bool().Draw(t, "journal values"), rapid.Bool().Draw(t, "trust assumed")
	r.Manager = rapid.SampledFrom([]provisioning.Policy{"", provisioning.Enforce, provisioning.Once, provisioning.Report}).Draw(t, "manager")
	r.Access = anyAccess(t)
	r.Guard = guard.Limits{}
	if rapid.Bool().Draw(t, "guarded") {
		r.Guard = guard.Limits{Removals: rapid.IntRange(0, 1<<40).Draw(t, "removals"), Window: anySpan(t)}
		r.Guard.Percent = rapid.Float64Range(0, 100).Draw(t, "percent")
	}
	return r
}

// anyAccess draws grants, each at most once.
func anyAccess(t *rapid.T) (rules []provisioning.AccessRule) {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching("0000000[0-9a-f]-0000-0000-0000-000000000000"), 0, 4, rapid.ID).Draw(t, "ids")
	for i, id := range ids {
		r := provisioning.AccessRule{Grant: provisioning.Grant{Group: id}}
		if i%2 == 1 {
			r.Grant = provisioning.Grant{App: id, Role: provisioning.DefaultRole}
		}
		if rapid.Bool().Draw(t, "conditional") {
			r.When = anyExpression(t, mapping.Flag)
		}
		rules = append(rules, r)
	}
	return rules
}

func anySpan(t *rapid.T) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
	return unit * time.Duration(rapid.IntRange(1, 100_000).Draw(t, "units"))
}

// anyAttribute changes a rule in a way that a file can.
func anyAttribute(t *rapid.T, r provisioning.AttributeRule) provisioning.AttributeRule {
	r.Policy = rapid.SampledFrom([]provisioning.Policy{provisioning.Enforce, provisioning.Once, provisioning.Report}).Draw(t, "policy")
	r.Truncate = rapid.Bool().Draw(t, "truncate")
	switch rapid.IntRange(0, 2).Draw(t, "what gives "+r.Attribute.Name) {
	case 0:
		r.Expression, r.Copy, r.Constant = anyExpression(t, r.Attribute.Kind), false, nil
	case 1:
		value := anyValue(r.Attribute.Kind).Draw(t, "value")
		if r.Attribute.Check(value) == nil {
			r.Constant, r.Copy, r.Expression = value, false, nil
		}
	}
	return r
}

// anyValue draws values of a kind, and texts that YAML takes for something else without quotes.
func anyValue(kind mapping.Kind) *rapid.Generator[any] {
	tricky := []string{"", "Member", "DE", "ana@fabrikam.example", "off", "true", "null", "~", "007", "1e3", "2026-01-01", "<<", "a: b", " # c"}
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom(tricky))
	of := map[mapping.Kind]*rapid.Generator[any]{
		mapping.Text: texts.AsAny(), mapping.Flag: rapid.Bool().AsAny(), mapping.Texts: rapid.SliceOfN(texts, 0, 3).AsAny(),
	}
	of[mapping.Any] = rapid.OneOf(of[mapping.Text], of[mapping.Flag], of[mapping.Texts], rapid.Int64().AsAny())
	return of[kind]
}

// anyExpression draws an expression of a kind, laid out as people do and as they do not.
func anyExpression(t *rapid.T, kind mapping.Kind) *mapping.Expression {
	words := map[mapping.Kind][]string{
		mapping.Text: {"user.city", "+", `" (Fabrikam)"`}, mapping.Any: {"user.employeeId"},
		mapping.Flag: {"user.city", "==", `"ä: #"`, "&&", "has(user.mail)"}, mapping.Texts: {"[", "user.city", ",", "'x'", "]"},
	}[kind]
	space := rapid.StringOf(rapid.SampledFrom([]rune(" \n\t\r")))
	text := space.Draw(t, "space")
	for _, word := range words {
		text += word + space.Draw(t, "space") + rapid.SampledFrom([]string{"", " // why\n", "\n\n"}).Draw(t, "more space")
	}
	e, err := mapping.Compile(text, kind)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return e
}

func TestEveryKeyThatThereIsIsShown(t *testing.T) {
	f, err := ReadFile("testdata/rules.yaml") // which uses them all
	if err != nil {
		t.Fatal(err)
	}
	text, _ := shown(t, f)
	file := decoded(t, text)
	eachPlace(t, func(p place, _ []object) {
		if len(p) == 0 || p[len(p)-1] == "[0]" || slices.Contains(p, "attributes") || slices.Contains(p, "leave") && len(p) > 4 {
			return // of attributes and departures, what is there depends on what they are
		}
		around := file
		for _, segment := range p[:len(p)-1] {
			if segment == "[0]" {
				around = around.([]any)[0]
			} else {
				around = around.(object)[segment]
			}
		}
		if _, is := around.(object)[p[len(p)-1]]; !is {
			t.Errorf("%s is not shown", p)
		}
	})
}

func TestOneRouteIsShownWithItsTenantsAlone(t *testing.T) {
	f, err := ReadFile("testdata/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	one, err := f.Only("home")
	if err != nil {
		t.Fatal(err)
	}
	_, again := shown(t, one)
	if got := again.Topology.Routes(); len(got) != 1 || got[0].Name != "home" || got[0].Source.Name != "contoso" || got[0].Target.Name != "fabrikam-us" {
		t.Errorf("routes %+v, want home alone", got)
	}
	if !reflect.DeepEqual(again.Rules["home"], f.Rules["home"]) {
		t.Errorf("rules %+v, want %+v", again.Rules["home"], f.Rules["home"])
	}
	_, err = f.Only("office")
	if want := `there is no route "office"; name one of: fabrikam-us→contoso, home`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestAFileIsShownAsAPersonWouldWriteIt(t *testing.T) {
	f, err := ReadFile("testdata/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/rules.golden", string(text))
}
