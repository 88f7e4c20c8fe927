package directory

import (
	"maps"
	"reflect"
	"slices"
	"time"
)

// Entity is an object of the directory as it was at some time. It never changes, so that readers share it.
type Entity struct {
	of     *object
	fields []field // in no order
	life   life
	boss   *object   // the manager of a user, who may be deleted by now; nil: nobody
	at     time.Time // since when it is so
	before *Entity   // what the object was before, as long as a View may show it
}

// field is a property that was set once. It remembers when, which is all that change tracking needs to know of it.
type field struct {
	property *Property
	value    any   // as the Kind says; nil: cleared
	changed  int64 // version of the directory at which it got this value
}

// life says where an object can be found.
type life uint8

const (
	live    life = iota
	deleted      // among the deleted items, from which it can be restored
	purged       // nowhere any more
)

// ID is the object id.
func (e *Entity) ID() string { return e.of.id }

// Schema is the resource type.
func (e *Entity) Schema() *Schema { return e.of.schema }

// Get is the value of a property by its exact name, as the property's Kind says; nil if there is none. It is shared and must not
// be changed.
func (e *Entity) Get(name string) any {
	if name == "id" {
		return e.of.id
	}
	for i := range e.fields {
		if f := &e.fields[i]; f.property.Name == name {
			return f.property.whole(f.value)
		}
	}
	return nil
}

func (e *Entity) text(name string) string    { s, _ := e.Get(name).(string); return s }
func (e *Entity) texts(name string) []string { s, _ := e.Get(name).([]string); return s }

// Map copies the properties that have a value. Values are string, bool, []string, map[string]any, []map[string]any or int64.
func (e *Entity) Map() map[string]any {
	m := map[string]any{"id": e.of.id}
	for _, f := range e.fields {
		switch v := f.property.whole(f.value).(type) {
		case nil:
		case []string:
			m[f.property.Name] = slices.Clone(v)
		case []Identity:
			m[f.property.Name] = identityMaps(v)
		default:
			m[f.property.Name] = v
		}
	}
	return m
}

// object is what stays the same while the entities of a user, a group or a service principal follow each other.
type object struct {
	id     string
	schema *Schema
	seq    int64 // order of creation; lists and page marks go by it
	// invitedAs is the folded address an invitation was sent to. It stands for the alternative security identifier, the
	// true key of an external user, which Graph does not show and which no later change of mail touches.
	invitedAs string

	now     *Entity
	since   int64     // version at which it was created or restored
	changed int64     // version of its last change
	at      time.Time // of that change
	links   *links    // nil: none
}

// linked is where the links of an object go.
func (o *object) linked() *links {
	if o.links == nil {
		o.links = &links{}
	}
	return o.links
}

// links are the ends of relations at one object. Both ends know of each other.
type links struct {
	former   *object          // the manager of a user before the last change of it
	bossed   int64            // version of that change
	reports  map[*object]bool // whose manager this is
	members  *membership      // of a group
	memberOf []*edge
	assigned []*assignment // to this principal
}

// draft is an entity in the making.
type draft struct {
	schema  *Schema
	fields  []field
	version int64 // at which its changes will have happened
	differs bool  // from the entity it was made from
}

// draft begins with the fields of an entity, nil for none. d is locked.
func (d *Directory) draft(s *Schema, from *Entity) *draft {
	n := &draft{schema: s, version: d.version + 1}
	if from != nil {
		n.fields = slices.Clone(from.fields)
	}
	return n
}

func (n *draft) get(name string) any {
	for i := range n.fields {
		if n.fields[i].property.Name == name {
			return n.fields[i].value
		}
	}
	return nil
}

func (n *draft) text(name string) string    { s, _ := n.get(name).(string); return s }
func (n *draft) texts(name string) []string { s, _ := n.get(name).([]string); return s }
func (n *draft) is(name string) bool        { b, _ := n.get(name).(bool); return b }

// put sets a property of the schema by its name.
func (n *draft) put(name string, v any) { n.set(n.schema.byName[name], v) }

// set gives a property a value; nil, or something empty, clears it.
func (n *draft) set(p *Property, v any) {
	if isEmpty(v) {
		v = nil
	}
	i := slices.IndexFunc(n.fields, func(f field) bool { return f.property == p })
	switch {
	case i < 0 && v == nil:
		return
	case i < 0:
		n.fields = append(n.fields, field{property: p})
		i = len(n.fields) - 1
	case reflect.DeepEqual(n.fields[i].value, v):
		return
	}
	n.fields[i].value, n.fields[i].changed, n.differs = v, n.version, true
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return v == nil
}

// whole is a value with all that it has to show: fields of a composite that were not set are null.
func (p *Property) whole(v any) any {
	if fields, is := v.(map[string]any); is {
		return p.composite(fields)
	}
	return v
}

// composite holds every field of a composite.
func (p *Property) composite(set map[string]any) map[string]any {
	object := make(map[string]any, len(p.Fields))
	for _, name := range p.Fields {
		object[name] = set[name]
	}
	return object
}

// merge is the value of a composite after a PATCH: extension attributes are attributes of their own, everything else is replaced
// as a whole, so that a field which was not sent becomes null. Only fields with a value are kept.
func (p *Property) merge(old, sent any) any {
	fields, is := sent.(map[string]any)
	if !is {
		return sent
	}
	merged := map[string]any{}
	if before, is := old.(map[string]any); is && p.Name == extensionAttributes {
		maps.Copy(merged, before)
	}
	maps.Copy(merged, fields)
	maps.DeleteFunc(merged, func(_ string, v any) bool { return v == nil })
	return merged
}
