package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

func TestReconcileConfirmsADeletionForGoodByASecondLook(t *testing.T) {
	t.Run("the user is gone at both", func(t *testing.T) {
		o := newOffice()
		user, external := o.hired(t, "ana@fabrikam.example")
		o.Purge(user)
		c := o.event(user, forGood)
		result := outcome.Of(o.work(t, c))
		if result.Kind != outcome.Later || result.Delay != provisioning.DefaultSecondLook {
			t.Fatalf("the first look ends %v after %v, want later after %v", result.Kind, result.Delay, provisioning.DefaultSecondLook)
		}
		if len(o.Live()) != 1 {
			t.Fatal("the first look removed already")
		}
		o.Advance(result.Delay)
		if err := o.work(t, c.Later(1)); err != nil {
			t.Fatal(err)
		}
		o.removed(t, user, external)
	})
	t.Run("the user is there again at the second", func(t *testing.T) {
		o := newOffice()
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Fail(provisioningtest.User, 1, provisioning.ErrNotFound) // a replica that lags
		o.done(t, user, forGood)
		o.right(t, user)
	})
	t.Run("the wait is the one that is set", func(t *testing.T) {
		o := newOffice()
		o.SecondLook = time.Hour
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Purge(user)
		if result := outcome.Of(o.work(t, o.event(user, forGood))); result.Delay != time.Hour {
			t.Errorf("the second look comes after %v, want an hour", result.Delay)
		}
	})
}

func TestReconcileRemovesNobodyOnAReadThatFails(t *testing.T) {
	failures := []struct {
		name string
		err  error
		want outcome.Kind
	}{
		{"401", outcome.RetryAfter(0, "unauthorized", errors.New("401 InvalidAuthenticationToken")), outcome.Retry},
		{"403", outcome.RetryAfter(0, "forbidden", errors.New("403 Authorization_RequestDenied")), outcome.Retry},
		{"403 for good", outcome.Fail("forbidden", errors.New("403 Authorization_RequestDenied")), outcome.Terminal},
		{"429", outcome.RetryAfter(time.Minute, "throttled", errors.New("429 TooManyRequests")), outcome.Retry},
		{"500", outcome.RetryAfter(0, "server error", errors.New("500 InternalServerError")), outcome.Retry},
		{"503", outcome.RetryAfter(0, "server error", errors.New("503 ServiceUnavailable")), outcome.Retry},
		{"timeout", fmt.Errorf("read the user: %w", context.DeadlineExceeded), outcome.Retry},
		{"cancelled", fmt.Errorf("read the user: %w", context.Canceled), outcome.Retry},
		{"unclassified", errors.New("no route to host"), outcome.Retry},
	}
	reads := []struct {
		call provisioningtest.Call
		gone func(*office, string) // how the user is, for this read to be made
	}{
		{provisioningtest.User, func(*office, string) {}},
		{provisioningtest.Deleted, func(o *office, u string) { o.Leave(u) }},
		{provisioningtest.External, func(*office, string) {}},
		{provisioningtest.ByKey, func(o *office, u string) { o.ForgetLinks() }},
		{provisioningtest.ByMail, func(o *office, u string) { o.ForgetLinks() }},
	}
	for _, read := range reads {
		for _, f := range failures {
			for _, hint := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/deleted hint %t", read.call, f.name, hint), func(t *testing.T) {
					o := newOffice()
					user, external := o.hired(t, "ana@fabrikam.example")
					read.gone(o, user)
					if read.call == provisioningtest.ByMail {
						o.Edit(external, func(e *provisioning.External) { e.SourceKey = "" })
					}
					o.Advance(time.Hour)
					o.Fail(read.call, 1, f.err)
					before := o.Objects()
					c := o.event(user, func(c *change.Change) { c.Deleted = hint })
					c.ArrivedAt = o.Now().Add(-time.Hour) // even the second look
					if kind, _ := outcomeOf(o.work(t, c)); kind != f.want {
						t.Errorf("outcome %v, want %v", kind, f.want)
					}
					if after := o.Objects(); !reflect.DeepEqual(before, after) {
						t.Errorf("a read that failed made %+v out of %+v", after, before)
					}
				})
			}
		}
	}
}

func TestReconcileOfSomebodyWhoLeavesBetweenTwoReads(t *testing.T) {
	o := ruled(func(r *provisioning.Rules) { r.Scope.Groups = []string{"staff"} })
	user := o.Hire("ana@fabrikam.example")
	o.Join(user, "staff")
	o.done(t, user)
	external := o.Link(user).External
	o.After(provisioningtest.User, 1, func() error { o.Leave(user); return nil })
	if err := o.work(t, o.event(user)); err != nil {
		t.Errorf("it ends %v, want done", err)
	}
	o.removed(t, user, external)
}

func TestReconcileRemovesNobodyWhoseGroupsAreNotFound(t *testing.T) {
	o := ruled(func(r *provisioning.Rules) { r.Scope.Groups = []string{"staff"} })
	user := o.Hire("ana@fabrikam.example")
	o.Join(user, "staff")
	o.done(t, user)
	o.Fail(provisioningtest.Groups, 1, provisioning.ErrNotFound)
	c := o.event(user, forGood)
	o.Advance(time.Hour) // even the second look of somebody who is said to be gone
	if kind, _ := outcomeOf(o.work(t, c)); kind != outcome.Retry {
		t.Errorf("outcome %v, want retry", kind)
	}
	if live := o.Live(); len(live) != 1 {
		t.Errorf("the target has %v", live)
	}
}

func TestReconcileRemovesNobodyWhoIsOnlyNotFound(t *testing.T) {
	o := newOffice()
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Fail(provisioningtest.User, 1, provisioning.ErrNotFound)
	if kind, code := outcomeOf(o.work(t, o.event(user))); kind != outcome.Retry || code != "source user not found" {
		t.Errorf("outcome %v %q, want retry", kind, code)
	}
	o.right(t, user)
}

func TestReconcileLooksASecondTimeWhenANotificationSeemsToChangeNothing(t *testing.T) {
	o := newOffice()
	user, external := o.hired(t, "ana@fabrikam.example")
	c := o.event(user)
	// A slow replica still shows her, so there seems to be nothing to do. Nothing will be notified again.
	result := outcome.Of(o.work(t, c))
	if result.Kind != outcome.Later || result.Delay != provisioning.DefaultSecondLook {
		t.Fatalf("outcome %v after %v, want later, after %v", result.Kind, result.Delay, provisioning.DefaultSecondLook)
	}
	o.Leave(user)
	o.Advance(result.Delay)
	if result := o.settle(t, c.Later(1)); result.Kind != outcome.Done {
		t.Fatalf("the second look ends %v: %v", result.Kind, result.Err)
	}
	o.removed(t, user, external)
}

func TestReconcileCountsNoLookAsTheSecondThatComesTooEarly(t *testing.T) {
	o := newOffice()
	user, external := o.hired(t, "ana@fabrikam.example")
	c := o.event(user)
	o.Fail(provisioningtest.External, 1, outcome.LaterAfter(time.Second, errors.New("429 TooManyRequests")))
	if result := outcome.Of(o.work(t, c)); result.Kind != outcome.Later || result.Delay != time.Second {
		t.Fatalf("outcome %v after %v, want later, when the target says", result.Kind, result.Delay)
	}
	o.Advance(time.Second)
	// This look is made from a slow replica, a second after the event.
	result := outcome.Of(o.work(t, c.Later(1)))
	if want := provisioning.DefaultSecondLook - time.Second; result.Kind != outcome.Later || result.Delay != want {
		t.Fatalf("outcome %v after %v, want later, after %v", result.Kind, result.Delay, want)
	}
	o.Leave(user)
	o.Advance(result.Delay)
	if result := o.settle(t, c.Later(1).Later(1)); result.Kind != outcome.Done {
		t.Fatalf("the second look ends %v: %v", result.Kind, result.Err)
	}
	o.removed(t, user, external)
}

func TestReconcileOfSomebodyWhoVanishedAfterTheRemovalIsDone(t *testing.T) {
	o := newOffice()
	user, external := o.hired(t, "ana@fabrikam.example")
	o.Leave(user)
	o.done(t, user)
	o.Purge(user)
	if result := o.settle(t, o.event(user)); result.Kind != outcome.Done {
		t.Errorf("outcome %v: %v; want done, there is nothing left to do", result.Kind, result.Err)
	}
	o.removed(t, user, external)
}

func TestReconcileForgetsAnInvitationThatWasRefused(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	o.Fail(provisioningtest.Invite, 1, outcome.Fail("permission denied", errors.New("403")))
	if kind, _ := outcomeOf(o.work(t, o.event(user))); kind != outcome.Terminal {
		t.Fatalf("outcome %v, want terminal", kind)
	}
	o.Change(user, provisioning.Attributes{provisioning.AttrMail: "other@fabrikam.example"})
	namesake := o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
	o.Leave(user)
	o.done(t, user)
	if live := o.Live(); len(live) != 1 || live[0].ID != namesake {
		t.Errorf("the target has %v, want the guest %s that is somebody else", live, namesake)
	}
}

func TestReconcileSaysWhatToDoAboutADeletedUserWithTheAddress(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	deleted := o.Put("ana@fabrikam.example", provisioning.External{Invited: true, Deleted: true})
	o.Fail(provisioningtest.Invite, 1, provisioning.Exists{ID: deleted})
	result := outcome.Of(o.work(t, o.event(user)))
	if result.Kind != outcome.Terminal || result.Code != "address in use" || !strings.Contains(result.Err.Error(), deleted) {
		t.Errorf("outcome %v %q: %v; want terminal, naming %s", result.Kind, result.Code, result.Err, deleted)
	}
}

func TestReconcilePlansAgainOnTheUserThatHasTheInvitedAddress(t *testing.T) {
	t.Run("an external user that the search does not show yet is taken over", func(t *testing.T) {
		o := newOffice()
		o.Lag()
		guest := o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
		user, external := o.hired(t, "ana@fabrikam.example")
		o.right(t, user)
		if external != guest {
			t.Errorf("she got %s, want the guest %s", external, guest)
		}
	})
	t.Run("her own external user that no search shows is linked again", func(t *testing.T) {
		o := newOffice()
		o.Lag()
		user, external := o.hired(t, "ana@fabrikam.example")
		o.ForgetLinks()
		o.done(t, user)
		o.right(t, user)
		if again := o.Link(user).External; again != external {
			t.Errorf("she got %s, want %s", again, external)
		}
	})
	t.Run("a user of the target's own is left alone", func(t *testing.T) {
		o := newOffice()
		o.Lag()
		o.Put("ana@fabrikam.example", provisioning.External{})
		before := o.Objects()
		result := o.settle(t, o.event(o.Hire("ana@fabrikam.example")))
		if result.Kind != outcome.Terminal || result.Code != "address in use" {
			t.Errorf("outcome %v %q, want terminal", result.Kind, result.Code)
		}
		if after := o.Objects(); !reflect.DeepEqual(before, after) {
			t.Errorf("the target has %+v, want %+v", after, before)
		}
	})
	t.Run("the external user of a leaver is waited for", func(t *testing.T) {
		o := newOffice()
		o.Lag()
		leaver, external := o.hired(t, "ana@fabrikam.example")
		o.Leave(leaver)
		successor := o.Hire("ana@fabrikam.example")
		if kind, code := outcomeOf(o.work(t, o.event(successor))); kind != outcome.Retry || code != "address in use" {
			t.Fatalf("outcome %v %q, want retry", kind, code)
		}
		o.done(t, leaver)
		o.done(t, successor)
		o.removed(t, leaver, external)
		o.right(t, successor)
	})
}

func TestReconcileBelievesTheLinkWhileADirectoryLags(t *testing.T) {
	t.Run("a change of address right after the invitation makes no second external user", func(t *testing.T) {
		o := newOffice()
		o.LagReads()
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Change(user, attributes{"mail": "ana.ruiz@fabrikam.example"})
		c := o.event(user)
		if kind, _ := outcomeOf(o.work(t, c)); kind == outcome.Terminal {
			t.Fatal("dead-lettered, although it is only too early")
		}
		o.CatchUp()
		o.Advance(time.Hour)
		o.settle(t, c.Retry(1))
		o.right(t, user)
	})
	t.Run("who leaves right after the invitation is removed all the same", func(t *testing.T) {
		o := newOffice()
		o.LagReads()
		user, external := o.hired(t, "ana@fabrikam.example")
		o.Leave(user)
		c := o.event(user)
		result := outcome.Of(o.work(t, c))
		o.CatchUp()
		o.Advance(time.Hour)
		if result.Kind != outcome.Done { // the bus delivers it again
			o.settle(t, c.Retry(1))
		}
		o.removed(t, user, external)
	})
}

func TestReconcileWithTwiceTheSearchResultsStillSeesOne(t *testing.T) {
	o := newOffice()
	o.DuplicateResults()
	guest := o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
	user, external := o.hired(t, "ana@fabrikam.example")
	o.ForgetLinks()
	o.done(t, user)
	o.right(t, user)
	if external != guest {
		t.Errorf("she got %s, want the guest %s", external, guest)
	}
}
