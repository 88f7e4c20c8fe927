package graph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// maxFollowed is how many users a filter on ids may name.
const maxFollowed = 50

// deltaToken is what a token of change tracking holds. Clients must not read it.
type deltaToken struct {
	Tenant     string           `json:"d"`
	Set        string           `json:"k"`
	Generation int              `json:"g"`
	From       int64            `json:"f"`
	Start      int64            `json:"s"`
	After      int64            `json:"a"`
	Within     directory.Within `json:"w,omitzero"`
	Selected   []string         `json:"n,omitempty"` // nil: the default properties
	IDs        []string         `json:"i,omitempty"`
	Issued     time.Time        `json:"t"`
}

func (t deltaToken) String() string {
	data, err := json.Marshal(t)
	if err != nil {
		panic(err) // it consists of numbers, texts and a time
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// linksPerObject is how many links an object on a page of change tracking tells for each object the page may have.
const linksPerObject = 20

// userDelta answers GET /users/delta.
func (s *Service) userDelta(c *call) (answer, error) { return s.delta(c, directory.Users) }

// groupDelta answers GET /groups/delta.
func (s *Service) groupDelta(c *call) (answer, error) { return s.delta(c, directory.Groups) }

// delta answers the first page of a round from the beginning or from a deltaLink, or one of those that nextLinks lead to.
func (s *Service) delta(c *call, schema *directory.Schema) (answer, error) {
	t, latest, err := s.deltaToken(c, schema)
	if err != nil {
		return answer{}, err
	}
	prefer := preferences(c.Header)
	q, err := c.deltaQuery(schema, t)
	if err != nil {
		return answer{}, err
	}
	q.Limit = s.limit(options{top: prefer.pageSize})
	q.LinkLimit = linksPerObject * q.Limit
	page := directory.Delta{After: t.Start}
	if !latest {
		page = c.view.Delta(schema, q)
	}
	value := make([]map[string]any, len(page.Items))
	for i, item := range page.Items {
		value[i] = deltaItem(item, q.Properties, prefer.minimal)
	}
	body := map[string]any{"@odata.context": c.context(schema.Set + options{selected: t.Selected}.suffix(q.Properties)), "value": value}
	link := c.root() + "/" + schema.Set + "/delta?"
	t.After, t.Within, t.Issued = page.After, page.Within, s.Now().UTC()
	if page.More {
		body["@odata.nextLink"] = link + "$skiptoken=" + t.String()
	} else {
		t.From, t.Start = page.After, page.After
		body["@odata.deltaLink"] = link + "$deltatoken=" + t.String()
	}
	return ok(body), nil
}

// deltaQuery is what a token asks for.
func (c *call) deltaQuery(schema *directory.Schema, t deltaToken) (q directory.DeltaQuery, err error) {
	q = directory.DeltaQuery{From: t.From, Start: t.Start, After: t.After, Within: t.Within}
	if q.Properties, q.Links, err = c.followed(schema, t.Selected); err != nil || t.IDs == nil {
		return q, err
	}
	q.IDs = map[string]bool{}
	for _, id := range t.IDs {
		q.IDs[strings.ToLower(id)] = true
	}
	return q, nil
}

// deltaToken reads the token of a request, or makes that of a first one. latest asks for no data.
func (s *Service) deltaToken(c *call, schema *directory.Schema) (t deltaToken, latest bool, err error) {
	query := c.URL.Query()
	option := func(name string) string { return query.Get("$"+name) + query.Get(name) }
	for name := range query {
		switch strings.ToLower(strings.TrimPrefix(name, "$")) {
		case "select", "filter", "skiptoken", "deltatoken":
		case "top", "expand", "orderby":
			return t, false, badRequest("The query option '" + name + "' is not supported with change tracking.")
		default:
			return t, false, fault.NotModelled("the query option %s of GET %s", name, c.URL.Path)
		}
	}
	skip, token := option("skiptoken"), option("deltatoken")
	switch {
	case skip != "" && (token != "" || option("select") != "" || option("filter") != ""):
		return t, false, badRequest("A $skiptoken holds all options of the first request, and stands alone.")
	case skip != "":
		t, err = s.oldToken(c, schema, skip)
		return t, false, err
	case token != "" && token != "latest":
		if t, err = s.oldToken(c, schema, token); err != nil {
			return t, false, err
		}
	default:
		version, generation := c.dir.DeltaState()
		t, latest = deltaToken{Tenant: c.caller.TenantID, Set: schema.Set, Generation: generation, Start: version}, token == "latest"
	}
	if selected := option("select"); selected != "" {
		t.Selected = strings.Split(selected, ",")
	}
	if text := option("filter"); text != "" {
		if t.IDs, err = followedIDs(text); err != nil {
			return t, false, err
		}
	}
	return t, latest, nil
}

// oldToken reads a token that was handed out before. The answer to one that is too old is 400; one of a state that was lost is
// answered with 410 and the address at which everything begins anew: the overview of change tracking knows both.
func (s *Service) oldToken(c *call, schema *directory.Schema, text string) (t deltaToken, err error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(data, &t) != nil || t.Tenant != c.caller.TenantID || t.Set != schema.Set {
		return t, badRequest("The delta token is not valid.")
	}
	const lost = "The sync state generation is not found; a full read is required."
	if s.Now().Sub(t.Issued) > c.dir.DeltaLife() {
		return t, fault.New(http.StatusBadRequest, "syncStateNotFound", lost)
	}
	if _, generation := c.dir.DeltaState(); t.Generation != generation || c.lost {
		return t, fault.New(http.StatusGone, "syncStateNotFound", lost).
			With("Location", c.root()+"/"+schema.Set+"/delta?$deltatoken=")
	}
	return t, nil
}

// followedIDs are the ids of a filter of the form id eq '…' or id eq '…'.
func followedIDs(text string) ([]string, error) {
	e, err := parseFilter(text)
	if err != nil {
		return nil, err
	}
	ids, isList := idsOf(e)
	switch {
	case !isList:
		return nil, fault.UnsupportedQuery("Change tracking filters by id only: id eq '…' or id eq '…'.")
	case len(ids) > maxFollowed:
		return nil, badRequest("Change tracking filters by at most " + strconv.Itoa(maxFollowed) + " ids.")
	}
	return ids, nil
}

func idsOf(e filter.Expr) (ids []string, isList bool) {
	switch e := e.(type) {
	case *filter.Or:
		left, isLeft := idsOf(e.Left)
		right, isRight := idsOf(e.Right)
		return append(left, right...), isLeft && isRight
	case *filter.Equal:
		id, isText := e.Value.(string)
		return []string{id}, isText && len(e.Path) == 1 && strings.EqualFold(e.Path[0], "id")
	}
	return nil, false
}

// deltaItem shows an object that changed: with all properties that are followed, or with those that changed only.
func deltaItem(item directory.DeltaItem, properties []*directory.Property, minimal bool) map[string]any {
	if item.Removed != "" {
		return map[string]any{"id": item.ID, "@removed": map[string]any{"reason": item.Removed}}
	}
	switch {
	case minimal && item.New:
		properties = slices.DeleteFunc(slices.Clone(properties), func(p *directory.Property) bool { return item.Entity.Get(p.Name) == nil })
	case minimal:
		properties = item.Changed
	}
	shown := render(item.Entity, properties)
	shown["id"] = item.ID
	if len(item.Links) > 0 {
		shown[navigation[item.Entity.Schema()]+"@delta"] = deltaLinks(item.Links)
	}
	return shown
}

// deltaLinks shows links that came and went.
func deltaLinks(links []directory.DeltaLink) []map[string]any {
	shown := make([]map[string]any, len(links))
	for i, l := range links {
		shown[i] = map[string]any{"@odata.type": "#microsoft.graph." + l.Kind, "id": l.ID}
		if l.Removed {
			shown[i]["@removed"] = map[string]any{"reason": "deleted"}
		}
	}
	return shown
}

// navigation is the one navigation property that change tracking follows of each resource.
var navigation = map[*directory.Schema]string{directory.Users: "manager", directory.Groups: "members"}

// followed resolves what is followed: properties and, apart from them, the navigation property. Members of groups are followed
// if nothing is selected, as the example in the reference of group-delta shows; a manager has to be selected.
func (c *call) followed(schema *directory.Schema, selected []string) (properties []*directory.Property, links bool, err error) {
	links = selected == nil && schema == directory.Groups
	rest := slices.DeleteFunc(slices.Clone(selected), func(name string) bool {
		is := strings.EqualFold(strings.TrimSpace(name), navigation[schema])
		links = links || is
		return is
	})
	if selected != nil && len(rest) == 0 {
		rest = []string{"id"}
	}
	properties, err = c.selection(schema, rest)
	return properties, links, err
}

// preference is what the Prefer header asks for.
type preference struct {
	pageSize int // 0: nothing
	minimal  bool
}

func preferences(h http.Header) (p preference) {
	for _, value := range h.Values("Prefer") {
		for one := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.TrimSpace(one), "=")
			switch {
			case strings.EqualFold(name, "return") && strings.EqualFold(argument, "minimal"):
				p.minimal = true
			case strings.EqualFold(name, "odata.maxpagesize"):
				if n, err := strconv.Atoi(argument); err == nil && n > 0 {
					p.pageSize = min(n, maxPage)
				}
			}
		}
	}
	return p
}
