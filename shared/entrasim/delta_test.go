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

func TestAnOldOrLostTokenMeansAFullRound(t *testing.T) {
	for name, lose := range map[string]func(*world){
		"seven days":     func(w *world) { w.clock.advance(7*24*time.Hour + time.Second) },
		"a lost service": func(w *world) { _ = w.ResetDelta("contoso") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, entrasim.Options{})
			_, link := w.round("/users/delta")
			lose(w)
			delete(w.tokens, "contoso") // the access token is over, too
			r := w.graph("contoso", "GET", strings.TrimPrefix(link, w.URL()+"/v1.0"), nil)
			code, _ := r.fault()
			again := r.header.Get("Location")
			if r.status != http.StatusGone || code != "syncStateNotFound" || again != w.URL()+"/v1.0/users/delta?$deltatoken=" {
				t.Fatalf("answer %d %s, Location %q", r.status, code, again)
			}
			w.round(again)
		})
	}
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
