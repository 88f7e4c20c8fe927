package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	lines   map[string]int  // path such as routes[1].source → line
	unread  map[string]bool // paths at which something of the wrong shape stands; "" is the whole file
}

// line finds where a path stands, or the nearest thing around it that is there.
func (d *document) line(path string) int {
	for path != "" {
		if n, ok := d.lines[path]; ok {
			return n
		}
		path = around(path)
	}
	return 1
}

// around is the path of what a path stands in: routes[1] for routes[1].source, and "" at last.
func around(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// echo reports whether what is wrong at a path only follows from a shape that is told already: its own, that of
// something around it, or that of the tenants, which everything else names.
func (d *document) echo(path string) bool {
	for ; path != ""; path = around(path) {
		if d.unread[path] {
			return true
		}
	}
	return d.unread["tenants"] || d.unread[""]
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
		switch {
		case !errors.As(e, &p):
			mistakes = append(mistakes, Mistake{file, 1, e.Error()})
		case !d.echo(p.Path):
			mistakes = append(mistakes, Mistake{file, d.line(p.Path), p.Error()})
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
	r := &reader{file: file, doc: document{lines: map[string]int{}, unread: map[string]bool{}}}
	var root, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(&root)
	if err == nil {
		err = dec.Decode(&second)
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		r.unreadable(yamlProblem(err))
	case len(root.Content) == 0:
		r.unreadable(1, "the file is empty; write tenants and routes, see README")
	default:
		r.object(root.Content[0], "", map[string]func(*yaml.Node, string){
			"tenants": r.list(r.tenant),
			"routes":  r.list(r.route),
		})
	}
	if err == nil {
		r.wrong(&second, "", "a second document begins here; write everything into the first")
	}
	return r.doc, r.mistakes
}

// yamlProblem takes the line out of the text of an error.
func yamlProblem(err error) (line int, text string) {
	line = 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	return line, "this is not YAML: " + yamlLine.ReplaceAllString(err.Error(), "")
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
		r.shape(n, path, "a mapping with the keys "+keys(fields)+" belongs here")
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
			read(aliased(value), at)
		}
	}
}

func (r *reader) list(item func(*yaml.Node, string)) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode {
			r.shape(n, path, "a list belongs here; begin each entry with a hyphen")
			return
		}
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.doc.lines[at] = c.Line
			item(aliased(c), at)
		}
	}
}

func (r *reader) text(into *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.ScalarNode {
			r.shape(n, path, "a text belongs here")
			return
		}
		*into = n.Value
	}
}

// aliased is what an alias (*name) stands for, on the line of the alias, and any other node itself.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode {
		return n
	}
	value := *n.Alias
	value.Line = n.Line
	return &value
}

// unreadable is a mistake that leaves nothing to check.
func (r *reader) unreadable(line int, text string) {
	r.doc.unread[""] = true
	r.mistakes = append(r.mistakes, Mistake{r.file, line, text})
}

// shape is a mistake that leaves nothing to check at a path.
func (r *reader) shape(n *yaml.Node, path, text string) {
	r.doc.unread[path] = true
	r.wrong(n, path, text)
}

func (r *reader) wrong(n *yaml.Node, path, text string) {
	if path != "" {
		text = path + ": " + text
	}
	r.mistakes = append(r.mistakes, Mistake{r.file, n.Line, text})
}
