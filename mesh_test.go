package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

func TestTheOrganizationOfThreeTenantsIsAsTheModelSays(t *testing.T) {
	t.Parallel()
	w := settle(t, build(t, blueprint{tenants: simulated(mexico, us, contoso)}))
	everybody, mexicans, sales := w.group(t, contoso, "everybody", nil), w.group(t, contoso, "mexicans", nil), w.group(t, contoso, "sales", nil)
	apps := w.apps(t, contoso)
	approver, wiki := apps["Payroll"]+" "+apps["Payroll Approver"], apps["Wiki"]+" "+provisioning.DefaultRole
	always := func(*citizen) bool { return true }
	is := func(department string) func(*citizen) bool {
		return func(c *citizen) bool { return c.has["department"] == department }
	}
	r := found(t, w, 6, []direction{
		{from: mexico, to: contoso, groups: due{everybody: always, mexicans: always, sales: is("Sales")}, roles: due{wiki: always}},
		{from: us, to: contoso, groups: due{everybody: always, sales: is("Sales")}, roles: due{approver: is("Finance")}},
	})
	own := r.joins(t, contoso)
	r.citizens[contoso.Name] = []*citizen{own}
	r.put(t, contoso, sales, own.id)
	r.others[sales] = []*citizen{own}
	r.serve(t, fmt.Sprintf(`
- source: fabrikam-mexico
  target: contoso
  access:
    groups: [%[1]s, %[2]s, {id: %[3]s, when: user.department == "Sales"}]
    apps: [{id: %[4]s}]
- source: fabrikam-us
  target: contoso
  access:
    groups: [%[1]s, {id: %[3]s, when: user.department == "Sales"}]
    apps: [{id: %[5]s, role: %[6]s, when: user.department == "Finance"}]
`, everybody, mexicans, sales, apps["Wiki"], apps["Payroll"], apps["Payroll Approver"]))
	r.live(t, 3, 15)
}

// Four tenants are each the source and the target of every other: twelve routes. Nobody's external user is passed on, although each of
// them is a change in a source.
func TestAMeshOfFourTenantsHasNoLoops(t *testing.T) {
	t.Parallel()
	tenants := []tenant.Tenant{us, contoso, woodgrove, adatum}
	w := settle(t, build(t, blueprint{tenants: simulated(tenants...)}))
	var directions []direction
	for _, from := range tenants {
		for _, to := range tenants {
			if from != to {
				directions = append(directions, direction{from: from, to: to})
			}
		}
	}
	r := found(t, w, 5, directions)
	r.serve(t, yaml(directions))
	took := settled(t, r.wrong)
	t.Logf("%d routes are right after %s", len(directions), took.Round(time.Millisecond))
	r.subordinate(t, r.citizens[us.Name][0], r.citizens[contoso.Name][1])
	r.subordinate(t, r.citizens[contoso.Name][1], r.citizens[us.Name][0]) // and the other way round
	settled(t, r.wrong)
	r.live(t, 2, 10)

	users := 0
	for _, tn := range tenants {
		users += len(r.graph.Users(tn.ID)) + len(r.graph.DeletedUsers(tn.ID))
		for _, u := range slices.Concat(r.graph.Users(tn.ID), r.graph.DeletedUsers(tn.ID)) {
			if name := fmt.Sprint(u["userPrincipalName"]); strings.Count(name, "#EXT#") > 1 {
				t.Errorf("%s was passed on", name)
			}
		}
	}
	t.Logf("%d users in all, with those who left", users)
	if most := len(tenants) * 5 * len(tenants); users > most {
		t.Errorf("%d users in all, want at most %d: each once in each tenant", users, most)
	}
}

// live plays some rounds of many steps, and looks at the whole world after each.
func (r *realm) live(t *testing.T, rounds, steps int) {
	t.Helper()
	took := settled(t, r.wrong)
	t.Logf("at first right after %s", took.Round(time.Millisecond))
	for round := range rounds {
		r.plays(t, uint64(round), steps)
		took := settled(t, r.wrong)
		t.Logf("round %d: %d steps in each source, right %s later", round, steps, took.Round(time.Millisecond))
	}
}
