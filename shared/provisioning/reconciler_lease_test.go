package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

func TestReconcileLosesNothingWhenALeaseCannotBeReleased(t *testing.T) {
	down := errors.New("the store does not answer")
	t.Run("the work had failed", func(t *testing.T) {
		o := newOffice()
		user := o.Hire("ana@fabrikam.example")
		o.Fail(provisioningtest.Invite, 1, errors.New("503 ServiceUnavailable"))
		o.Fail(provisioningtest.Release, 1, down)
		o.done(t, user)
		o.right(t, user)
	})
	t.Run("another change had come meanwhile", func(t *testing.T) {
		o := newOffice()
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.After(provisioningtest.User, 1, func() error {
			o.Change(user, attributes{"department": "Finance"})
			return o.work(t, o.event(user))
		})
		o.Fail(provisioningtest.Release, 1, down)
		o.done(t, user)
		o.right(t, user)
	})
}

func TestReconcileTwoChangesAtOnceMakeOneExternalUser(t *testing.T) {
	for range 20 {
		o := newOffice()
		o.Lag() // nobody sees by a search what the other has just made
		user := o.Hire("ana@fabrikam.example")
		var changes []change.Change
		for range 8 {
			changes = append(changes, o.event(user))
		}
		var wg sync.WaitGroup
		for _, c := range changes {
			wg.Go(func() {
				if err := o.work(t, c); err != nil && outcome.Of(err).Kind != outcome.Later {
					t.Errorf("a change at the same time ends: %v", err)
				}
			})
		}
		wg.Wait()
		o.right(t, user)
	}
}

func TestReconcileTwoPeopleAtOnceDoNotWaitForEachOther(t *testing.T) {
	o := newOffice()
	ana, ben := o.Hire("ana@fabrikam.example"), o.Hire("ben@fabrikam.example")
	o.Before(provisioningtest.Invite, 1, func() error { o.done(t, ben); return nil })
	o.done(t, ana)
	o.right(t, ana)
	o.right(t, ben)
}

func TestReconcileLooksAgainWhenAnotherChangeCameMeanwhile(t *testing.T) {
	o := newOffice()
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"department": "Research"})
	o.After(provisioningtest.User, 1, func() error {
		o.Change(user, attributes{"department": "Finance"}) // too late for this look
		if err := o.work(t, o.event(user)); err != nil {
			t.Errorf("the change that met the lease ends %v, want done", err)
		}
		return nil
	})
	if err := o.work(t, o.event(user)); err != nil {
		t.Fatal(err)
	}
	o.right(t, user)
}

// A look that has nothing to do before another one comes, in half a minute or in a month, must not keep a change waiting for that.
func TestReconcileServesAtOnceWhoCameWhileItHadNothingToDo(t *testing.T) {
	leaveInAMonth := provisioning.DefaultRules()
	leaveInAMonth.Leave.Disabled.RemoveAfter = 30 * 24 * time.Hour
	for name, tt := range map[string]struct {
		before attributes // what the first look sees
		after  attributes // what the change in the middle of it is about
	}{
		"but a second look":        {attributes{}, attributes{"accountEnabled": false}},
		"but a removal in a month": {attributes{"accountEnabled": false}, attributes{"accountEnabled": true}},
	} {
		for _, took := range []time.Duration{0, provisioning.DefaultLease / 2} {
			t.Run(fmt.Sprintf("%s, and took %s", name, took), func(t *testing.T) {
				o := newOffice()
				o.Rules = map[string]*provisioning.Rules{provisioningtest.Route.Name: leaveInAMonth}
				user, _ := o.hired(t, "ana@fabrikam.example")
				o.Change(user, tt.before)
				o.After(provisioningtest.User, 1, func() error {
					o.Change(user, tt.after)
					if err := o.work(t, o.event(user)); err != nil {
						t.Errorf("the change that met the lease ends %v, want done", err)
					}
					o.Advance(took)
					return nil
				})
				c := o.event(user)
				if result := outcome.Of(o.work(t, c)); took > 0 {
					if result.Kind != outcome.Later || result.Planned || result.Delay > 5*time.Second {
						t.Fatalf("outcome %v after %v (%v), want another look in a moment", result.Kind, result.Delay, result.Err)
					}
					o.Advance(result.Delay)
					_ = o.work(t, c.Later(1))
				}
				o.right(t, user)
			})
		}
	}
}

// The change that met the lease did not fail, so that what looks for it must not be the last try of a message that did.
func TestReconcileThatFailsLooksAgainForTheOthersWithAttemptsOfItsOwn(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	throttled := outcome.RetryAfter(time.Minute, "throttled", errors.New("429 TooManyRequests"))
	o.Before(provisioningtest.Invite, 1, func() error {
		if err := o.work(t, o.event(user)); err != nil {
			t.Errorf("the change that met the lease ends %v, want done", err)
		}
		return throttled
	})
	c := o.event(user)
	if result := outcome.Of(o.work(t, c)); result.Kind != outcome.Later || result.Delay != time.Minute {
		t.Fatalf("outcome %v after %v, want later, after a minute", result.Kind, result.Delay)
	}
	o.Advance(time.Minute)
	if err := o.work(t, c.Later(1)); err != nil {
		t.Fatal(err)
	}
	o.right(t, user)
}

func TestReconcileLeavesAUserThatKeepsChangingToACopyOfTheMessage(t *testing.T) {
	o := newOffice()
	user, _ := o.hired(t, "ana@fabrikam.example")
	looks := 0
	o.After(provisioningtest.User, 1000, func() error {
		looks++
		if looks > 100 {
			return errors.New("it looks without end")
		}
		o.Advance(time.Second)
		o.Change(user, attributes{"department": fmt.Sprintf("Department %d", looks)})
		return o.work(t, o.event(user))
	})
	// And a change comes between the last look and giving up the lease.
	o.After(provisioningtest.Release, 20, func() error { return o.work(t, o.event(user)) })
	err := o.work(t, o.event(user))
	if kind, _ := outcomeOf(err); kind != outcome.Later {
		t.Fatalf("outcome %v (%v) after %d looks, want later", kind, err, looks)
	}
	if lease, _, err := o.Acquire(t.Context(), provisioningtest.Key(user), "another", o.Now(), o.Now().Add(time.Second)); err != nil {
		t.Errorf("the lease %+v is still held: %v", lease, err)
	}
}

func TestReconcileOfAMessageThatIsStillWorkedOnWaitsForTheLease(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	c := o.event(user)
	o.Before(provisioningtest.Invite, 1, func() error {
		o.Advance(5 * time.Second)
		result := outcome.Of(o.work(t, c)) // its lock ran out, so it came back
		if want := provisioning.DefaultLease - 5*time.Second; result.Kind != outcome.Later || result.Delay != want {
			t.Errorf("outcome %v after %v, want later after %v", result.Kind, result.Delay, want)
		}
		return nil
	})
	o.settle(t, c)
	o.right(t, user)
}

func TestReconcileKeepsADeletedHintThatMeetsALease(t *testing.T) {
	o := newOffice()
	user, external := o.hired(t, "ana@fabrikam.example")
	var late outcome.Outcome
	o.After(provisioningtest.User, 1, func() error {
		o.Purge(user)
		late = outcome.Of(o.work(t, o.event(user, forGood)))
		return nil
	})
	_ = o.work(t, o.event(user)) // it looks again, and sees nobody
	if late.Kind != outcome.Later {
		t.Fatalf("the hint ends %v (%v), want later: no other message knows it", late.Kind, late.Err)
	}
	o.done(t, user, forGood)
	o.removed(t, user, external)
}

func TestReconcileAfterItsLeaseWasLost(t *testing.T) {
	for _, call := range []provisioningtest.Call{provisioningtest.User, provisioningtest.Invite, provisioningtest.Save, provisioningtest.Release} {
		t.Run("before "+string(call), func(t *testing.T) {
			o := newOffice()
			user := o.Hire("ana@fabrikam.example")
			o.Before(call, 1, func() error {
				o.Advance(time.Minute)
				o.done(t, user) // another worker takes over, and ends first
				return nil
			})
			c := o.event(user)
			if result := outcome.Of(o.work(t, c)); result.Kind != outcome.Retry || !errors.Is(result.Err, provisioning.ErrLeaseLost) {
				t.Errorf("outcome %v (%v), want a retry because of the lost lease", result.Kind, result.Err)
			}
			o.right(t, user)
			o.settle(t, c.Retry(1))
			o.right(t, user)
		})
	}
}

func TestReconcileEndsBeforeItsLeaseDoes(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	var left time.Duration
	o.Directories = deadlines{o.World, &left}
	o.done(t, user)
	if left <= 0 || left >= provisioning.DefaultLease {
		t.Errorf("the work has %v, want less than the lease of %v", left, provisioning.DefaultLease)
	}
}

// deadlines notes how long a read of the source may take.
type deadlines struct {
	*provisioningtest.World
	left *time.Duration
}

func (d deadlines) Source(id string) (provisioning.Source, error) {
	s, err := d.World.Source(id)
	return noting{s, d.left}, err
}

type noting struct {
	provisioning.Source
	left *time.Duration
}

func (n noting) User(ctx context.Context, id string) (provisioning.User, error) {
	if until, ok := ctx.Deadline(); ok {
		*n.left = time.Until(until)
	}
	return n.Source.User(ctx, id)
}
