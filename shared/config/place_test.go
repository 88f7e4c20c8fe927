package config

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
)

// object is a mapping of JSON.
type object = map[string]any

// place is where something stands in the file; "[0]" is the first of a list.
type place []string

func (p place) String() string { return strings.ReplaceAll(strings.Join(p, "."), ".[", "[") }

func (p place) at(segment string) place { return append(slices.Clone(p), segment) }

// with is a good file, as JSON, with a value at a place.
func (p place) with(t *testing.T, value any) []byte {
	t.Helper()
	var good any
	if err := yaml.Unmarshal([]byte(`{tenants: [{name: a, id: 00000000-0000-0000-0000-000000000001}, {name: b, id: 00000000-0000-0000-0000-000000000002}],
		routes: [{source: a, target: b}]}`), &good); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(put(good, p, value))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(into any, p place, value any) any {
	switch {
	case len(p) == 0:
		return value
	case p[0] == "[0]":
		items, _ := into.([]any)
		if len(items) == 0 {
			items = []any{nil}
		}
		items[0] = put(items[0], p[1:], value)
		return items
	}
	keys, _ := into.(object)
	if keys == nil {
		keys = object{}
	}
	keys[p[0]] = put(keys[p[0]], p[1:], value)
	return keys
}

// forms are what a schema stands for: itself, what it refers to, and each of its alternatives.
func forms(t *testing.T, root, s object) []object {
	all := []object{s}
	if ref, is := s["$ref"].(string); is {
		to, known := root["$defs"].(object)[strings.TrimPrefix(ref, "#/$defs/")].(object)
		if !known {
			t.Fatalf("%s leads nowhere", ref)
		}
		all = append(all, forms(t, root, to)...)
	}
	alternatives, _ := s["anyOf"].([]any)
	for _, one := range alternatives {
		all = append(all, forms(t, root, one.(object))...)
	}
	return all
}

// eachPlace shows every place of the file that the schema knows, with what it says of it.
func eachPlace(t *testing.T, look func(p place, said []object)) {
	t.Helper()
	var root object
	if err := json.Unmarshal([]byte(Schema()), &root); err != nil {
		t.Fatal(err)
	}
	places := 0
	var walk func(p place, said []object)
	walk = func(p place, said []object) {
		places++
		look(p, said)
		inside := map[string][]object{}
		for _, s := range said {
			properties, _ := s["properties"].(object)
			for key, value := range properties {
				inside[key] = append(inside[key], forms(t, root, value.(object))...)
			}
			if items, is := s["items"].(object); is {
				inside["[0]"] = append(inside["[0]"], forms(t, root, items)...)
			}
		}
		for _, segment := range slices.Sorted(maps.Keys(inside)) {
			walk(p.at(segment), inside[segment])
		}
	}
	walk(nil, []object{root})
	if places < 200 {
		t.Errorf("only %d places were looked at", places)
	}
}

// around is what stands around a place when nothing stands there.
func around(t *testing.T, p place) any {
	var file any
	if err := json.Unmarshal(p.with(t, nil), &file); err != nil {
		t.Fatal(err)
	}
	for _, segment := range p[:len(p)-1] {
		if segment == "[0]" {
			file = file.([]any)[0]
		} else {
			file = file.(object)[segment]
		}
	}
	delete(file.(object), p[len(p)-1])
	return file
}

// decoded is a YAML file as a validator wants it.
func decoded(t *testing.T, text []byte) (file any) {
	t.Helper()
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// within reports whether one place is another or stands in it.
func within(inner, outer string) bool {
	rest, is := strings.CutPrefix(inner, outer)
	return is && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// blamed are the places where a validator finds something wrong.
func blamed(t *testing.T, err error) (places []string) {
	t.Helper()
	var found *jsonschema.ValidationError
	if err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		p := place{}
		for _, segment := range e.InstanceLocation {
			if strings.Trim(segment, "0123456789") == "" {
				segment = "[" + segment + "]"
			}
			p = p.at(segment)
		}
		var keys []string
		switch k := e.ErrorKind.(type) {
		case *kind.AdditionalProperties:
			keys = k.Properties
		case *kind.Required:
			keys = k.Missing
		}
		for _, key := range keys {
			places = append(places, p.at(key).String())
		}
		if len(keys) == 0 && len(e.Causes) == 0 {
			places = append(places, p.String())
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	if found != nil {
		walk(found)
	}
	return places
}
