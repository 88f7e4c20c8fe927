// Package yamlfile reads a YAML file that a person wrote, and tells everything that is wrong with it at once: each mistake
// with its line, what it is and what to write instead. It decides about the shape only; what values mean is the caller's.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mistake is one thing to mend. Text says where and what.
type Mistake struct {
	Line int
	Text string
}

// Field reads what stands at a path such as routes[1].source.
type Field func(n *yaml.Node, path string)

// Reader walks a file and notes lines and mistakes as it goes.
type Reader struct {
	Mistakes []Mistake
	lines    map[string]int
	unread   map[string]bool
}

// Read reads a file that consists of one mapping with the given keys, once in the life of a Reader. hint says what to write
// into an empty file.
func (r *Reader) Read(text []byte, hint string, fields map[string]Field) {
	r.lines, r.unread = map[string]int{}, map[string]bool{}
	var root, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(&root)
	if err == nil {
		err = dec.Decode(&second)
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		r.unreadable(problem(err))
	case len(root.Content) == 0:
		r.unreadable(1, "the file is empty; "+hint)
	default:
		r.Mapping(root.Content[0], "", fields)
	}
	if err == nil {
		r.Wrong(&second, "", "a second document begins here; write everything into the first")
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// problem takes the line out of the text of an error.
func problem(err error) (line int, text string) {
	line = 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	return line, "this is not YAML: " + yamlLine.ReplaceAllString(err.Error(), "")
}

// Mapping reads a mapping whose keys are known. Unknown and repeated keys are mistakes.
func (r *Reader) Mapping(n *yaml.Node, path string, fields map[string]Field) {
	if n.Kind != yaml.MappingNode {
		r.shape(n, path, "a mapping with the keys "+names(fields)+" belongs here")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		read, known := fields[key.Value]
		switch {
		case !known:
			r.Wrong(key, at, fmt.Sprintf("there is no key %q here; write one of: %s", key.Value, names(fields)))
		case seen[key.Value]:
			r.Wrong(key, at, fmt.Sprintf("the key %q stands here twice; delete one", key.Value))
		default:
			seen[key.Value] = true
			r.lines[at] = key.Line
			read(aliased(value), at)
		}
	}
}

// Entries reads a mapping with keys that the caller knows. A repeated key is a mistake.
func (r *Reader) Entries(n *yaml.Node, path, hint string, each func(name string, value *yaml.Node, path string)) {
	if n.Kind != yaml.MappingNode {
		r.shape(n, path, hint)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := path + "." + key.Value
		if seen[key.Value] {
			r.Wrong(key, at, fmt.Sprintf("the key %q stands here twice; delete one", key.Value))
			continue
		}
		seen[key.Value] = true
		r.lines[at] = key.Line
		each(key.Value, aliased(value), at)
	}
}

func names(fields map[string]Field) string {
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// List is a field that reads each entry of a list.
func (r *Reader) List(item Field) Field {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode {
			r.shape(n, path, "a list belongs here; begin each entry with a hyphen")
			return
		}
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.lines[at] = c.Line
			item(aliased(c), at)
		}
	}
}

// Text is a field that reads a text of any length.
func (r *Reader) Text(into *string) Field {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.ScalarNode {
			r.shape(n, path, "a text belongs here")
			return
		}
		*into = n.Value
	}
}

// Scalar is a field that reads a value with parse. what names the values that parse reads.
func Scalar[T any](r *Reader, into *T, what string, parse func(text string) (T, bool)) Field {
	return func(n *yaml.Node, path string) {
		value, ok := parse(n.Value)
		if n.Kind != yaml.ScalarNode || !ok {
			r.Wrong(n, path, fmt.Sprintf("%s belongs here, not %q", what, n.Value))
			return
		}
		*into = value
	}
}

// Wrong notes a mistake at a path.
func (r *Reader) Wrong(n *yaml.Node, path, text string) {
	if path != "" {
		text = path + ": " + text
	}
	r.Mistakes = append(r.Mistakes, Mistake{n.Line, text})
}

// Line finds where a path stands, or the nearest thing around it that is there.
func (r *Reader) Line(path string) int {
	for path != "" {
		if n, ok := r.lines[path]; ok {
			return n
		}
		path = around(path)
	}
	return 1
}

// Unread tells whether nothing was read at a path, because it, or something around it, has the wrong shape. That is told
// already; what else is wrong there may only follow from it.
func (r *Reader) Unread(path string) bool {
	for ; path != ""; path = around(path) {
		if r.unread[path] {
			return true
		}
	}
	return r.unread[""]
}

// around is the path of what a path stands in: routes[1] for routes[1].source, and "" at last.
func around(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// unreadable is a mistake that leaves nothing to read.
func (r *Reader) unreadable(line int, text string) {
	r.unread[""] = true
	r.Mistakes = append(r.Mistakes, Mistake{line, text})
}

// shape is a mistake that leaves nothing to read at a path.
func (r *Reader) shape(n *yaml.Node, path, text string) {
	r.unread[path] = true
	r.Wrong(n, path, text)
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
