package demo

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// copied are the properties that an external user must share with its source user. The list is the demo's own, on
// purpose: it does not ask the engine what is right.
var copied = []string{
	"displayName", "givenName", "surname", "mail", "jobTitle", "department", "companyName", "employeeId",
	"usageLocation", "officeLocation", "city", "country", "mobilePhone",
}

// check compares every external user of the target with the people who must be there, and says what is wrong, one
// sentence each. Nothing is wrong when the list is empty.
func check(people []*person, users []map[string]any) (wrong []string) {
	byKey := map[string]map[string]any{}
	for _, u := range users {
		if u["creationType"] != "Invitation" {
			continue // the target's own
		}
		key, _ := u[linkProperty].(string)
		switch _, twice := byKey[key]; {
		case key == "":
			wrong = append(wrong, fmt.Sprintf("external user %v carries no link key", u["id"]))
		case twice:
			wrong = append(wrong, fmt.Sprintf("two external users of %s", key))
		default:
			byKey[key] = u
		}
	}
	for _, p := range people {
		u, found := byKey[p.key()]
		delete(byKey, p.key())
		switch {
		case p.left && found:
			wrong = append(wrong, fmt.Sprintf("%s left and still has external user %v", p.key(), u["id"]))
		case !p.left && !found:
			wrong = append(wrong, p.key()+" has no external user")
		case !p.left:
			wrong = append(wrong, p.differences(u)...)
		}
	}
	for key := range byKey {
		wrong = append(wrong, "nobody knows the external user of "+key)
	}
	slices.Sort(wrong)
	return wrong
}

func (p *person) key() string { return strings.ToLower(p.home.ID + "/" + p.id) }

func (p *person) differences(u map[string]any) (wrong []string) {
	differ := func(name string, want any) {
		if got := u[name]; !reflect.DeepEqual(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v and must be %v", p.key(), name, got, want))
		}
	}
	for _, name := range copied {
		differ(name, p.properties[name])
	}
	differ("userType", "Member")
	differ("accountEnabled", true)
	differ("showInAddressList", true)
	if p.external != "" {
		differ("id", p.external) // who comes back is the same object as before
	}
	return wrong
}
