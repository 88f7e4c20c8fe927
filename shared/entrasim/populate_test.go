package entrasim_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestATenantIsPopulated(t *testing.T) {
	roles := append([]string{"Group.Read.All"}, entrasim.DefaultRoles...)
	tenants := entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Domain: "contoso.example.com", Roles: roles}, {Name: "fabrikam", Roles: roles}}}
	w := newWorld(t, tenants)
	if err := w.Populate("contoso", 7, 200); err != nil {
		t.Fatal(err)
	}
	people := w.Users("contoso")
	scripts := map[*unicode.RangeTable]bool{}
	for _, p := range people {
		for _, name := range []string{"mail", "department", "jobTitle", "city", "country", "employeeId", "mobilePhone", "companyName"} {
			if p[name] == nil {
				t.Errorf("%v has no %s", p["displayName"], name)
			}
		}
		for _, r := range p["displayName"].(string) {
			for _, table := range []*unicode.RangeTable{unicode.Han, unicode.Greek, unicode.Arabic, unicode.Devanagari, unicode.Cyrillic} {
				scripts[table] = scripts[table] || unicode.Is(table, r)
			}
		}
	}
	if len(people) != 200 || len(scripts) != 5 {
		t.Errorf("%d people, names in %d scripts", len(people), len(scripts))
	}
	for table, is := range scripts {
		if !is {
			t.Errorf("no name is in one of the scripts: %v", table.R16[0])
		}
	}
	boss := people[0]["id"].(string)
	reports := w.must(200, "contoso", "GET", "/users/"+boss+"/directReports", nil).values()
	if len(reports) != 8 {
		t.Errorf("%d people report to the first, want 8", len(reports))
	}
	members := 0
	for _, g := range w.Groups("contoso") {
		members += len(w.must(200, "contoso", "GET", "/groups/"+g["id"].(string)+"/members?$top=999", nil).values())
	}
	if members != 200 {
		t.Errorf("%d people are in the groups of departments, want everybody", members)
	}
	again := newWorld(t, tenants)
	if err := again.Populate("contoso", 7, 200); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(people, again.Users("contoso")) {
		t.Error("the same seed makes other people")
	}
}

func TestATenantCanBePopulatedMoreThanOnceWithOtherSeeds(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for seed := range uint64(3) {
		if err := w.Populate("contoso", seed, 50); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.Users("contoso")); n != 150 {
		t.Errorf("%d people", n)
	}
	for what, err := range map[string]error{
		"already exists": w.Populate("contoso", 1, 1), "nowhere": w.Populate("nowhere", 9, 1), "number from 1 on": w.Populate("contoso", 9, 0),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one that says %q", err, what)
		}
	}
}
