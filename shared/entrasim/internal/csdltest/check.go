package csdltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// checker walks through one answer.
type checker struct {
	*Model
	problems []string
}

// Check returns what is wrong with the JSON body of an answer of Graph; nothing if all is well.
func (m *Model) Check(status int, body []byte) []string {
	c := &checker{Model: m}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var answer map[string]any
	if err := decoder.Decode(&answer); err != nil {
		return []string{fmt.Sprintf("it is no JSON object: %v", err)}
	}
	c.answer(status, answer, "")
	return c.problems
}

func (c *checker) wrong(path, format string, args ...any) {
	c.problems = append(c.problems, strings.TrimPrefix(path+": "+fmt.Sprintf(format, args...), ": "))
}

func (c *checker) answer(status int, answer map[string]any, path string) {
	responses, isBatch := answer["responses"].([]any)
	context, _ := answer["@odata.context"].(string)
	switch {
	case status >= http.StatusBadRequest:
		c.failure(answer, path)
	case isBatch:
		c.batch(responses, path)
	case context == "":
		c.wrong(path, "there is no @odata.context")
	default:
		c.success(context, answer, path)
	}
}

// batch checks each answer in the answer to a batch.
func (c *checker) batch(responses []any, path string) {
	for i, r := range responses {
		inner, _ := r.(map[string]any)
		status, _ := inner["status"].(json.Number)
		code, _ := status.Int64()
		if body, is := inner["body"].(map[string]any); is {
			c.answer(int(code), body, fmt.Sprintf("%sresponses[%d].body", path, i))
		}
	}
}

// failure checks the envelope of an error.
func (c *checker) failure(answer map[string]any, path string) {
	e, is := answer["error"].(map[string]any)
	if !is || len(answer) != 1 {
		c.wrong(path, "an error has the one property error, not %v", slices.Sorted(maps.Keys(answer)))
		return
	}
	for name, value := range e {
		_, text := value.(string)
		switch name {
		case "code", "message":
			if !text {
				c.wrong(path+".error."+name, "it is no text: %v", value)
			}
		case "innerError":
			inner, _ := value.(map[string]any)
			if got, want := slices.Sorted(maps.Keys(inner)), []string{"client-request-id", "date", "request-id"}; !slices.Equal(got, want) {
				c.wrong(path+".error.innerError", "it has %v, want %v", got, want)
			}
		case "details":
			if list, is := value.([]any); !is || len(list) == 0 {
				c.wrong(path+".error.details", "it is no list of details: %v", value)
			}
		default:
			c.wrong(path+".error."+name, "errors have no such property")
		}
	}
}

// success finds out from the context what an answer is about, and checks it as that.
func (c *checker) success(context string, answer map[string]any, path string) {
	_, about, found := strings.Cut(context, "$metadata#")
	if !found {
		c.wrong(path, "the context %q names no metadata", context)
		return
	}
	if of := refOf(about); of.collection || strings.HasPrefix(about, "Edm.") {
		c.value(of, answer["value"], path+".value")
		return
	}
	of, selected, ok := c.resolve(about)
	if !ok {
		c.wrong(path, "the metadata knows nothing of %q", about)
		return
	}
	if !of.collection {
		c.object(of.name, selected, answer, path)
		return
	}
	list, is := answer["value"].([]any)
	if !is {
		c.wrong(path, "%q is a collection, and there is no list", about)
		return
	}
	for name := range answer {
		if name != "value" && !collectionAnnotations[name] {
			c.wrong(path+"."+name, "a collection has no such property")
		}
	}
	for i, one := range list {
		object, _ := one.(map[string]any)
		c.object(of.name, selected, object, fmt.Sprintf("%s.value[%d]", path, i))
	}
}

var collectionAnnotations = map[string]bool{"@odata.context": true, "@odata.nextLink": true, "@odata.deltaLink": true, "@odata.count": true}

// segment is a part of a context: a name, with a key in quotes or with what is selected.
var segment = regexp.MustCompile(`^([A-Za-z.]+)(?:\((?:'[^']*'|(.*))\))?$`)

// resolve follows a context such as users(id,mail)/$entity to a type.
func (c *checker) resolve(about string) (of typeRef, selected []string, ok bool) {
	about, single := strings.CutSuffix(about, "/$entity")
	about = strings.TrimSuffix(about, "/$delta")
	for i, part := range splitPath(about) {
		m := segment.FindStringSubmatch(part)
		if m == nil {
			return of, nil, false
		}
		if i == 0 {
			of, ok = c.sets[m[1]]
		} else {
			of, ok = c.navigation(of.name, m[1])
		}
		if !ok {
			return of, nil, false
		}
		if m[2] != "" {
			selected = selection(m[2])
		}
	}
	of.collection = of.collection && !single
	return of, selected, ok
}

// splitPath splits at slashes outside of parentheses.
func splitPath(text string) (parts []string) {
	depth, from := 0, 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case '/':
			if depth == 0 {
				parts, from = append(parts, text[from:i]), i+1
			}
		}
	}
	return append(parts, text[from:])
}

// selection are the properties that a list such as id,mail,manager(id) selects; nil if it only expands others.
func selection(list string) (names []string) {
	depth, plain := 0, false
	for _, part := range strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	}) {
		name, _, expanded := strings.Cut(part, "(")
		names, plain = append(names, name), plain || !expanded
	}
	if !plain {
		return nil
	}
	return names
}

// extension is the name of a directory extension, which is in no metadata.
var extension = regexp.MustCompile(`^extension_[0-9a-f]{32}_\w+$`)

// undocumented are properties that Graph's answers have and its metadata has not.
var undocumented = map[string]bool{
	"subscription.notificationContentType": true, // in the examples of every subscription answer
	// in the example of creating a partner
	"crossTenantAccessPolicyConfigurationPartner.crossCloudMeetingConfiguration": true,
}

// object checks an entity or a value of a complex type. selected nil: everything may be there.
func (c *checker) object(of string, selected []string, object map[string]any, path string) {
	if object == nil {
		c.wrong(path, "it is no object")
		return
	}
	if text, given := object["@odata.type"].(string); given {
		derived := refOf(strings.TrimPrefix(text, "#")).name
		if !c.derives(derived, of) {
			c.wrong(path, "%s is no %s", text, of)
			return
		}
		of = derived
	}
	if _, removed := object["@removed"]; removed {
		selected = nil
	}
	for name, value := range object {
		at := path + "." + name
		before, annotation, annotated := strings.Cut(name, "@")
		switch {
		case annotated:
			c.annotation(of, before, annotation, value, at)
			continue
		case selected != nil && name != "id" && !slices.Contains(selected, name):
			c.wrong(at, "it was not selected: %v", selected)
		}
		if p, known := c.property(of, name); known {
			c.propertyValue(p, value, at)
		} else if n, known := c.navigation(of, name); known {
			c.value(n, value, at)
		} else if !(extension.MatchString(name) && c.derives(of, "directoryObject")) && !undocumented[of+"."+name] {
			c.wrong(at, "a %s has no such property", of)
		}
	}
}

// annotations are those that may stand on an object; of what may stand on a property, delta tells links.
var annotations = map[string]bool{"odata.context": true, "odata.type": true, "odata.id": true, "odata.count": true, "removed": true, "odata.nextLink": true}

func (c *checker) annotation(of, on, name string, value any, path string) {
	switch {
	case on == "" && annotations[name], on != "" && name == "odata.context":
	case name == "delta":
		n, known := c.navigation(of, on)
		list, isList := value.([]any)
		if !known || !isList {
			c.wrong(path, "there is no such link, or no list of it")
		}
		for i, one := range list {
			object, _ := one.(map[string]any)
			c.object(n.name, nil, object, fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		c.wrong(path, "an unknown annotation")
	}
}

func (c *checker) propertyValue(p property, value any, path string) {
	if value == nil {
		if !p.nullable && !p.collection {
			c.wrong(path, "it is null, and must not be")
		}
		if p.collection {
			c.wrong(path, "a collection is never null")
		}
		return
	}
	c.value(p.typeRef, value, path)
}

// value checks a value of any type.
func (c *checker) value(of typeRef, value any, path string) {
	if of.collection {
		list, is := value.([]any)
		if !is {
			c.wrong(path, "it is no list: %v", value)
		}
		for i, one := range list {
			c.value(typeRef{name: of.name}, one, fmt.Sprintf("%s[%d]", path, i))
		}
		return
	}
	if primitive, is := primitives[of.name]; is {
		if !primitive(value) {
			c.wrong(path, "%v is no %s", value, of.name)
		}
		return
	}
	if members := c.enums[of.name]; members != nil {
		if text, _ := value.(string); !members[text] {
			c.wrong(path, "%v is no %s", value, of.name)
		}
		return
	}
	if c.types[of.name] == nil {
		c.wrong(path, "the metadata has no type %s", of.name)
		return
	}
	object, _ := value.(map[string]any)
	c.object(of.name, nil, object, path)
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// primitives tell whether a JSON value, with numbers as they stand, is one of a type.
var primitives = map[string]func(any) bool{
	"Edm.String":  func(v any) bool { _, is := v.(string); return is },
	"Edm.Boolean": func(v any) bool { _, is := v.(bool); return is },
	"Edm.Guid":    func(v any) bool { s, _ := v.(string); return guid.MatchString(s) },
	"Edm.Int32":   integer,
	"Edm.Int64":   integer,
	"Edm.DateTimeOffset": func(v any) bool {
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil && strings.HasSuffix(s, "Z")
	},
}

func integer(v any) bool {
	n, is := v.(json.Number)
	if !is {
		return false
	}
	_, err := n.Int64()
	return err == nil
}
