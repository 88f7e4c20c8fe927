package tenant_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

var (
	mexico  = tenant.Tenant{Name: "fabrikam-mexico", ID: "11111111-aaaa-4111-8111-111111111111"}
	us      = tenant.Tenant{Name: "fabrikam-us", ID: "22222222-bbbb-4222-8222-222222222222"}
	contoso = tenant.Tenant{Name: "contoso", ID: "33333333-cccc-4333-8333-333333333333"}
	all     = []tenant.Tenant{mexico, us, contoso}
)

func topology(t *testing.T, tenants []tenant.Tenant, specs ...tenant.RouteSpec) *tenant.Topology {
	t.Helper()
	topo, err := tenant.NewTopology(tenants, specs)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func TestTopologyOfTwoSourcesAndOneTarget(t *testing.T) {
	topo := topology(t, all,
		tenant.RouteSpec{Source: "fabrikam-mexico", Target: "contoso"},
		tenant.RouteSpec{Name: "north", Source: "fabrikam-us", Target: "contoso"})

	routes := []tenant.Route{
		{Name: "fabrikam-mexico→contoso", Source: mexico, Target: contoso},
		{Name: "north", Source: us, Target: contoso},
	}
	if got := topo.Routes(); !reflect.DeepEqual(got, routes) {
		t.Errorf("routes\n got %v\nwant %v", got, routes)
	}
	if got := topo.Tenants(); !reflect.DeepEqual(got, all) {
		t.Errorf("tenants %v, want %v", got, all)
	}
	if got, want := topo.Sources(), []tenant.Tenant{mexico, us}; !reflect.DeepEqual(got, want) {
		t.Errorf("sources %v, want %v", got, want)
	}
	if got, ok := topo.Route("north"); !ok || got != routes[1] {
		t.Errorf("route north is %v, %t", got, ok)
	}
	if got, ok := topo.Route("fabrikam-us→contoso"); ok {
		t.Errorf("a route that has a name of its own is found by another: %v", got)
	}
}

func TestFromListsTheRoutesThatLeaveATenant(t *testing.T) {
	topo := topology(t, all,
		tenant.RouteSpec{Source: "fabrikam-us", Target: "contoso"},
		tenant.RouteSpec{Source: "contoso", Target: "fabrikam-us"},
		tenant.RouteSpec{Source: "fabrikam-us", Target: "fabrikam-mexico"})
	for _, c := range []struct {
		name, id string
		want     []string
	}{
		{"a source of two routes", us.ID, []string{"fabrikam-us→contoso", "fabrikam-us→fabrikam-mexico"}},
		{"an id in upper case", strings.ToUpper(us.ID), []string{"fabrikam-us→contoso", "fabrikam-us→fabrikam-mexico"}},
		{"a tenant that is source and target", contoso.ID, []string{"contoso→fabrikam-us"}},
		{"a tenant that is only a target", mexico.ID, nil},
		{"a tenant that nobody knows", "44444444-dddd-4444-8444-444444444444", nil},
		{"no id", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var names []string
			for _, r := range topo.From(c.id) {
				names = append(names, r.Name)
			}
			if !slices.Equal(names, c.want) {
				t.Errorf("routes %v, want %v", names, c.want)
			}
		})
	}
	if got, want := topo.Sources(), []tenant.Tenant{us, contoso}; !reflect.DeepEqual(got, want) {
		t.Errorf("sources %v, want each once: %v", got, want)
	}
}

func TestTenantIDsAreKeptInLowerCase(t *testing.T) {
	upper := slices.Clone(all)
	upper[1].ID = strings.ToUpper(us.ID)
	topo := topology(t, upper, tenant.RouteSpec{Source: "fabrikam-us", Target: "contoso"})
	if got := topo.Routes()[0].Source; got != us {
		t.Errorf("source %v, want %v", got, us)
	}
	if upper[1].ID == us.ID {
		t.Error("the caller's list was changed")
	}
}

func TestTopologyCannotBeChangedFromOutside(t *testing.T) {
	topo := topology(t, all, tenant.RouteSpec{Source: "fabrikam-us", Target: "contoso"})
	topo.Tenants()[0].Name = "x"
	topo.Routes()[0].Name = "x"
	if topo.Tenants()[0] != mexico || topo.Routes()[0].Name != "fabrikam-us→contoso" {
		t.Error("an answer shares its memory with the topology")
	}
}

// problems reads the mistakes out of a joined error.
func problems(t *testing.T, err error) (found []tenant.Problem) {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T joins nothing", err)
	}
	for _, e := range joined.Unwrap() {
		p, ok := e.(tenant.Problem)
		if !ok {
			t.Fatalf("%T is no Problem", e)
		}
		found = append(found, p)
	}
	return found
}

func TestNewTopologyFindsEachMistake(t *testing.T) {
	toContoso := []tenant.RouteSpec{{Source: "fabrikam-us", Target: "contoso"}}
	changed := func(i int, f func(*tenant.Tenant)) []tenant.Tenant {
		list := slices.Clone(all)
		f(&list[i])
		return list
	}
	for _, c := range []struct {
		name    string
		tenants []tenant.Tenant
		routes  []tenant.RouteSpec
		want    []string // "path: part of the message"
	}{
		{"nothing at all", nil, nil, []string{"tenants: there is no tenant", "routes: there is no route"}},
		{"no route", all, nil, []string{"routes: there is no route"}},
		{"a tenant without name", changed(0, func(tn *tenant.Tenant) { tn.Name = "" }), toContoso,
			[]string{"tenants[0].name: the tenant has no name"}},
		{"a name with capitals", changed(0, func(tn *tenant.Tenant) { tn.Name = "Mexico" }), toContoso,
			[]string{`tenants[0].name: "Mexico" is not a tenant name`}},
		{"a name that is too long", changed(0, func(tn *tenant.Tenant) { tn.Name = strings.Repeat("x", 64) }), toContoso,
			[]string{`tenants[0].name: "` + strings.Repeat("x", 64) + `" is not a tenant name`}},
		{"a name twice", changed(0, func(tn *tenant.Tenant) { tn.Name = "contoso" }), toContoso,
			[]string{`tenants[2].name: "contoso" is already the name of tenants[0]`}},
		{"a tenant without id", changed(0, func(tn *tenant.Tenant) { tn.ID = "" }), toContoso,
			[]string{`tenants[0].id: "" is not a tenant id`}},
		{"an id that is a domain", changed(0, func(tn *tenant.Tenant) { tn.ID = "contoso.onmicrosoft.com" }), toContoso,
			[]string{`tenants[0].id: "contoso.onmicrosoft.com" is not a tenant id`}},
		{"an id twice, in another case", changed(0, func(tn *tenant.Tenant) { tn.ID = strings.ToUpper(contoso.ID) }), toContoso,
			[]string{"tenants[2].id: " + contoso.ID + " is already the id of tenants[0]"}},
		{"two tenants without id are not one tenant",
			[]tenant.Tenant{{Name: "fabrikam-us"}, {Name: "contoso"}}, toContoso,
			[]string{"tenants[0].id: ", "tenants[1].id: "}},
		{"routes from two tenants without id are two directions",
			[]tenant.Tenant{{Name: "fabrikam-us"}, {Name: "fabrikam-mexico"}, contoso},
			[]tenant.RouteSpec{{Source: "fabrikam-us", Target: "contoso"}, {Source: "fabrikam-mexico", Target: "contoso"}},
			[]string{"tenants[0].id: ", "tenants[1].id: "}},
		{"a route without source", all, []tenant.RouteSpec{{Target: "contoso"}}, []string{"routes[0].source: it is missing"}},
		{"a route without target", all, []tenant.RouteSpec{{Source: "fabrikam-us"}}, []string{"routes[0].target: it is missing"}},
		{"a route without ends", all, []tenant.RouteSpec{{Name: "x"}}, []string{"routes[0].source: it is missing", "routes[0].target: it is missing"}},
		{"a route from and to tenants that are not there", all, []tenant.RouteSpec{{Source: "fabrikam", Target: "Contoso"}},
			[]string{`routes[0].source: there is no tenant "fabrikam"; name one of: fabrikam-mexico, fabrikam-us, contoso`, `routes[0].target: there is no tenant "Contoso"`}},
		{"a route to itself", all, []tenant.RouteSpec{{Source: "contoso", Target: "contoso"}},
			[]string{`routes[0].target: the route leads from "contoso" to itself`}},
		{"a direction twice", all, append(slices.Clone(toContoso), tenant.RouteSpec{Name: "x", Source: "fabrikam-us", Target: "contoso"}),
			[]string{"routes[1].target: routes[0] already leads from fabrikam-us to contoso"}},
		{"a route name twice", all, []tenant.RouteSpec{{Name: "x", Source: "fabrikam-us", Target: "contoso"}, {Name: "x", Source: "fabrikam-mexico", Target: "contoso"}},
			[]string{`routes[1].name: "x" is already the name of routes[0]`}},
		{"a name that is another route's by default", all,
			[]tenant.RouteSpec{{Source: "fabrikam-us", Target: "contoso"}, {Name: "fabrikam-us→contoso", Source: "fabrikam-mexico", Target: "contoso"}},
			[]string{`routes[1].name: "fabrikam-us→contoso" is already the name of routes[0]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			topo, err := tenant.NewTopology(c.tenants, c.routes)
			found := problems(t, err)
			if len(found) != len(c.want) || topo != nil {
				t.Fatalf("found %v, want %d: %q", found, len(c.want), c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(found[i].Error(), want) {
					t.Errorf("found %q, want %q …", found[i], want)
				}
			}
		})
	}
}

func TestNewTopologyFindsAllMistakesAtOnce(t *testing.T) {
	_, err := tenant.NewTopology(
		[]tenant.Tenant{{Name: "", ID: ""}, {Name: "Contoso!", ID: "x"}, us, us},
		[]tenant.RouteSpec{{}, {Source: "fabrikam-us", Target: "fabrikam-us"}, {Source: "nowhere", Target: "fabrikam-us"}},
	)
	var paths []string
	for _, p := range problems(t, err) {
		paths = append(paths, p.Path)
	}
	want := []string{
		"tenants[0].name", "tenants[0].id", "tenants[1].name", "tenants[1].id", "tenants[3].name", "tenants[3].id",
		"routes[0].source", "routes[0].target", "routes[1].target", "routes[2].source",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("found\n     %v\nwant %v", paths, want)
	}
}
