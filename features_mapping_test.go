package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

// mappingRows are about what external users look like, and how they are found.
var mappingRows = []row{
	{6, "attribute mapping: direct, constant, expression and none, with values for who has none", mapped},
	{6, "attribute mapping: once, and shortened where it is too long", mappedOnce},
	{7, "matching rule: by the link, whatever becomes of the address", matchedByLink},
	{7, "matching rule: by the address, also among the other ones, and never twice", matchedByAddress},
	{7, "matching rule: two candidates are told and not guessed between", ambiguous},
	{7, "matching rule: a user of the target's own is not touched", ownUser},
	{8, "pending-acceptance guests: are taken over as they are", pendingGuest},
	{9, "userType: members by default, also those who were guests; otherwise what an expression says", userType},
	{10, "manager: follows, also when it changes or comes later", managerFollows},
	{10, "manager: removal is propagated", managerRemoved},
	{10, "manager: one who leaves is no manager any more, and is again when back", managerLeaves},
	{10, "manager: one who is not in scope is none", managerOutOfScope},
	{11, "clearing a value: it is cleared, but where Graph takes no empty one", cleared},
	{12, "directory extensions: copied, computed from, and cleared", extensions},
	{19, "drift detection: what was changed in the target is mended at the next look, and the journal says what", driftMended},
	{19, "drift detection: what is only reported stays, and the journal says so", driftReported},
}

func TestTheFeatureTableMapping(t *testing.T) {
	t.Parallel()
	w := settle(t, build(t, blueprint{tenants: simulated(us, contoso, woodgrove), extensions: []string{"costCenter", "cost_label"}}))
	w.redeem(t, woodgrove, us, false)
	w.named["pending"] = w.invite(t, woodgrove, pendingAddress) // who has not accepted
	w.redeem(t, woodgrove, us, true)
	w.serve(t, fmt.Sprintf(`
- source: fabrikam-us
  target: contoso
  scope: {when: user.companyName != "Elsewhere"}
  attributes:
    companyName: {value: Fabrikam US}
    displayName: {expression: 'join(" ", user.displayName, "(" + coalesce(user.officeLocation, "home") + ")")'}
    jobTitle: {expression: 'coalesce(user.jobTitle, "Employee")'}
    city: none
    employeeType: {policy: once}
    streetAddress: {expression: user.streetAddress, policy: once}
    state: {expression: 'user.displayName + ", " + user.state', truncate: true}
    department: {policy: report}
    userType: {expression: 'user.employeeType == "Contractor" ? "Guest" : "Member"', policy: once}
    %[1]s: {policy: enforce}
    %[2]s: {expression: 'has(user.%[1]s) ? "CC " + user.%[1]s : ""'}
    extensionAttribute7: {expression: 'coalesce(user.%[1]s, "none")'}
- {source: fabrikam-us, target: woodgrove}
`, w.extension("costCenter"), w.extension("cost_label")))
	show(t, w, mappingRows)
}

const pendingAddress = "pending.guest@" + usDomain

// invite is what an administrator of a target does by hand.
func (w *town) invite(t *testing.T, in tenant.Tenant, address string) (external string) {
	t.Helper()
	invitation := w.ask(t, in, http.MethodPost, "/invitations",
		map[string]any{"invitedUserEmailAddress": address, "inviteRedirectUrl": "https://myapps.microsoft.com"})
	return invitation["invitedUser"].(map[string]any)["id"].(string)
}

func mapped(t *testing.T, w *town) {
	p := w.hire(t, us, edits{"officeLocation": "12/3456", "city": "Seattle", "companyName": "Fabrikam"})
	name := fmt.Sprint(p.born["displayName"])
	p.becomes(t, contoso, edits{"companyName": "Fabrikam US", "displayName": name + " (12/3456)", "city": nil, "jobTitle": p.born["jobTitle"],
		"givenName": p.born["givenName"], "surname": p.born["surname"], "usageLocation": p.born["usageLocation"], "showInAddressList": true})
	p.change(t, edits{"officeLocation": nil, "jobTitle": nil})
	p.becomes(t, contoso, edits{"displayName": name + " (home)", "jobTitle": "Employee", "officeLocation": nil})
	p.becomes(t, woodgrove, edits{"displayName": name, "jobTitle": nil, "city": "Seattle", "companyName": "Fabrikam"})
}

func mappedOnce(t *testing.T, w *town) {
	state := strings.Repeat("x", 120)
	p := w.hire(t, us, edits{"employeeType": "Apprentice", "streetAddress": "1 First Street", "state": state})
	shortened := []rune(fmt.Sprint(p.born["displayName"]) + ", " + state)[:128]
	p.becomes(t, contoso, edits{"employeeType": "Apprentice", "streetAddress": "1 First Street", "state": string(shortened)})
	p.change(t, edits{"employeeType": "Employee", "streetAddress": "2 Second Street", "postalCode": "98101"})
	p.becomes(t, contoso, edits{"postalCode": "98101", "employeeType": "Apprentice", "streetAddress": "1 First Street"})
	p.becomes(t, woodgrove, edits{"employeeType": "Employee", "streetAddress": "2 Second Street"})
}

func matchedByLink(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, woodgrove)
	moved := "another." + p.address()
	p.change(t, edits{"mail": moved})
	p.becomes(t, woodgrove, edits{"id": external, "mail": moved})
	w.ask(t, woodgrove, http.MethodPatch, "/users/"+external, edits{"mail": p.address()})
	p.touch(t)
	p.becomes(t, woodgrove, edits{"id": external, "mail": moved})
}

func matchedByAddress(t *testing.T, w *town) {
	for name, how := range map[string]func(p map[string]any) (invited string, then edits){
		"mail": func(p map[string]any) (string, edits) { return p["mail"].(string), edits{} },
		"otherMails": func(p map[string]any) (string, edits) {
			return "old." + p["mail"].(string), edits{"otherMails": []string{p["mail"].(string)}}
		},
	} {
		body := w.newcomer(us, nil)
		address, then := how(body)
		guest := w.invite(t, woodgrove, address)
		w.ask(t, woodgrove, http.MethodPatch, "/users/"+guest, edits{"department": "Guests"})
		if len(then) > 0 {
			w.ask(t, woodgrove, http.MethodPatch, "/users/"+guest, then)
		}
		p := w.hireAs(t, us, body)
		if external := p.arrives(t, woodgrove); external != guest {
			t.Errorf("by %s: external user %s, want the guest %s", name, external, guest)
		}
	}
}

func ambiguous(t *testing.T, w *town) {
	body := w.newcomer(us, nil)
	address := body["mail"].(string)
	one, two := w.invite(t, woodgrove, "one."+address), w.invite(t, woodgrove, "two."+address)
	for _, guest := range []string{one, two} {
		w.ask(t, woodgrove, http.MethodPatch, "/users/"+guest, edits{"otherMails": []string{address}})
	}
	p := w.hireAs(t, us, body)
	e := p.says(t, woodgrove, 0, "delete or change all but one, then replay")
	if !strings.Contains(e.Error, one) || !strings.Contains(e.Error, two) || e.Outcome != "terminal" {
		t.Errorf("the journal says %q, want both named", e.Error)
	}
	p.becomes(t, contoso, nil)
	w.ask(t, woodgrove, http.MethodDelete, "/users/"+two, nil)
	w.replayed(t, p, woodgrove, "ambiguous match")
	if external := p.arrives(t, woodgrove); external != one {
		t.Errorf("external user %s, want the one that is left, %s", external, one)
	}
}

func ownUser(t *testing.T, w *town) {
	own := w.hire(t, woodgrove, nil)
	before := w.user(woodgrove, own.id)
	p := w.hire(t, us, edits{"mail": own.address()})
	p.says(t, woodgrove, 0, "of the target's own has the address")
	p.becomes(t, contoso, edits{"mail": own.address()})
	if after := w.user(woodgrove, own.id); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a user of the target's own became %v from %v", after, before)
	}
}

func pendingGuest(t *testing.T, w *town) {
	if state := w.user(woodgrove, w.named["pending"])["externalUserState"]; state != "PendingAcceptance" {
		t.Fatalf("the guest is %v, want one who has not accepted", state)
	}
	p := w.hire(t, us, edits{"mail": pendingAddress})
	if external := p.arrives(t, woodgrove); external != w.named["pending"] {
		t.Errorf("external user %s, want the guest %s", external, w.named["pending"])
	}
	p.change(t, edits{"department": "Night Shift"})
	p.becomes(t, woodgrove, edits{"department": "Night Shift", "userType": "Member"})
}

func userType(t *testing.T, w *town) {
	body := w.newcomer(us, edits{"employeeType": "Contractor"})
	guest := w.invite(t, woodgrove, body["mail"].(string))
	kept := w.invite(t, contoso, body["mail"].(string))
	p := w.hireAs(t, us, body)
	p.becomes(t, woodgrove, edits{"id": guest, "userType": "Member"})
	p.becomes(t, contoso, edits{"id": kept, "userType": "Guest"}) // once: who was a guest stays one
	w.hire(t, us, edits{"employeeType": "Contractor"}).becomes(t, contoso, edits{"userType": "Guest"})
	w.hire(t, us, nil).becomes(t, contoso, edits{"userType": "Member"})
}

func managerFollows(t *testing.T, w *town) {
	early, late, p := w.hire(t, us, nil), w.hire(t, us, edits{"companyName": "Elsewhere"}), w.hire(t, us, nil)
	p.becomes(t, contoso, nil)
	p.reportsTo(t, late)
	p.hasManager(t, woodgrove, late.arrives(t, woodgrove))
	p.hasManager(t, contoso, "")
	late.change(t, edits{"companyName": "Fabrikam"}) // comes over to contoso only now, and nothing about p changes
	p.hasManager(t, contoso, late.becomes(t, contoso, nil))
	p.reportsTo(t, early)
	for _, target := range []tenant.Tenant{contoso, woodgrove} {
		p.hasManager(t, target, early.becomes(t, target, nil))
	}
}

func managerRemoved(t *testing.T, w *town) {
	boss, p := w.hire(t, us, nil), w.hire(t, us, nil)
	p.reportsTo(t, boss)
	p.hasManager(t, woodgrove, boss.arrives(t, woodgrove))
	p.reportsToNobody(t)
	p.hasManager(t, woodgrove, "")
}

func managerLeaves(t *testing.T, w *town) {
	boss, p := w.hire(t, us, nil), w.hire(t, us, nil)
	p.reportsTo(t, boss)
	external := boss.arrives(t, woodgrove)
	p.hasManager(t, woodgrove, external)
	boss.leave(t)
	boss.isRemoved(t, woodgrove, external)
	behind := p.said(woodgrove)
	p.touch(t) // a look at the report while there is no manager
	p.says(t, woodgrove, behind, "everything is as it should be")
	p.hasManager(t, woodgrove, "")
	boss.back(t) // and nothing is said of the report
	boss.becomes(t, woodgrove, edits{"id": external})
	p.hasManager(t, woodgrove, external)
}

func managerOutOfScope(t *testing.T, w *town) {
	boss, p := w.hire(t, us, nil), w.hire(t, us, nil)
	p.reportsTo(t, boss)
	external := boss.becomes(t, contoso, nil)
	p.hasManager(t, contoso, external)
	boss.change(t, edits{"companyName": "Elsewhere"})
	boss.isRemoved(t, contoso, external)
	p.hasManager(t, contoso, "")
	p.hasManager(t, woodgrove, boss.becomes(t, woodgrove, nil))
}

func cleared(t *testing.T, w *town) {
	p := w.hire(t, us, edits{"mobilePhone": "+1 206 555 0100", "businessPhones": []string{"+1 206 555 0101"}, "employeeId": "17"})
	external := p.becomes(t, woodgrove, edits{"mobilePhone": "+1 206 555 0100", "businessPhones": []string{"+1 206 555 0101"}, "employeeId": "17"})
	behind := p.said(woodgrove)
	p.change(t, edits{"mobilePhone": nil, "businessPhones": []string{}, "employeeId": nil, "department": nil, "jobTitle": nil})
	p.says(t, woodgrove, behind, "these attributes differ")
	for _, name := range []string{"mobilePhone", "employeeId", "department", "jobTitle"} {
		p.becomes(t, woodgrove, edits{name: nil})
	}
	if phones, _ := w.user(woodgrove, external)["businessPhones"].([]string); len(phones) > 0 {
		t.Errorf("businessPhones are %v, want none", phones)
	}
	p.becomes(t, woodgrove, edits{"usageLocation": p.born["usageLocation"]})
}

func extensions(t *testing.T, w *town) {
	center, label := w.extension("costCenter"), w.extension("cost_label")
	p := w.hire(t, us, edits{center: "4711"})
	external := p.becomes(t, contoso, edits{center: "4711", label: "CC 4711"})
	p.change(t, edits{center: "0815"})
	p.becomes(t, contoso, edits{center: "0815", label: "CC 0815"})
	p.change(t, edits{center: nil})
	p.becomes(t, contoso, edits{center: nil, label: nil})
	fifteen, _ := w.user(contoso, external)["onPremisesExtensionAttributes"].(map[string]any)
	if fifteen["extensionAttribute7"] != "none" {
		t.Errorf("extensionAttribute7 is in %v, want none", fifteen)
	}
}

func driftMended(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, woodgrove)
	w.ask(t, woodgrove, http.MethodPatch, "/users/"+external, edits{"department": "Changed", "jobTitle": "Changed", "city": "Changed"})
	behind := p.said(woodgrove)
	p.touch(t)
	if e := p.says(t, woodgrove, behind, "these attributes differ: city, department, jobTitle"); e.Action != "update" {
		t.Errorf("the journal says %s, want update", e.Action)
	}
	p.becomes(t, woodgrove, edits{"id": external, "department": p.born["department"], "jobTitle": p.born["jobTitle"], "city": nil})
}

func driftReported(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.becomes(t, contoso, nil)
	w.ask(t, contoso, http.MethodPatch, "/users/"+external, edits{"department": "Changed"})
	behind := p.said(contoso)
	p.touch(t)
	if e := p.says(t, contoso, behind, ""); !slices.Contains(e.Drift, "department") {
		t.Errorf("the journal says that %v drift, want department", e.Drift)
	}
	p.becomes(t, contoso, edits{"department": "Changed"})
}
