package entrasim_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// round reads all pages of a round that begins at a path or link, and returns its items and the link of the next round.
func (w *world) round(start string, prefer ...string) (items []map[string]any, next string) {
	w.t.Helper()
	for link := start; ; {
		r := w.graphWith("contoso", "GET", strings.TrimPrefix(link, w.URL()+"/v1.0"), http.Header{"Prefer": prefer}, nil)
		if r.status != 200 {
			w.t.Fatalf("GET %s answered %d %s", link, r.status, r.text)
		}
		items = append(items, r.values()...)
		if next, _ = r.body["@odata.deltaLink"].(string); next != "" {
			return items, next
		}
		if link, _ = r.body["@odata.nextLink"].(string); link == "" {
			w.t.Fatalf("GET %s led nowhere", start)
		}
	}
}

// told is what a delta item says of a user, in short.
func told(items []map[string]any, property string) []string {
	var list []string
	for _, item := range items {
		if removed, gone := item["@removed"].(map[string]any); gone {
			list = append(list, fmt.Sprint("removed ", removed["reason"]))
			continue
		}
		list = append(list, fmt.Sprint(item[property]))
	}
	return list
}

func TestARoundShowsEverybodyAndTheNextOnesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t, entrasim.Options{PageSize: 2})
	var ids []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		ids = append(ids, w.must(201, "contoso", "POST", "/users", newUser(name, "contoso", nil)).id())
	}
	items, link := w.round("/users/delta?$select=mailNickname,department")
	if got := told(items, "mailNickname"); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("the first round shows %v", got)
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"nothing", func() {}, nil},
		{"a property that is followed", func() { w.must(204, "contoso", "PATCH", "/users/"+ids[1], map[string]any{"department": "Sales"}) }, []string{"b"}},
		{"one that is not", func() { w.must(204, "contoso", "PATCH", "/users/"+ids[2], map[string]any{"jobTitle": "Clerk"}) }, nil},
		{"the same value again", func() { w.must(204, "contoso", "PATCH", "/users/"+ids[1], map[string]any{"department": "Sales"}) }, nil},
		{"a newcomer", func() { w.must(201, "contoso", "POST", "/users", newUser("f", "contoso", nil)) }, []string{"f"}},
		{"a soft delete", func() { w.must(204, "contoso", "DELETE", "/users/"+ids[0], nil) }, []string{"removed changed"}},
		{"a restore", func() { w.must(200, "contoso", "POST", "/directory/deletedItems/"+ids[0]+"/restore", nil) }, []string{"a"}},
		{"a purge", func() {
			w.must(204, "contoso", "DELETE", "/users/"+ids[3], nil)
			w.must(204, "contoso", "DELETE", "/directory/deletedItems/"+ids[3], nil)
		}, []string{"removed deleted"}},
		{"many things in their order", func() {
			w.must(204, "contoso", "DELETE", "/users/"+ids[4], nil)
			w.must(204, "contoso", "PATCH", "/users/"+ids[2], map[string]any{"department": "Legal"})
			w.must(204, "contoso", "PATCH", "/users/"+ids[1], map[string]any{"department": nil})
		}, []string{"removed changed", "c", "b"}},
	} {
		step.do()
		if items, link = w.round(link); !slices.Equal(told(items, "mailNickname"), step.want) {
			t.Errorf("after %s the round shows %v, want %v", step.name, told(items, "mailNickname"), step.want)
		}
	}
}

func TestMinimalAnswersHoldOnlyWhatChanged(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.must(201, "contoso", "POST", "/users", newUser("a", "contoso", map[string]any{"department": "Sales"})).id()
	const path = "/users/delta?$select=displayName,department,jobTitle"
	items, link := w.round(path, "return=minimal")
	if keys := slices.Sorted(maps.Keys(items[0])); !slices.Equal(keys, []string{"department", "displayName", "id"}) {
		t.Errorf("the first round has %v: what was never set is absent", keys)
	}
	w.must(204, "contoso", "PATCH", "/users/"+id, map[string]any{"department": nil})
	items, _ = w.round(link, "return=minimal")
	if department, there := items[0]["department"]; len(items[0]) != 2 || !there || department != nil {
		t.Errorf("a value that was cleared is told as %v", items[0])
	}
	items, _ = w.round(link)
	if keys := slices.Sorted(maps.Keys(items[0])); !slices.Equal(keys, []string{"department", "displayName", "id", "jobTitle"}) {
		t.Errorf("without the preference it has %v", keys)
	}
}

func TestATokenForLatestBeginsNow(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	w.must(201, "contoso", "POST", "/users", newUser("a", "contoso", nil))
	items, link := w.round("/users/delta?$deltatoken=latest&$select=mailNickname")
	if len(items) != 0 {
		t.Errorf("latest shows %v", items)
	}
	w.must(201, "contoso", "POST", "/users", newUser("b", "contoso", nil))
	if items, _ = w.round(link); !slices.Equal(told(items, "mailNickname"), []string{"b"}) {
		t.Errorf("after it there is %v", told(items, "mailNickname"))
	}
}

func TestAFilterFollowsSomeUsersOnly(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	a := w.must(201, "contoso", "POST", "/users", newUser("a", "contoso", nil)).id()
	w.must(201, "contoso", "POST", "/users", newUser("b", "contoso", nil))
	c := w.must(201, "contoso", "POST", "/users", newUser("c", "contoso", nil)).id()
	items, _ := w.round("/users/delta?$select=mailNickname&$filter=id%20eq%20'" + a + "'%20or%20id%20eq%20'" + c + "'")
	if got := told(items, "mailNickname"); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("it follows %v", got)
	}
}

// The overview of change tracking: a token of directory objects lives seven days, and an old one is answered with "40X … such as
// syncStateNotFound"; a reset is 410 with a Location.
func TestAnOldOrLostTokenMeansAFullRound(t *testing.T) {
	for name, tc := range map[string]struct {
		lose     func(*world)
		status   int
		location string
	}{
		"seven days":     {func(w *world) { w.clock.advance(7*24*time.Hour + time.Second) }, http.StatusBadRequest, ""},
		"a lost service": {func(w *world) { _ = w.ResetDelta("contoso") }, http.StatusGone, "delta?$deltatoken="},
	} {
		for _, set := range []string{"users", "groups"} {
			t.Run(name+" and "+set, func(t *testing.T) {
				w := newGroupWorld(t)
				_, link := w.round("/" + set + "/delta")
				tc.lose(w)
				delete(w.tokens, "contoso") // the access token is over, too
				r := w.graph("contoso", "GET", strings.TrimPrefix(link, w.URL()+"/v1.0"), nil)
				code, _ := r.fault()
				again := r.header.Get("Location")
				if r.status != tc.status || code != "syncStateNotFound" {
					t.Fatalf("answer %d %s", r.status, code)
				}
				if tc.location == "" {
					w.round("/" + set + "/delta")
				} else if want := w.URL() + "/v1.0/" + set + "/" + tc.location; again != want {
					t.Errorf("Location %q, want %q", again, want)
				} else {
					w.round(again)
				}
			})
		}
	}
}

func TestATokenIsGoodWhereItWasMade(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{
		{Name: "contoso", Roles: []string{"User.Read.All", "Group.Read.All"}}, {Name: "fabrikam-us"},
	}})
	_, link := w.round("/users/delta")
	path := strings.TrimPrefix(link, w.URL()+"/v1.0")
	w.must(400, "contoso", "GET", strings.Replace(path, "/users/", "/groups/", 1), nil)
	w.must(400, "fabrikam-us", "GET", path, nil)
}

func TestWhatChangeTrackingDoesNotTake(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	many := "id eq 'x'" + strings.Repeat(" or id eq 'x'", 50)
	for query, status := range map[string]int{
		"$top=5":                       400,
		"$expand=manager":              400,
		"$orderby=displayName":         400,
		"$select=skills":               501, // outside the directory
		"$select=nonsense":             400,
		"$search=x":                    501,
		"$filter=displayName eq 'x'":   400,
		"$filter=" + many:              400,
		"$deltatoken=forged":           400,
		"$skiptoken=x&$select=surname": 400,
	} {
		if r := w.graph("contoso", "GET", "/users/delta?"+strings.ReplaceAll(query, " ", "%20"), nil); r.status != status {
			t.Errorf("%s: %d %s, want %d", query, r.status, r.text, status)
		}
	}
}

// TestRoundsAddUpToWhatIsThere lets users come, change and go at random, also between the pages of a round, and puts together
// what the rounds tell.
func TestRoundsAddUpToWhatIsThere(t *testing.T) {
	w := newWorld(t, entrasim.Options{PageSize: 3})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		known := map[string]string{} // department by id
		hear := func(items []map[string]any) {
			for _, item := range items {
				if item["@removed"] != nil {
					delete(known, item["id"].(string))
				} else {
					known[item["id"].(string)] = fmt.Sprint(item["department"])
				}
			}
		}
		var live, gone []string
		act := func() {
			switch kind := rapid.IntRange(0, 4).Draw(rt, "kind"); {
			case kind == 0 || len(live) == 0:
				n++
				live = append(live, w.must(201, "contoso", "POST", "/users", newUser(fmt.Sprint("u", n), "contoso", nil)).id())
			case kind == 1 && len(gone) > 0:
				w.must(200, "contoso", "POST", "/directory/deletedItems/"+gone[0]+"/restore", nil)
				live, gone = append(live, gone[0]), gone[1:]
			case kind == 2:
				w.must(204, "contoso", "DELETE", "/users/"+live[0], nil)
				live, gone = live[1:], append(gone, live[0])
			case kind == 3 && len(gone) > 0:
				w.must(204, "contoso", "DELETE", "/directory/deletedItems/"+gone[0], nil)
				gone = gone[1:]
			default:
				department := rapid.SampledFrom([]string{"Sales", "Legal", "Finance"}).Draw(rt, "department")
				w.must(204, "contoso", "PATCH", "/users/"+rapid.SampledFrom(live).Draw(rt, "who"), map[string]any{"department": department})
			}
		}
		link := "/users/delta?$select=department"
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 8).Draw(rt, "actions") {
				act()
			}
			for next := link; next != ""; {
				r := w.must(200, "contoso", "GET", strings.TrimPrefix(next, w.URL()+"/v1.0"), nil)
				hear(r.values())
				next, _ = r.body["@odata.nextLink"].(string)
				if l, last := r.body["@odata.deltaLink"].(string); last {
					link = l
				}
				if next != "" && rapid.Bool().Draw(rt, "meanwhile") {
					act()
				}
			}
		}
		items, _ := w.round(link) // what happened between the last pages
		hear(items)
		want := map[string]string{}
		for _, u := range w.Users("contoso") {
			want[u["id"].(string)] = fmt.Sprint(u["department"])
		}
		if !maps.Equal(known, want) {
			rt.Fatalf("the rounds tell of %v, there is %v", known, want)
		}
		for _, id := range live { // leave nothing for the next check
			w.must(204, "contoso", "DELETE", "/users/"+id, nil)
			gone = append(gone, id)
		}
		for _, id := range gone {
			w.must(204, "contoso", "DELETE", "/directory/deletedItems/"+id, nil)
		}
	})
}

// The examples in the reference of group-delta and in the concept page on groups.
func TestRoundsOfGroupsTellWhoCameAndWent(t *testing.T) {
	w := newGroupWorld(t)
	a, b := w.join("contoso", "a"), w.join("contoso", "b")
	security := w.group("security")
	m365 := w.group("m365", "groupTypes", []string{"Unified"}, "mailEnabled", true)
	w.add(security, a)
	members := func(items []map[string]any) (list []string) {
		for _, item := range items {
			changes, _ := item["members@delta"].([]any)
			for _, change := range changes {
				c := change.(map[string]any)
				list = append(list, fmt.Sprint(c["@odata.type"], " ", c["id"], " ", c["@removed"] != nil))
			}
		}
		return list
	}
	came, went := func(id string) string { return "#microsoft.graph.user " + id + " false" }, func(id string) string { return "#microsoft.graph.user " + id + " true" }

	_, blind := w.round("/groups/delta?$select=displayName")
	items, link := w.round("/groups/delta?$select=displayName,members")
	if got := told(items, "displayName"); !slices.Equal(got, []string{"m365", "security"}) || !slices.Equal(members(items), []string{came(a)}) {
		t.Errorf("the first round shows %v", items)
	}
	for _, step := range []struct {
		name    string
		do      func()
		groups  []string
		members []string
	}{
		{"nothing", func() {}, nil, nil},
		{"a newcomer", func() { w.add(security, b) }, []string{"security"}, []string{came(b)}},
		{"one who leaves", func() { w.must(204, "contoso", "DELETE", "/groups/"+security+"/members/"+a+"/$ref", nil) }, []string{"security"}, []string{went(a)}},
		{"one who leaves and comes back", func() {
			w.must(204, "contoso", "DELETE", "/groups/"+security+"/members/"+b+"/$ref", nil)
			w.add(security, b)
		}, []string{"security"}, []string{came(b)}},
		{"a member who is deleted", func() { w.must(204, "contoso", "DELETE", "/users/"+b, nil) }, []string{"security"}, []string{went(b)}},
		{"and restored", func() { w.must(200, "contoso", "POST", "/directory/deletedItems/"+b+"/restore", nil) }, []string{"security"}, []string{came(b)}},
		{"a new name", func() { w.must(204, "contoso", "PATCH", "/groups/"+security, map[string]any{"displayName": "guards"}) }, []string{"guards"}, nil},
		{"a group that can be restored", func() { w.must(204, "contoso", "DELETE", "/groups/"+m365, nil) }, []string{"removed changed"}, nil},
		{"and is", func() { w.must(200, "contoso", "POST", "/directory/deletedItems/"+m365+"/restore", nil) }, []string{"m365"}, nil},
		{"a group that is gone for good", func() { w.must(204, "contoso", "DELETE", "/groups/"+security, nil) }, []string{"removed deleted"}, nil},
	} {
		step.do()
		if items, link = w.round(link); !slices.Equal(told(items, "displayName"), step.groups) || !slices.Equal(members(items), step.members) {
			t.Errorf("after %s the round shows %v, want %v with %v", step.name, items, step.groups, step.members)
		}
	}
	if items, _ := w.round(blind); members(items) != nil || len(items) != 2 {
		t.Errorf("who does not follow members is told %v", items)
	}
	if items, _ := w.round("/groups/delta"); len(items) != 1 || items[0]["mailNickname"] != "m365" {
		t.Errorf("without a selection the round shows %v", items)
	}
}

// The concept page on groups: a group with more members than fit comes again with the rest.
func TestALargeGroupComesInParts(t *testing.T) {
	w := newWorld(t, entrasim.Options{PageSize: 1, Tenants: []entrasim.Tenant{{Name: "contoso", Roles: groupRoles}}})
	g := w.group("large")
	for i := range 45 { // a page of one object tells 20 members
		w.add(g, w.join("contoso", fmt.Sprint("u", i)))
	}
	items, link := w.round("/groups/delta")
	seen := map[any]bool{}
	for _, item := range items {
		if item["id"] != g || item["displayName"] != "large" {
			t.Errorf("a part is %v", item)
		}
		for _, m := range item["members@delta"].([]any) {
			seen[m.(map[string]any)["id"]] = true
		}
	}
	if len(items) != 3 || len(seen) != 45 {
		t.Errorf("%d parts tell of %d members, want 3 and 45", len(items), len(seen))
	}
	if items, _ := w.round(link); len(items) != 0 {
		t.Errorf("the next round shows %v", items)
	}
}

func TestPagesOfARoundAreAsLongAsPreferred(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for i := range 5 {
		w.join("contoso", fmt.Sprint("u", i))
	}
	r := w.graphWith("contoso", "GET", "/users/delta", http.Header{"Prefer": {"odata.maxpagesize=2"}}, nil)
	if len(r.values()) != 2 || r.body["@odata.nextLink"] == nil {
		t.Errorf("the page has %d users", len(r.values()))
	}
}
