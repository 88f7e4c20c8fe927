package main_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

// The model of an organization: who works where, and what each tenant must hold because of that. It knows the words of the
// documentation and nothing of the program.

// citizen is somebody in the model.
type citizen struct {
	person
	has     map[string]any // what is followed, by its name in Graph; a missing one is empty
	boss    *citizen       // in the same tenant
	foreign bool           // the manager is somebody else's external user
	left    bool
	purged  bool // for good, after they left
	// unseen: perhaps nobody saw them enabled since they came. Whether somebody who is disabled then has an external user depends on that.
	unseen bool
}

// mayBeAway: nobody can tell, and it gives no access either way.
func (c *citizen) mayBeAway() bool { return c.unseen && c.has["accountEnabled"] != true }

// direction is a route of the model, with the groups that its external users get in the target.
type direction struct {
	from, to tenant.Tenant
	groups   due
	roles    due // by "application role"
}

// due tells who gets what, by its object id.
type due map[string]func(c *citizen) bool

// realm is a town and what must be in it.
type realm struct {
	*town
	directions []direction
	citizens   map[string][]*citizen // by the name of their tenant
	others     map[string][]*citizen // of a target, in groups that an administrator put them in
}

// modelled are the properties that are compared.
var modelled = []string{"displayName", "givenName", "surname", "mail", "department", "jobTitle", "mobilePhone", "usageLocation", "accountEnabled"}

// joins lets somebody join a tenant.
func (r *realm) joins(t *testing.T, home tenant.Tenant) *citizen {
	t.Helper()
	c := &citizen{person: r.hire(t, home, nil), has: map[string]any{}}
	for _, name := range modelled {
		if value, is := c.born[name]; is {
			c.has[name] = value
		}
	}
	return c
}

// moves changes something about somebody.
func (c *citizen) moves(t *testing.T, e edits) {
	t.Helper()
	c.change(t, e)
	maps.Copy(c.has, e)
	maps.DeleteFunc(c.has, func(_ string, value any) bool { return value == nil })
}

// lives is a step in somebody's life, which a draw decides.
func (c *citizen) lives(t *testing.T, r *rand.Rand, colleagues []*citizen) {
	t.Helper()
	if c.left {
		if r.IntN(2) == 0 {
			c.back(t)
			c.left, c.unseen = false, true
		}
		return
	}
	switch r.IntN(7) {
	case 0:
		c.leave(t)
		c.left = true
	case 1:
		c.moves(t, edits{"accountEnabled": c.has["accountEnabled"] != true})
	case 2:
		c.moves(t, edits{"mobilePhone": nil, "jobTitle": fmt.Sprint("Rank ", r.IntN(100))})
	case 3:
		c.moves(t, edits{"department": []string{"Sales", "Finance", "Board"}[r.IntN(3)], "mobilePhone": fmt.Sprintf("+1 206 555 %04d", r.IntN(10000))})
	case 4:
		if c.boss != nil && !c.boss.left || c.foreign {
			c.reportsToNobody(t)
			c.boss, c.foreign = nil, false
		}
	default:
		if boss := colleagues[r.IntN(len(colleagues))]; boss != c && !boss.left {
			c.reportsTo(t, boss.person)
			c.boss, c.foreign = boss, false
		}
	}
}

// plays lets all tenants live at the same time, for so many steps each.
func (r *realm) plays(t *testing.T, seed uint64, steps int) {
	t.Helper()
	homes := slices.Sorted(maps.Keys(r.citizens))
	err := all(homes, func(i int, home string) error {
		draw := rand.New(rand.NewPCG(seed, uint64(i)))
		for range steps {
			people := r.citizens[home]
			people[draw.IntN(len(people))].lives(t, draw, people)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wrong compares the whole world with the model.
func (r *realm) wrong() string {
	if busy := r.busy(); busy != "" {
		return busy
	}
	for _, tn := range r.tenants {
		state, err := r.graph.State(tn.ID)
		if err != nil {
			return err.Error()
		}
		internal, external := map[string]map[string]any{}, map[string]map[string]any{}
		for _, u := range state.Users {
			key, _ := u[r.extension("tenantsyncSource")].(string)
			switch {
			case u["creationType"] != "Invitation":
				internal[u["id"].(string)] = u
			case external[key] != nil:
				return fmt.Sprintf("%s has two external users of %s", tn.Name, key)
			default:
				external[key] = u
			}
		}
		if wrong := r.wrongInternals(tn, internal); wrong != "" {
			return wrong
		}
		ids, wrong := r.wrongExternals(tn, external)
		if wrong == "" {
			wrong = r.wrongAccess(tn, ids, state.Groups, state.Users)
		}
		if wrong == "" {
			wrong = r.wrongDeleted(tn, state.DeletedUsers, ids)
		}
		if wrong != "" {
			return wrong
		}
	}
	return ""
}

// wrongInternals: the people of a tenant are as the model made them, and nobody else is there.
func (r *realm) wrongInternals(tn tenant.Tenant, internal map[string]map[string]any) string {
	for _, c := range r.citizens[tn.Name] {
		u := internal[c.id]
		if (u == nil) != c.left {
			return fmt.Sprintf("%s of %s is there: %t, want %t", c.id, tn.Name, u != nil, !c.left)
		}
		for _, name := range modelled {
			if u != nil && !reflect.DeepEqual(u[name], c.has[name]) {
				return fmt.Sprintf("%s of %s in their own tenant is %v, want %v", name, c.id, u[name], c.has[name])
			}
		}
		delete(internal, c.id)
	}
	if len(internal) > 0 {
		return fmt.Sprintf("%d people of %s are nobody's", len(internal), tn.Name)
	}
	return ""
}

// wrongExternals: whoever must be in a tenant is there as they must be, and nobody else. It returns the ids by citizen.
func (r *realm) wrongExternals(tn tenant.Tenant, external map[string]map[string]any) (ids map[*citizen]string, wrong string) {
	ids = map[*citizen]string{}
	var expected []*citizen
	for _, d := range r.directions {
		if d.to == tn {
			expected = append(expected, slices.DeleteFunc(slices.Clone(r.citizens[d.from.Name]), func(c *citizen) bool { return c.left })...)
		}
	}
	for _, c := range expected {
		u := external[c.key()]
		if u == nil && c.mayBeAway() {
			continue
		}
		if u == nil {
			return nil, fmt.Sprintf("%s of %s has no external user in %s; the journal says %s", c.id, c.home.Name, tn.Name, c.story(tn))
		}
		ids[c] = u["id"].(string)
	}
	for _, c := range expected {
		u, boss := external[c.key()], ""
		if u == nil {
			continue
		}
		if c.boss != nil && !c.foreign {
			boss = ids[c.boss]
		}
		if got, _ := u["manager"].(string); got != boss {
			return nil, fmt.Sprintf("the manager of %s in %s is %q, want %q; the journal says %s", c.id, tn.Name, got, boss, c.story(tn))
		}
		for _, name := range modelled {
			if !reflect.DeepEqual(u[name], c.has[name]) {
				return nil, fmt.Sprintf("%s of %s in %s is %v, want %v; the journal says %s", name, c.id, tn.Name, u[name], c.has[name], c.story(tn))
			}
		}
		if u["userType"] != "Member" || u["showInAddressList"] != true {
			return nil, fmt.Sprintf("%s is a %v in %s, shown: %v", c.id, u["userType"], tn.Name, u["showInAddressList"])
		}
		delete(external, c.key())
	}
	if len(external) > 0 {
		return nil, fmt.Sprintf("%s has external users of %v, who must not be there", tn.Name, slices.Sorted(maps.Keys(external)))
	}
	return ids, ""
}

// wrongDeleted: what is deleted in a tenant is its own people who left, and one external user of each of others' who left.
func (r *realm) wrongDeleted(tn tenant.Tenant, deleted []map[string]any, ids map[*citizen]string) string {
	left := map[string]bool{}
	for _, people := range r.citizens {
		for _, c := range people {
			switch {
			case c.home == tn:
				left[c.id] = c.left
			case ids[c] == "":
				left[c.key()] = true
			}
		}
	}
	for _, u := range deleted {
		name, _ := u[r.extension("tenantsyncSource")].(string)
		if u["creationType"] != "Invitation" {
			name = u["id"].(string)
		}
		if !left[name] {
			return fmt.Sprintf("%s, deleted in %s, is there once more, or has not left", name, tn.Name)
		}
		delete(left, name)
	}
	return ""
}

// wrongAccess: every group and application has the external users it must have, and whom an administrator put there.
func (r *realm) wrongAccess(tn tenant.Tenant, ids map[*citizen]string, groups, users []map[string]any) string {
	members, assigned := map[string]map[string]bool{}, map[string]map[string]bool{}
	add := func(to map[string]map[string]bool, name, id string) {
		if to[name] == nil {
			to[name] = map[string]bool{}
		}
		to[name][id] = true
	}
	for _, d := range r.directions {
		for _, c := range r.citizens[d.from.Name] {
			if d.to != tn || ids[c] == "" {
				continue
			}
			for group, gets := range d.groups {
				if gets(c) {
					add(members, group, ids[c])
				}
			}
			for role, gets := range d.roles {
				if gets(c) {
					add(assigned, ids[c], role)
				}
			}
		}
	}
	for _, g := range groups {
		id := g["id"].(string)
		for _, other := range r.others[id] {
			if !other.left {
				add(members, id, other.id)
			}
		}
		got := g["members"].([]string)
		if want := slices.Sorted(maps.Keys(members[id])); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			return fmt.Sprintf("group %v of %s has %v, want %v", g["displayName"], tn.Name, got, want)
		}
	}
	for _, u := range users {
		roles, _ := u["appRoleAssignments"].([]map[string]string)
		var got []string
		for _, a := range roles {
			got = append(got, a["resourceId"]+" "+a["appRoleId"])
		}
		slices.Sort(got)
		if want := slices.Sorted(maps.Keys(assigned[u["id"].(string)])); !slices.Equal(got, want) {
			return fmt.Sprintf("%v of %s has the roles %v, want %v", u["id"], tn.Name, got, want)
		}
	}
	return ""
}

// found makes a realm: so many people in each source, all of whom are there before the program runs or join right after.
func found(t *testing.T, w *town, people int, directions []direction) *realm {
	t.Helper()
	r := &realm{town: w, directions: directions, citizens: map[string][]*citizen{}, others: map[string][]*citizen{}}
	for _, d := range directions {
		for len(r.citizens[d.from.Name]) < people {
			r.citizens[d.from.Name] = append(r.citizens[d.from.Name], r.joins(t, d.from))
		}
	}
	return r
}

// yaml is the routes without rules of their own.
func yaml(directions []direction) string {
	var text strings.Builder
	for _, d := range directions {
		fmt.Fprintf(&text, "- {source: %s, target: %s}\n", d.from.Name, d.to.Name)
	}
	return text.String()
}

// subordinate makes an external user of a tenant the manager of somebody of that tenant.
func (r *realm) subordinate(t *testing.T, c *citizen, to *citizen) {
	t.Helper()
	live, _ := to.twins(c.home)
	if len(live) != 1 {
		t.Fatalf("%s has %d external users in %s", to.id, len(live), c.home.Name)
	}
	c.ask(t, http.MethodPut, "/users/"+c.id+"/manager/$ref", map[string]any{"@odata.id": r.graph.URL() + "/v1.0/users/" + live[0]["id"].(string)})
	c.boss, c.foreign = nil, true
}
