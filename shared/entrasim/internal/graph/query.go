package graph

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// test is what $filter and $search ask of objects of a schema; nil: nothing.
func (c *call) test(s *directory.Schema, o options, advanced bool) (func(*directory.Entity) bool, error) {
	e := o.filter
	switch {
	case o.search == nil && e == nil:
		return nil, nil
	case o.search == nil:
		return c.dir.Filter(s, e, advanced)
	case e == nil:
		e = o.search
	default:
		e = &filter.And{Left: e, Right: o.search}
	}
	// A search takes the header and no $count, so what it looks at need not be indexed for other requests.
	return c.dir.Filter(s, e, advanced || c.eventual())
}

// page reads a page of the objects of a schema, as the options ask for it.
func (s *Service) page(c *call, schema *directory.Schema, o options, read func(directory.Query) directory.Page) (directory.Page, error) {
	match, err := c.test(schema, o, o.advanced)
	if err != nil {
		return directory.Page{}, err
	}
	q := directory.Query{Match: match, After: o.after, Limit: s.limit(o), Count: o.count && o.after == 0}
	if o.order == nil {
		return read(q), nil
	}
	order, err := c.order(schema, o)
	if err != nil {
		return directory.Page{}, err
	}
	all := read(directory.Query{Match: match, Limit: math.MaxInt})
	slices.SortStableFunc(all.Entities, order)
	page := directory.Page{Total: len(all.Entities)}
	page.Entities, page.Next = cut(all.Entities, o.after, q.Limit)
	return page, nil
}

// order compares two objects as $orderby asks for it; nil: it does not.
func (c *call) order(s *directory.Schema, o options) (func(a, b *directory.Entity) int, error) {
	if o.order == nil {
		return nil, nil
	}
	p := c.dir.FoldedProperty(s, o.order.property)
	if p == nil {
		return nil, badRequest("Could not find a property named '" + o.order.property + "' on type 'microsoft.graph." + s.Name + "'.")
	}
	level := p.Order(s)
	if level == filter.Never || level == filter.Advanced && !o.advanced {
		return nil, sortingUnsupported()
	}
	return func(a, b *directory.Entity) int {
		left, _ := a.Get(p.Name).(string)
		right, _ := b.Get(p.Name).(string)
		if o.order.descending {
			left, right = right, left
		}
		return cmp.Compare(strings.ToLower(left), strings.ToLower(right))
	}, nil
}

// cut is the page of a list that begins at a place, and the place of the next one; 0: there is none.
func cut(all []*directory.Entity, from int64, limit int) (page []*directory.Entity, next int64) {
	page = all[min(max(int(from), 0), len(all)):]
	page = page[:min(limit, len(page))]
	if end := int(from) + len(page); end < len(all) {
		next = int64(end)
	}
	return page, next
}
