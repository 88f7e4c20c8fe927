package directory

import (
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// Query says which users a list holds.
type Query struct {
	Match func(User) bool // nil: all
	After int64           // Page.Next of the page before
	Limit int
}

// Page is one page of a list, in the order of creation.
type Page struct {
	Users []User
	Next  int64 // where the next page starts; 0 on the last
	Total int   // users on all pages
}

// List returns a page of the live users.
func (d *Directory) List(q Query) Page {
	d.mu.Lock()
	defer d.mu.Unlock()
	return page(d.live, q)
}

// ListDeleted returns a page of the soft-deleted users.
func (d *Directory) ListDeleted(q Query) Page {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire()
	return page(d.deleted, q)
}

func page(records map[string]*record, q Query) Page {
	var p Page
	var rest []*record
	for _, r := range records {
		if q.Match != nil && !q.Match(r.user) {
			continue
		}
		if p.Total++; r.seq > q.After {
			rest = append(rest, r)
		}
	}
	slices.SortFunc(rest, bySeq)
	if len(rest) > q.Limit {
		rest = rest[:q.Limit]
		p.Next = rest[q.Limit-1].seq
	}
	for _, r := range rest {
		p.Users = append(p.Users, r.user.Clone())
	}
	return p
}

// Filter compiles a parsed $filter into a test of users. advanced is set when the request carries
// ConsistencyLevel: eventual and $count=true, without which some properties have no index.
// Text compares without regard to case, as the directory does.
func (d *Directory) Filter(e filter.Expr, advanced bool) (func(User) bool, error) {
	switch e := e.(type) {
	case *filter.And:
		return d.both(e.Left, e.Right, advanced, func(l, r bool) bool { return l && r })
	case *filter.Or:
		return d.both(e.Left, e.Right, advanced, func(l, r bool) bool { return l || r })
	case *filter.Not:
		return d.not(e, advanced)
	case *filter.Affix:
		return d.affix(e, advanced)
	case *filter.Equal:
		return d.equal(e, advanced)
	case *filter.Any:
		return d.any(e, advanced)
	}
	return nil, fault.NotModelled("the filter %s", e)
}

func (d *Directory) both(left, right filter.Expr, advanced bool, join func(l, r bool) bool) (func(User) bool, error) {
	l, err := d.Filter(left, advanced)
	if err != nil {
		return nil, err
	}
	r, err := d.Filter(right, advanced)
	if err != nil {
		return nil, err
	}
	return func(u User) bool { return join(l(u), r(u)) }, nil
}

// not takes an advanced query.
func (d *Directory) not(e *filter.Not, advanced bool) (func(User) bool, error) {
	operand, err := d.Filter(e.Operand, advanced)
	switch {
	case err != nil:
		return nil, err
	case !advanced:
		return nil, unsupportedFilter()
	}
	return func(u User) bool { return !operand(u) }, nil
}

// endsKnown are the properties of which the directory knows the ends, in an advanced query.
var endsKnown = []string{"mail", "userPrincipalName"}

func (d *Directory) affix(e *filter.Affix, advanced bool) (func(User) bool, error) {
	p, err := d.indexed(e.Path[0], advanced)
	switch {
	case err != nil:
		return nil, err
	case p.Kind != Text || p.Name == "id", e.End && (!advanced || !slices.Contains(endsKnown, p.Name)):
		return nil, unsupportedFilter()
	case len(e.Path) > 1:
		return nil, invalidProperty(strings.Join(e.Path, "/"))
	}
	return func(u User) bool { return has(u.text(p.Name), e) }, nil
}

func has(text string, e *filter.Affix) bool {
	text, affix := strings.ToLower(text), strings.ToLower(e.Value)
	if e.End {
		return strings.HasSuffix(text, affix)
	}
	return strings.HasPrefix(text, affix)
}

func (d *Directory) equal(e *filter.Equal, advanced bool) (func(User) bool, error) {
	p, err := d.indexed(e.Path[0], advanced)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Kind == Texts || p.Kind == Opaque:
		return nil, unsupportedFilter()
	case p.Kind == Composite:
		return compositeField(p, e)
	case len(e.Path) > 1:
		return nil, invalidProperty(strings.Join(e.Path, "/"))
	case !comparableWith(p, e.Value):
		return nil, fault.BadRequest("A binary operator with incompatible types was detected in '%s'.", e)
	}
	return func(u User) bool { return same(u[p.Name], e.Value) }, nil
}

// compositeField compares one field of a composite, as in onPremisesExtensionAttributes/extensionAttribute1 eq 'x'.
func compositeField(p *Property, e *filter.Equal) (func(User) bool, error) {
	i := -1
	if len(e.Path) == 2 {
		i = slices.IndexFunc(p.Fields, func(field string) bool { return strings.EqualFold(field, e.Path[1]) })
	}
	if i < 0 {
		return nil, invalidProperty(strings.Join(e.Path, "/"))
	}
	return func(u User) bool {
		object, _ := u[p.Name].(map[string]any)
		return same(object[p.Fields[i]], e.Value)
	}, nil
}

func (d *Directory) any(e *filter.Any, advanced bool) (func(User) bool, error) {
	if len(e.Path) > 1 {
		return nil, invalidProperty(strings.Join(e.Path, "/"))
	}
	p, err := d.indexed(e.Path[0], advanced)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Kind == Texts:
		return anyText(p, e)
	case p.Name == "identities":
		return anyIdentity(e)
	}
	return nil, unsupportedFilter()
}

// anyText matches `otherMails/any(x:x eq 'a')` and alternatives of it, or `proxyAddresses/any(x:startswith(x,'smtp:'))`.
func anyText(p *Property, e *filter.Any) (func(User) bool, error) {
	if start, is := e.Body.(*filter.Affix); is && !start.End && len(start.Path) == 1 && start.Path[0] == e.Var {
		return func(u User) bool {
			return slices.ContainsFunc(u.texts(p.Name), func(text string) bool { return has(text, start) })
		}, nil
	}
	wanted, err := alternatives(e.Body, e.Var)
	if err != nil {
		return nil, err
	}
	return func(u User) bool {
		return slices.ContainsFunc(u.texts(p.Name), func(text string) bool {
			return slices.ContainsFunc(wanted, func(w any) bool { return same(text, w) })
		})
	}, nil
}

func alternatives(e filter.Expr, variable string) ([]any, error) {
	switch e := e.(type) {
	case *filter.Equal:
		if len(e.Path) == 1 && e.Path[0] == variable {
			return []any{e.Value}, nil
		}
		return nil, invalidProperty(strings.Join(e.Path, "/"))
	case *filter.Or:
		left, err := alternatives(e.Left, variable)
		if err != nil {
			return nil, err
		}
		right, err := alternatives(e.Right, variable)
		return append(left, right...), err
	}
	return nil, unsupportedFilter()
}

// anyIdentity matches `identities/any(c:c/issuerAssignedId eq 'x' and c/issuer eq 'y')`; the directory wants both.
func anyIdentity(e *filter.Any) (func(User) bool, error) {
	and, ok := e.Body.(*filter.And)
	if !ok {
		return nil, unsupportedFilter()
	}
	wanted := map[string]any{}
	for _, side := range []filter.Expr{and.Left, and.Right} {
		equal, ok := side.(*filter.Equal)
		if !ok || len(equal.Path) != 2 || equal.Path[0] != e.Var {
			return nil, unsupportedFilter()
		}
		wanted[equal.Path[1]] = equal.Value
	}
	_, hasIssuer := wanted[issuer]
	if _, hasID := wanted[issuerAssignedID]; !hasIssuer || !hasID {
		return nil, unsupportedFilter()
	}
	return func(u User) bool {
		identities, _ := u["identities"].([]map[string]any)
		return slices.ContainsFunc(identities, func(id map[string]any) bool {
			return same(id[issuer], wanted[issuer]) && same(id[issuerAssignedID], wanted[issuerAssignedID])
		})
	}, nil
}

// indexed finds a property that may stand in a filter.
func (d *Directory) indexed(name string, advanced bool) (*Property, error) {
	p := d.FoldedProperty(name)
	switch {
	case p == nil:
		return nil, invalidProperty(name)
	case p.Access == Absent:
		return nil, fault.NotModelled("filters on %s", p.Name)
	case p.Index == NotIndexed:
		return nil, fault.UnsupportedQuery("The request uses a filter property that is not indexed")
	case p.Index == Advanced && !advanced:
		return nil, unsupportedFilter()
	}
	return p, nil
}

func unsupportedFilter() error { return fault.UnsupportedQuery("Unsupported Query.") }

func comparableWith(p *Property, v any) bool {
	switch v.(type) {
	case nil:
		return true
	case bool:
		return p.Kind == Flag
	default:
		return p.Kind == Text
	}
}

func same(have, want any) bool {
	h, ok := have.(string)
	w, ok2 := want.(string)
	if ok && ok2 {
		return strings.EqualFold(h, w)
	}
	return have == want
}
