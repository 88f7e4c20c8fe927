package entrasim_test

import (
	"reflect"
	"regexp"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestPeople(t *testing.T) {
	people := entrasim.People(1, 500)
	if !reflect.DeepEqual(people[:20], entrasim.People(1, 20)) {
		t.Error("the same seed made other people")
	}
	if reflect.DeepEqual(people[:20], entrasim.People(2, 20)) {
		t.Error("another seed made the same people")
	}
	ascii := regexp.MustCompile(`^[a-z]+\.[a-z]+[0-9]*$`)
	nicknames, ids, countries := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, p := range people {
		if !ascii.MatchString(p.MailNickname) || nicknames[p.MailNickname] || ids[p.EmployeeID] || len(p.EmployeeID) > 16 {
			t.Errorf("%+v has a nickname or number that does not do", p)
		}
		nicknames[p.MailNickname], ids[p.EmployeeID] = true, true
		countries[p.Country]++
		for v, i := reflect.ValueOf(p), 0; i < v.NumField(); i++ {
			if v.Field(i).String() == "" {
				t.Errorf("%+v has no %s", p, v.Type().Field(i).Name)
			}
		}
	}
	if countries["MX"] != 250 || countries["US"] != 250 {
		t.Errorf("people live in %v", countries)
	}
}

func TestTheSameSeedMakesTheSameIDs(t *testing.T) {
	ids := func(seed uint64) [2]string {
		w := newWorld(t, entrasim.Options{Seed: seed})
		return [2]string{w.join("contoso", "adele"), w.join("fabrikam-us", "adele")}
	}
	one := ids(1)
	if one != ids(1) || one == ids(2) || one[0] == one[1] {
		t.Errorf("seed 1 makes %v, again %v, seed 2 %v", one, ids(1), ids(2))
	}
}
