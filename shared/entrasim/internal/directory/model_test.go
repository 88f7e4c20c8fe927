package directory

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a directory in the plainest way: sets and maps, everything looked up by looking at everything.
type model struct {
	names   map[string]string          // principal name or display name, by id, of the live
	owned   map[string]map[string]bool // addresses by id: a former one stays with whom it was given to
	gone    map[string]string          // the same of the deleted items
	kind    map[string]*Schema         // of all of them
	members map[string]map[string]bool // by group; members may be gone
	manager map[string]string          // by user; managers may be gone
}

func newModel() *model {
	return &model{
		names: map[string]string{}, owned: map[string]map[string]bool{}, gone: map[string]string{}, kind: map[string]*Schema{},
		members: map[string]map[string]bool{}, manager: map[string]string{},
	}
}

// taken reports whether another of the live has the name or an address.
func (m *model) taken(name string, addresses map[string]bool, by string) bool {
	for id, other := range m.names {
		if id == by {
			continue
		}
		if other == name {
			return true
		}
		for address := range addresses {
			if m.owned[id][address] {
				return true
			}
		}
	}
	return false
}

func (m *model) ids(s *Schema, of map[string]string) (ids []string) {
	for id := range of {
		if m.kind[id] == s {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// forget removes what is gone for good.
func (m *model) forget(id string) {
	delete(m.names, id)
	delete(m.gone, id)
	delete(m.members, id)
	for _, members := range m.members {
		delete(members, id)
	}
	maps.DeleteFunc(m.manager, func(user, manager string) bool { return user == id || manager == id })
}

// reached are the live ids that next leads to, from a start that is not among them.
func reached(start string, next func(string) []string) []string {
	seen := map[string]bool{}
	var walk func(string)
	walk = func(from string) {
		for _, to := range next(from) {
			if !seen[to] && to != start {
				seen[to] = true
				walk(to)
			}
		}
	}
	walk(start)
	return slices.Sorted(maps.Keys(seen))
}

func (m *model) live(ids map[string]bool) (list []string) {
	for id := range ids {
		if _, is := m.names[id]; is {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// machine does the same to a directory and to a model of it, and follows the directory by change tracking.
type machine struct {
	d       *Directory
	m       *model
	now     time.Time
	n       int
	past    []snapshot
	follows map[*Schema]*follower
}

// snapshot is what the model held at some time.
type snapshot struct {
	at      time.Time
	users   []string
	members map[string][]string // by group
	manager map[string]string   // by user
}

func newMachine() *machine {
	x := &machine{m: newModel(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	x.d = newDirectory(func() time.Time { return x.now })
	x.d.Remember(time.Hour)
	x.follows = map[*Schema]*follower{Users: newFollower(), Groups: newFollower()}
	return x
}

// pick draws one of some ids; "" if there are none.
func pick(t *rapid.T, label string, ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(t, label)
}

// act does something, the same to both, and compares whether it could be done.
func (x *machine) act(t *rapid.T) {
	users, groups := x.m.ids(Users, x.m.names), x.m.ids(Groups, x.m.names)
	all := slices.Concat(users, groups)
	switch kind := rapid.SampledFrom([]string{
		"join", "join", "found", "rename", "delete", "restore", "purge", "add", "add", "add", "remove", "manage", "time",
	}).Draw(t, "what"); kind {
	case "join":
		x.join(t)
	case "found":
		x.found(t)
	case "rename":
		x.rename(t, pick(t, "who", users))
	case "delete":
		x.delete(t, pick(t, "which", all))
	case "restore":
		x.restore(t, pick(t, "which", slices.Sorted(maps.Keys(x.m.gone))))
	case "purge":
		if id := pick(t, "which", slices.Sorted(maps.Keys(x.m.gone))); id != "" {
			x.expect(t, "purge", true, x.d.Purge(id, anybody))
			x.m.forget(id)
		}
	case "add":
		x.add(t, pick(t, "group", groups), pick(t, "member", all))
	case "remove":
		x.remove(t, pick(t, "group", groups), pick(t, "member", all))
	case "manage":
		if user := pick(t, "user", users); user != "" {
			manager := pick(t, "manager", users)
			x.expect(t, "manage", true, x.d.SetManager(user, manager))
			x.m.manager[user] = manager
		}
	case "time":
		x.past = append(x.past, x.snapshot())
		x.now = x.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
	}
}

func anybody(*Schema) bool { return true }

func (x *machine) expect(t *rapid.T, what string, can bool, err error) {
	if (err == nil) != can {
		t.Fatalf("%s: %v, in the model it can be done: %v", what, err, can)
	}
}

func (x *machine) join(t *rapid.T) {
	x.n++
	body := employee(rapid.IntRange(0, 9).Draw(t, "name"))
	e, err := x.d.Create(body)
	name := body["userPrincipalName"].(string)
	addresses := map[string]bool{name: true}
	x.expect(t, "join", !x.m.taken(name, addresses, ""), err)
	if err == nil {
		x.m.names[e.ID()], x.m.owned[e.ID()], x.m.kind[e.ID()] = name, addresses, Users
	}
}

func (x *machine) found(t *rapid.T) {
	x.n++
	body := map[string]any{"displayName": fmt.Sprint("g", x.n), "mailNickname": fmt.Sprint("g", x.n), "mailEnabled": false, "securityEnabled": true}
	if rapid.Bool().Draw(t, "unified") {
		body["mailEnabled"], body["groupTypes"] = true, []any{"Unified"}
	}
	e, err := x.d.CreateGroup(body, nil, Rights{})
	x.expect(t, "found", true, err)
	x.m.names[e.ID()], x.m.kind[e.ID()], x.m.members[e.ID()] = body["displayName"].(string), Groups, map[string]bool{}
}

func (x *machine) unified(id string) bool { return x.d.objects[id].now.unified() }

func (x *machine) rename(t *rapid.T, id string) {
	if id == "" {
		return
	}
	name := fmt.Sprint("user", rapid.IntRange(0, 9).Draw(t, "name"), "@contoso.com")
	err := x.d.Update(id, map[string]any{"userPrincipalName": name, "mail": name})
	x.expect(t, "rename", !x.m.taken(name, map[string]bool{name: true}, id), err)
	if err == nil {
		x.m.names[id], x.m.owned[id][name] = name, true
	}
}

func (x *machine) delete(t *rapid.T, id string) {
	if id == "" {
		return
	}
	restorable := x.m.kind[id] == Users || x.unified(id)
	x.expect(t, "delete", true, x.d.Delete(x.m.kind[id], id))
	if !restorable {
		x.m.forget(id)
		return
	}
	x.m.gone[id] = x.m.names[id]
	delete(x.m.names, id)
}

func (x *machine) restore(t *rapid.T, id string) {
	if id == "" {
		return
	}
	_, err := x.d.Restore(id, RestoreOptions{}, anybody)
	x.expect(t, "restore", !x.m.taken(x.m.gone[id], x.m.owned[id], id), err)
	if err == nil {
		x.m.names[id] = x.m.gone[id]
		delete(x.m.gone, id)
	}
}

func (x *machine) add(t *rapid.T, group, member string) {
	if group == "" {
		return
	}
	can := !x.m.members[group][member] && (x.m.kind[member] == Users || !x.unified(group) && !x.unified(member))
	x.expect(t, "add", can, x.d.AddMember(group, member, Rights{}))
	if can {
		x.m.members[group][member] = true
	}
}

func (x *machine) remove(t *rapid.T, group, member string) {
	if group == "" {
		return
	}
	x.expect(t, "remove", x.m.members[group][member], x.d.RemoveMember(group, member, Rights{}))
	delete(x.m.members[group], member)
}

// compare looks at the directory in every way there is.
func (x *machine) compare(t *rapid.T) {
	v := x.d.View(0)
	for _, s := range []*Schema{Users, Groups} {
		check(t, s.Set, pages(v.List, s), x.m.ids(s, x.m.names))
		check(t, "deleted "+s.Set, pages(v.ListDeleted, s), x.m.ids(s, x.m.gone))
	}
	for id := range x.m.names {
		direct := func(of string) []string { return x.m.live(x.m.members[of]) }
		groups := func(of string) (list []string) {
			for g, members := range x.m.members {
				if _, is := x.m.names[g]; is && members[of] {
					list = append(list, g)
				}
			}
			slices.Sort(list)
			return list
		}
		if x.m.kind[id] == Groups {
			check(t, "members", ids(v.Members(id, false)), direct(id))
			check(t, "transitive members", ids(v.Members(id, true)), reached(id, direct))
		}
		check(t, "memberOf", ids(v.MemberOf(x.m.kind[id], id, false)), groups(id))
		transitive := ids(v.MemberOf(x.m.kind[id], id, true))
		check(t, "transitive memberOf", slices.DeleteFunc(transitive, func(g string) bool { return g == id }), reached(id, groups))
		if x.m.kind[id] == Users {
			x.compareManager(t, v, id)
		}
	}
}

// snapshot is taken when everything that happened this second has happened, which takes less than a millisecond.
func (x *machine) snapshot() snapshot {
	s := snapshot{at: x.now.Add(time.Millisecond), users: x.m.ids(Users, x.m.names), members: map[string][]string{}, manager: map[string]string{}}
	for _, user := range s.users {
		if _, is := x.m.names[x.m.manager[user]]; is {
			s.manager[user] = x.m.manager[user]
		}
	}
	for _, g := range x.m.ids(Groups, x.m.names) {
		s.members[g] = x.m.live(x.m.members[g])
	}
	return s
}

// comparePast looks at the directory as it was. Groups that are gone for good are gone from the past, too, and so are users, but
// those have been gone before.
func (x *machine) comparePast(t *rapid.T, s snapshot) {
	if x.now.Sub(s.at) > time.Hour {
		return
	}
	v := x.d.View(x.now.Sub(s.at))
	purged := func(id string) bool { return x.d.objects[id] == nil }
	check(t, "users then", pages(v.List, Users), slices.DeleteFunc(slices.Clone(s.users), purged))
	for user, manager := range s.manager {
		if e, err := v.Manager(user); !purged(user) && (err != nil || e.ID() != manager) {
			t.Fatalf("the manager of %s then was %v %v, want %s", user, e, err, manager)
		}
	}
	for g, members := range s.members {
		if !purged(g) {
			got := slices.DeleteFunc(ids(v.Members(g, false)), purged)
			check(t, "members then", got, slices.DeleteFunc(slices.Clone(members), purged))
		}
	}
}

func (x *machine) compareManager(t *rapid.T, v View, id string) {
	want := x.m.manager[id]
	if _, is := x.m.names[want]; !is {
		want = ""
	}
	e, err := v.Manager(id)
	if (err == nil) != (want != "") || err == nil && e.ID() != want {
		t.Fatalf("the manager of %s is %v %v, want %q", id, e, err, want)
	}
	var reports []string
	for user, manager := range x.m.manager {
		if _, is := x.m.names[user]; is && manager == id {
			reports = append(reports, user)
		}
	}
	slices.Sort(reports)
	check(t, "direct reports", ids(v.DirectReports(id)), reports)
}

func check(t *rapid.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func ids(all []*Entity, err error) (list []string) {
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range all {
		list = append(list, e.ID())
	}
	return list
}

// pages reads all pages of a list.
func pages(list func(*Schema, Query) Page, s *Schema) (all []string) {
	for q := (Query{Limit: 3}); ; {
		p := list(s, q)
		all = append(all, ids(p.Entities, nil)...)
		if q.After = p.Next; q.After == 0 {
			return all
		}
	}
}

// follower knows of a directory what change tracking told it.
type follower struct {
	from  int64
	links map[string]map[string]bool // by object: members, or the manager
}

func newFollower() *follower { return &follower{links: map[string]map[string]bool{}} }

// round reads all pages of a round; meanwhile happens between two of them.
func (f *follower) round(d *Directory, s *Schema, meanwhile func()) {
	version, _ := d.DeltaState()
	q := DeltaQuery{From: f.from, After: f.from, Start: f.from, Properties: s.Defaults(), Links: true, Limit: 2, LinkLimit: 2}
	if f.from == 0 {
		q.Start = version
	}
	for {
		page := d.View(0).Delta(s, q)
		for _, item := range page.Items {
			f.hear(s, item)
		}
		if q.After, q.Within = page.After, page.Within; !page.More {
			f.from = page.After
			return
		}
		meanwhile()
	}
}

func (f *follower) hear(s *Schema, item DeltaItem) {
	if item.Removed != "" {
		delete(f.links, item.ID)
		return
	}
	if f.links[item.ID] == nil {
		f.links[item.ID] = map[string]bool{}
	}
	for _, l := range item.Links {
		if s == Users {
			clear(f.links[item.ID])
		}
		if f.links[item.ID][l.ID] = true; l.Removed {
			delete(f.links[item.ID], l.ID)
		}
	}
}

// TestADirectoryBehavesLikeItsModel does random things to both, also between the pages of rounds of change tracking, and compares
// what can be done, what can be read, and what somebody knows who only follows the changes.
func TestADirectoryBehavesLikeItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newMachine()
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			for range rapid.IntRange(0, 25).Draw(t, "actions") {
				x.act(t)
			}
			x.compare(t)
			for _, then := range x.past {
				x.comparePast(t, then)
			}
			for _, s := range []*Schema{Users, Groups} {
				x.follows[s].round(x.d, s, func() { x.act(t) })
			}
		}
		for s, f := range x.follows { // what happened during the last rounds
			f.round(x.d, s, func() {})
			check(t, "followed "+s.Set, slices.Collect(maps.Keys(f.links)), x.m.ids(s, x.m.names))
		}
		for group, members := range x.follows[Groups].links {
			check(t, "followed members", slices.Collect(maps.Keys(members)), x.m.live(x.m.members[group]))
		}
	})
}
