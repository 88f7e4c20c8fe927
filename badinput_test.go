package main_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// misfit is somebody whose data does not fit, and what is said of it.
type misfit struct {
	says   string
	home   tenant.Tenant // the zero one is Fabrikam US
	data   edits
	reason string // of the dead letter
	words  string // in its description
	// there: the external user comes over all the same, and what is wrong concerns one grant alone.
	there bool
	// mend makes the data fit; the change that follows from it is enough.
	mend edits
}

var misfits = []misfit{
	{says: "an expression for an attribute fails", data: edits{"companyName": "Broken"},
		reason: "mapping refused", words: "attribute employeeType", mend: edits{"companyName": "Fabrikam"}},
	{says: "the condition of the scope fails", data: edits{"companyName": "Unclear"},
		reason: "scope unclear", words: "has(user.employeeLeaveDateTime)", mend: edits{"companyName": "Fabrikam"}},
	{says: "the condition of a group fails", data: edits{"companyName": "Unentitled"},
		reason: "access unclear", words: "whether it gets group", mend: edits{"companyName": "Fabrikam"}},
	{says: "a computed value is over its limit", data: edits{"streetAddress": strings.Repeat("1 Long Street, ", 10)},
		reason: "mapping refused", words: "state has 150 characters and may have 128", mend: edits{"streetAddress": "1 Street"}},
	{says: "an address has a plus", data: edits{"mail": "first+second@" + usDomain},
		reason: "address refused", words: "a character that Microsoft Graph refuses", mend: edits{"mail": "first.second@" + usDomain}},
	{says: "an address ends with a dot", data: edits{"mail": "first.@" + usDomain},
		reason: "address refused", words: "begins or ends with a dot", mend: edits{"mail": "first.third@" + usDomain}},
	{says: "a group has dynamic membership", data: edits{"department": "Dynamic"},
		reason: "dynamic group", words: "a rule says", there: true, mend: edits{"department": "Sales"}},
	{says: "roles can be assigned to a group", data: edits{"department": "Admins"},
		reason: "role-assignable group", words: "RoleManagement.ReadWrite.Directory", there: true, mend: edits{"department": "Sales"}},
	{says: "a group is not there", data: edits{"department": "Nowhere"},
		reason: "group not found", words: "", there: true, mend: edits{"department": "Sales"}},
	{says: "an app is not there", data: edits{"department": "No App"},
		reason: "app not found", words: "", there: true, mend: edits{"department": "Sales"}},
}

// nothing is the object id of nothing.
const nothing = "00000000-0000-4000-8000-00000000dead"

// quarrel is a town whose rules do not fit everybody, and the group that everybody gets.
func quarrel(t *testing.T) (w *town, everybody string) {
	t.Helper()
	tenants := simulated(us, mexico, contoso)
	tenants[2].RoleGroups = []string{"admins"}
	w = settle(t, build(t, blueprint{tenants: tenants}))
	admins := w.graph.Groups(contoso.ID)[0]["id"]
	everybody = w.group(t, contoso, "everybody", nil)
	dynamic := w.group(t, contoso, "dynamic", edits{"groupTypes": []string{"DynamicMembership"}, "membershipRule": `user.department -eq "Sales"`})
	w.serve(t, fmt.Sprintf(`
- source: fabrikam-us
  target: contoso
  scope: {when: '!(user.companyName == "Unclear" && user.employeeLeaveDateTime < now)'}
  attributes:
    employeeType: {expression: 'user.companyName == "Broken" ? user.otherMails[3] : user.employeeType'}
    state: {expression: 'user.streetAddress + user.state'}
  access:
    groups:
      - {id: %[2]s, when: user.department == "Dynamic"}
      - {id: %[3]s, when: user.department == "Admins"}
      - {id: %[4]s, when: user.department == "Nowhere"}
      - %[1]s
      - {id: %[5]s, when: user.companyName == "Unentitled" && user.employeeLeaveDateTime < now}
    apps:
      - {id: %[4]s, when: user.department == "No App"}
- {source: fabrikam-mexico, target: contoso}
`, everybody, dynamic, admins, nothing, w.group(t, contoso, "leavers", nil)))
	return w, everybody
}

// letters are the dead letters of somebody on the route to contoso.
func (p person) letters(t *testing.T) (all []deadletter.Letter) {
	t.Helper()
	for _, queue := range change.Queues() {
		found, err := p.town.program.Bus.Letters(t.Context(), queue, deadletter.Filter{Route: p.route(contoso), User: p.id}, 100)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// isDead waits until the person's change is a dead letter for this reason, with these words.
func (p person) isDead(t *testing.T, reason, words string) {
	t.Helper()
	eventually(t, soon, func() string {
		for _, l := range p.letters(t) {
			if l.Reason == reason && strings.Contains(l.Description, words) {
				return ""
			}
		}
		return fmt.Sprintf("%s has the dead letters %+v, want one for %q with %q; the journal says %s", p.id, p.letters(t), reason, words, p.story(contoso))
	})
}

func TestBadInputHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w, everybody := quarrel(t)
	var odd, even []person
	for _, m := range misfits {
		odd = append(odd, w.hire(t, us, m.data))
		even = append(even, w.hire(t, us, nil))
	}
	for i, p := range even {
		external := p.arrives(t, contoso)
		if dead := p.letters(t); len(dead) > 0 {
			t.Errorf("somebody whom nothing is wrong with, next to whom %s, has the dead letters %+v", misfits[i].says, dead)
		}
		eventually(t, soon, func() string {
			if !slices.Contains(w.members(t, contoso, everybody), external) {
				return external + " is not a member of the group that everybody gets"
			}
			return ""
		})
	}
	for i, m := range misfits {
		t.Run(m.says, func(t *testing.T) {
			t.Parallel()
			p := odd[i]
			p.isDead(t, m.reason, m.words)
			live, _ := p.twins(contoso)
			if (len(live) == 1) != m.there {
				t.Fatalf("%d external users, want one: %t", len(live), m.there)
			}
			if m.there {
				external := p.arrives(t, contoso)
				p.becomes(t, contoso, edits{"id": external, "usageLocation": p.born["usageLocation"], "userType": "Member"})
				if !slices.Contains(w.members(t, contoso, everybody), external) {
					t.Error("not a member of the group that everybody gets")
				}
			}
			p.change(t, m.mend)
			p.becomes(t, contoso, m.mend)
		})
	}
}

func TestBadInputOfSomebodyWhoIsThereAlreadyChangesNothingButALock(t *testing.T) {
	t.Parallel()
	w, _ := quarrel(t)
	for _, m := range misfits[:4] {
		t.Run(m.says, func(t *testing.T) {
			t.Parallel()
			p := w.hire(t, us, nil)
			external := p.arrives(t, contoso)
			p.change(t, m.data)
			p.isDead(t, m.reason, m.words)
			p.becomes(t, contoso, edits{"id": external, "displayName": p.born["displayName"], "companyName": nil, "streetAddress": nil, "accountEnabled": true})
			p.change(t, edits{"accountEnabled": false}) // whatever is wrong, who is disabled may not sign in
			p.becomes(t, contoso, edits{"id": external, "accountEnabled": false})
			p.change(t, m.mend)
			p.change(t, edits{"accountEnabled": true})
			p.becomes(t, contoso, edits{"id": external, "accountEnabled": true})
			p.becomes(t, contoso, m.mend)
		})
	}
}

// names are what people may be called.
func names() map[string]string {
	long := []rune(strings.Repeat("Guadalupe Hernández ", 20))[:256]
	return map[string]string{
		"256 characters":            string(long),
		"an emoji":                  "Chloe Moore 🎉",
		"a family of one character": "Chloe Moore 👩‍👩‍👧‍👦",
		"quotes and signs":          `Ruth "R." O'Neil <&> \ / % # $ ` + "`",
		"combining marks":           "Jose\u0301 Nu\u0301n\u0303ez",
		"from right to left":        "ليلى منصور",
		"one letter":                "X",
		"what looks like a program": "{{.}} ${jndi} '); DROP TABLE users; --",
	}
}

func TestNamesOfEveryKindComeOverAsTheyAre(t *testing.T) {
	t.Parallel()
	w, _ := quarrel(t)
	const people = 60 // of whom every fourth is written in another script
	if err := w.graph.Populate(mexico.Name, 3, people); err != nil {
		t.Fatal(err)
	}
	var crew []person
	for _, name := range names() {
		crew = append(crew, w.hire(t, us, edits{"displayName": name}))
	}
	for _, p := range crew {
		p.becomes(t, contoso, edits{"displayName": p.born["displayName"]})
	}
	scripts := 0
	for _, u := range w.graph.Users(mexico.ID) {
		p := person{town: w, home: mexico, id: u["id"].(string)}
		want := edits{}
		for _, name := range []string{"displayName", "givenName", "surname", "city", "officeLocation", "mobilePhone", "employeeId", "mail"} {
			want[name] = u[name]
		}
		p.becomes(t, contoso, want)
		if strings.IndexFunc(fmt.Sprint(u["displayName"]), func(r rune) bool { return r > 0x2ff }) >= 0 {
			scripts++
		}
	}
	if scripts < 5 {
		t.Errorf("%d names are in another script than Latin, want more", scripts)
	}
}

func TestAddressesThatAreMissingSharedOrPassedOn(t *testing.T) {
	t.Parallel()
	w, _ := quarrel(t)
	for says, show := range map[string]func(t *testing.T){
		"without a mail address the principal name serves": func(t *testing.T) {
			p := w.hire(t, us, edits{"mail": nil})
			external := p.becomes(t, contoso, edits{"displayName": p.born["displayName"], "mail": p.born["userPrincipalName"]})
			p.change(t, edits{"mail": p.born["userPrincipalName"]})
			p.becomes(t, contoso, edits{"id": external, "mail": p.born["userPrincipalName"]})
			w.hire(t, us, edits{"mail": nil}).becomes(t, contoso, nil) // a second one is not taken for the first
		},
		"of two people with one address the second waits for the first to leave": func(t *testing.T) {
			first := w.hire(t, us, nil)
			external := first.arrives(t, contoso)
			second := w.hire(t, mexico, edits{"mail": first.address()})
			second.says(t, contoso, 0, "it is free once that one has left")
			first.becomes(t, contoso, edits{"id": external})
			first.leave(t)
			first.isRemoved(t, contoso, external)
			second.touch(t)
			if got := second.arrives(t, contoso); got == external {
				t.Error("who waited got the external user of the other")
			}
			if dead := second.letters(t); len(dead) > 0 {
				t.Errorf("who waited has the dead letters %+v", dead)
			}
		},
		"the case of an address does not matter": func(t *testing.T) {
			body := w.newcomer(us, nil)
			guest := w.invite(t, contoso, strings.ToUpper(fmt.Sprint(body["mail"])))
			if got := w.hireAs(t, us, body).becomes(t, contoso, nil); got != guest {
				t.Errorf("external user %s, want the guest %s", got, guest)
			}
		},
		"an apostrophe in an address is no end of a query": func(t *testing.T) {
			body := w.newcomer(us, nil)
			body["mail"] = "o'neil." + fmt.Sprint(body["mail"])
			guest := w.invite(t, contoso, fmt.Sprint(body["mail"]))
			p := w.hireAs(t, us, body)
			if got := p.arrives(t, contoso); got != guest {
				t.Errorf("external user %s, want the guest %s", got, guest)
			}
			if before, after := w.user(contoso, guest), p.born; !reflect.DeepEqual(before["mail"], after["mail"]) {
				t.Errorf("mail is %v, want %v", before["mail"], after["mail"])
			}
		},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			show(t)
		})
	}
}
