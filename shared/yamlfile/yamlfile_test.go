package yamlfile

import (
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// list is a file that consists of things with names.
type list struct {
	Reader
	names []string
}

func read(text string) *list {
	l := &list{}
	l.Read([]byte(text), "write things", map[string]Field{
		"things": l.List(func(n *yaml.Node, path string) {
			var name string
			l.Mapping(n, path, map[string]Field{"name": l.Text(&name)})
			l.names = append(l.names, name)
		}),
	})
	return l
}

func TestMistakesAreToldAtOnceWithTheirLines(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Mistake
	}{
		"all is well":     {"things:\n- name: a\n- name: b\n", nil},
		"an alias":        {"things:\n- &x\n  name: a\n- *x\n", nil},
		"an empty file":   {"# nothing\n", []Mistake{{1, "the file is empty; write things"}}},
		"no YAML":         {"things: [\n", []Mistake{{1, "this is not YAML: did not find expected node content"}}},
		"two documents":   {"things: []\n---\nthings: []\n", []Mistake{{2, "a second document begins here; write everything into the first"}}},
		"the wrong shape": {"- a\n", []Mistake{{1, "a mapping with the keys things belongs here"}}},
		"several at a time": {"things:\n- name: [a]\n- nam: b\n- name: c\n  name: d\nthing: 1\n", []Mistake{
			{2, "things[0].name: a text belongs here"},
			{3, `things[1].nam: there is no key "nam" here; write one of: name`},
			{5, `things[2].name: the key "name" stands here twice; delete one`},
			{6, `thing: there is no key "thing" here; write one of: things`},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(c.text).Mistakes; !slices.Equal(got, c.want) {
				t.Errorf("mistakes %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAPathIsFoundWhereItStandsOrAroundIt(t *testing.T) {
	l := read("things:\n- name: a\n- [b]\n")
	for path, want := range map[string]int{"things": 1, "things[0].name": 2, "things[0].other": 2, "things[1].name": 3, "else": 1} {
		if got := l.Line(path); got != want {
			t.Errorf("%s stands in line %d, want %d", path, got, want)
		}
	}
	for path, want := range map[string]bool{"things": false, "things[0].name": false, "things[1].name": true, "": false} {
		if got := l.Unread(path); got != want {
			t.Errorf("%q is unread: %v, want %v", path, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("things:\n- name: a\n")
	f.Add("a: &a [*a]")
	f.Add("things: *x")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range read(text).Mistakes {
			if m.Line < 1 || m.Text == "" {
				t.Errorf("a mistake without a line or a text: %+v", m)
			}
		}
	})
}
