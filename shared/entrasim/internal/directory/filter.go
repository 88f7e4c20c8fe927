package directory

import (
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// Filter compiles a parsed $filter or $search into a test of the objects of a schema; see filter.Compile.
func (d *Directory) Filter(s *Schema, e filter.Expr, advanced bool) (func(*Entity) bool, error) {
	return filter.Compile(e, d.model(s), advanced)
}

// model tells a filter about the properties of a schema.
func (d *Directory) model(s *Schema) filter.Model[*Entity] {
	return func(path []string) (filter.Property[*Entity], error) {
		p := d.FoldedProperty(s, path[0])
		switch {
		case p == nil:
			return filter.Property[*Entity]{}, invalidProperty(path[0])
		case p.Access == Absent || p.Access == Delegated:
			return filter.Property[*Entity]{}, fault.NotModelled("filters on %s", p.Name)
		case p.Kind == Composite && len(path) == 2:
			return p.field(s, path[1])
		case len(path) > 1:
			return filter.Property[*Entity]{}, invalidProperty(strings.Join(path, "/"))
		}
		filtered := filter.Property[*Entity]{Name: p.Name, Resource: s.title(), Type: filterTypes[p.Kind], Rules: s.rules(p)}
		if filtered.Value = func(e *Entity) any { return e.Get(p.Name) }; p.Name == "identities" {
			filtered.Fields = []string{"issuer", "issuerAssignedId"}
			filtered.Value = func(e *Entity) any {
				identities, _ := e.Get(p.Name).([]Identity)
				return identityMaps(identities)
			}
		}
		return filtered, nil
	}
}

var filterTypes = map[Kind]filter.Type{Flag: filter.Flag, Moment: filter.Moment, Texts: filter.Texts, Opaque: filter.Objects}

// field is a field of a composite, as in onPremisesExtensionAttributes/extensionAttribute1.
func (p *Property) field(s *Schema, name string) (filter.Property[*Entity], error) {
	for _, field := range p.Fields {
		if strings.EqualFold(field, name) {
			return filter.Property[*Entity]{Name: field, Resource: s.title(), Rules: s.rules(p), Value: func(e *Entity) any {
				object, _ := e.Get(p.Name).(map[string]any)
				return object[field]
			}}, nil
		}
	}
	return filter.Property[*Entity]{}, invalidProperty(p.Name + "/" + name)
}

// rules say which operators the directory has an index for.
func (s *Schema) rules(p *Property) filter.Rules {
	if p.Extension && (p.Kind == Text || p.Kind == Flag) {
		return extensionRules
	}
	return rules[s][p.Name]
}

// Order says what $orderby by a property takes; Never: it cannot be sorted by. $filter and $orderby together are always advanced.
func (p *Property) Order(s *Schema) filter.Level { return orders[s][p.Name] }
