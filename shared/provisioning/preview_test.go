package provisioning_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

func TestAPreviewSaysWhatHappensNextAndWritesNothing(t *testing.T) {
	for _, j := range journeys {
		t.Run(j.name, func(t *testing.T) {
			o := newOffice()
			user := j.start(t, o)
			o.Advance(time.Hour) // what was written a moment ago would not be believed
			objects, link := o.Objects(), o.Link(user)
			for _, call := range []provisioningtest.Call{
				provisioningtest.Invite, provisioningtest.Update, provisioningtest.Remove, provisioningtest.Restore, provisioningtest.Acquire, provisioningtest.Save,
				provisioningtest.Append, provisioningtest.Admit, provisioningtest.SetManager, provisioningtest.Grant, provisioningtest.Revoke, provisioningtest.Send,
			} {
				o.Before(call, 1, func() error { t.Errorf("%s was called", call); return errors.New("no") })
			}
			p, err := o.Preview(t.Context(), provisioningtest.Route, user)
			if err != nil {
				t.Fatal(err)
			}
			if t.Failed() || !reflect.DeepEqual(o.Objects(), objects) || !reflect.DeepEqual(o.Link(user), link) {
				t.Fatal("the preview wrote something")
			}
			next := newOffice() // the same story again, and then what the preview is about
			user = j.start(t, next)
			next.done(t, user, caughtUp)
			entries := next.Entries()
			for len(entries) > 1 && entries[len(entries)-1].Action == provisioning.ActionNone {
				entries = entries[:len(entries)-1] // the second look
			}
			last := entries[len(entries)-1]
			var operations []string
			for _, op := range p.Decision.Operations {
				operations = append(operations, op.String())
			}
			if last.Action != p.Decision.Action || last.Reason != p.Decision.Reason || !reflect.DeepEqual(last.Operations, operations) {
				t.Errorf("foreseen was %s %v (%s), and it came %s %v (%s)", p.Decision.Action, operations, p.Decision.Reason, last.Action, last.Operations, last.Reason)
			}
		})
	}
}

func TestAPreviewThatCannotBeMadeSaysWhy(t *testing.T) {
	o := newOffice()
	refused := o.Hire("ana+x@fabrikam.example")
	p, err := o.Preview(t.Context(), provisioningtest.Route, refused)
	if kind, code := outcomeOf(err); kind != outcome.Terminal || code != "address refused" || p.Name != "ana+x@fabrikam.example" || p.Linked {
		t.Errorf("%+v, %v %s", p, kind, code)
	}
	o.Fail(provisioningtest.User, 1, errors.New("the network is down"))
	if _, err := o.Preview(t.Context(), provisioningtest.Route, refused); outcome.Of(err).Kind != outcome.Retry {
		t.Errorf("a read that fails gives %v", err)
	}
}
