package provisioning_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// verdict is a Trust that says what the test says.
type verdict struct{ err error }

func (v *verdict) Check(context.Context, tenant.Route) error { return v.err }

var errUntrusted = errors.New("the target does not trust the source")

// untouched checks that the target is as it was, and that nothing is remembered of the user.
func (o *office) untouched(t *testing.T, user string, before []provisioning.External) {
	t.Helper()
	if after := o.Objects(); !reflect.DeepEqual(before, after) {
		t.Errorf("the target holds %+v, want it as it was: %+v", after, before)
	}
	if link := o.Link(user); !reflect.DeepEqual(link, provisioning.Link{Key: provisioningtest.Key(user)}) {
		t.Errorf("the link says %+v", link)
	}
}

func TestReconcileWritesNothingWhileTheRouteIsPausedAndEverythingAfterwards(t *testing.T) {
	trust := &verdict{}
	o := newOffice()
	o.Trust = trust
	leaver, external := o.hired(t, "ana@fabrikam.example")
	before := o.Objects()

	trust.err = outcome.PausedAfter(5*time.Minute, errUntrusted)
	o.Leave(leaver)
	joiner := o.Hire("ben@fabrikam.example")
	left, joined := o.event(leaver), o.event(joiner)
	for range 3 {
		for _, c := range []change.Change{left, joined} {
			if got := outcome.Of(o.work(t, c)); got.Kind != outcome.Later || !got.Paused || got.Delay != 5*time.Minute || !errors.Is(got.Err, errUntrusted) {
				t.Fatalf("got %+v, want a pause", got)
			}
		}
		o.Advance(5 * time.Minute)
		left, joined = left.PausedUntil(1, o.Now()), joined.PausedUntil(1, o.Now())
	}
	o.untouched(t, joiner, before)

	trust.err = nil
	for _, c := range []change.Change{left, joined} {
		if result := o.settle(t, c); result.Kind != outcome.Done {
			t.Errorf("the change of %s ends %v: %v", c.User, result.Kind, result.Err)
		}
	}
	o.removed(t, leaver, external)
	o.right(t, joiner)
}

func TestTheJournalSaysOnceOfEachChangeThatItsRouteIsPaused(t *testing.T) {
	o := newOffice()
	o.Trust = &verdict{outcome.PausedAfter(5*time.Minute, errUntrusted)}
	user := o.Hire("ana@fabrikam.example")
	for c, looks := o.event(user), 0; looks < 4; looks++ {
		_ = o.work(t, c)
		c = c.PausedUntil(1, o.Now())
	}
	_ = o.work(t, o.event(user)) // another change of the same user
	entries := o.Entries()
	if len(entries) != 2 {
		t.Fatalf("%d entries, want one for each change: %+v", len(entries), entries)
	}
	for _, e := range entries {
		if e.User != user || e.Action != provisioning.ActionNone || e.Outcome != "later" || !strings.Contains(e.Reason, "route paused") ||
			e.Error != errUntrusted.Error() {
			t.Errorf("the pause is told as %+v", e)
		}
	}
}

func TestReconcileWritesNothingBeforeTheFirstVerdict(t *testing.T) {
	o := newOffice()
	trust := &verdict{outcome.RetryAfter(0, "service unavailable", errors.New("503"))}
	o.Trust = trust
	user := o.Hire("ana@fabrikam.example")
	c := o.event(user)
	for range 2 {
		if got := outcome.Of(o.work(t, c)); got.Kind != outcome.Retry || got.Code != "service unavailable" {
			t.Errorf("got %+v, want what Graph said", got)
		}
		c = c.Retry(1)
	}
	o.untouched(t, user, nil)
	if entries := o.Entries(); len(entries) != 2 || entries[1].Outcome != "retry" {
		t.Errorf("the journal says %+v, want each attempt", entries)
	}
	trust.err = nil
	o.settle(t, c)
	o.right(t, user)
}

func TestTrustThatIsAssumedIsNotAskedFor(t *testing.T) {
	o := ruled(func(r *provisioning.Rules) { r.TrustAssumed = true })
	o.Trust = &verdict{outcome.PausedAfter(5*time.Minute, errUntrusted)}
	o.hired(t, "ana@fabrikam.example")
	other := provisioningtest.Route
	other.Name = "another"
	c := o.event(o.Hire("ben@fabrikam.example"))
	if got := outcome.Of(o.Reconcile(t.Context(), other, c, c.MessageID())); !got.Paused {
		t.Errorf("a route without rules: %+v, want a pause", got)
	}
}

func TestAPausedChangeIsNotLostWhenTheJournalFails(t *testing.T) {
	o := newOffice()
	o.Trust = &verdict{outcome.PausedAfter(5*time.Minute, errUntrusted)}
	o.Fail(provisioningtest.Append, 1, errors.New("disk full"))
	if got := outcome.Of(o.work(t, o.event(o.Hire("ana@fabrikam.example")))); got.Kind != outcome.Later || !strings.Contains(got.Err.Error(), "disk full") {
		t.Errorf("got %+v, want that it comes back", got)
	}
}
