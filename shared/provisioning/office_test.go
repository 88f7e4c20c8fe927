package provisioning_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

// office is a world with a reconciler, and the bus between them.
type office struct {
	*provisioningtest.World
	*provisioning.Reconciler
	events int
}

func newOffice() *office {
	w := provisioningtest.New()
	return &office{World: w, Reconciler: &provisioning.Reconciler{Directories: w, Links: w, Guard: w, Bus: w, Journal: w, Now: w.Now}}
}

// Now is the world's.
func (o *office) Now() time.Time { return o.World.Now() }

// event is a new change of a user; edits make it another kind.
func (o *office) event(user string, edits ...func(*change.Change)) change.Change {
	o.events++
	c := change.Change{
		Route: provisioningtest.Route.Name, User: user, Cause: change.CauseNotification,
		Key: change.Key(user, time.Duration(o.events).String()), ArrivedAt: o.Now(),
	}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

// forGood marks a change as Graph's word that the user is deleted for good.
func forGood(c *change.Change) { c.Deleted = true }

// work is one delivery of a message.
func (o *office) work(t *testing.T, c change.Change) error {
	return o.Reconcile(t.Context(), provisioningtest.Route, c, c.MessageID())
}

// maxDeliveries bounds what the bus of an office does for one message.
const maxDeliveries = 50

// settle does what the bus does: it delivers until the message is done or dead, waits as it is told to, and after
// a crash delivers the same message again when its lock has run out. It returns the last outcome.
func (o *office) settle(t *testing.T, c change.Change) outcome.Outcome {
	t.Helper()
	for range maxDeliveries {
		err := o.work(t, c)
		result := outcome.Of(err)
		switch {
		case o.Crashed():
			o.Restart()
			o.Advance(time.Minute)
		case result.Kind == outcome.Later:
			o.Advance(result.Delay)
			c = c.Later(1)
		case result.Kind == outcome.Retry:
			o.Advance(max(result.Delay, outcome.Backoff(c.Attempt+1, 0)))
			c = c.Retry(1)
		default:
			return result
		}
	}
	t.Fatalf("the message of %s is not settled after %d deliveries", c.User, maxDeliveries)
	return outcome.Outcome{}
}

// done settles a new change of the user, which must succeed.
func (o *office) done(t *testing.T, user string, edits ...func(*change.Change)) {
	t.Helper()
	if result := o.settle(t, o.event(user, edits...)); result.Kind != outcome.Done {
		t.Fatalf("change of %s ends %v: %v", user, result.Kind, result.Err)
	}
}

// hired is a new source user whose external user is there.
func (o *office) hired(t *testing.T, address string) (user, external string) {
	t.Helper()
	user = o.Hire(address)
	o.done(t, user)
	o.right(t, user)
	return user, o.Link(user).External
}

// right checks that the source user has exactly one external user, live, with all of the user's attributes, and that the link names it.
func (o *office) right(t *testing.T, user string) {
	t.Helper()
	link := o.Link(user)
	source, err := o.source(t).User(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	var found []provisioning.External
	for _, e := range o.Live() {
		mail, _ := e.Attributes["mail"].(string)
		if e.SourceKey == keyOf(user) || strings.EqualFold(mail, source.Address()) {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d external users: %+v", user, len(found), found)
	}
	want := source.Attributes
	want["userType"], want["showInAddressList"] = provisioning.Member, true
	if got := found[0]; got.SourceKey != keyOf(user) || !reflect.DeepEqual(got.Attributes, want) {
		t.Errorf("external user of %s\n got %v, key %s\nwant %v", user, got.Attributes, got.SourceKey, want)
	}
	if link.External != found[0].ID || link.State != provisioning.LinkActive {
		t.Errorf("the link of %s is %q to %q, want active to %q", user, link.State, link.External, found[0].ID)
	}
}

// removed checks that the external user is soft-deleted and that nobody else took its place.
func (o *office) removed(t *testing.T, user, external string) {
	t.Helper()
	for _, e := range o.Objects() {
		switch {
		case e.ID == external && !e.Deleted:
			t.Errorf("%s is still there", external)
		case e.ID != external && e.SourceKey == keyOf(user):
			t.Errorf("%s has another external user %s", user, e.ID)
		}
	}
	if link := o.Link(user); link.State != provisioning.LinkRemoved {
		t.Errorf("the link of %s is %q, want removed", user, link.State)
	}
}

func (o *office) source(t *testing.T) provisioning.Source {
	t.Helper()
	s, err := o.Source(provisioningtest.Route.Source.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(user string) string {
	return provisioning.SourceKey(provisioningtest.Route.Source.ID, user)
}
