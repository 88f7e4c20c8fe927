package provisioning_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

func TestWhoIsDisabledIsBlockedAlsoWhenNothingElseCanBeRead(t *testing.T) {
	for _, call := range []provisioningtest.Call{provisioningtest.Grants, provisioningtest.Find} {
		for name, err := range map[string]error{
			"refused":   outcome.Fail("permission denied", errors.New("403")),
			"not found": provisioning.ErrNotFound,
			"failed":    errors.New("connection reset"),
		} {
			t.Run(string(call)+" is "+name, func(t *testing.T) {
				o := ruled(granting(sales, inSales))
				boss, _ := o.hired(t, "boss@fabrikam.example")
				user, external := o.hired(t, "ana@fabrikam.example")
				o.Report(user, boss)
				o.Change(user, attributes{"accountEnabled": false})
				o.Fail(call, 1, err)
				if kind := outcome.Of(o.work(t, o.event(user))).Kind; kind == outcome.Done {
					t.Error("what could not be read counts as done")
				}
				for _, e := range o.Live() {
					if e.ID == external && e.Enabled() {
						t.Error("who is disabled in the source is enabled in the target")
					}
				}
				o.done(t, user)
				if got := o.manager(user, boss); got != boss {
					t.Errorf("then the manager is %q", got)
				}
			})
		}
	}
}

func TestWhoIsDisabledIsBlockedWhileTheRemovalIsHeld(t *testing.T) {
	for name, leave := range map[string]struct {
		rules []rule
		do    func(*office, string)
	}{
		"out of scope, too":       {[]rule{groups("g1")}, func(o *office, user string) { o.Join(user) }},
		"removed when disabled":   {[]rule{groups("g1"), leaving(remove, remove, remove)}, func(*office, string) {}},
		"the removal is due then": {[]rule{groups("g1"), leaving(remove, afterMonth, afterMonth)}, func(o *office, user string) { o.Join(user) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := ruled(leave.rules...)
			user := o.Hire("ana@fabrikam.example")
			o.Join(user, "g1")
			o.done(t, user)
			o.HoldDepartures(true)
			leave.do(o, user)
			o.Change(user, attributes{"accountEnabled": false})
			for range 2 {
				o.settle(t, o.event(user))
				o.Advance(month)
			}
			if live := o.Live(); len(live) != 1 || live[0].Enabled() {
				t.Errorf("live are %+v, want a block", live)
			}
			o.HoldDepartures(false)
			if strings.HasPrefix(name, "removed") {
				o.done(t, user, approved)
				o.removed(t, user, o.Link(user).External)
			}
			o.HoldDepartures(false)
			o.Join(user, "g1")
			o.Change(user, attributes{"accountEnabled": true})
			o.done(t, user) // a block of ours, which goes with its reason
			o.right(t, user)
		})
	}
}

func TestAChangeThatMeetsARunWhichPlansALaterLookDoesNotWaitForIt(t *testing.T) {
	for name, took := range map[string]time.Duration{"a short run": 0, "a long run": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			o := ruled(leaving(remove, remove, afterMonth))
			user, _ := o.hired(t, "ana@fabrikam.example")
			o.Change(user, attributes{"accountEnabled": false})
			o.After(provisioningtest.User, 1, func() error {
				o.Advance(took)
				o.Change(user, attributes{"accountEnabled": true})
				return o.work(t, o.event(user)) // the holder of the lease is told
			})
			c := o.event(user)
			result := outcome.Of(o.work(t, c))
			if result.Delay > time.Minute {
				t.Fatalf("she is enabled again, and looked at after %v", result.Delay)
			}
			if result.Kind == outcome.Later {
				o.Advance(result.Delay)
				o.settle(t, c.Later(1))
			}
			o.right(t, user)
		})
	}
}

func TestAnApprovedDepartureOfWhoIsGoneForGoodByNowHappens(t *testing.T) {
	o := newOffice()
	user, external := o.hired(t, "ana@fabrikam.example")
	o.HoldDepartures(true)
	o.Leave(user)
	o.done(t, user)
	o.Advance(31 * 24 * time.Hour)
	o.Purge(user)
	o.done(t, user, forGood)
	o.HoldDepartures(false)
	o.done(t, user, approved, forGood) // as the function guard sends it
	o.removed(t, user, external)
}

func TestARevocationIsNotForgottenByARemovalAndARestoration(t *testing.T) {
	o := ruled(granting(sales, inSales))
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"department": "Research"})
	o.After(provisioningtest.Revoke, 1, func() error { o.Give(external, sales); return nil }) // a replica that knew of no membership
	_ = o.work(t, o.event(user))
	o.Leave(user)
	o.done(t, user)
	o.Advance(time.Hour)
	o.Return(user)
	o.done(t, user)
	o.Advance(time.Hour)
	o.done(t, user)
	if given := o.Given(external); len(given) > 0 {
		t.Errorf("she has %v again, which was revoked", given)
	}
}

func TestWhoWaitsForAManagerAndLeavesIsNotLookedAtForEver(t *testing.T) {
	for name, leave := range map[string]provisioning.Leave{"disable": disable, "keep": keep} {
		t.Run(name, func(t *testing.T) {
			o := ruled(groups("g1"), leaving(remove, leave, disable))
			boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
			o.Report(user, boss)
			o.Join(user, "g1")
			o.done(t, user)
			o.Join(user)
			o.done(t, user)
			o.Join(boss, "g1")
			o.done(t, boss)
			o.follows(t)
			o.done(t, user) // settle fails after fifty deliveries
		})
	}
}

func TestALookThatIsPlannedIsNotLostWhenSomethingIsRefused(t *testing.T) {
	for name, refuse := range map[string]func(*office){
		"a grant": func(o *office) { o.Fail(provisioningtest.Grant, 10, outcome.Fail("dynamic group", errors.New("no"))) },
		"an attribute": func(o *office) {
			o.Fail(provisioningtest.Update, 1, outcome.Fail("refused by graph", errors.New("no")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := ruled(leaving(remove, remove, afterMonth), granting(sales, `user.accountEnabled == false`))
			user, external := o.hired(t, "ana@fabrikam.example")
			left := o.Now()
			o.Change(user, attributes{"accountEnabled": false, "department": "Research"})
			o.After(provisioningtest.Update, 1, func() error { refuse(o); return nil }) // not the block
			c := o.event(user)
			result := outcome.Of(o.work(t, c))
			if result.Kind != outcome.Terminal || result.Then != month || !o.Link(user).LeftAt.Equal(left) {
				t.Fatalf("it ends %v, then a look after %v; she left on %v", result.Kind, result.Then, o.Link(user).LeftAt)
			}
			o.Advance(month)
			_ = o.work(t, c.Planned(1, o.Now()))
			o.removed(t, user, external)
		})
	}
}

func TestAccessOfAnExternalUserThatOnlyTheInvitationFindsIsNotOurs(t *testing.T) {
	o := ruled(granting(sales, inSales))
	o.Lag()
	guest := o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
	o.Give(guest, sales)
	user := o.Hire("ana@fabrikam.example")
	o.done(t, user)
	o.CatchUp()
	o.Change(user, attributes{"department": "Research"})
	o.done(t, user)
	if !slices.Contains(o.Given(guest), sales) {
		t.Error("what an administrator granted was revoked")
	}
}

func TestAGrantThatWasNeverTriedIsNotOurs(t *testing.T) {
	o := ruled()
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Rules = ruled(granting(sales, inSales), computed("jobTitle", `"Chemist"`)).Rules
	o.Fail(provisioningtest.Update, 1, outcome.Fail("refused by graph", errors.New("no")))
	o.settle(t, o.event(user))
	o.Give(external, sales)
	o.Change(user, attributes{"department": "Research"})
	o.done(t, user)
	o.has(t, user, nil, sales)
}

func TestReportsGetTheirManagerAlsoWhenSomethingOfTheManagerIsRefused(t *testing.T) {
	o := ruled(granting(sales, `user.department == "Board"`))
	boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
	o.Change(boss, attributes{"department": "Board"})
	o.Report(user, boss)
	o.done(t, user)
	o.Fail(provisioningtest.Grant, 1, outcome.Fail("dynamic group", errors.New("no")))
	o.settle(t, o.event(boss))
	o.follows(t)
	if got := o.manager(user, boss); got != boss {
		t.Errorf("the manager is %q, want the boss", got)
	}
}

func TestAManagerWhoseExternalUserIsGoneIsLookedAtWhenAReportNeedsIt(t *testing.T) {
	o := newOffice()
	boss, external := o.hired(t, "boss@fabrikam.example")
	user := o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.done(t, user)
	o.PurgeExternal(external)
	o.Edit(o.Link(user).External, func(e *provisioning.External) { e.Manager = "" })
	o.Advance(time.Hour)
	c := o.event(user)
	if kind, _ := outcomeOf(o.work(t, c)); kind != outcome.Retry {
		t.Fatalf("it ends %v, want retry", kind)
	}
	o.follows(t) // the boss, and what follows from it
	o.settle(t, c.Retry(1))
	if got := o.manager(user, boss); got != boss {
		t.Errorf("the manager is %q, want the boss", got)
	}
	sent := 0
	for range 20 { // nobody sends looks back and forth
		more := o.Sent()
		sent += len(more)
		for _, c := range more {
			o.settle(t, c)
		}
	}
	if sent > 3 {
		t.Errorf("%d more looks", sent)
	}
}

func TestAPlannedLookDoesNotHideThatTheJournalFails(t *testing.T) {
	o := ruled(leaving(remove, remove, afterMonth))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"accountEnabled": false})
	o.Fail(provisioningtest.Append, 1, errors.New("the disk is full"))
	if kind, code := outcomeOf(o.work(t, o.event(user))); kind != outcome.Retry || code != "journal not written" {
		t.Errorf("it ends %v, %s", kind, code)
	}
}

func TestWhoeverIsRemovedWhileTheGuardIsOffIsNotHeldAnyMore(t *testing.T) {
	o := ruled()
	user, external := o.hired(t, "ana@fabrikam.example")
	o.HoldDepartures(true)
	o.Leave(user)
	o.done(t, user)
	o.Rules = ruled(func(r *provisioning.Rules) { r.Guard.Window = 0 }).Rules
	o.done(t, user)
	o.removed(t, user, external)
	if o.Link(user).Held {
		t.Error("the departure is still held")
	}
}

func TestOneReasonIsOneDeadLetterHoweverOftenASweepComesUponIt(t *testing.T) {
	sweep := func(c *change.Change) { c.Cause = change.CauseSweep }
	o := newOffice()
	user := o.Hire("ana+x@fabrikam.example")
	if kind, _ := outcomeOf(o.work(t, o.event(user))); kind != outcome.Terminal {
		t.Fatalf("it ends %v", kind)
	}
	if result := o.settle(t, o.event(user, sweep)); result.Kind != outcome.Done {
		t.Errorf("the sweep makes another: %v", result.Kind)
	}
	if kind, _ := outcomeOf(o.work(t, o.event(user))); kind != outcome.Terminal {
		t.Errorf("a new event ends %v", kind)
	}
	o.Change(user, attributes{"mail": "ana@fabrikam.example"})
	o.done(t, user)
	o.Fail(provisioningtest.Update, 1, outcome.Fail("refused by graph", errors.New("no")))
	o.Change(user, attributes{"department": "Research"})
	if kind, _ := outcomeOf(o.work(t, o.event(user, sweep))); kind != outcome.Terminal {
		t.Errorf("a reason that only the sweep found ends %v", kind)
	}
}
