package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/app"
)

// lifecycleRows are about what becomes of external users when their source users leave and come back.
var lifecycleRows = []row{
	{13, "source delete, unassign or scope loss: a soft delete, or what the rules say", leaves},
	{13, "source delete: confirmed by a second look when Graph says that it is for good", purged},
	{13, "scope loss: disabled at once and removed later, unless somebody is back before", removedLater},
	{14, "source disabled: cannot sign in, keeps following, and may again when enabled", disabled},
	{14, "source disabled: who is disabled before ever coming over stays away", neverEnabled},
	{15, "disabled, then removed from the group: is removed, and not left behind", disabledThenOut},
	{16, "restore within 30 days: the same object, with all that it had", restored},
	{16, "restore within 30 days: also when somebody in the target had removed it", removedThere},
	{18, "sign-in block set by the target admin: is respected", localBlock},
	{18, "sign-in block set by the target admin: is lifted where the rules say so", localBlockOverridden},
	{22, "deletion guard: each route has its own, holds what is too much, and lets it go one by one", guarded},
}

func TestTheFeatureTableLifecycle(t *testing.T) {
	t.Parallel()
	w := settle(t, build(t, blueprint{tenants: simulated(us, contoso, woodgrove, adatum), options: app.Options{SecondLook: time.Second}}))
	w.named["staff"] = w.group(t, us, "staff", nil) // which comes over to woodgrove
	w.serve(t, fmt.Sprintf(`
- source: fabrikam-us
  target: contoso
  scope: {when: user.companyName != "Elsewhere"}
  guard: off
- source: fabrikam-us
  target: woodgrove
  scope: {groups: [%s]}
  leave:
    deleted: keep
    outOfScope: {action: disable, removeAfter: 3s}
    disabled: disable
  overrideBlocks: true
  guard: off
- source: fabrikam-us
  target: adatum
  scope: {when: user.companyName == "Guarded" && user.department != "Closed"}
  guard: {removals: 1, percent: 0, window: 1h}
`, w.named["staff"]))
	show(t, w, lifecycleRows)
}

// member is somebody new in the staff, and their external users in contoso and woodgrove.
func (w *town) member(t *testing.T) (p person, inContoso, inWoodgrove string) {
	t.Helper()
	p = w.hire(t, us, nil)
	w.put(t, us, w.named["staff"], p.id)
	p.touch(t)
	return p, p.arrives(t, contoso), p.arrives(t, woodgrove)
}

func leaves(t *testing.T, w *town) {
	deleted, _, kept := w.member(t)
	external := deleted.arrives(t, contoso)
	deleted.leave(t)
	deleted.isRemoved(t, contoso, external)
	deleted.says(t, woodgrove, 0, "the rules keep its external user")
	deleted.becomes(t, woodgrove, edits{"id": kept, "accountEnabled": true})

	lost := w.hire(t, us, nil)
	external = lost.arrives(t, contoso)
	lost.change(t, edits{"companyName": "Elsewhere"})
	lost.isRemoved(t, contoso, external)
	lost.change(t, edits{"companyName": nil})
	lost.becomes(t, contoso, edits{"id": external, "companyName": nil})
}

func purged(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, contoso)
	p.leave(t)
	p.ask(t, http.MethodDelete, "/directory/deletedItems/"+p.id, nil)
	p.isRemoved(t, contoso, external)
}

func removedLater(t *testing.T, w *town) {
	gone, _, goes := w.member(t)
	back, _, stays := w.member(t)
	for _, p := range []person{gone, back} {
		w.take(t, us, w.named["staff"], p.id)
		p.touch(t)
	}
	gone.becomes(t, woodgrove, edits{"id": goes, "accountEnabled": false})
	back.becomes(t, woodgrove, edits{"id": stays, "accountEnabled": false})
	w.put(t, us, w.named["staff"], back.id)
	back.touch(t)
	back.becomes(t, woodgrove, edits{"id": stays, "accountEnabled": true})
	gone.isRemoved(t, woodgrove, goes)
	back.becomes(t, woodgrove, edits{"id": stays, "accountEnabled": true})
	if e := gone.says(t, woodgrove, 0, "that was on"); e.Cause != "planned" || e.Action != "remove" {
		t.Errorf("the journal says %s because of %s, want a removal that was planned", e.Action, e.Cause)
	}
}

func disabled(t *testing.T, w *town) {
	p, external, _ := w.member(t)
	p.change(t, edits{"accountEnabled": false})
	p.becomes(t, contoso, edits{"id": external, "accountEnabled": false})
	p.becomes(t, woodgrove, edits{"accountEnabled": false})
	p.change(t, edits{"department": "Leave of Absence"})
	p.becomes(t, contoso, edits{"accountEnabled": false, "department": "Leave of Absence"})
	p.change(t, edits{"accountEnabled": true})
	p.becomes(t, contoso, edits{"id": external, "accountEnabled": true})
	p.becomes(t, woodgrove, edits{"accountEnabled": true})
}

func neverEnabled(t *testing.T, w *town) {
	p := w.hire(t, us, edits{"accountEnabled": false})
	p.staysAway(t, contoso, "disabled in the source before it ever came over")
	p.change(t, edits{"accountEnabled": true})
	p.becomes(t, contoso, edits{"accountEnabled": true})
}

func disabledThenOut(t *testing.T, w *town) {
	p, external, inWoodgrove := w.member(t)
	p.change(t, edits{"accountEnabled": false})
	p.becomes(t, contoso, edits{"accountEnabled": false})
	p.becomes(t, woodgrove, edits{"accountEnabled": false})
	p.change(t, edits{"companyName": "Elsewhere"})
	p.isRemoved(t, contoso, external)
	w.take(t, us, w.named["staff"], p.id)
	p.touch(t)
	p.isRemoved(t, woodgrove, inWoodgrove)
}

func restored(t *testing.T, w *town) {
	boss, p := w.hire(t, us, nil), w.hire(t, us, nil)
	p.reportsTo(t, boss)
	bossThere, external := boss.arrives(t, contoso), p.arrives(t, contoso)
	p.hasManager(t, contoso, bossThere)
	p.leave(t)
	p.isRemoved(t, contoso, external)
	p.back(t)
	p.change(t, edits{"department": "Back"})
	p.becomes(t, contoso, edits{"id": external, "department": "Back", "accountEnabled": true})
	p.hasManager(t, contoso, bossThere)
	if _, removed := p.twins(contoso); len(removed) > 0 {
		t.Errorf("%d more are among the deleted", len(removed))
	}
}

func removedThere(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, contoso)
	w.ask(t, contoso, http.MethodDelete, "/users/"+external, nil)
	p.touch(t)
	p.says(t, contoso, 0, "somebody removed the external user in the target, but its source user is still here")
	p.becomes(t, contoso, edits{"id": external})
}

func localBlock(t *testing.T, w *town) {
	p := w.hire(t, us, nil)
	external := p.arrives(t, contoso)
	w.ask(t, contoso, http.MethodPatch, "/users/"+external, edits{"accountEnabled": false})
	p.change(t, edits{"department": "Elsewhere"})
	p.becomes(t, contoso, edits{"department": "Elsewhere", "accountEnabled": false})
	p.change(t, edits{"accountEnabled": false})
	p.change(t, edits{"accountEnabled": true, "department": "Here"})
	p.becomes(t, contoso, edits{"department": "Here", "accountEnabled": false})
}

func localBlockOverridden(t *testing.T, w *town) {
	p, _, external := w.member(t)
	w.ask(t, woodgrove, http.MethodPatch, "/users/"+external, edits{"accountEnabled": false})
	p.touch(t)
	p.becomes(t, woodgrove, edits{"id": external, "accountEnabled": true})
}

func guarded(t *testing.T, w *town) {
	const people = 4
	var crew []person
	var externals []string
	for range people {
		p := w.hire(t, us, edits{"companyName": "Guarded"})
		crew, externals = append(crew, p), append(externals, p.arrives(t, adatum))
	}
	for _, p := range crew {
		p.change(t, edits{"department": "Closed"})
		p.becomes(t, contoso, edits{"department": "Closed"}) // where it means nothing
	}
	for _, p := range crew[1:] {
		p.says(t, adatum, 0, "held by the guard")
	}
	live := func() (n int) {
		for _, p := range crew {
			there, _ := p.twins(adatum)
			n += len(there)
		}
		return n
	}
	crew[0].isRemoved(t, adatum, externals[0])
	if n := live(); n != people-1 {
		t.Fatalf("%d of %d are there, want all but one", n, people)
	}
	crew[1].change(t, edits{"accountEnabled": false}) // never held
	crew[1].becomes(t, contoso, edits{"accountEnabled": false})

	decide := func(p person, what string) {
		t.Helper()
		var answer struct{ Decided []string }
		w.manage(t, "guard", map[string]any{"route": p.route(adatum), "users": []string{p.id}, "decision": what}, &answer)
		if !slices.Equal(answer.Decided, []string{p.id}) {
			t.Errorf("decided about %v, want %s", answer.Decided, p.id)
		}
	}
	decide(crew[2], "approve")
	decide(crew[3], "reject")
	crew[2].isRemoved(t, adatum, externals[2])
	if there, _ := crew[3].twins(adatum); len(there) != 1 {
		t.Error("whose removal was rejected is gone")
	}
	crew[3].change(t, edits{"department": "Sales"})
	crew[3].becomes(t, adatum, edits{"id": externals[3], "department": "Sales"})
}

// clock is one that a test can put forward. Safe for concurrent use.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// What takes days is shown with a clock that is put forward, in worlds of its own.
func TestTheFeatureTableInDays(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(t *testing.T, w *town, c *clock){
		"13 a month after they left they are removed": func(t *testing.T, w *town, c *clock) {
			gone, back := w.hire(t, us, nil), w.hire(t, us, nil)
			external, stays := gone.arrives(t, contoso), back.arrives(t, contoso)
			gone.change(t, edits{"accountEnabled": false})
			back.change(t, edits{"accountEnabled": false})
			gone.becomes(t, contoso, edits{"accountEnabled": false})
			back.becomes(t, contoso, edits{"accountEnabled": false})
			c.forward(29 * 24 * time.Hour)
			back.change(t, edits{"accountEnabled": true})
			back.becomes(t, contoso, edits{"id": stays, "accountEnabled": true})
			gone.change(t, edits{"department": "Still There"})
			gone.becomes(t, contoso, edits{"id": external, "department": "Still There"})
			c.forward(2 * 24 * time.Hour)
			back.change(t, edits{"accountEnabled": false})
			back.becomes(t, contoso, edits{"id": stays, "accountEnabled": false}) // its month begins anew
			gone.touch(t)
			gone.isRemoved(t, contoso, external)
		},
		"16 after 30 days there is a new one": func(t *testing.T, w *town, c *clock) {
			p := w.hire(t, us, nil)
			external := p.arrives(t, contoso)
			p.leave(t)
			p.isRemoved(t, contoso, external)
			eventually(t, soon, w.busy) // or the link may be so new at the end that the target may only be slow to show its user
			c.forward(30 * 24 * time.Hour)
			w.ask(t, contoso, http.MethodDelete, "/directory/deletedItems/"+external, nil)
			p.back(t)
			if again := p.arrives(t, contoso); again == external {
				t.Error("what was deleted for good is back")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{}
			w := settle(t, build(t, blueprint{tenants: simulated(us, contoso), options: app.Options{Now: c.now}}))
			w.serve(t, "- {source: fabrikam-us, target: contoso, leave: {disabled: {action: disable, removeAfter: 30d}}, trust: assumed}\n")
			show(t, w, c)
		})
	}
}
