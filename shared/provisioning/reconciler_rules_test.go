package provisioning_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

// ruled is an office whose route has rules.
func ruled(edits ...rule) *office {
	o := newOffice()
	o.Rules = map[string]*provisioning.Rules{provisioningtest.Route.Name: rules(edits...)}
	return o
}

func caughtUp(c *change.Change) { c.Cause = change.CauseCatchUp }

func TestReconcileRemovesWhoLeftWhenThatIsDue(t *testing.T) {
	o := ruled(leaving(afterMonth, remove, disable))
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Leave(user)
	c := o.event(user, caughtUp)
	result := outcome.Of(o.work(t, c))
	if result.Kind != outcome.Later || !result.Planned || result.Delay != month {
		t.Fatalf("she left: %v, planned %v, after %v; want a planned look after %v", result.Kind, result.Planned, result.Delay, month)
	}
	if live := o.Live(); len(live) != 1 || live[0].Enabled() {
		t.Fatalf("her external user is %+v, want it disabled", live)
	}
	o.Advance(month)
	if err := o.work(t, c.Planned(1, o.Now())); err != nil {
		t.Fatal(err)
	}
	o.removed(t, user, external)
}

func TestReconcileLetsWhoComesBackInTimeStay(t *testing.T) {
	o := ruled(leaving(afterMonth, remove, disable))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Leave(user)
	c := o.event(user, caughtUp)
	_ = o.work(t, c)
	o.Advance(time.Hour)
	o.Return(user)
	o.done(t, user)
	o.right(t, user)
	o.Advance(month)
	if err := o.work(t, c.Planned(1, o.Now())); err != nil { // the planned look comes all the same
		t.Fatal(err)
	}
	o.right(t, user)
	if left := o.Link(user).LeftAt; !left.IsZero() {
		t.Errorf("the link says that she left on %v", left)
	}
}

func TestReconcileFollowsTheGroupsOfTheScope(t *testing.T) {
	o := ruled(groups("g1", "g2"))
	user := o.Hire("ana@fabrikam.example")
	o.done(t, user)
	if len(o.Live()) > 0 {
		t.Fatal("she came over and is in no group")
	}
	o.Join(user, "g2", "another")
	o.done(t, user)
	o.right(t, user)
	external := o.Link(user).External
	o.Join(user, "another")
	o.done(t, user)
	o.removed(t, user, external)
}

func TestReconcileRemovesNobodyWhenTheGroupsCannotBeRead(t *testing.T) {
	for name, err := range map[string]error{
		"a failure":              errors.New("the network is down"),
		"no permission":          outcome.Fail("permission denied", errors.New("no")),
		"not found all at once":  provisioning.ErrNotFound,
		"throttled for a minute": outcome.RetryAfter(time.Minute, "throttled", errors.New("slow down")),
	} {
		t.Run(name, func(t *testing.T) {
			o := ruled(groups("g1"))
			user := o.Hire("ana@fabrikam.example")
			o.Join(user, "g1")
			o.done(t, user)
			o.Fail(provisioningtest.Groups, 1, err)
			if result := outcome.Of(o.work(t, o.event(user))); result.Kind == outcome.Done {
				t.Error("the failed look counts as one")
			}
			o.right(t, user)
		})
	}
}

func TestReconcileLooksTwiceBeforeItPlans(t *testing.T) {
	o := ruled(leaving(remove, remove, afterMonth))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Change(user, provisioning.Attributes{"accountEnabled": false})
	_ = o.work(t, o.event(user))
	c := o.event(user) // a notification that changes nothing, maybe because a replica is slow
	first := outcome.Of(o.work(t, c))
	if first.Kind != outcome.Later || first.Planned || first.Delay != provisioning.DefaultSecondLook {
		t.Errorf("the first look ends %v, planned %v, after %v", first.Kind, first.Planned, first.Delay)
	}
	o.Advance(first.Delay)
	if second := outcome.Of(o.work(t, c.Later(1))); !second.Planned {
		t.Errorf("the second look ends %v after %v, want it planned", second.Kind, second.Delay)
	}
}
