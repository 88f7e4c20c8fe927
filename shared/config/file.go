package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

// document is the file as written, with the line of everything that can be wrong.
type document struct {
	tenants []tenant.Tenant
	routes  []tenant.RouteSpec
	lines   map[string]int // path such as routes[1].source → line
}

// line finds where a path stands, or the nearest thing around it that is there.
func (d *document) line(path string) int {
	for path != "" {
		if n, ok := d.lines[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

// locate gives each problem of the topology its line.
func (d *document) locate(file string, err error) (mistakes []Mistake) {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []Mistake{{file, 1, err.Error()}}
	}
	for _, e := range joined.Unwrap() {
		var p tenant.Problem
		if errors.As(e, &p) {
			mistakes = append(mistakes, Mistake{file, d.line(p.Path), p.Path + ": " + p.Message})
		}
	}
	return mistakes
}

// reader walks the YAML and notes lines and mistakes as it goes.
type reader struct {
	file     string
	doc      document
	mistakes []Mistake
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func parse(file string, text []byte) (document, []Mistake) {
	r := &reader{file: file, doc: document{lines: map[string]int{}}}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		line := 1
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
			line, _ = strconv.Atoi(m[1])
		}
		return r.doc, []Mistake{{file, line, "this is not YAML: " + yamlLine.ReplaceAllString(err.Error(), "")}}
	}
	if len(root.Content) == 0 {
		return r.doc, []Mistake{{file, 1, "the file is empty; write tenants and routes, see README"}}
	}
	r.object(root.Content[0], "", map[string]func(*yaml.Node, string){
		"tenants": r.list(r.tenant),
		"routes":  r.list(r.route),
	})
	return r.doc, r.mistakes
}

func (r *reader) tenant(n *yaml.Node, path string) {
	var t tenant.Tenant
	r.object(n, path, map[string]func(*yaml.Node, string){"name": r.text(&t.Name), "id": r.text(&t.ID)})
	r.doc.tenants = append(r.doc.tenants, t)
}

func (r *reader) route(n *yaml.Node, path string) {
	var s tenant.RouteSpec
	r.object(n, path, map[string]func(*yaml.Node, string){"name": r.text(&s.Name), "source": r.text(&s.Source), "target": r.text(&s.Target)})
	r.doc.routes = append(r.doc.routes, s)
}

// object reads a mapping whose keys are known. Unknown and repeated keys are mistakes.
func (r *reader) object(n *yaml.Node, path string, fields map[string]func(*yaml.Node, string)) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, path, "a mapping with the keys "+keys(fields)+" belongs here")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		read, known := fields[key.Value]
		switch {
		case !known:
			r.wrong(key, at, fmt.Sprintf("there is no key %q here; write one of: %s", key.Value, keys(fields)))
		case seen[key.Value]:
			r.wrong(key, at, fmt.Sprintf("the key %q stands here twice; delete one", key.Value))
		default:
			seen[key.Value] = true
			r.doc.lines[at] = key.Line
			read(value, at)
		}
	}
}

func (r *reader) list(item func(*yaml.Node, string)) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode {
			r.wrong(n, path, "a list belongs here; begin each entry with a hyphen")
			return
		}
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.doc.lines[at] = c.Line
			item(c, at)
		}
	}
}

func (r *reader) text(into *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.ScalarNode {
			r.wrong(n, path, "a text belongs here")
			return
		}
		*into = n.Value
	}
}

func (r *reader) wrong(n *yaml.Node, path, text string) {
	if path != "" {
		text = path + ": " + text
	}
	r.mistakes = append(r.mistakes, Mistake{r.file, n.Line, text})
}
