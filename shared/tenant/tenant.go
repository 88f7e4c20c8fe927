// Package tenant decides which tenants there are and which routes lead from one to another.
package tenant

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Tenant is an Entra tenant. ID is the directory (tenant) id, a lower-case GUID; Name is what people call it here.
type Tenant struct {
	Name string
	ID   string
}

// Route is one configured direction: people of Source get external users in Target.
type Route struct {
	Name   string
	Source Tenant
	Target Tenant
}

// RouteSpec is a route as configuration spells it: by tenant names. An empty Name becomes "source→target".
type RouteSpec struct {
	Name   string
	Source string
	Target string
}

// Problem is one mistake in a topology. Path says where it stands in the configuration
// ("routes[1].source"), Message what is wrong and what to write instead.
type Problem struct {
	Path    string
	Message string
}

func (p Problem) Error() string { return p.Path + ": " + p.Message }

// Topology is a valid set of tenants and routes. It never changes after NewTopology.
type Topology struct {
	tenants []Tenant
	routes  []Route
}

var (
	guidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// NewTopology checks tenants and routes and finds every mistake at once: on failure the error joins one Problem per mistake.
func NewTopology(tenants []Tenant, specs []RouteSpec) (*Topology, error) {
	t := &Topology{}
	problems := t.addTenants(tenants)
	problems = append(problems, t.addRoutes(specs)...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return t, nil
}

func (t *Topology) addTenants(tenants []Tenant) (problems []error) {
	if len(tenants) == 0 {
		problems = append(problems, Problem{"tenants", "there is no tenant; list at least a source and a target, each with name and id"})
	}
	names, ids := map[string]int{}, map[string]int{}
	for i, tn := range tenants {
		at := func(field string) string { return fmt.Sprintf("tenants[%d].%s", i, field) }
		tn.ID = strings.ToLower(tn.ID)
		switch first, taken := names[tn.Name]; {
		case tn.Name == "":
			problems = append(problems, Problem{at("name"), "the tenant has no name; give it a short one, such as contoso"})
		case !namePattern.MatchString(tn.Name):
			problems = append(problems, Problem{at("name"), fmt.Sprintf("%q is not a tenant name; use lower-case letters, digits and hyphens, at most 63", tn.Name)})
		case taken:
			problems = append(problems, Problem{at("name"), fmt.Sprintf("%q is already the name of tenants[%d]; names must differ", tn.Name, first)})
		default:
			names[tn.Name] = i
		}
		switch first, taken := ids[tn.ID]; {
		case !guidPattern.MatchString(tn.ID):
			problems = append(problems, Problem{at("id"), fmt.Sprintf("%q is not a tenant id; write the directory (tenant) ID, a GUID such as 00000000-0000-0000-0000-000000000000", tn.ID)})
		case taken:
			problems = append(problems, Problem{at("id"), fmt.Sprintf("%s is already the id of tenants[%d]; one entry per tenant", tn.ID, first)})
		default:
			ids[tn.ID] = i
		}
		t.tenants = append(t.tenants, tn)
	}
	return problems
}

func (t *Topology) addRoutes(specs []RouteSpec) (problems []error) {
	if len(specs) == 0 {
		problems = append(problems, Problem{"routes", "there is no route; add one with the names of a source and a target tenant"})
	}
	names, pairs := map[string]int{}, map[[2]string]int{}
	for i, spec := range specs {
		at := func(field string) string { return fmt.Sprintf("routes[%d].%s", i, field) }
		source, sourceErr := t.named(at("source"), spec.Source)
		target, targetErr := t.named(at("target"), spec.Target)
		if sourceErr != nil || targetErr != nil {
			for _, err := range []error{sourceErr, targetErr} {
				if err != nil {
					problems = append(problems, err)
				}
			}
			continue
		}
		r := Route{Name: spec.Name, Source: source, Target: target}
		if r.Name == "" {
			r.Name = source.Name + "→" + target.Name
		}
		// Tenants are told apart by name: an id may be a mistake of its own.
		pair := [2]string{source.Name, target.Name}
		first, again := pairs[pair]
		other, nameTaken := names[r.Name]
		switch {
		case source.Name == target.Name:
			problems = append(problems, Problem{at("target"), fmt.Sprintf("the route leads from %q to itself; name another tenant", spec.Target)})
		case again:
			problems = append(problems, Problem{at("target"), fmt.Sprintf("routes[%d] already leads from %s to %s; delete one of the two", first, spec.Source, spec.Target)})
		case nameTaken:
			problems = append(problems, Problem{at("name"), fmt.Sprintf("%q is already the name of routes[%d]; route names must differ", r.Name, other)})
		default:
			pairs[pair], names[r.Name] = i, i
			t.routes = append(t.routes, r)
		}
	}
	return problems
}

func (t *Topology) named(path, name string) (Tenant, error) {
	if name == "" {
		return Tenant{}, Problem{path, "it is missing; name one of the tenants: " + t.names()}
	}
	for _, tn := range t.tenants {
		if tn.Name == name {
			return tn, nil
		}
	}
	return Tenant{}, Problem{path, fmt.Sprintf("there is no tenant %q; name one of: %s", name, t.names())}
}

func (t *Topology) names() string {
	var names []string
	for _, tn := range t.tenants {
		if tn.Name != "" {
			names = append(names, tn.Name)
		}
	}
	if len(names) == 0 {
		return "(there is none yet)"
	}
	return strings.Join(names, ", ")
}

// Tenants lists the tenants in the order of the configuration.
func (t *Topology) Tenants() []Tenant { return append([]Tenant(nil), t.tenants...) }

// Routes lists the routes in the order of the configuration.
func (t *Topology) Routes() []Route { return append([]Route(nil), t.routes...) }

// Route finds a route by its name.
func (t *Topology) Route(name string) (Route, bool) {
	for _, r := range t.routes {
		if r.Name == name {
			return r, true
		}
	}
	return Route{}, false
}

// From lists the routes that leave the tenant with this id; none if it is not a source.
func (t *Topology) From(tenantID string) []Route {
	var out []Route
	for _, r := range t.routes {
		if strings.EqualFold(r.Source.ID, tenantID) {
			out = append(out, r)
		}
	}
	return out
}

// Sources lists each tenant that is the source of a route, once.
func (t *Topology) Sources() []Tenant {
	var out []Tenant
	for _, tn := range t.tenants {
		if len(t.From(tn.ID)) > 0 {
			out = append(out, tn)
		}
	}
	return out
}
