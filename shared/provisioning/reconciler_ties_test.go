package provisioning_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

// granting gives something to everybody, or to whom a condition lets have it.
func granting(g provisioning.Grant, when string) rule {
	return func(r *provisioning.Rules) {
		a := provisioning.AccessRule{Grant: g}
		if when != "" {
			a.When = expression(when, mapping.Flag)
		}
		r.Access = append(r.Access, a)
	}
}

const inSales = `user.department == "Sales"`

// has checks what somebody's external user has been granted, and what of it the link takes for ours.
func (o *office) has(t *testing.T, user string, ours []provisioning.Grant, others ...provisioning.Grant) {
	t.Helper()
	link := o.Link(user)
	got := o.Given(link.External)
	for _, g := range append(slices.Clone(ours), others...) {
		if !slices.Contains(got, g) {
			t.Errorf("%s lacks %v", user, g)
		}
	}
	if len(got) != len(ours)+len(others) || len(link.Granted) != len(ours) {
		t.Errorf("%s has %v, of which %v count as ours; want %v and %v", user, got, link.Granted, ours, others)
	}
	for _, g := range ours {
		if !slices.Contains(link.Granted, g) {
			t.Errorf("%v does not count as ours", g)
		}
	}
}

// follows settles the changes that were sent, as the bus does.
func (o *office) follows(t *testing.T) (causes []change.Cause) {
	t.Helper()
	for _, c := range o.Sent() {
		if result := o.settle(t, c); result.Kind != outcome.Done {
			t.Errorf("the look at %s ends %v: %v", c.User, result.Kind, result.Err)
		}
		causes = append(causes, c.Cause)
	}
	return causes
}

// manager is who manages somebody in the target, by the source user whose external user that is; "" nobody.
func (o *office) manager(user string, others ...string) string {
	for _, e := range o.Live() {
		if e.ID != o.Link(user).External {
			continue
		}
		if e.Manager == "" {
			return ""
		}
		for _, other := range others {
			if e.Manager == o.Link(other).External {
				return other
			}
		}
		return e.Manager
	}
	return "no such user"
}

func TestAccessFollowsAPerson(t *testing.T) {
	o := ruled(granting(sales, inSales), granting(ledger, ""))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.has(t, user, []provisioning.Grant{sales, ledger})
	o.Change(user, attributes{"department": "Research"})
	o.done(t, user)
	o.has(t, user, []provisioning.Grant{ledger})
	o.Change(user, attributes{"department": "Sales"})
	o.done(t, user)
	o.has(t, user, []provisioning.Grant{sales, ledger})
	o.Take(o.Link(user).External, sales) // somebody in the target takes it away
	o.done(t, user)
	o.has(t, user, []provisioning.Grant{sales, ledger})
}

func TestAccessThatSomebodyElseGrantedIsNeverRevoked(t *testing.T) {
	o := ruled(granting(sales, inSales))
	guest := o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
	o.Give(guest, sales)
	o.Give(guest, auditor)
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.has(t, user, nil, sales, auditor)
	o.Change(user, attributes{"department": "Research"})
	o.done(t, user)
	o.has(t, user, nil, sales, auditor)
}

func TestAccessThatARouteNoLongerNamesIsRevoked(t *testing.T) {
	o := ruled(granting(sales, ""))
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Give(external, traders)
	o.Rules = nil
	o.done(t, user)
	o.has(t, user, nil, traders)
}

func TestAccessIsOursAlsoWhenTheAnswerToTheGrantIsLost(t *testing.T) {
	o := ruled(granting(sales, inSales))
	user := o.Hire("ana@fabrikam.example")
	o.After(provisioningtest.Grant, 1, func() error { return errors.New("connection reset") })
	o.done(t, user)
	o.has(t, user, []provisioning.Grant{sales})
	o.Change(user, attributes{"department": "Research"})
	o.done(t, user)
	o.has(t, user, nil)
}

func TestAccessIsRevokedAlsoWhereALookIsOld(t *testing.T) {
	o := ruled(granting(sales, inSales))
	o.LagGrants()
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.has(t, user, []provisioning.Grant{sales})
	o.done(t, user) // the look does not show the grant yet, and it is there already
	o.has(t, user, []provisioning.Grant{sales})
	o.Change(user, attributes{"department": "Research"})
	o.done(t, user)
	o.has(t, user, nil)
}

func TestARevocationThatAReplicaDidNotTakeIsRepeated(t *testing.T) {
	o := ruled(granting(ledger, inSales))
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"department": "Research"})
	o.After(provisioningtest.Revoke, 1, func() error {
		o.Give(external, ledger) // the replica knew of no assignment, and said so
		return nil
	})
	c := o.event(user)
	result := outcome.Of(o.work(t, c))
	if !result.Planned || result.Delay > 3*time.Minute {
		t.Fatalf("it ends %v after %v, want another look", result.Kind, result.Delay)
	}
	o.Advance(result.Delay)
	c = c.Planned(1, o.Now())
	if result = outcome.Of(o.work(t, c)); !result.Planned {
		t.Fatalf("the look that finds it ends %v, want another look", result.Kind)
	}
	o.has(t, user, nil)
	o.Advance(result.Delay)
	if err := o.work(t, c.Planned(1, o.Now())); err != nil || len(o.Link(user).Revoked) > 0 {
		t.Errorf("the last look ends %v, and %v is still remembered", err, o.Link(user).Revoked)
	}
}

func TestAccessGrantedBySomebodyElseBetweenLookAndGrantIsTheirs(t *testing.T) {
	o := ruled(granting(sales, inSales))
	o.Before(provisioningtest.Grant, 1, func() error {
		o.Give(o.Live()[0].ID, sales)
		return nil
	})
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.has(t, user, nil, sales)
}

func TestAccessThatIsRefusedKeepsNothingElseFromHappening(t *testing.T) {
	o := ruled(granting(sales, ""), granting(traders, ""), granting(ledger, ""))
	o.Fail(provisioningtest.Grant, 1, outcome.Fail("dynamic group", errors.New("its members follow from a rule")))
	user := o.Hire("ana@fabrikam.example")
	if result := o.settle(t, o.event(user)); result.Kind != outcome.Terminal || result.Code != "dynamic group" {
		t.Errorf("it ends %v, %s", result.Kind, result.Code)
	}
	o.right(t, user)
	o.has(t, user, []provisioning.Grant{traders, ledger})
}

func TestAFailureThatMayHealGoesBeforeOneThatCannot(t *testing.T) {
	o := ruled(granting(sales, ""), granting(traders, ""))
	o.Fail(provisioningtest.Grant, 1, outcome.Fail("dynamic group", errors.New("its members follow from a rule")))
	o.After(provisioningtest.Grant, 1, func() error { return errors.New("connection reset") })
	user := o.Hire("ana@fabrikam.example")
	if kind, _ := outcomeOf(o.work(t, o.event(user))); kind != outcome.Retry {
		t.Errorf("it ends %v, want retry", kind)
	}
}

func TestAccessThatCannotBeToldStopsThisUserAndKeepsNobodyEnabled(t *testing.T) {
	o := ruled(granting(sales, "user.employeeLeaveDateTime > now"))
	user := o.Hire("ana@fabrikam.example")
	o.Change(user, attributes{"employeeLeaveDateTime": o.Now().Add(time.Hour)})
	o.done(t, user)
	o.has(t, user, []provisioning.Grant{sales})
	o.Change(user, attributes{"employeeLeaveDateTime": nil})
	if result := o.settle(t, o.event(user)); result.Kind != outcome.Terminal || result.Code != "access unclear" {
		t.Errorf("it ends %v, %s: %v", result.Kind, result.Code, result.Err)
	}
	o.Change(user, attributes{"accountEnabled": false})
	o.done(t, user)
	if live := o.Live(); live[0].Enabled() {
		t.Error("who is disabled in the source is enabled in the target")
	}
}

func TestRevocationsDoNotWaitForAnAttributeThatIsRefused(t *testing.T) {
	o := ruled(granting(sales, inSales))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"department": "Research"})
	o.Fail(provisioningtest.Update, 1, outcome.Fail("refused by graph", errors.New("no")))
	if result := o.settle(t, o.event(user)); result.Kind != outcome.Terminal {
		t.Errorf("it ends %v", result.Kind)
	}
	if given := o.Given(o.Link(user).External); len(given) > 0 {
		t.Errorf("the mover still has %v", given)
	}
}

func TestAManagerIsSetChangedAndRemoved(t *testing.T) {
	o := newOffice()
	boss, _ := o.hired(t, "boss@fabrikam.example")
	other, _ := o.hired(t, "other@fabrikam.example")
	user := o.Hire("ana@fabrikam.example")
	for _, manager := range []string{boss, other, "", boss} {
		o.Report(user, manager)
		o.done(t, user)
		if got := o.manager(user, boss, other); got != manager {
			t.Errorf("the manager is %q, want %q", got, manager)
		}
	}
}

func TestAManagerWhoComesOverLaterIsSetThen(t *testing.T) {
	o := newOffice()
	boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.done(t, user)
	if got := o.manager(user, boss); got != "" {
		t.Fatalf("the manager is %q before it is there", got)
	}
	o.done(t, boss)
	if causes := o.follows(t); !slices.Equal(causes, []change.Cause{change.CauseManager}) {
		t.Errorf("sent were %v", causes)
	}
	if got := o.manager(user, boss); got != boss {
		t.Errorf("the manager is %q, want the boss", got)
	}
	o.done(t, boss)
	if causes := o.follows(t); len(causes) > 0 {
		t.Errorf("it goes on: %v", causes)
	}
}

func TestAManagerWhoComesOverDuringALookIsNotMissed(t *testing.T) {
	o := newOffice()
	boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.Before(provisioningtest.Invite, 1, func() error { // her look is over, and her link does not name the boss yet
		o.done(t, boss)
		return nil
	})
	o.done(t, user)
	o.follows(t)
	if got := o.manager(user, boss); got != boss {
		t.Errorf("the manager is %q, want the boss", got)
	}
}

func TestAManagerWhoIsInvitedAnewIsSetAnew(t *testing.T) {
	o := newOffice()
	boss, external := o.hired(t, "boss@fabrikam.example")
	user := o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.done(t, user)
	o.PurgeExternal(external)
	o.Edit(o.Link(user).External, func(e *provisioning.External) { e.Manager = "" })
	o.Advance(time.Hour)
	o.done(t, boss)
	o.follows(t)
	if got := o.manager(user, boss); got != boss {
		t.Errorf("the manager is %q, want the boss's new external user", got)
	}
}

// Graph shows no manager while that one is deleted, and says nothing about the reports when it is restored.
func TestAManagerWhoComesBackIsSetAgain(t *testing.T) {
	for _, action := range []provisioning.LeaveAction{provisioning.LeaveRemove, provisioning.LeaveDisable, provisioning.LeaveKeep} {
		for _, meanwhile := range []string{"still its report", "without a manager"} {
			t.Run(string(action)+" and "+meanwhile, func(t *testing.T) {
				o := ruled(func(r *provisioning.Rules) { r.Leave.Deleted.Action = action })
				boss, _ := o.hired(t, "boss@fabrikam.example")
				user := o.Hire("ana@fabrikam.example")
				o.Report(user, boss)
				o.done(t, user)
				o.Leave(boss)
				o.done(t, user) // before anybody looked at the boss
				o.done(t, boss)
				o.done(t, user)
				o.follows(t)
				if got := o.manager(user, boss); got != "" {
					t.Errorf("the manager is %q while the boss is deleted", got)
				}
				want := boss
				if meanwhile != "still its report" {
					o.Report(user, "")
					want = ""
				}
				o.Return(boss)
				o.done(t, boss)
				o.follows(t)
				if got := o.manager(user, boss); got != want {
					t.Errorf("the manager is %q, want %q", got, want)
				}
				o.done(t, boss)
				if causes := o.follows(t); len(causes) > 0 {
					t.Errorf("it goes on: %v", causes)
				}
			})
		}
	}
}

// A directory that shows no manager while that one is deleted has nothing to take away, and brings it back with the manager.
func TestAManagerWhoCouldNotBeTakenAwayIsWhenRestored(t *testing.T) {
	o := newOffice()
	boss, external := o.hired(t, "boss@fabrikam.example")
	user := o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.done(t, user)
	o.Report(user, "")
	o.done(t, user)
	o.Leave(boss)
	o.done(t, boss)
	o.Return(boss)
	o.Edit(o.Link(user).External, func(e *provisioning.External) { e.Manager = external })
	o.done(t, boss)
	o.follows(t)
	if got := o.manager(user, boss); got != "" {
		t.Errorf("the manager is %q, want nobody", got)
	}
	o.done(t, boss)
	o.follows(t)
	o.done(t, boss)
	if causes := o.follows(t); len(causes) > 0 {
		t.Errorf("it goes on: %v", causes)
	}
}

func TestAManagerIsFoundWhenTheStoreIsLost(t *testing.T) {
	o := newOffice()
	boss, external := o.hired(t, "boss@fabrikam.example")
	user := o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.ForgetLinks()
	o.done(t, user)
	for _, e := range o.Live() {
		if e.ID == o.Link(user).External && e.Manager != external {
			t.Errorf("the manager is %q, want %q", e.Manager, external)
		}
	}
}

func TestReportsAreNotForgottenWhenTheBusFails(t *testing.T) {
	o := newOffice()
	boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.done(t, user)
	o.Fail(provisioningtest.Send, 1, errors.New("the bus is away"))
	o.done(t, boss)
	o.follows(t)
	if got := o.manager(user, boss); got != boss {
		t.Errorf("the manager is %q, want the boss", got)
	}
}

func TestTheManagersPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy        provisioning.Policy
		first, second string
	}{
		{provisioning.Enforce, "boss", ""},
		{provisioning.Once, "boss", "boss"},
		{provisioning.Report, "", ""},
		{"", "", ""},
	} {
		t.Run(string(tt.policy), func(t *testing.T) {
			o := ruled(func(r *provisioning.Rules) { r.Manager = tt.policy })
			boss, _ := o.hired(t, "boss@fabrikam.example")
			user := o.Hire("ana@fabrikam.example")
			o.Report(user, boss)
			names := map[string]string{"boss": boss, "": ""}
			o.done(t, user)
			if got := o.manager(user, boss); got != names[tt.first] {
				t.Errorf("the manager is %q, want %q", got, tt.first)
			}
			entries := o.Entries()
			if drift := slices.Contains(entries[len(entries)-1].Drift, "manager"); drift != (tt.policy == provisioning.Report) {
				t.Errorf("the journal reports drift: %v", drift)
			}
			o.Report(user, "")
			o.done(t, user)
			if got := o.manager(user, boss); got != names[tt.second] {
				t.Errorf("the manager is %q then, want %q", got, tt.second)
			}
		})
	}
}

func TestWhoIsRestoredIsLookedAtAgain(t *testing.T) {
	o := ruled(granting(sales, inSales))
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Leave(user)
	o.done(t, user)
	o.removed(t, user, external)
	o.Change(user, attributes{"department": "Research"})
	o.Return(user)
	result := outcome.Of(o.work(t, o.event(user)))
	if !result.Planned {
		t.Errorf("it ends %v, want another look", result.Kind)
	}
	o.done(t, user)
	o.has(t, user, nil)
}
