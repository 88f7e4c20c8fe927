package graph_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// allAccess are the app roles of a target that gives access, and those that its groups and applications are looked after with.
const allAccess = "User.ReadWrite.All Directory.Read.All GroupMember.ReadWrite.All AppRoleAssignment.ReadWrite.All Group.ReadWrite.All"

// nobody is the id of nothing.
const nobody = "00000000-0000-4000-8000-00000000dead"

// office is one tenant, in which the app has these roles. Graph gives access to people of a tenant and to invited ones alike.
func office(t *testing.T, roles string) (*simulated, provisioning.Target) {
	t.Helper()
	s := start(t, entrasim.Options{PageSize: 3, App: entrasim.App{ExtensionProperties: []string{"tenantsyncSource"}}, Tenants: []entrasim.Tenant{{
		Name: "fabrikam", Roles: strings.Fields(roles),
		Apps: []entrasim.EnterpriseApp{{Name: "Payroll", Roles: []string{"Reader", "Approver"}}, {Name: "Wiki"}},
	}}}, graph.Reads{})
	return s, s.targetTenant(t)
}

// group creates a group; more are properties and their values.
func (s *simulated) group(t *testing.T, name string, more ...any) string {
	t.Helper()
	body := map[string]any{"displayName": name, "mailNickname": name, "mailEnabled": false, "securityEnabled": true}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return s.request(t, http.MethodPost, "/groups", body)["id"].(string)
}

// join makes an object a member of a group.
func (s *simulated) join(t *testing.T, group, member string) {
	t.Helper()
	s.request(t, http.MethodPost, "/groups/"+group+"/members/$ref", map[string]any{"@odata.id": s.URL() + "/v1.0/directoryObjects/" + member})
}

// roles are the app roles of an application by their values; one that has none has the default role.
func (s *simulated) roles(t *testing.T, name string) map[string]provisioning.Grant {
	t.Helper()
	found := s.request(t, http.MethodGet, "/servicePrincipals?$filter="+url.QueryEscape("displayName eq '"+name+"'"), nil)["value"].([]any)
	if len(found) != 1 {
		t.Fatalf("%d applications have the name %s", len(found), name)
	}
	app := found[0].(map[string]any)
	id := app["id"].(string)
	roles := map[string]provisioning.Grant{"": {App: id, Role: provisioning.DefaultRole}}
	for _, r := range app["appRoles"].([]any) {
		role := r.(map[string]any)
		roles[role["value"].(string)] = provisioning.Grant{App: id, Role: role["id"].(string)}
	}
	return roles
}

func sortedGrants(grants []provisioning.Grant) []provisioning.Grant {
	return slices.SortedFunc(slices.Values(grants), func(a, b provisioning.Grant) int { return strings.Compare(a.String(), b.String()) })
}

// has compares what the adapter lists with what is wanted.
func has(t *testing.T, when string, target provisioning.Target, id string, want []provisioning.Grant) {
	t.Helper()
	got, err := target.Grants(t.Context(), id)
	if err != nil || !slices.Equal(sortedGrants(got), sortedGrants(want)) {
		t.Errorf("%s there is %v, %v; want %v", when, got, err, want)
	}
}

func TestAccessIsGrantedListedAndRevoked(t *testing.T) {
	ctx := t.Context()
	s, target := office(t, allAccess)
	ana := s.hire(t, "ana", nil)
	payroll, wiki := s.roles(t, "Payroll"), s.roles(t, "Wiki")
	grants := []provisioning.Grant{payroll["Reader"], payroll["Approver"], wiki[""]}
	for i := range 7 { // pages have three
		grants = append(grants, provisioning.Grant{Group: s.group(t, fmt.Sprint("g", i))})
	}
	grants = append(grants, provisioning.Grant{Group: s.group(t, "m365", "groupTypes", []string{"Unified"}, "mailEnabled", true, "securityEnabled", false)})
	s.join(t, s.group(t, "outer"), grants[3].Group)

	has(t, "at first", target, ana, nil)
	for _, g := range grants {
		if err := target.Grant(ctx, ana, g); err != nil {
			t.Fatal(err)
		}
		if err := target.Grant(ctx, ana, g); !errors.Is(err, provisioning.ErrAlready) || !strings.Contains(err.Error(), g.String()) {
			t.Errorf("again: %v, want ErrAlready", err)
		}
	}
	has(t, "granted, and not through the outer group,", target, ana, grants)
	for i, g := range grants {
		if i == 1 { // as people write ids
			g.App, g.Role = strings.ToUpper(g.App), strings.ToUpper(g.Role)
		}
		for range 2 {
			if err := target.Revoke(ctx, ana, g); err != nil {
				t.Errorf("revoke %v: %v", g, err)
			}
		}
		has(t, "after a revocation", target, ana, grants[i+1:])
	}
	if _, err := target.External(ctx, ana); err != nil {
		t.Errorf("the user is not there any more: %v", err)
	}
}

func TestAccessOfNobody(t *testing.T) {
	ctx := t.Context()
	s, target := office(t, allAccess)
	group, role := provisioning.Grant{Group: s.group(t, "g")}, s.roles(t, "Payroll")["Reader"]
	if _, err := target.Grants(ctx, nobody); !errors.Is(err, provisioning.ErrNotFound) {
		t.Errorf("listed: %v, want ErrNotFound", err)
	}
	for _, g := range []provisioning.Grant{group, role} {
		err := target.Grant(ctx, nobody, g)
		if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != "not replicated" {
			t.Errorf("%s to a user who is not there yet: %v %q: %v", g, got.Kind, got.Code, err)
		}
		if err := target.Revoke(ctx, nobody, g); err != nil {
			t.Errorf("%s of a user who is gone: %v", g, err)
		}
	}
	for name, err := range map[string]error{
		"listed of no id":    func() error { _, err := target.Grants(ctx, ""); return err }(),
		"granted to no id":   target.Grant(ctx, "", group),
		"revoked of no id":   target.Revoke(ctx, "", group),
		"a role of no id":    target.Revoke(ctx, "", role),
		"nothing granted":    target.Grant(ctx, nobody, provisioning.Grant{}),
		"no role granted":    target.Grant(ctx, nobody, provisioning.Grant{App: role.App}),
		"nothing revoked":    target.Revoke(ctx, nobody, provisioning.Grant{}),
		"no application":     target.Revoke(ctx, nobody, provisioning.Grant{Role: role.Role}),
		"a manager of no id": target.SetManager(ctx, "", nobody),
		"no manager and id":  target.SetManager(ctx, "", ""),
	} {
		if got := outcome.Of(err); got.Kind != outcome.Terminal || got.Code != "refused by graph" {
			t.Errorf("%s: %v %q: %v", name, got.Kind, got.Code, err)
		}
	}
}

func TestAccessThatTakesAPerson(t *testing.T) {
	s, target := office(t, allAccess)
	ana := s.hire(t, "ana", nil)
	payroll, wiki := s.roles(t, "Payroll"), s.roles(t, "Wiki")
	dynamic := s.group(t, "dynamic", "groupTypes", []string{"DynamicMembership"}, "membershipRule", `user.department -eq "Sales"`)
	for name, c := range map[string]struct {
		grant      provisioning.Grant
		code, says string
	}{
		"a dynamic group":                   {provisioning.Grant{Group: dynamic}, "dynamic group", "a rule says"},
		"a group that is not there":         {provisioning.Grant{Group: nobody}, "group not found", "correct it in the route"},
		"an application that is not there":  {provisioning.Grant{App: nobody, Role: wiki[""].Role}, "app not found", "client id"},
		"a role of another application":     {provisioning.Grant{App: wiki[""].App, Role: payroll["Reader"].Role}, "app role not found", "correct the id of the role"},
		"no role where there are some":      {payroll[""], "app role not found", "zeros"},
		"a group that is no id":             {provisioning.Grant{Group: "../users"}, "group not found", "correct it in the route"},
		"an application that is not one id": {provisioning.Grant{App: "a/b", Role: wiki[""].Role}, "app not found", "correct it in the route"},
	} {
		err := target.Grant(t.Context(), ana, c.grant)
		if got := outcome.Of(err); got.Kind != outcome.Terminal || got.Code != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v %q: %v", name, got.Kind, got.Code, err)
		}
	}
	err := target.Revoke(t.Context(), ana, provisioning.Grant{Group: dynamic})
	if got := outcome.Of(err); got.Kind != outcome.Terminal || got.Code != "dynamic group" {
		t.Errorf("out of a dynamic group: %v %q: %v", got.Kind, got.Code, err)
	}
	has(t, "after all this", target, ana, nil)
}

func TestAccessNamesThePermissionItLacks(t *testing.T) {
	ctx := t.Context()
	s, target := office(t, "User.ReadWrite.All")
	if err := s.Populate("fabrikam", 1, 3); err != nil {
		t.Fatal(err)
	}
	users, groups := s.Users("fabrikam"), s.Groups("fabrikam")
	id, group, role := users[1]["id"].(string), provisioning.Grant{Group: groups[0]["id"].(string)}, provisioning.Grant{App: nobody, Role: provisioning.DefaultRole}
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"to read":             {func() error { _, err := target.Grants(ctx, id); return err }(), "permission Directory.Read.All"},
		"to add to a group":   {target.Grant(ctx, id, group), "permission GroupMember.ReadWrite.All"},
		"to take out of one":  {target.Revoke(ctx, id, group), "permission GroupMember.ReadWrite.All"},
		"to give an app role": {target.Grant(ctx, id, role), "permission AppRoleAssignment.ReadWrite.All"},
		"to look for one":     {target.Revoke(ctx, id, role), "permission Directory.Read.All"},
	} {
		if got := outcome.Of(c.err); got.Kind != outcome.Terminal || got.Code != "permission denied" || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v %q: %v", name, got.Kind, got.Code, c.err)
		}
	}
	if err := target.SetManager(ctx, id, users[2]["id"].(string)); err != nil {
		t.Errorf("a manager takes no more than User.ReadWrite.All: %v", err)
	}

	s, target = office(t, "User.ReadWrite.All Directory.Read.All")
	err := target.Revoke(ctx, s.hire(t, "ana", nil), s.roles(t, "Wiki")[""])
	if err != nil {
		t.Errorf("who may only read finds that there is nothing to revoke: %v", err)
	}
}

// untilDone tries again what may be tried again, without waiting.
func untilDone(t *testing.T, do func() error) {
	t.Helper()
	for range 200 {
		err := do()
		if err == nil || errors.Is(err, provisioning.ErrAlready) {
			return
		}
		if got := outcome.Of(err); got.Kind == outcome.Terminal || got.Code == "unexpected error" {
			t.Fatalf("%v %q: %v", got.Kind, got.Code, err)
		}
	}
	t.Fatal("it was not done in 200 attempts")
}

// Replicas are up to date here: what one that lags behind makes of a list is for those who look again.
func TestAccessInBadWeatherEndsAsWanted(t *testing.T) {
	ctx := t.Context()
	s, target := office(t, allAccess)
	people := []string{s.hire(t, "ana", nil), s.hire(t, "luz", nil)}
	payroll, wiki := s.roles(t, "Payroll"), s.roles(t, "Wiki")
	grants := []provisioning.Grant{payroll["Reader"], payroll["Approver"], wiki[""]}
	for i := range 4 {
		grants = append(grants, provisioning.Grant{Group: s.group(t, fmt.Sprint("g", i))})
	}
	s.SetWeather(entrasim.Weather{Throttle: 0.05, Fail: 0.05, Cut: 0.05, CutAfter: 0.1, Torn: 0.05, Silent: 0.5})
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]map[provisioning.Grant]bool{people[0]: {}, people[1]: {}}
	for range 60 {
		id, g := people[random.IntN(len(people))], grants[random.IntN(len(grants))]
		if want[id][g] = random.IntN(3) > 0; want[id][g] {
			untilDone(t, func() error { return target.Grant(ctx, id, g) })
		} else {
			untilDone(t, func() error { return target.Revoke(ctx, id, g) })
		}
	}
	for _, id := range people {
		untilDone(t, func() error { return target.SetManager(ctx, id, people[0]) })
		untilDone(t, func() error { return target.SetManager(ctx, id, "") })
	}
	s.SetWeather(entrasim.Weather{})
	for _, id := range people {
		var wanted []provisioning.Grant
		for g, is := range want[id] {
			if is {
				wanted = append(wanted, g)
			}
		}
		has(t, "after the weather", target, id, wanted)
	}
}
