package provisioning_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

func approved(c *change.Change) { c.Cause = change.CauseApproved }

func TestReconcileHoldsADepartureAndDoesEverythingElse(t *testing.T) {
	o := newOffice()
	leaver, external := o.hired(t, "ana@fabrikam.example")
	mover, _ := o.hired(t, "ben@fabrikam.example")
	o.HoldDepartures(true)
	o.Leave(leaver)
	o.Change(mover, attributes{"department": "Research"})
	joiner := o.Hire("cleo@fabrikam.example")
	for _, user := range []string{leaver, mover, joiner} {
		o.done(t, user)
	}
	o.right(t, mover)
	o.right(t, joiner)
	if len(o.Live()) != 3 {
		t.Fatalf("live are %+v, want all three", o.Live())
	}
	entries := o.Entries()
	held := entries[len(entries)-3]
	if !held.Held || held.Action != provisioning.ActionRemove || len(held.Operations) > 0 || !strings.HasPrefix(held.Reason, "held by the guard") || held.Outcome != "done" {
		t.Errorf("the journal says %+v", held)
	}
	o.HoldDepartures(false) // as when somebody approves
	o.done(t, leaver, approved)
	o.removed(t, leaver, external)
}

func TestReconcileForgetsADepartureThatWasHeldWhenTheUserStays(t *testing.T) {
	o := newOffice()
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.HoldDepartures(true)
	o.Leave(user)
	o.done(t, user)
	if !o.Link(user).Held {
		t.Fatal("nothing is held")
	}
	o.Return(user)
	o.done(t, user)
	o.right(t, user)
	if o.Link(user).Held {
		t.Error("the departure of somebody who is back is still held")
	}
}

func TestReconcileBlocksWhoIsDisabledWhateverTheGuardSays(t *testing.T) {
	o := newOffice()
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.HoldDepartures(true)
	o.Change(user, attributes{"accountEnabled": false})
	o.done(t, user)
	o.right(t, user)
	want := guard.Departure{Route: provisioningtest.Route.Name, User: user, Reason: "the source user was disabled", At: o.Now(), Forced: true}
	if got := o.Departures(); len(got) != 1 || got[0] != want {
		t.Errorf("the guard was told %+v, want %+v", got, want)
	}
}

func TestReconcileHoldsBlocksOfPeopleWhoAreOnlyOutOfScope(t *testing.T) {
	o := ruled(groups("g1"), leaving(remove, afterMonth, disable))
	user := o.Hire("ana@fabrikam.example")
	o.Join(user, "g1")
	o.done(t, user)
	o.right(t, user)
	o.HoldDepartures(true)
	o.Join(user)
	o.done(t, user)
	o.right(t, user)
	if link := o.Link(user); !link.Held || !link.LeftAt.IsZero() {
		t.Errorf("the link is %+v, want it held and nobody leaving", link)
	}
}

func TestReconcileRemovesNobodyWhenTheGuardCannotBeAsked(t *testing.T) {
	for _, call := range []provisioningtest.Call{provisioningtest.Admit, provisioningtest.Withdraw} {
		t.Run(string(call), func(t *testing.T) {
			o := newOffice()
			user, external := o.hired(t, "ana@fabrikam.example")
			o.HoldDepartures(call == provisioningtest.Withdraw)
			o.Leave(user)
			if call == provisioningtest.Withdraw {
				o.done(t, user)
				o.Return(user)
			}
			o.Fail(call, 1, errors.New("the disk is full"))
			if kind, _ := outcomeOf(o.work(t, o.event(user))); kind != outcome.Retry {
				t.Errorf("outcome %v, want retry", kind)
			}
			if len(o.Live()) != 1 {
				t.Fatal("somebody was removed")
			}
			o.Advance(time.Minute)
			o.HoldDepartures(false)
			o.done(t, user)
			if call == provisioningtest.Admit {
				o.removed(t, user, external)
			} else {
				o.right(t, user)
			}
		})
	}
}

func TestReconcileAsksNobodyWhereTheGuardIsOff(t *testing.T) {
	o := ruled(func(r *provisioning.Rules) { r.Guard = guard.Limits{} })
	user, external := o.hired(t, "ana@fabrikam.example")
	o.HoldDepartures(true)
	o.Leave(user)
	o.done(t, user)
	o.removed(t, user, external)
	if asked := o.Departures(); len(asked) > 0 {
		t.Errorf("it was asked about %+v", asked)
	}
}
