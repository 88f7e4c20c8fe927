package graph

import (
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// Page sizes of /users.
const (
	defaultPage = 100
	maxPage     = 999
)

// options are the system query options of a request.
type options struct {
	selected []string // as sent; nil = the default properties
	filter   filter.Expr
	top      int
	after    int64 // from $skiptoken
	count    bool
	advanced bool // ConsistencyLevel: eventual and $count=true
}

// options reads the query. An option that is not among the allowed is one the simulator does not play.
func (c *call) options(allowed ...string) (options, error) {
	var o options
	query, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return o, badRequest("The query string is not valid.")
	}
	// The advanced mode decides how a filter is read, so it comes first.
	counted := strings.EqualFold(query.Get("$count"), "true")
	o.advanced = counted && strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual")
	for key, values := range query {
		name := strings.ToLower(strings.TrimPrefix(key, "$"))
		if !slices.Contains(allowed, name) {
			return o, fault.NotModelled("the query option %s of %s %s", key, c.Method, c.URL.Path)
		}
		if len(values) > 1 {
			return o, badRequest("Query option '" + key + "' was specified more than once, but it must be specified at most once.")
		}
		if err := o.set(name, values[0]); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *options) set(name, value string) (err error) {
	switch name {
	case "select":
		o.selected = strings.Split(value, ",")
	case "filter":
		o.filter, err = parseFilter(value)
	case "top":
		if o.top, err = strconv.Atoi(value); err != nil || o.top < 1 || o.top > maxPage {
			return fault.BadRequest("Invalid page size specified: '%s'. Must be between 1 and %d inclusive.", value, maxPage)
		}
	case "skiptoken":
		o.after, err = parseSkipToken(value)
	case "count":
		o.count = o.advanced // without the header Graph does not count
	}
	return err
}

func parseFilter(text string) (filter.Expr, error) {
	e, err := filter.Parse(text)
	syntax, unsupported := new(filter.SyntaxError), new(filter.UnsupportedError)
	switch {
	case errors.As(err, &syntax):
		return nil, badRequest("Invalid filter clause: " + err.Error() + ".")
	case err != nil:
		return nil, fault.NotModelled("%s in $filter", unsupported.Name)
	}
	return e, nil
}

// A skip token marks the last user of a page. Clients must not read it.
func skipToken(after int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte("after:" + strconv.FormatInt(after, 10)))
}

func parseSkipToken(token string) (int64, error) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	mark, ok := strings.CutPrefix(string(data), "after:")
	after, errMark := strconv.ParseInt(mark, 10, 64)
	if err != nil || !ok || errMark != nil {
		return 0, fault.BadRequest("The specified page token value has expired and can no longer be included in your request.")
	}
	return after, nil
}

// root is the address of the service as the client sees it.
func (c *call) root() string { return "https://" + c.Host + "/" + Prefix }

func (c *call) context(entity string) string { return c.root() + "/$metadata#" + entity }

// nextLink is the request again with a mark where to go on.
func (c *call) nextLink(after int64) string {
	var kept []string
	for part := range strings.SplitSeq(c.URL.RawQuery, "&") {
		key, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(key)
		if part != "" && err == nil && !strings.EqualFold(strings.TrimPrefix(name, "$"), "skiptoken") {
			kept = append(kept, part)
		}
	}
	kept = append(kept, "$skiptoken="+skipToken(after))
	return "https://" + c.Host + c.URL.EscapedPath() + "?" + strings.Join(kept, "&")
}

// list answers a collection of users, live or deleted, as the options ask for it.
func (s *Service) list(c *call, read func(directory.Query) directory.Page) (answer, error) {
	o, err := c.options("select", "filter", "top", "skiptoken", "count")
	if err != nil {
		return answer{}, err
	}
	names, err := c.selection(o)
	if err != nil {
		return answer{}, err
	}
	q := directory.Query{After: o.after, Limit: s.limit(o)}
	if o.filter != nil {
		if q.Match, err = c.dir.Filter(o.filter, o.advanced); err != nil {
			return answer{}, err
		}
	}
	page := read(q)
	value := make([]map[string]any, len(page.Users))
	for i, u := range page.Users {
		value[i] = c.render(u, names)
	}
	body := map[string]any{"@odata.context": c.context("users" + o.suffix(names)), "value": value}
	if page.Next > 0 {
		body["@odata.nextLink"] = c.nextLink(page.Next)
	}
	if o.count && o.after == 0 {
		body["@odata.count"] = page.Total
	}
	return ok(body), nil
}

func (s *Service) limit(o options) int {
	limit := o.top
	if limit == 0 {
		limit = defaultPage
	}
	if s.PageSize > 0 {
		limit = min(limit, s.PageSize)
	}
	return limit
}

// selection resolves $select to the names of properties.
func (c *call) selection(o options) ([]string, error) {
	if o.selected == nil {
		return directory.DefaultProperties(), nil
	}
	var names []string
	for _, sent := range o.selected {
		p := c.dir.FoldedProperty(strings.TrimSpace(sent))
		switch {
		case p == nil:
			return nil, badRequest("Parsing OData Select and Expand failed: Could not find a property named '" +
				strings.TrimSpace(sent) + "' on type 'microsoft.graph.user'.")
		case !p.Readable():
			return nil, fault.NotModelled("reading %s", p.Name)
		case !slices.Contains(names, p.Name):
			names = append(names, p.Name)
		}
	}
	return names, nil
}

// suffix is what a selection adds to the context.
func (o options) suffix(names []string) string {
	if o.selected == nil {
		return ""
	}
	return "(" + strings.Join(names, ",") + ")"
}

// render shows the named properties of a user. A directory extension nobody has set is left out; any other property is null
// or empty then.
func (c *call) render(u directory.User, names []string) map[string]any {
	shown := make(map[string]any, len(names)+1)
	for _, name := range names {
		p := c.dir.FoldedProperty(name)
		v, set := u[name]
		switch {
		case set:
			shown[name] = v
		case !p.Extension:
			shown[name] = p.Empty()
		}
	}
	return shown
}
