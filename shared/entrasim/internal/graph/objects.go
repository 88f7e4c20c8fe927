package graph

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// selection resolves $select to properties of a resource.
func (c *call) selection(s *directory.Schema, selected []string) ([]*directory.Property, error) {
	if selected == nil {
		return s.Defaults(), nil
	}
	var properties []*directory.Property
	for _, sent := range selected {
		name := strings.TrimSpace(sent)
		p := c.dir.FoldedProperty(s, name)
		switch {
		case p == nil:
			return nil, unknownProperty(name, s.Name)
		case !p.Readable():
			return nil, fault.NotModelled("reading %s", p.Name)
		case !slices.Contains(properties, p):
			properties = append(properties, p)
		}
	}
	return properties, nil
}

func unknownProperty(name, resource string) error {
	return badRequest("Parsing OData Select and Expand failed: Could not find a property named '" + name +
		"' on type 'microsoft.graph." + resource + "'.")
}

// suffix is what a selection and an expansion add to the context.
func (o options) suffix(properties []*directory.Property) string {
	var parts []string
	if o.selected != nil {
		for _, p := range properties {
			parts = append(parts, p.Name)
		}
	}
	if o.expanded != nil {
		parts = append(parts, "manager("+strings.Join(o.expanded.selected, ",")+")")
	}
	if parts == nil {
		return ""
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// render shows properties of an object. A directory extension nobody has set is left out; any other property is null or empty
// then.
func render(e *directory.Entity, properties []*directory.Property) map[string]any {
	shown := make(map[string]any, len(properties)+2)
	for _, p := range properties {
		if v := e.Get(p.Name); v != nil {
			shown[p.Name] = v
		} else if !p.Extension {
			shown[p.Name] = p.Empty()
		}
	}
	return shown
}

// typed shows an object where it has to say what it is.
func typed(e *directory.Entity, properties []*directory.Property) map[string]any {
	shown := render(e, properties)
	shown["@odata.type"] = "#microsoft.graph." + e.Schema().Name
	return shown
}

// entity is one object as the body of an answer.
func (c *call) entity(e *directory.Entity, properties []*directory.Property, o options) map[string]any {
	body := render(e, properties)
	body["@odata.context"] = c.context(e.Schema().Set + o.suffix(properties) + "/$entity")
	return body
}

// directoryObject is an object where the API promises a directory object.
func (c *call) directoryObject(e *directory.Entity, properties []*directory.Property, o options) map[string]any {
	body := typed(e, properties)
	body["@odata.context"] = c.context("directoryObjects" + o.suffix(properties) + "/$entity")
	return body
}

// get answers a request for one object of a schema, by its id or principal name.
func (s *Service) get(c *call, schema *directory.Schema, name string) (answer, error) {
	o, err := c.options("select", "expand")
	if err != nil {
		return answer{}, err
	}
	properties, err := c.selection(schema, o.selected)
	if err != nil {
		return answer{}, err
	}
	e, err := c.view.Get(schema, name)
	if err != nil {
		return answer{}, err
	}
	body := c.entity(e, properties, o)
	return ok(body), c.expand(schema, []*directory.Entity{e}, []map[string]any{body}, o)
}

// list answers a collection of objects of a schema, live or deleted, as the options ask for it.
func (s *Service) list(c *call, schema *directory.Schema, read func(directory.View, *directory.Schema, directory.Query) directory.Page) (answer, error) {
	o, err := c.options("select", "filter", "search", "orderby", "top", "skiptoken", "count", "expand")
	if err != nil {
		return answer{}, err
	}
	properties, err := c.selection(schema, o.selected)
	if err != nil {
		return answer{}, err
	}
	page, err := s.page(c, schema, o, func(q directory.Query) directory.Page { return read(c.view, schema, q) })
	if err != nil {
		return answer{}, err
	}
	value := make([]map[string]any, len(page.Entities))
	for i, e := range page.Entities {
		value[i] = render(e, properties)
	}
	if err := c.expand(schema, page.Entities, value, o); err != nil {
		return answer{}, err
	}
	body := map[string]any{"@odata.context": c.context(schema.Set + o.suffix(properties)), "value": value}
	if page.Next > 0 {
		body["@odata.nextLink"] = c.nextLink(page.Next)
	}
	if o.count && o.after == 0 {
		body["@odata.count"] = page.Total
	}
	return ok(body), nil
}

// schemas are the resources that may stand for a directory object, by the names with which they are cast to.
var schemas = map[string]*directory.Schema{
	"user": directory.Users, "group": directory.Groups, "serviceprincipal": directory.ServicePrincipals,
}

// related answers a collection of directory objects, all or those of the kind in the path, or their number. It is read as a
// whole, so a page is marked by its place.
func (s *Service) related(c *call, all []*directory.Entity, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	cast, err := c.cast()
	if err != nil {
		return answer{}, err
	}
	o, err := c.options("select", "filter", "search", "orderby", "top", "skiptoken", "count")
	if err != nil {
		return answer{}, err
	}
	match, err := c.matching(cast, o)
	if err != nil {
		return answer{}, err
	}
	all = slices.DeleteFunc(all, func(e *directory.Entity) bool { return !match(e) })
	if strings.HasSuffix(strings.ToLower(c.URL.Path), "/$count") {
		return ok(strconv.Itoa(len(all))), c.mayCount()
	}
	if err := c.sort(all, cast, o); err != nil {
		return answer{}, err
	}
	page, next := cut(all, o.after, s.limit(o))
	value := make([]map[string]any, len(page))
	for i, e := range page {
		properties, err := c.selectionOf(e, o.selected)
		if err != nil {
			return answer{}, err
		}
		value[i] = typed(e, properties)
	}
	body := map[string]any{"@odata.context": c.context(relatedContext(cast, o)), "value": value}
	if next > 0 {
		body["@odata.nextLink"] = c.nextLink(next)
	}
	if o.count && o.after == 0 {
		body["@odata.count"] = len(all)
	}
	return ok(body), nil
}

func relatedContext(cast *directory.Schema, o options) string {
	set := "directoryObjects"
	if cast != nil {
		set = cast.Set
	}
	return set + o.names()
}

// names are those of $select as a context shows them, where they are not resolved.
func (o options) names() string {
	if o.selected == nil {
		return ""
	}
	return "(" + strings.Join(o.selected, ",") + ")"
}

// cast is the schema that the path casts to, nil for all.
func (c *call) cast() (*directory.Schema, error) {
	kind, is := c.params["kind"]
	if !is {
		return nil, nil
	}
	if s := schemas[strings.ToLower(kind)]; s != nil {
		return s, nil
	}
	return nil, unknown(c.Request)
}

// mayCount refuses a bare $count without the header that makes it an advanced query.
func (c *call) mayCount() error {
	if c.eventual() {
		return nil
	}
	return fault.BadRequest("$count is not currently supported.")
}

// matching is a test of directory objects: of the kind to cast to, if any, and as the filter says. A filter of related objects is
// an advanced query. Objects of a kind that does not have a property of the filter do not match, unless no kind has it.
func (c *call) matching(cast *directory.Schema, o options) (func(*directory.Entity) bool, error) {
	if o.filter == nil && o.search == nil {
		return func(e *directory.Entity) bool { return cast == nil || e.Schema() == cast }, nil
	}
	if o.filter != nil && !o.advanced && !strings.HasSuffix(strings.ToLower(c.URL.Path), "/$count") {
		return nil, fault.UnsupportedQuery("The specified filter to the reference property query is currently not supported.")
	}
	tests := map[*directory.Schema]func(*directory.Entity) bool{}
	var failed error
	for _, s := range schemas {
		if cast != nil && s != cast {
			continue
		}
		match, err := c.test(s, o, true)
		if err != nil {
			failed = err
			continue
		}
		tests[s] = match
	}
	if len(tests) == 0 {
		return nil, failed
	}
	return func(e *directory.Entity) bool {
		match := tests[e.Schema()]
		return match != nil && match(e)
	}, nil
}

// sort sorts related objects of one kind; directory objects of all kinds have nothing in common to be sorted by.
func (c *call) sort(all []*directory.Entity, cast *directory.Schema, o options) error {
	if o.order != nil && (cast == nil || !o.advanced) {
		return sortingUnsupported()
	}
	order, err := c.order(cast, o)
	if err == nil && order != nil {
		slices.SortStableFunc(all, order)
	}
	return err
}

// selectionOf resolves $select for one of several kinds of objects: what another kind has is left out.
func (c *call) selectionOf(e *directory.Entity, selected []string) ([]*directory.Property, error) {
	if selected == nil {
		return e.Schema().Defaults(), nil
	}
	var own []string
	for _, sent := range selected {
		name := strings.TrimSpace(sent)
		known := false
		for _, s := range schemas {
			known = known || c.dir.FoldedProperty(s, name) != nil
		}
		if !known {
			return nil, unknownProperty(name, "directoryObject")
		}
		if c.dir.FoldedProperty(e.Schema(), name) != nil {
			own = append(own, name)
		}
	}
	if own == nil {
		return nil, nil
	}
	return c.selection(e.Schema(), own)
}

// getObject answers GET /directoryObjects/{id}.
func (s *Service) getObject(c *call) (answer, error) {
	o, err := c.options("select")
	if err != nil {
		return answer{}, err
	}
	e, err := c.view.Object(c.params["id"])
	if err != nil {
		return answer{}, err
	}
	properties, err := c.selectionOf(e, o.selected)
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(e, properties, o)), nil
}

// maxByIDs is how many ids getByIds takes: the reference of directoryobject-getbyids.
const maxByIDs = 1000

// getByIDs answers POST /directoryObjects/getByIds: those of the objects that are there, of the types that are asked for.
func (s *Service) getByIDs(c *call) (answer, error) {
	var body struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if len(body.IDs) == 0 || len(body.IDs) > maxByIDs {
		return answer{}, fault.BadRequest("The request holds %d ids, 1 to %d are allowed.", len(body.IDs), maxByIDs)
	}
	o, err := c.options("select")
	if err != nil {
		return answer{}, err
	}
	value := []map[string]any{}
	for _, id := range body.IDs {
		e, err := c.view.Object(id)
		if err != nil || body.Types != nil && !slices.ContainsFunc(body.Types, func(t string) bool {
			return strings.EqualFold(t, e.Schema().Name) || strings.EqualFold(t, "directoryObject")
		}) {
			continue
		}
		properties, err := c.selectionOf(e, o.selected)
		if err != nil {
			return answer{}, err
		}
		value = append(value, typed(e, properties))
	}
	return ok(map[string]any{"@odata.context": c.context("directoryObjects"), "value": value}), nil
}

// equalTo reads a filter of the form `property eq 'value'` for resources that have no index of their own.
func equalTo(e filter.Expr) (property, value string, is bool) {
	equal, is := e.(*filter.Equal)
	if !is || len(equal.Path) != 1 {
		return "", "", false
	}
	value, is = equal.Value.(string)
	return strings.ToLower(equal.Path[0]), value, is
}
