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
	Generation int       `json:"g"`
	From       int64     `json:"f"`
	Start      int64     `json:"s"`
	After      int64     `json:"a"`
	Selected   []string  `json:"n,omitempty"` // nil: the default properties
	IDs        []string  `json:"i,omitempty"`
	Issued     time.Time `json:"t"`
}

func (t deltaToken) String() string {
	data, err := json.Marshal(t)
	if err != nil {
		panic(err) // it consists of numbers, texts and a time
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// delta answers GET /users/delta: the first page of a round from the beginning or from a deltaLink, or one of those that
// nextLinks lead to.
func (s *Service) delta(c *call) (answer, error) {
	t, latest, err := s.deltaToken(c)
	if err != nil {
		return answer{}, err
	}
	names, manager, err := c.followedProperties(t.Selected)
	if err != nil {
		return answer{}, err
	}
	prefer := preferences(c.Header)
	q := directory.DeltaQuery{From: t.From, Start: t.Start, After: t.After, Names: names, Limit: s.limit(options{top: prefer.pageSize})}
	if manager {
		q.Names = append(slices.Clone(names), "manager")
	}
	if t.IDs != nil {
		q.IDs = map[string]bool{}
		for _, id := range t.IDs {
			q.IDs[strings.ToLower(id)] = true
		}
	}
	var page directory.Delta
	if latest {
		page.After = t.Start
	} else {
		page = c.dir.Delta(q)
	}
	value := make([]map[string]any, len(page.Items))
	for i, item := range page.Items {
		value[i] = c.deltaItem(item, names, prefer.minimal)
		if manager && item.Removed == "" {
			tellManager(value[i], item)
		}
	}
	body := map[string]any{"@odata.context": c.context("users" + options{selected: t.Selected}.suffix(names)), "value": value}
	if t.Issued = s.Now().UTC(); page.More {
		t.After = page.After
		body["@odata.nextLink"] = c.root() + "/users/delta?$skiptoken=" + t.String()
	} else {
		t.From, t.Start, t.After = page.After, page.After, page.After
		body["@odata.deltaLink"] = c.root() + "/users/delta?$deltatoken=" + t.String()
	}
	return ok(body), nil
}

// deltaToken reads the token of a request, or makes that of a first one. latest asks for no data.
func (s *Service) deltaToken(c *call) (t deltaToken, latest bool, err error) {
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
		t, err = s.oldToken(c, skip)
		return t, false, err
	case token != "" && token != "latest":
		if t, err = s.oldToken(c, token); err != nil {
			return t, false, err
		}
	default:
		version, generation := c.dir.DeltaState()
		t, latest = deltaToken{Generation: generation, Start: version}, token == "latest"
	}
	if selected := option("select"); selected != "" {
		t.Selected = strings.Split(selected, ",")
	}
	if text := option("filter"); text != "" {
		if t.IDs, err = followed(text); err != nil {
			return t, false, err
		}
	}
	return t, latest, nil
}

// oldToken reads a token that was handed out before. One that is too old, or of a state that was lost, is answered with 410
// and the address at which everything begins anew.
func (s *Service) oldToken(c *call, text string) (t deltaToken, err error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(data, &t) != nil {
		return t, badRequest("The delta token is not valid.")
	}
	if _, generation := c.dir.DeltaState(); t.Generation != generation || s.Now().Sub(t.Issued) > directory.DeltaLife {
		return t, fault.New(http.StatusGone, "syncStateNotFound", "The sync state generation is not found; a full read is required.").
			With("Location", c.root()+"/users/delta?$deltatoken=")
	}
	return t, nil
}

// followed are the ids of a filter of the form id eq '…' or id eq '…'.
func followed(text string) ([]string, error) {
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

// deltaItem shows a user who changed: with all properties that are followed, or with those that changed only.
func (c *call) deltaItem(item directory.DeltaItem, names []string, minimal bool) map[string]any {
	if item.Removed != "" {
		return map[string]any{"id": item.ID, "@removed": map[string]any{"reason": item.Removed}}
	}
	if minimal {
		if item.Changed != nil {
			names = slices.DeleteFunc(slices.Clone(item.Changed), func(name string) bool { return name == "manager" })
		} else {
			names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return item.User[name] == nil })
		}
	}
	shown := c.render(item.User, names)
	shown["id"] = item.ID
	return shown
}

// followedProperties resolves what is followed: properties and, apart from them, the manager.
func (c *call) followedProperties(selected []string) (names []string, manager bool, err error) {
	rest := slices.DeleteFunc(slices.Clone(selected), func(name string) bool {
		is := strings.EqualFold(strings.TrimSpace(name), "manager")
		manager = manager || is
		return is
	})
	if selected != nil && len(rest) == 0 {
		rest = []string{"id"}
	}
	names, err = c.selection(options{selected: rest})
	return names, manager, err
}

// tellManager adds who the manager is to a user who changed, if there is something to tell: a manager, or that there is none
// any more.
func tellManager(shown map[string]any, item directory.DeltaItem) {
	const delta = "manager@delta"
	switch {
	case item.Manager != "":
		shown[delta] = []map[string]any{{"@odata.type": "#microsoft.graph.user", "id": item.Manager}}
	case slices.Contains(item.Changed, "manager"):
		shown[delta] = []map[string]any{{
			"@odata.type": "#microsoft.graph.user", "id": item.Former, "@removed": map[string]any{"reason": "deleted"},
		}}
	}
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
