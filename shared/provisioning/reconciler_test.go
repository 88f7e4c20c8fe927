package provisioning_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

func TestReconcileFollowsAPerson(t *testing.T) {
	o := newOffice()
	user, external := o.hired(t, "ana@fabrikam.example")

	o.Change(user, attributes{"department": "Research", "mail": "ana.ruiz@fabrikam.example"})
	o.done(t, user)
	o.right(t, user)

	o.Leave(user)
	o.done(t, user)
	o.removed(t, user, external)

	o.Return(user)
	o.done(t, user)
	o.right(t, user)
	if again := o.Link(user).External; again != external {
		t.Errorf("who returned got %s, want the same object %s", again, external)
	}

	o.Leave(user)
	o.done(t, user)
	o.Purge(user)
	o.done(t, user, forGood)
	o.removed(t, user, external)
}

func TestReconcileRemovesNobodyThatASearchOnlyFinds(t *testing.T) {
	o := newOffice()
	guest := o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
	user := o.Hire("ana@fabrikam.example")
	o.Leave(user)
	o.done(t, user)
	if live := o.Live(); len(live) != 1 || live[0].ID != guest {
		t.Errorf("live are %+v, want the guest, whom nobody ever took over", live)
	}
}

func TestReconcileTwiceOrLateIsOnce(t *testing.T) {
	type step struct {
		name string
		do   func(*office, string)
	}
	steps := []step{
		{"joins", func(*office, string) {}},
		{"moves", func(o *office, u string) { o.Change(u, attributes{"department": "Research"}) }},
		{"is disabled", func(o *office, u string) { o.Change(u, attributes{"accountEnabled": false}) }},
		{"is enabled", func(o *office, u string) { o.Change(u, attributes{"accountEnabled": true}) }},
		{"leaves", func(o *office, u string) { o.Leave(u) }},
		{"returns", func(o *office, u string) { o.Return(u) }},
	}
	for _, order := range []string{"in order", "reversed", "all at the end", "each twice"} {
		t.Run(order, func(t *testing.T) {
			o := newOffice()
			user := o.Hire("ana@fabrikam.example")
			var late []change.Change
			for _, s := range steps {
				s.do(o, user)
				c := o.event(user)
				switch order {
				case "in order":
					o.settle(t, c)
				case "each twice":
					o.settle(t, c)
					o.settle(t, c)
				default:
					late = append(late, c)
				}
			}
			for i := range late {
				if order == "reversed" {
					i = len(late) - 1 - i
				}
				o.settle(t, late[i])
			}
			o.right(t, user)
		})
	}
}

func TestReconcileTheSameMessageTwiceWritesOnce(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	c := o.event(user)
	o.settle(t, c)
	before := o.Objects()
	o.Before(provisioningtest.Update, 1, func() error { t.Error("the second delivery writes"); return nil })
	o.settle(t, c)
	if after := o.Objects(); !reflect.DeepEqual(before, after) {
		t.Errorf("the second delivery made %+v out of %+v", after, before)
	}
}

func TestReconcileRebuildsALostStoreOfLinks(t *testing.T) {
	o := newOffice()
	stays, _ := o.hired(t, "ana@fabrikam.example")
	leaves, external := o.hired(t, "ben@fabrikam.example")
	o.ForgetLinks()
	o.Leave(leaves)
	o.done(t, stays)
	o.done(t, leaves)
	o.right(t, stays)
	o.removed(t, leaves, external)
}

func TestReconcileWritesTheJournal(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	event := o.Now().Add(-time.Second)
	o.done(t, user, func(c *change.Change) { c.EventAt = event })
	refused := o.Hire("ben+plus@fabrikam.example")
	o.settle(t, o.event(refused))

	entries := o.Entries()
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2: %+v", len(entries), entries)
	}
	want := provisioning.Entry{
		At: o.Now(), Route: provisioningtest.Route.Name, User: user, External: o.Link(user).External,
		Action: provisioning.ActionCreate, Reason: "the source user joined",
		Operations: []string{"invite", "update department,displayName,showInAddressList,userType,link key"},
		Outcome:    "done", Cause: "notification", EventAt: event, ArrivedAt: o.Now(),
	}
	if !reflect.DeepEqual(entries[0], want) {
		t.Errorf("entry\n got %+v\nwant %+v", entries[0], want)
	}
	if e := entries[1]; e.Action != provisioning.ActionNone || e.Outcome != "terminal" || e.Error == "" || e.Reason == "" {
		t.Errorf("the refusal is told as %+v", e)
	}
}

func TestReconcileDoesItAgainWhenTheJournalFails(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	o.Fail(provisioningtest.Append, 1, errors.New("disk full"))
	if kind, _ := outcomeOf(o.work(t, o.event(user))); kind != outcome.Retry {
		t.Errorf("outcome %v, want retry", kind)
	}
	o.done(t, user)
	o.right(t, user)
}

func TestReconcileOnARouteWhoseTenantCannotBeOpened(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	for _, spoil := range []func(*change.Change){forGood, func(*change.Change) {}} {
		route := provisioningtest.Route
		route.Target.ID = "33333333-3333-4333-8333-333333333333"
		c := o.event(user, spoil)
		if kind, _ := outcomeOf(o.Reconcile(t.Context(), route, c, c.MessageID())); kind != outcome.Retry {
			t.Errorf("outcome %v, want retry", kind)
		}
	}
	o.done(t, user) // and the lease is free
	o.right(t, user)
}
