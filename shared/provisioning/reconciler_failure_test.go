package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

// What Graph says of somebody for the second time, and what the second look may see.
const purgedTwice, blind = "said to be deleted for good, long ago", "finds nobody"

// each is an error of every kind of call.
func each(err error) func(provisioningtest.Call) error {
	return func(provisioningtest.Call) error { return err }
}

// notFound is what a slow replica answers to those reads that may say so.
func notFound(call provisioningtest.Call) error {
	switch call {
	case provisioningtest.User, provisioningtest.External, provisioningtest.Groups, provisioningtest.Grants:
		return provisioning.ErrNotFound
	}
	return nil
}

// failures are the ways in which any call may fail.
var failures = map[string]func(provisioningtest.Call) error{
	"is throttled":    each(outcome.RetryAfter(time.Minute, "throttled", errors.New("429 TooManyRequests"))),
	"fails":           each(errors.New("503 ServiceUnavailable")),
	"is forbidden":    each(outcome.Fail("forbidden", errors.New("403 Authorization_RequestDenied"))),
	"has no time":     each(context.DeadlineExceeded),
	blind:             notFound,
	"loses its lease": func(call provisioningtest.Call) error { return leaseLost[call] },
}

var leaseLost = map[provisioningtest.Call]error{provisioningtest.Save: provisioning.ErrLeaseLost, provisioningtest.Release: provisioning.ErrLeaseLost}

// busy is a rule book in which every port is called: groups of the source, the manager, and access.
func busy(r *provisioning.Rules) {
	r.Scope.Groups = []string{"staff"}
	granting(sales, inSales)(r)
	granting(ledger, "")(r)
}

// members are people who must stay, in every situation in which a look may find them.
var members = map[string]func(t *testing.T, o *office, user, external string){
	"as before": func(*testing.T, *office, string, string) {},
	"moved":     func(_ *testing.T, o *office, user, _ string) { o.Change(user, attributes{"department": "Research"}) },
	"disabled":  func(_ *testing.T, o *office, user, _ string) { o.Change(user, attributes{"accountEnabled": false}) },
	"with a manager": func(t *testing.T, o *office, user, _ string) {
		boss := o.Hire("boss@fabrikam.example")
		o.Join(boss, "staff")
		o.done(t, boss)
		o.Report(user, boss)
	},
	"without a link":        func(_ *testing.T, o *office, _, _ string) { o.ForgetLinks() },
	"without a link or key": func(_ *testing.T, o *office, _, external string) { o.ForgetLinks(); o.Edit(external, keyless) },
	"removed in the target": func(_ *testing.T, o *office, _, external string) { o.Edit(external, deleted) },
	purgedTwice:             func(*testing.T, *office, string, string) {},
	"back after they left":  func(t *testing.T, o *office, user, _ string) { o.Leave(user); o.done(t, user); o.Return(user) },
	"whose address is new": func(_ *testing.T, o *office, user, _ string) {
		o.Change(user, attributes{"mail": "new@fabrikam.example"})
	},
	"whose departure waited": func(t *testing.T, o *office, user, _ string) {
		o.HoldDepartures(true)
		o.Leave(user)
		o.done(t, user)
		o.Return(user)
	},
}

// Whichever call fails, in whichever way, with or without having had its effect: nobody is removed who is in the source, nobody else is
// touched, and once all goes well again everything is right.
func TestNoFailureOfAnyCallRemovesAnybody(t *testing.T) {
	positions := 0
	for situation, begin := range members {
		for failing, failure := range failures {
			if situation == purgedTwice && failing == blind {
				continue // that is what confirms it
			}
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/a call %s/late %t", situation, failing, late), func(t *testing.T) {
					for k := 1; failAt(t, situation == purgedTwice, begin, k, late, failure); k++ {
						positions++
					}
				})
			}
		}
	}
	if positions < 1000 {
		t.Errorf("only %d calls failed", positions)
	}
	t.Logf("%d calls failed", positions)
}

// failAt plays one situation in which the k-th call fails; false: there were fewer calls.
func failAt(t *testing.T, purged bool, begin func(*testing.T, *office, string, string), k int, late bool, failure func(provisioningtest.Call) error) bool {
	t.Helper()
	o := ruled(busy)
	neighbour := o.Put("neighbour@contoso.example", provisioning.External{})
	stranger := o.Put("stranger@example.com", provisioning.External{Invited: true, SourceKey: foreignKey})
	user := o.Hire("ana@fabrikam.example")
	o.Join(user, "staff")
	o.done(t, user)
	external := o.Link(user).External
	begin(t, o, user, external)
	o.Advance(time.Hour)
	before := o.Live()
	c := o.event(user, func(c *change.Change) { c.Deleted, c.ArrivedAt = purged, o.Now().Add(-time.Hour) })

	o.FailAt(k, late, failure)
	err := o.work(t, c)
	reached := o.Calls() >= k
	o.FailAt(0, false, nil)
	for _, e := range before {
		live := slices.ContainsFunc(o.Live(), func(now provisioning.External) bool { return now.ID == e.ID })
		if !live {
			t.Errorf("the call of number %d failed, and %s was removed", k, e.ID)
		}
	}
	o.Advance(time.Minute) // a lease that could not be released has run out
	if result := outcome.Of(err); result.Kind == outcome.Later || result.Kind == outcome.Retry {
		o.settle(t, c.Retry(1))
	}
	o.done(t, user) // a dead letter, replayed
	o.follows(t)
	o.right(t, user)
	for _, id := range []string{neighbour, stranger} {
		was := slices.IndexFunc(before, func(e provisioning.External) bool { return e.ID == id })
		is := slices.IndexFunc(o.Live(), func(e provisioning.External) bool { return e.ID == id })
		if is < 0 || fmt.Sprint(o.Live()[is]) != fmt.Sprint(before[was]) {
			t.Errorf("the call of number %d failed, and somebody else, %s, was touched", k, id)
		}
	}
	return reached && !t.Failed()
}
