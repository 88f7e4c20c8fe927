package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/yamlfile"
)

// File is what the configuration file says, checked. Nothing of it is secret.
type File struct {
	Topology *tenant.Topology
	// Rules are those of each route, by its name.
	Rules map[string]*provisioning.Rules
}

// ReadFile reads the file alone, whatever the environment. Its error is Invalid.
func ReadFile(path string) (*File, error) {
	doc, mistakes := read(path)
	if len(mistakes) > 0 {
		return nil, inOrder(mistakes)
	}
	f := doc.file()
	return &f, nil
}

// Only is the file with no other route than the one of this name, and no other tenants than those of it.
func (f *File) Only(route string) (*File, error) {
	r, known := f.Topology.Route(route)
	if !known {
		var names []string
		for _, r := range f.Topology.Routes() {
			names = append(names, r.Name)
		}
		return nil, fmt.Errorf("there is no route %q; name one of: %s", route, strings.Join(names, ", "))
	}
	spec := tenant.RouteSpec{Name: r.Name, Source: r.Source.Name, Target: r.Target.Name}
	topology, err := tenant.NewTopology([]tenant.Tenant{r.Source, r.Target}, []tenant.RouteSpec{spec})
	if err != nil {
		return nil, fmt.Errorf("take the route %s out of the file: %w", route, err)
	}
	return &File{Topology: topology, Rules: map[string]*provisioning.Rules{r.Name: f.Rules[r.Name]}}, nil
}

// document is the file as written.
type document struct {
	yamlfile.Reader
	tenants  []tenant.Tenant
	routes   []tenant.RouteSpec
	rules    []*provisioning.Rules // of the routes, in their order
	topology *tenant.Topology      // nil when there is a mistake in it
}

// read reads the file at a path. The document is nil when there is nothing to read.
func read(path string) (*document, []Mistake) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, []Mistake{{File: path, Text: "it cannot be read (" + pathless(err) + "); write one with tenants and routes, see README"}}
	}
	return parse(path, text)
}

func pathless(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func parse(file string, text []byte) (*document, []Mistake) {
	d := &document{}
	d.Read(text, "write tenants and routes, see README", map[string]yamlfile.Field{
		"tenants": d.List(d.tenant),
		"routes":  d.List(d.route),
	})
	var mistakes []Mistake
	for _, m := range d.Mistakes {
		mistakes = append(mistakes, Mistake{file, m.Line, m.Text})
	}
	topology, err := tenant.NewTopology(d.tenants, d.routes)
	d.topology = topology
	return d, append(mistakes, d.locate(file, err)...)
}

// file is what the document says, if there is no mistake in it.
func (d *document) file() File {
	f := File{Topology: d.topology, Rules: map[string]*provisioning.Rules{}}
	if d.topology != nil {
		for i, route := range d.topology.Routes() { // all of them, in the order of the file
			f.Rules[route.Name] = d.rules[i]
		}
	}
	return f
}

func (d *document) tenant(n *yaml.Node, path string) {
	var t tenant.Tenant
	d.Mapping(n, path, map[string]yamlfile.Field{"name": d.Text(&t.Name), "id": d.Text(&t.ID)})
	d.tenants = append(d.tenants, t)
}

// route reads one route. What it takes stands in tenantsync.schema.json, too, and writtenRoute writes it.
func (d *document) route(n *yaml.Node, path string) {
	var s tenant.RouteSpec
	rules := provisioning.DefaultRules()
	d.Mapping(n, path, map[string]yamlfile.Field{
		"name": d.Text(&s.Name), "source": d.Text(&s.Source), "target": d.Text(&s.Target),
		"scope": d.scope(&rules.Scope), "attributes": d.attributes(rules), "leave": d.leave(&rules.Leave), "overrideBlocks": d.boolean(&rules.OverrideBlocks),
		"guard": d.guard(&rules.Guard), "access": d.access(&rules.Access),
		"journal": d.journal(&rules.JournalValues), "trust": yamlfile.Scalar(&d.Reader, &rules.TrustAssumed, "verified or assumed", assumed),
	})
	d.routes, d.rules = append(d.routes, s), append(d.rules, rules)
}

// locate gives each problem of the topology its line. A problem that only follows from a wrong shape is not told twice:
// that of what it is about, or that of the tenants, which everything else names.
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
		case !d.Unread(p.Path) && !d.Unread("tenants"):
			mistakes = append(mistakes, Mistake{file, d.Line(p.Path), p.Error()})
		}
	}
	return mistakes
}
