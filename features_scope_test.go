package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// scopeRows are about who comes over, and what they get.
var scopeRows = []row{
	{1, "direction: a route leads one way, and nothing of the target comes back", oneWay},
	{2, "scope by assignment: nested groups count", nestedGroups},
	{2, "scope by assignment: who is taken out of an inner group is removed, and who is put back is the same again", innerGroupLeft},
	{2, "scope by assignment: who is excluded by name stays away, whatever the groups say", excludedByName},
	{2, "scope by assignment: who is included by name comes over, whatever the groups say", includedByName},
	{3, "scope by attribute filter: userType", scopedBy(edits{"userType": "Guest"}, edits{"userType": "Member"})},
	{3, "scope by attribute filter: dates", scopedBy(
		edits{"employeeLeaveDateTime": "2199-01-31T00:00:00Z"}, edits{"employeeLeaveDateTime": "2020-01-31T00:00:00Z"})},
	{3, "scope by attribute filter: multi-valued attributes", scopedBy(
		edits{"otherMails": []string{"one@example.com", "two@board.example.com"}}, edits{"otherMails": []string{"one@example.com"}})},
	{3, "scope by attribute filter: manager", scopedByManager},
	{3, "scope by attribute filter: directory extensions", scopedByExtension},
	{3, "scope by attribute filter: internal guests who were there before anybody watched", earlyGuest},
	{4, "objects: users become members of groups and get app roles, as they are entitled to", access},
	{4, "objects: what an administrator granted is never revoked", foreignGrants},
	{29, "many targets: one person is followed in each by its own rules", manyTargets},
}

func TestTheFeatureTableScope(t *testing.T) {
	t.Parallel()
	w := settle(t, build(t, blueprint{tenants: simulated(us, contoso, woodgrove, adatum), extensions: []string{"costCenter"}}))
	w.named = w.apps(t, adatum)
	for _, name := range []string{"outer", "middle", "inner"} {
		w.named[name] = w.group(t, us, name, nil)
	}
	w.put(t, us, w.named["outer"], w.named["middle"])
	w.put(t, us, w.named["middle"], w.named["inner"])
	w.named["everybody"], w.named["sales"] = w.group(t, adatum, "everybody", nil), w.group(t, adatum, "sales", nil)
	for name, e := range map[string]edits{"guest": {"userType": "Guest"}, "excluded": nil, "included": nil} {
		w.early[name] = w.hire(t, us, e)
	}
	w.put(t, us, w.named["inner"], w.early["excluded"].id)
	w.serve(t, fmt.Sprintf(`
- source: fabrikam-us
  target: contoso
  scope: {groups: [%s], exclude: [%s], include: ["%s"]}
- source: fabrikam-us
  target: woodgrove
  attributes:
    companyName: {value: Woodgrove Bank}
    userType: {value: Guest}
  scope:
    guests: true
    when: |
      user.userType == "Guest" ||
      user.manager.department == "Board" ||
      has(user.employeeLeaveDateTime) && user.employeeLeaveDateTime > now ||
      user.otherMails.exists(m, domain(m) == "board.example.com") ||
      user.%s == "4711"
- source: fabrikam-us
  target: adatum
  access:
    groups:
      - %s
      - {id: %s, when: user.department == "Sales"}
    apps:
      - {id: %s, role: %s, when: user.jobTitle.startsWith("Accountant")}
      - {id: %s, when: has(user.manager.department)}
`, w.named["outer"], w.early["excluded"].id, w.early["included"].born["userPrincipalName"], w.extension("costCenter"),
		w.named["everybody"], w.named["sales"], w.named["Payroll"], w.named["Payroll Approver"], w.named["Wiki"]))
	show(t, w, scopeRows)
}

// apps are the applications of a target by their names, and their roles by both.
func (w *town) apps(t *testing.T, of tenant.Tenant) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, name := range []string{"Payroll", "Wiki"} {
		found := w.ask(t, of, http.MethodGet, "/servicePrincipals?$filter="+url.QueryEscape("displayName eq '"+name+"'"), nil)["value"].([]any)
		app := found[0].(map[string]any)
		ids[name] = app["id"].(string)
		for _, role := range app["appRoles"].([]any) {
			ids[name+" "+role.(map[string]any)["value"].(string)] = role.(map[string]any)["id"].(string)
		}
	}
	return ids
}

func oneWay(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, adatum)
	own := w.hire(t, adatum, nil)
	w.ask(t, adatum, http.MethodPatch, "/users/"+external, edits{"city": "Adatum City"})
	guest := person{town: w, home: us, id: w.invite(t, us, "visitor@adatum.com")}
	guest.staysAway(t, adatum, "itself an external user")
	for _, u := range w.graph.Users(us.ID) {
		switch {
		case u["mail"] == own.address():
			t.Errorf("%s, who belongs to the target, is in the source", own.id)
		case u["id"] == p.id && u["city"] != nil:
			t.Errorf("what was changed in the target is in the source: %v", u["city"])
		}
	}
	if state, err := w.graph.State(adatum.ID); err != nil || len(state.Subscriptions) > 0 {
		t.Errorf("the target is watched: %v, %v", state.Subscriptions, err)
	}
}

func nestedGroups(t *testing.T, w *town) {
	direct, nested, outside := w.hire(t, us, nil), w.hire(t, us, nil), w.hire(t, us, nil)
	for _, p := range []person{direct, nested, outside} {
		p.staysAway(t, contoso, "in none of the groups")
	}
	w.put(t, us, w.named["outer"], direct.id)
	w.put(t, us, w.named["inner"], nested.id)
	for _, p := range []person{direct, nested, outside} {
		p.touch(t)
	}
	direct.arrives(t, contoso)
	nested.arrives(t, contoso)
	outside.staysAway(t, contoso, "in none of the groups")
}

func innerGroupLeft(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	w.put(t, us, w.named["inner"], p.id)
	p.touch(t)
	external := p.arrives(t, contoso)
	w.take(t, us, w.named["inner"], p.id)
	p.touch(t)
	p.isRemoved(t, contoso, external)
	w.put(t, us, w.named["inner"], p.id)
	p.touch(t)
	if again := p.arrives(t, contoso); again != external {
		t.Errorf("external user %s came back as %s", external, again)
	}
}

func excludedByName(t *testing.T, w *town) {
	p := w.early["excluded"]
	p.staysAway(t, contoso, "excluded by name")
	p.arrives(t, adatum)
}

func includedByName(t *testing.T, w *town) { w.early["included"].arrives(t, contoso) }

// scopedBy shows that the one comes over and the other does not, and that they follow when they change places.
func scopedBy(in, out edits) func(t *testing.T, w *town) {
	return func(t *testing.T, w *town) {
		one, other := w.hire(t, us, in), w.hire(t, us, out)
		external := one.becomes(t, woodgrove, nil)
		other.staysAway(t, woodgrove, "not in scope")
		one.change(t, out)
		other.change(t, in)
		one.isRemoved(t, woodgrove, external)
		other.becomes(t, woodgrove, nil)
	}
}

func scopedByManager(t *testing.T, w *town) {
	boss, p := w.hire(t, us, edits{"department": "Board"}), w.hire(t, us, nil)
	p.staysAway(t, woodgrove, "not in scope")
	p.reportsTo(t, boss)
	p.touch(t)
	external := p.becomes(t, woodgrove, nil)
	p.reportsToNobody(t)
	p.touch(t)
	p.isRemoved(t, woodgrove, external)
}

func scopedByExtension(t *testing.T, w *town) {
	p := w.hire(t, us, edits{w.extension("costCenter"): "4711"})
	external := p.becomes(t, woodgrove, nil)
	p.change(t, edits{w.extension("costCenter"): nil})
	p.isRemoved(t, woodgrove, external)
}

func earlyGuest(t *testing.T, w *town) {
	w.early["guest"].becomes(t, woodgrove, nil)
	w.early["guest"].staysAway(t, adatum, "is a guest, not a member")
}

// has waits until those people are members of a group of the target, and those are not.
func (w *town) has(t *testing.T, group string, people map[string]bool) {
	t.Helper()
	eventually(t, soon, func() string {
		members := w.members(t, adatum, group)
		for external, want := range people {
			if slices.Contains(members, external) != want {
				return fmt.Sprintf("%s is a member of %s: %t, want %t", external, group, !want, want)
			}
		}
		return ""
	})
}

// assigned waits until an external user has exactly one app role, or none, by the ids of application and role.
func (w *town) assigned(t *testing.T, external, want string) {
	t.Helper()
	eventually(t, soon, func() string {
		state, err := w.graph.State(adatum.ID)
		if err != nil {
			return err.Error()
		}
		for _, u := range state.Users {
			if roles, _ := u["appRoleAssignments"].([]map[string]string); u["id"] == external {
				var got []string
				for _, role := range roles {
					got = append(got, role["resourceId"]+" "+role["appRoleId"])
				}
				if strings.Join(got, ", ") != want {
					return fmt.Sprintf("%s has %v, want %q", external, got, want)
				}
				return ""
			}
		}
		return external + " is not there"
	})
}

func access(t *testing.T, w *town) {
	approver, wiki := w.named["Payroll"]+" "+w.named["Payroll Approver"], w.named["Wiki"]+" "+provisioning.DefaultRole
	seller := w.hire(t, us, edits{"department": "Sales", "jobTitle": "Account Executive"})
	accountant := w.hire(t, us, edits{"department": "Finance", "jobTitle": "Accountant"})
	one, other := seller.arrives(t, adatum), accountant.arrives(t, adatum)
	w.has(t, w.named["everybody"], map[string]bool{one: true, other: true})
	w.has(t, w.named["sales"], map[string]bool{one: true, other: false})
	w.assigned(t, one, "")
	w.assigned(t, other, approver)

	accountant.change(t, edits{"department": "Sales", "jobTitle": "Seller"})
	seller.change(t, edits{"department": "Finance"})
	w.has(t, w.named["sales"], map[string]bool{one: false, other: true})
	w.assigned(t, other, "")
	seller.reportsTo(t, accountant)
	seller.touch(t)
	w.assigned(t, one, wiki)

	seller.leave(t)
	seller.isRemoved(t, adatum, one)
	w.has(t, w.named["everybody"], map[string]bool{one: false, other: true})
	seller.back(t)
	seller.becomes(t, adatum, edits{"id": one})
	w.has(t, w.named["everybody"], map[string]bool{one: true, other: true})
}

func foreignGrants(t *testing.T, w *town) {
	p := w.hire(t, us, edits{"department": "Finance"})
	external := p.arrives(t, adatum)
	w.has(t, w.named["everybody"], map[string]bool{external: true})
	w.put(t, adatum, w.named["sales"], external) // an administrator, before the rules want it
	p.change(t, edits{"department": "Sales"})
	p.becomes(t, adatum, edits{"department": "Sales"})
	p.change(t, edits{"department": "Finance"})
	p.becomes(t, adatum, edits{"department": "Finance"})
	w.has(t, w.named["sales"], map[string]bool{external: true})

	w.take(t, adatum, w.named["everybody"], external) // and one who takes away what the rules want
	p.touch(t)
	w.has(t, w.named["everybody"], map[string]bool{external: true})
}

func manyTargets(t *testing.T, w *town) {
	p := w.hire(t, us, edits{"otherMails": []string{"a@board.example.com"}, "companyName": "Fabrikam US"})
	w.put(t, us, w.named["outer"], p.id)
	began := time.Now()
	p.touch(t)
	p.becomes(t, contoso, edits{"companyName": "Fabrikam US", "userType": "Member"})
	p.becomes(t, woodgrove, edits{"companyName": "Woodgrove Bank", "userType": "Guest"})
	p.becomes(t, adatum, edits{"companyName": "Fabrikam US", "userType": "Member"})
	t.Logf("in three targets after %s", time.Since(began).Round(time.Millisecond))
}
