package directory

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// clock is a time that moves when told to.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time           { return c.now }
func (c *clock) advance(by time.Duration) { c.now = c.now.Add(by) }

// must gives up if something cannot be done.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, d *Directory, i int) string {
	t.Helper()
	e, err := d.Create(employee(i))
	must(t, err)
	return e.ID()
}

func found(t testing.TB, d *Directory, name string, unified bool) string {
	t.Helper()
	body := map[string]any{"displayName": name, "mailNickname": name, "mailEnabled": unified, "securityEnabled": true}
	if unified {
		body["groupTypes"] = []any{"Unified"}
	}
	e, err := d.CreateGroup(body, nil, Rights{})
	must(t, err)
	return e.ID()
}

// lagging is a directory that remembers a minute, and its clock.
func lagging() (*Directory, *clock) {
	c := newClock()
	d := newDirectory(c.Now)
	d.Remember(time.Minute)
	return d, c
}

// Replication lag as section 5.5 of the Graph notes describes it: 404 after a create, stale reads, stale filters, late changes.
func TestAViewShowsTheDirectoryAsItWas(t *testing.T) {
	d, c := lagging()
	old, boss := create(t, d, 1), create(t, d, 3)
	group := found(t, d, "g", false)
	must(t, d.AddMember(group, old, Rights{}))
	c.advance(time.Hour)

	fresh := create(t, d, 2)
	must(t, d.Update(old, map[string]any{"department": "Legal"}))
	must(t, d.RemoveMember(group, old, Rights{}))
	must(t, d.AddMember(group, fresh, Rights{}))
	must(t, d.SetManager(old, boss))
	c.advance(10 * time.Second)

	for _, tc := range []struct {
		name                   string
		ago                    time.Duration
		users, members, legal  int
		department             string
		freshThere, hasManager bool
	}{
		{"now", 0, 3, 1, 1, "Legal", true, true},
		{"five seconds ago", 5 * time.Second, 3, 1, 1, "Legal", true, true},
		{"before the changes", 20 * time.Second, 2, 1, 0, "Department 1", false, false},
		{"longer ago than is remembered", 24 * time.Hour, 2, 1, 0, "Department 1", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := d.View(tc.ago)
			legal := func(e *Entity) bool { return e.Get("department") == "Legal" }
			if n := len(v.List(Users, Query{Limit: 9}).Entities); n != tc.users {
				t.Errorf("there are %d users, want %d", n, tc.users)
			}
			if n := len(v.List(Users, Query{Limit: 9, Match: legal}).Entities); n != tc.legal {
				t.Errorf("the filter finds %d, want %d", n, tc.legal)
			}
			if _, err := v.Get(Users, fresh); (err == nil) != tc.freshThere {
				t.Errorf("the new user: %v", err)
			}
			if e, err := v.Get(Users, old); err != nil || e.Get("department") != tc.department {
				t.Errorf("the old user: %v %v", e, err)
			}
			if _, err := v.Manager(old); (err == nil) != tc.hasManager {
				t.Errorf("the manager: %v", err)
			}
			members, err := v.Members(group, false)
			if err != nil || len(members) != tc.members || (members[0].ID() == fresh) != tc.freshThere {
				t.Errorf("the members are %v %v", ids(members, nil), err)
			}
		})
	}
}

func TestWhoWasDeletedIsStillThereForAWhile(t *testing.T) {
	d, c := lagging()
	id := create(t, d, 1)
	c.advance(time.Hour)
	must(t, d.Delete(Users, id))
	c.advance(10 * time.Second)
	late := d.View(20 * time.Second)
	if _, err := late.Get(Users, id); err != nil {
		t.Errorf("a view of the past shows %v", err)
	}
	if _, err := late.Deleted(id); err == nil {
		t.Error("a view of the past knows that it was deleted")
	}
	if _, err := d.View(0).Deleted(id); err != nil {
		t.Errorf("now there is %v", err)
	}
}

func TestALateReplicaTellsOfChangesLaterAndLosesNone(t *testing.T) {
	d, c := lagging()
	first := create(t, d, 1)
	c.advance(time.Hour)
	second := create(t, d, 2)
	c.advance(10 * time.Second)

	from := int64(0)
	round := func(ago time.Duration) (told []string) {
		page := d.View(ago).Delta(Users, DeltaQuery{From: from, Start: from, After: from, Properties: Users.Defaults(), Limit: 9, LinkLimit: 9})
		for _, item := range page.Items {
			told = append(told, item.ID)
		}
		from = page.After
		return told
	}
	if got := round(20 * time.Second); !slices.Equal(got, []string{first}) {
		t.Errorf("the late replica tells of %v", got)
	}
	if got := round(0); !slices.Equal(got, []string{second}) {
		t.Errorf("then there is %v", got)
	}
	if got := round(20 * time.Second); got != nil || from == 0 {
		t.Errorf("a replica that is behind the token tells of %v", got)
	}
}

func TestOnlyTheRememberedPastTakesMemory(t *testing.T) {
	d, c := lagging()
	id := create(t, d, 1)
	depth := func() (n int) {
		for e := d.objects[id].now; e != nil; e = e.before {
			n++
		}
		return n
	}
	for i := range 100 {
		c.advance(time.Second)
		must(t, d.Update(id, map[string]any{"department": fmt.Sprint(i)}))
	}
	if n := depth(); n < 60 || n > 62 {
		t.Errorf("after a hundred changes in as many seconds %d entities are kept, want those of a minute", n)
	}
	c.advance(time.Hour)
	create(t, d, 2) // any change sweeps
	if n := depth(); n != 1 {
		t.Errorf("an hour later %d entities are kept, want 1", n)
	}
	if n := len(d.past); n != 1 {
		t.Errorf("%d entities are waiting to be forgotten, want the newest", n)
	}
	d.Remember(0)
	must(t, d.Update(id, map[string]any{"department": "x"}))
	if n := depth(); n != 1 {
		t.Errorf("a directory that remembers nothing keeps %d entities", n)
	}
}
