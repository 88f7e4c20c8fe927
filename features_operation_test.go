package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions/look"
	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// operationRows are about how it is run.
var operationRows = []row{
	{17, "relation severed: nothing happens while it is, nothing is lost, and everything follows when it is back", severed},
	{20, "event-driven: within seconds, and not within 40 minutes", eventDriven},
	{21, "dry run: says what would happen, and writes nothing", dryRun},
	{23, "retries: what cannot be done becomes a dead letter with its reason, and is replayed once it is mended", deadLetterReplayed},
	{25, "single-user run: one user is planned and looked at on demand, whatever the others do", singleUser},
	{27, "logs: each decision has an entry with its reason, operations, requests, and what attributes were and became", logged},
}

func TestTheFeatureTableOperation(t *testing.T) {
	t.Parallel()
	w := settle(t, build(t, blueprint{tenants: simulated(us, mexico, contoso), options: app.Options{TrustEvery: 300 * time.Millisecond}}))
	w.serve(t, `
- {source: fabrikam-us, target: contoso, journal: {values: true}}
- {source: fabrikam-mexico, target: contoso}
`)
	show(t, w, operationRows)
}

func severed(t *testing.T, w *town) {
	leaver, mover := w.hire(t, mexico, nil), w.hire(t, mexico, nil)
	external, stays := leaver.arrives(t, contoso), mover.arrives(t, contoso)
	w.redeem(t, contoso, mexico, false)
	canary := w.hire(t, mexico, nil)
	for !strings.Contains(canary.says(t, contoso, 0, "").Error, "not redeemed automatically") { // the last verdict holds for a while
		canary.arrives(t, contoso)
		canary = w.hire(t, mexico, nil)
	}
	leaver.leave(t)
	mover.change(t, edits{"department": "Elsewhere"})
	for _, p := range []person{leaver, mover} {
		p.says(t, contoso, 0, "not redeemed automatically")
		p.becomes(t, contoso, edits{"department": p.born["department"], "accountEnabled": true})
	}
	w.redeem(t, contoso, mexico, true)
	leaver.isRemoved(t, contoso, external)
	mover.becomes(t, contoso, edits{"id": stays, "department": "Elsewhere"})
	canary.becomes(t, contoso, nil)
}

func eventDriven(t *testing.T, w *town) {
	began := time.Now()
	p := w.hire(t, us, nil)
	p.arrives(t, contoso)
	t.Logf("joined and there after %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	p.leave(t)
	p.isRemoved(t, contoso, p.says(t, contoso, 0, "joined").External)
	t.Logf("left and gone after %s", time.Since(began).Round(time.Millisecond))
}

// foreseen is what a planner, as the command line has it, says of one user.
func (w *town) foreseen(t *testing.T, p person) provisioning.Preview {
	t.Helper()
	planner, err := app.NewPlanner(t.Context(), w.config, w.options)
	if err != nil {
		t.Fatal(err)
	}
	defer planner.Close()
	route, known := w.config.Topology.Route(p.route(contoso))
	if !known {
		t.Fatalf("there is no route %s", p.route(contoso))
	}
	preview, err := planner.Previewer.Preview(t.Context(), route, p.id)
	if err != nil {
		t.Fatal(err)
	}
	return preview
}

func dryRun(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, contoso)
	if got := w.foreseen(t, p).Decision; got.Action != provisioning.ActionNone {
		t.Errorf("when all is done: %s, %s", got.Action, got.Reason)
	}
	w.ask(t, contoso, http.MethodPatch, "/users/"+external, edits{"department": "Changed"})
	got := w.foreseen(t, p)
	changes, want := got.Decision.Changes(), provisioning.AttributeChange{Name: "department", Before: "Changed", After: p.born["department"]}
	if got.Decision.Action != provisioning.ActionUpdate || len(changes) != 1 || changes[0] != want {
		t.Errorf("a plan says %s %v", got.Decision.Action, changes)
	}
	if there := w.user(contoso, external)["department"]; there != "Changed" {
		t.Errorf("a plan wrote: department is %v", there)
	}
}

func deadLetterReplayed(t *testing.T, w *town) {
	body := w.newcomer(us, nil)
	own := w.hire(t, contoso, edits{"mail": body["mail"]})
	p := w.hireAs(t, us, body)
	e := p.says(t, contoso, 0, "of the target's own has the address")
	if e.Outcome != "terminal" {
		t.Errorf("it ends %s, want terminal", e.Outcome)
	}
	own.leave(t)
	w.replayed(t, p, contoso, "address in use")
	p.arrives(t, contoso)
}

func singleUser(t *testing.T, w *town) {
	p, other := w.hire(t, us, nil), w.hire(t, us, nil)
	p.arrives(t, contoso)
	external := other.arrives(t, contoso)
	w.ask(t, contoso, http.MethodPatch, "/users/"+external, edits{"jobTitle": "Changed"})
	if got := w.foreseen(t, p); got.Name != p.born["userPrincipalName"] || !got.Linked || got.Decision.Action != provisioning.ActionNone {
		t.Errorf("of %s alone: %+v", p.id, got)
	}
	var answer look.Answer
	name := fmt.Sprint(other.born["userPrincipalName"])
	w.manage(t, "look", look.Request{Route: other.route(contoso), Users: []string{name}}, &answer)
	if !slices.Equal(answer.Users, []string{other.id}) {
		t.Fatalf("%v are looked at", answer.Users)
	}
	other.becomes(t, contoso, edits{"jobTitle": other.born["jobTitle"]})
	if e := other.says(t, contoso, 0, "these attributes differ: jobTitle"); e.Trace != answer.Traces[0] || e.Cause != "asked" {
		t.Errorf("the journal has %+v", e)
	}
}

func logged(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, contoso)
	p.change(t, edits{"department": "Night Shift"})
	e := p.says(t, contoso, 0, "these attributes differ: department")
	want := provisioning.AttributeChange{Name: "department", Before: p.born["department"], After: "Night Shift"}
	if e.External != external || len(e.Changes) != 1 || e.Changes[0] != want || e.Operations[0] != "update department" || e.Trace == "" || e.Message == "" {
		t.Errorf("the journal has %+v", e)
	}
	if len(e.Requests) == 0 || e.Requests[len(e.Requests)-1].Method != http.MethodPatch || e.Requests[0].ID == "" {
		t.Errorf("its requests are %+v, want the last to be the update", e.Requests)
	}
}
