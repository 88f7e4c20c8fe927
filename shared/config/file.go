package config

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/yamlfile"
)

// document is the file as written.
type document struct {
	yamlfile.Reader
	tenants []tenant.Tenant
	routes  []tenant.RouteSpec
	rules   []*provisioning.Rules // of the routes, in their order
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
	return d, mistakes
}

func (d *document) tenant(n *yaml.Node, path string) {
	var t tenant.Tenant
	d.Mapping(n, path, map[string]yamlfile.Field{"name": d.Text(&t.Name), "id": d.Text(&t.ID)})
	d.tenants = append(d.tenants, t)
}

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
