package graph

import (
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
	expanded *expansion
	filter   filter.Expr
	search   filter.Expr
	order    *ordering
	top      int
	after    int64 // from $skiptoken
	count    bool
	advanced bool // ConsistencyLevel: eventual and $count=true
}

// ordering is what $orderby asks for.
type ordering struct {
	property   string
	descending bool
}

// refusedOptions are query options that collections of directory objects do not take, in the words of Graph.
var refusedOptions = map[string]string{
	"skip":    "'$skip' is not supported by the service.",
	"apply":   "The query parameter '$apply' is not supported.",
	"compute": "The query parameter '$compute' is not supported.",
}

// options reads the query. Names are those of OData, in any case and with or without the $. One that is not among the allowed is
// refused: by Graph, or by the simulator, which does not play it.
func (c *call) options(allowed ...string) (options, error) {
	var o options
	query, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return o, badRequest("The query string is not valid.")
	}
	// The advanced mode decides how the others are read, so it comes first.
	counted := strings.EqualFold(query.Get("$count")+query.Get("count"), "true")
	o.advanced = counted && c.eventual()
	for key, values := range query {
		name := strings.ToLower(strings.TrimPrefix(key, "$"))
		if message, refused := refusedOptions[name]; refused {
			return o, badRequest(message)
		}
		if !slices.Contains(allowed, name) {
			return o, fault.NotModelled("the query option %s of %s %s", key, c.Method, c.URL.Path)
		}
		if len(values) > 1 || name != key && query.Has(name) {
			return o, badRequest("Query option '" + key + "' was specified more than once, but it must be specified at most once.")
		}
		if err := o.set(name, values[0]); err != nil {
			return o, err
		}
	}
	return o, c.combine(o)
}

// eventual reports whether the request accepts what an index says, which may be late.
func (c *call) eventual() bool {
	return strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual")
}

// combine refuses options that do not go together. Source: the reference of advanced queries.
func (c *call) combine(o options) error {
	switch {
	case o.search != nil && !c.eventual():
		return fault.UnsupportedQuery("Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'")
	case o.order != nil && (o.filter != nil || o.search != nil) && !o.advanced:
		return sortingUnsupported()
	case o.expanded != nil && o.advanced:
		return fault.UnsupportedQuery("$expand is not supported with advanced queries.")
	}
	return nil
}

func sortingUnsupported() error {
	return fault.UnsupportedQuery("Sorting not supported for current query.")
}

func (o *options) set(name, value string) (err error) {
	switch name {
	case "select":
		o.selected = strings.Split(value, ",")
	case "expand":
		o.expanded, err = parseExpand(value)
	case "filter":
		o.filter, err = parseFilter(value)
	case "search":
		if o.search, err = filter.ParseSearch(value); err != nil {
			return badRequest("Invalid $search clause: " + err.Error() + ".")
		}
	case "orderby":
		o.order, err = parseOrder(value)
	case "top":
		if o.top, err = strconv.Atoi(value); err != nil || o.top < 1 || o.top > maxPage {
			return fault.BadRequest("Invalid page size specified: '%s'. Must be between 1 and %d inclusive.", value, maxPage)
		}
	case "skiptoken":
		o.after, err = parseSkipToken(value)
	case "count":
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return badRequest("Invalid value '" + value + "' for $count query option found. Valid values are 'true' and 'false'.")
		}
		o.count = o.advanced // without the header Graph does not count
	}
	return err
}

// parseOrder reads one property and a direction.
func parseOrder(text string) (*ordering, error) {
	words := strings.Fields(text)
	switch {
	case strings.Contains(text, ","):
		return nil, fault.NotModelled("$orderby of several properties")
	case len(words) == 1, len(words) == 2 && strings.EqualFold(words[1], "asc"):
		return &ordering{property: words[0]}, nil
	case len(words) == 2 && strings.EqualFold(words[1], "desc"):
		return &ordering{words[0], true}, nil
	}
	return nil, badRequest("Syntax error in $orderby: '" + text + "'.")
}

func parseFilter(text string) (filter.Expr, error) {
	e, err := filter.Parse(text)
	syntax, unsupported := new(filter.SyntaxError), new(filter.UnsupportedError)
	switch {
	case errors.As(err, &syntax):
		return nil, badRequest("Invalid filter clause: " + err.Error() + ".")
	case errors.As(err, &unsupported):
		return nil, fault.UnsupportedQuery("The operator or function '" + unsupported.Name + "' is not supported in $filter.")
	}
	return e, err
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
