package provisioning_test

import (
	"context"
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
		Message: entries[0].Message, Trace: entries[0].Trace,
	}
	if e := entries[0]; e.Message == "" || e.Trace == "" || e.Trace == entries[1].Trace {
		t.Errorf("message %q and trace %q do not tell two events apart", e.Message, e.Trace)
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

func TestReconcileWritesValuesIntoTheJournalOnlyWhereTheRulesSaySo(t *testing.T) {
	for _, values := range []bool{false, true} {
		o := ruled(func(r *provisioning.Rules) { r.JournalValues = values })
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Change(user, attributes{"department": "Research"})
		o.done(t, user)
		entries := o.Entries()
		var want []provisioning.AttributeChange
		if values {
			want = []provisioning.AttributeChange{{Name: "department", Before: "Sales", After: "Research"}}
		}
		if got := entries[len(entries)-1].Changes; !reflect.DeepEqual(got, want) {
			t.Errorf("with values %v: %+v, want %+v", values, got, want)
		}
	}
}

func TestReconcileTellsAllThatFollowsFromOneEventByItsTrace(t *testing.T) {
	o := newOffice()
	boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	o.done(t, user)
	o.Fail(provisioningtest.Invite, 1, errors.New("the network is down"))
	o.done(t, boss)
	o.follows(t)
	entries := o.Entries()
	trace := entries[len(entries)-1].Trace
	for i, e := range entries[len(entries)-3:] { // the boss fails, comes over, and is made her manager
		if e.Trace != trace {
			t.Errorf("entry %d of three has trace %s, the last %s", i+1, e.Trace, trace)
		}
	}
	if entries[0].Trace == trace {
		t.Error("another event has the same trace")
	}
}

func TestReconcileNotesTheRequestsOfItsRun(t *testing.T) {
	o := newOffice()
	user := o.Hire("ana@fabrikam.example")
	one := provisioning.Request{Method: "POST", Path: "/v1.0/invitations", Status: 201, ID: "r1"}
	o.Directories = noted{o.World, one}
	o.done(t, user)
	entry := o.Entries()[0]
	if len(entry.Requests) == 0 || entry.Requests[0] != one {
		t.Errorf("the journal has the requests %+v", entry.Requests)
	}
	provisioning.Note(t.Context(), one) // nobody asked for it
}

// noted are directories that note a request for each read of a source user.
type noted struct {
	provisioning.Directories
	one provisioning.Request
}

func (n noted) Source(id string) (provisioning.Source, error) {
	s, err := n.Directories.Source(id)
	return notedSource{s, n.one}, err
}

type notedSource struct {
	provisioning.Source
	one provisioning.Request
}

func (n notedSource) User(ctx context.Context, id string) (provisioning.User, error) {
	provisioning.Note(ctx, n.one)
	return n.Source.User(ctx, id)
}
