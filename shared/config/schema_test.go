package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// compiledSchema is the schema as a validator understands it, which checks that it is one.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("tenantsync.schema.json", text); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("tenantsync.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// keysTaken are the keys that the parser takes at a place, in order: it names them when it meets one that it does not know.
func keysTaken(t *testing.T, p place) []string {
	t.Helper()
	const unknown = "?"
	_, mistakes := parse("f", p.with(t, object{unknown: 0}))
	for _, m := range mistakes {
		if names, told := strings.CutPrefix(m.Text, p.at(unknown).String()+`: there is no key "?" here; write one of: `); told {
			return strings.Split(names, ", ")
		}
	}
	return nil
}

func TestTheSchemaKnowsExactlyTheKeysThatTheParserTakes(t *testing.T) {
	eachPlace(t, func(p place, said []object) {
		if len(p) > 0 && p[len(p)-1] == "attributes" {
			return // names of attributes are another test's
		}
		known := map[string]bool{}
		for _, s := range said {
			properties, _ := s["properties"].(object)
			for key := range properties {
				known[key] = true
			}
			if _, closed := s["additionalProperties"]; s["type"] == "object" && !closed {
				t.Errorf("%s: the schema lets every key pass", p)
			}
		}
		if keys, taken := slices.Sorted(maps.Keys(known)), keysTaken(t, p); !slices.Equal(keys, taken) {
			t.Errorf("%s: the schema knows the keys %v, and the parser takes %v", p, keys, taken)
		}
		hasItems := slices.ContainsFunc(said, func(s object) bool { return s["items"] != nil })
		if keys := keysTaken(t, p.at("[0]")); !hasItems && keys != nil {
			t.Errorf("%s: the parser takes a list of mappings with the keys %v, and the schema no list", p, keys)
		}
	})
}

func TestTheSchemaKnowsExactlyTheWordsThatTheParserTakes(t *testing.T) {
	lists := 0
	eachPlace(t, func(p place, said []object) {
		for _, s := range said {
			words, _ := s["enum"].([]any)
			_, mistakes := parse("f", p.with(t, "?"))
			for _, m := range mistakes {
				text, is := strings.CutSuffix(strings.TrimPrefix(m.Text, p.String()+": "), ` belongs here, not "?"`)
				if !is || len(words) == 0 {
					continue
				}
				lists++
				if taken := strings.Split(strings.Replace(text, " or ", ", ", 1), ", "); fmt.Sprint(words) != fmt.Sprint(taken) {
					t.Errorf("%s: the schema knows the words %v, and the parser takes %v", p, words, taken)
				}
			}
		}
	})
	if lists == 0 {
		t.Error("nothing was compared")
	}
}

func TestTheParserTakesEveryWordAndDefaultOfTheSchema(t *testing.T) {
	eachPlace(t, func(p place, said []object) {
		for _, s := range said {
			words, _ := s["enum"].([]any)
			if word, is := s["const"]; is {
				words = append(words, word)
			}
			for _, word := range words {
				_, mistakes := parse("f", p.with(t, word))
				for _, m := range mistakes {
					t.Errorf("the schema lets %s be %v, and the parser says %s", p, word, m.Text)
				}
			}
			if value, is := s["default"]; is {
				without, _ := parse("f", p[:len(p)-1].with(t, around(t, p)))
				written, mistakes := parse("f", p.with(t, value))
				if len(mistakes) > 0 || !reflect.DeepEqual(written.rules, without.rules) {
					t.Errorf("the schema says that %s is %v by default, and it is not (%v)", p, value, mistakes)
				}
			}
		}
	})
}

func TestTheSchemaAndTheParserAgreeOnAttributes(t *testing.T) {
	schema := compiledSchema(t)
	names := append(mapping.Names(), "manager", "shoeSize", "extensionAttribute0", "extensionAttribute16", "extension_1_badge",
		"extension_00000000000000000000000000000001_badge", mapping.ExtensionAttributes)
	eachPlace(t, func(p place, _ []object) { // what it knows besides
		if len(p) == 4 && p[2] == "attributes" && !slices.Contains(names, p[3]) {
			names = append(names, p[3])
		}
	})
	values := []any{"", "x", "é e", "Member", "member", "DE", "DEU", "ana@fabrikam.example", "ana@", true,
		[]string{}, []string{"x"}, []string{"x", "y"}}
	for _, limit := range []int{16, 40, 64, 128, 250, 256, 1024} {
		fits, exceeds := strings.Repeat("é", limit), strings.Repeat("é", limit+1)
		values = append(values, fits, exceeds, []string{fits}, []string{exceeds})
	}
	agree := func(p place, value any) (valid bool) {
		text := p.with(t, value)
		_, mistakes := parse("f", text)
		if refused := schema.Validate(decoded(t, text)); (refused == nil) != (len(mistakes) == 0) {
			t.Errorf("%s: %v\nthe schema says %v, and the parser %v", p, value, refused, mistakes)
		}
		return len(mistakes) == 0
	}
	accepted := 0
	for _, name := range names {
		p := place{"routes", "[0]", "attributes", name}
		agree(p, "all")
		if !agree(p, "none") {
			continue
		}
		accepted++
		agree(p, object{"value": "x", "expression": "user.city"})
		agree(p, object{"value": nil})
		attribute, _ := mapping.AttributeOf(name)
		for _, value := range values {
			// The parser takes the word true for a text; an editor asks for quotes.
			if _, flag := value.(bool); !flag || attribute.Kind != mapping.Text {
				agree(p, object{"value": value})
			}
		}
	}
	if want := 40; accepted < want {
		t.Errorf("%d attributes can be written, want %d or more", accepted, want)
	}
}

func TestTheSchemaSaysWhichAttributesAreCopied(t *testing.T) {
	rules := provisioning.DefaultRules()
	eachPlace(t, func(p place, said []object) {
		if len(p) != 4 || p[2] != "attributes" {
			return
		}
		want := "left alone"
		if p[3] == "manager" && rules.Manager == provisioning.Enforce {
			want = "copied from the source user"
		}
		if i := slices.IndexFunc(rules.Attributes, func(r provisioning.AttributeRule) bool { return r.Attribute.Name == p[3] }); i >= 0 {
			if want = "copied from the source user"; !rules.Attributes[i].Copy {
				text, _ := json.Marshal(rules.Attributes[i].Constant)
				want = strings.Trim(string(text), `"`)
			}
		}
		for _, s := range said {
			if description, is := s["description"].(string); is {
				if !strings.HasSuffix(description, " Unless named here: "+want+".") {
					t.Errorf("%s is described as %q; unless named it is %s", p[3], description, want)
				}
				return // that of the attribute itself comes first
			}
		}
		t.Errorf("%s has no description", p[3])
	})
}

func TestEveryKeyOfTheSchemaIsExplained(t *testing.T) {
	eachPlace(t, func(p place, said []object) {
		if len(p) > 0 && p[len(p)-1] != "[0]" && !slices.ContainsFunc(said, func(s object) bool { return s["description"] != nil }) {
			t.Errorf("%s has no description", p)
		}
	})
}

func TestTheSchemaTakesGoodFilesAndThoseOfTheDocuments(t *testing.T) {
	schema := compiledSchema(t)
	good := map[string][]byte{}
	for _, path := range []string{"testdata/good.yaml", "testdata/rules.yaml", "../../README.md", "../../docs/configuration.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) == ".yaml" {
			good[path] = text
			continue
		}
		example := regexp.MustCompile("(?s)```yaml\n((?:# [^\n]*\n)?tenants:.*?)```").FindSubmatch(text)
		if example == nil {
			t.Fatalf("%s shows no configuration file", path)
		}
		good[path] = example[1]
	}
	for path, text := range good {
		if _, mistakes := parse(path, text); len(mistakes) > 0 {
			t.Error(Invalid(mistakes))
		}
		if err := schema.Validate(decoded(t, text)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTheSchemaFindsTheMistakesThatASchemaCan(t *testing.T) {
	schema := compiledSchema(t)
	// What is wrong only next to something else in the file, or in an expression, a schema cannot tell.
	beyond := []string{
		"alias: tenants[2].id", "duplicate-route: routes[1].target", "two-documents: ",
		"everything-at-once: routes[1].target", "everything-at-once: routes[2].target",
		"unknown-tenant: routes[0].source", "unknown-tenant: routes[0].target",
		"expressions: routes[0].scope.when", "expressions: routes[0].access.groups[0].when", "expressions: routes[0].access.groups[1].when",
		"expressions: routes[0].access.apps[0].when",
		"expressions: routes[0].attributes.department.expression", "expressions: routes[0].attributes.jobTitle.expression",
		"expressions: routes[0].attributes.showInAddressList.expression", "expressions: routes[0].attributes.otherMails.expression",
		"expressions: routes[0].attributes.companyName.expression",
		"rules: routes[0].scope.when", "rules: routes[0].scope.groups[2]",
		"rules: routes[0].access.groups[1].when", "rules: routes[0].access.groups[3]",
		"rules: routes[0].attributes.department.expression", "rules: routes[0].attributes.city.expression",
	}
	unreadable := []string{"duplicate-key", "not-yaml"} // no editor makes a value of these
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files (%v)", err)
	}
	var untold []string
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(unreadable, name) {
			continue
		}
		told := blamed(t, schema.Validate(decoded(t, text)))
		_, mistakes := parse(path, text)
		for _, m := range mistakes {
			at, _, is := strings.Cut(m.Text, ": ")
			if !is || strings.Contains(at, " ") {
				at = "" // the file as a whole
			}
			if !slices.ContainsFunc(told, func(p string) bool { return within(p, at) }) {
				untold = append(untold, name+": "+at)
			}
		}
		for _, p := range told {
			if !slices.ContainsFunc(mistakes, func(m Mistake) bool { at, _, _ := strings.Cut(m.Text, ": "); return within(p, at) || within(at, p) }) {
				t.Errorf("%s: the schema refuses %s, and the parser does not", name, p)
			}
		}
	}
	slices.Sort(untold)
	slices.Sort(beyond)
	if !slices.Equal(untold, beyond) {
		t.Errorf("the schema does not find\n%s\nwant\n%s", strings.Join(untold, "\n"), strings.Join(beyond, "\n"))
	}
}
