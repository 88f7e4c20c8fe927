package provisioning_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

// journeys are what can happen to a person, each from a clean office; end says what must be there.
var journeys = []struct {
	name  string
	start func(*testing.T, *office) (user string)
	end   func(*testing.T, *office, string)
}{
	{"joiner", func(_ *testing.T, o *office) string { return o.Hire("ana@fabrikam.example") }, rightEnd},
	{"joiner who is a guest already", func(_ *testing.T, o *office) string {
		o.Put("ana@fabrikam.example", provisioning.External{Invited: true})
		return o.Hire("ana@fabrikam.example")
	}, rightEnd},
	{"mover", func(t *testing.T, o *office) string {
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Change(user, attributes{"department": "Research"})
		return user
	}, rightEnd},
	{"disabled", func(t *testing.T, o *office) string {
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Change(user, attributes{"accountEnabled": false})
		return user
	}, func(t *testing.T, o *office, user string) {
		o.right(t, user)
		if !o.Link(user).Blocked {
			t.Error("that it was us who disabled is forgotten")
		}
	}},
	{"enabled again", func(t *testing.T, o *office) string {
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Change(user, attributes{"accountEnabled": false})
		o.done(t, user)
		o.Change(user, attributes{"accountEnabled": true})
		return user
	}, func(t *testing.T, o *office, user string) {
		o.right(t, user)
		if o.Link(user).Blocked {
			t.Error("a block of ours is remembered that is no more")
		}
	}},
	{"leaver", func(t *testing.T, o *office) string {
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Leave(user)
		return user
	}, func(t *testing.T, o *office, user string) { o.removed(t, user, o.Link(user).External) }},
	{"returner", func(t *testing.T, o *office) string {
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Leave(user)
		o.done(t, user)
		o.Return(user)
		o.Change(user, attributes{"department": "Research"})
		return user
	}, rightEnd},
	{"returner whose external user is purged", func(t *testing.T, o *office) string {
		user, external := o.hired(t, "ana@fabrikam.example")
		o.Leave(user)
		o.done(t, user)
		o.PurgeExternal(external)
		o.Return(user)
		return user
	}, rightEnd},
	{"joiner who gets access", func(_ *testing.T, o *office) string {
		o.Rules = ruled(granting(sales, inSales), granting(ledger, "")).Rules
		return o.Hire("ana@fabrikam.example")
	}, func(t *testing.T, o *office, user string) {
		o.right(t, user)
		o.has(t, user, []provisioning.Grant{sales, ledger})
	}},
	{"mover who loses access", func(t *testing.T, o *office) string {
		o.Rules = ruled(granting(sales, inSales), granting(traders, `!(`+inSales+`)`)).Rules
		user, _ := o.hired(t, "ana@fabrikam.example")
		o.Change(user, attributes{"department": "Research"})
		return user
	}, func(t *testing.T, o *office, user string) {
		o.right(t, user)
		o.has(t, user, []provisioning.Grant{traders})
	}},
	{"manager who comes over after a report", func(t *testing.T, o *office) string {
		boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
		o.Report(user, boss)
		o.done(t, user)
		return boss
	}, func(t *testing.T, o *office, boss string) {
		o.right(t, boss)
		o.follows(t)
		for _, e := range o.Live() {
			if id := o.Link(boss).External; e.ID != id && e.Manager != id {
				t.Errorf("the manager is %q, want %q", e.Manager, id)
			}
		}
	}},
}

func rightEnd(t *testing.T, o *office, user string) { o.right(t, user) }

func TestReconcileSurvivesACrashAtEveryWrite(t *testing.T) {
	for _, j := range journeys {
		for _, lag := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/searches lag %t", j.name, lag), func(t *testing.T) {
				for k := 1; ; k++ {
					o := newOffice()
					user := j.start(t, o)
					if lag {
						o.Lag()
					}
					o.CrashAfter(k)
					c := o.event(user)
					err := o.work(t, c)
					crashed := o.Crashed()
					if !crashed && outcome.Of(err).Kind > outcome.Later {
						t.Fatalf("without a crash: %v", err)
					}
					o.Restart()
					o.Advance(time.Minute)
					if result := o.settle(t, c); result.Kind != outcome.Done {
						t.Fatalf("crash after write %d: redelivery ends %v: %v", k, result.Kind, result.Err)
					}
					j.end(t, o, user)
					if t.Failed() {
						t.Fatalf("after a crash at write %d", k)
					}
					if !crashed {
						return
					}
				}
			})
		}
	}
}

func TestReconcileSurvivesALostAnswer(t *testing.T) {
	lost := outcome.RetryAfter(0, "no answer", errors.New("the connection was reset"))
	for _, j := range journeys {
		for _, call := range []provisioningtest.Call{
			provisioningtest.Invite, provisioningtest.Update, provisioningtest.Remove, provisioningtest.Restore,
			provisioningtest.Acquire, provisioningtest.Save, provisioningtest.Release, provisioningtest.Append,
		} {
			t.Run(j.name+"/"+string(call), func(t *testing.T) {
				o := newOffice()
				user := j.start(t, o)
				o.After(call, 1, func() error { return lost })
				o.done(t, user)
				j.end(t, o, user)
			})
		}
	}
}

func TestReconcileFindsWhatItInvitedBeforeACrash(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(o *office, user string)
		live int // external users in the end
	}{
		{"when the person's mail changes before the message comes again", func(o *office, user string) {
			o.Change(user, provisioning.Attributes{provisioning.AttrMail: "new@fabrikam.example"})
		}, 1},
		{"when the person leaves before the message comes again", func(o *office, user string) { o.Leave(user) }, 0},
	} {
		for _, lag := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, lag %v", row.name, lag), func(t *testing.T) {
				o := newOffice()
				if lag {
					o.Lag()
				}
				user := o.Hire("old@fabrikam.example")
				c := o.event(user)
				o.CrashAfter(3) // acquire, save the address, invite: the id is never stored
				_ = o.work(t, c)
				if !o.Crashed() || len(o.Live()) != 1 {
					t.Fatalf("crashed %v with %d external users, want a crash right after the invitation", o.Crashed(), len(o.Live()))
				}
				o.Restart()
				o.Advance(time.Minute)
				row.then(o, user)
				if lag {
					if early := outcome.Of(o.work(t, c)); early.Kind != outcome.Later {
						t.Fatalf("while the search lags it ends %v: %v; want later", early.Kind, early.Err)
					}
					o.CatchUp()
				}
				if result := o.settle(t, c); result.Kind != outcome.Done {
					t.Fatalf("it ends %v: %v", result.Kind, result.Err)
				}
				if live := o.Live(); len(live) != row.live {
					t.Errorf("%d external users, want %d: %v", len(live), row.live, live)
				}
			})
		}
	}
}
