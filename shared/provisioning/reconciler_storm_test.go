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

// always is more often than any of these tests asks.
const always = 1_000_000

func swept(c *change.Change) { c.Cause = change.CauseSweep }

// letters counts the dead letters that a change, and the looks that it leads to, make within a time.
func (o *office) letters(t *testing.T, c change.Change, during time.Duration) (dead int) {
	t.Helper()
	for end := o.Now().Add(during); o.Now().Before(end); {
		r := outcome.Of(o.work(t, c))
		delay := r.Delay
		switch {
		case r.Kind == outcome.Terminal && r.Then == 0:
			return dead + 1
		case r.Kind == outcome.Terminal:
			dead++
			delay = r.Then
			c = c.Planned(1, o.Now().Add(delay))
		case r.Kind == outcome.Later && r.Planned:
			c = c.Planned(1, o.Now().Add(delay))
		case r.Kind == outcome.Later:
			c = c.Later(1)
		case r.Kind == outcome.Retry:
			delay = max(delay, outcome.Backoff(c.Attempt+1, 0))
			c = c.Retry(1)
		default:
			return dead
		}
		o.Advance(delay)
	}
	return dead
}

func TestWhatIsRefusedForGoodMakesNoStormOfDeadLetters(t *testing.T) {
	refused := outcome.Fail("refused by graph", errors.New("400"))
	for name, c := range map[string]struct {
		refuse provisioningtest.Call
		change func(*office, string)
	}{
		"a restoration": {provisioningtest.Restore, func(o *office, user string) {
			o.Leave(user)
			_ = o.Reconcile(t.Context(), provisioningtest.Route, o.event(user), "leaves")
			o.Advance(time.Hour)
			o.Return(user)
		}},
		"a revocation":              {provisioningtest.Revoke, func(o *office, user string) { o.Change(user, attributes{"department": "Research"}) }},
		"an attribute of a mover":   {provisioningtest.Update, func(o *office, user string) { o.Change(user, attributes{"department": "Research"}) }},
		"an attribute of a leaver":  {provisioningtest.Update, func(o *office, user string) { o.Change(user, attributes{"accountEnabled": false}) }},
		"the removal of a leaver":   {provisioningtest.Remove, func(o *office, user string) { o.Leave(user) }},
		"the block of the disabled": {provisioningtest.Update, func(o *office, user string) { o.Change(user, attributes{"accountEnabled": false}) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := ruled(granting(sales, inSales))
			user, _ := o.hired(t, "ana@fabrikam.example")
			c.change(o, user)
			o.Fail(c.refuse, always, refused)
			if dead := o.letters(t, o.event(user), 24*time.Hour); dead < 1 || dead > 2 {
				t.Errorf("%d dead letters in a day", dead)
			}
		})
	}
}

func TestWhomTheRulesKeepIsNotBlockedBecauseSomethingCannotBeRead(t *testing.T) {
	o := ruled(granting(sales, inSales), leaving(remove, remove, keep))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"accountEnabled": false})
	o.Fail(provisioningtest.Grants, 1, outcome.LaterAfter(time.Minute, errors.New("429")))
	o.done(t, user)
	if live := o.Live(); len(live) != 1 || !live[0].Enabled() || o.Link(user).Blocked {
		t.Errorf("live are %+v, the link is %+v", live, o.Link(user))
	}
}

func TestADeadLetterIsMadeAgainUntilItIsThere(t *testing.T) {
	t.Run("the process dies before it made it", func(t *testing.T) {
		o := newOffice()
		c := o.event(o.Hire("ana+x@fabrikam.example"), swept)
		for range 2 { // the same message, twice
			if kind, _ := outcomeOf(o.work(t, c)); kind != outcome.Terminal {
				t.Errorf("it ends %v", kind)
			}
			o.Advance(time.Minute)
		}
	})
	t.Run("a notification met the lease of the sweep", func(t *testing.T) {
		o := newOffice()
		user := o.Hire("ana+x@fabrikam.example")
		var notified outcome.Outcome
		o.After(provisioningtest.User, 1, func() error { notified = outcome.Of(o.work(t, o.event(user))); return nil })
		if kind, _ := outcomeOf(o.work(t, o.event(user, swept))); kind != outcome.Terminal && notified.Kind != outcome.Terminal {
			t.Errorf("the sweep ends %v, the notification %v", kind, notified.Kind)
		}
	})
	t.Run("the same reason for something else", func(t *testing.T) {
		o := newOffice()
		user, _ := o.hired(t, "ana@fabrikam.example")
		denied := outcome.Fail("permission denied", errors.New("403"))
		o.Change(user, attributes{"department": "Research"})
		o.Fail(provisioningtest.Update, 1, denied)
		_ = o.work(t, o.event(user))
		o.Leave(user)
		o.Fail(provisioningtest.Remove, 1, denied)
		if kind, _ := outcomeOf(o.work(t, o.event(user, swept))); kind != outcome.Terminal {
			t.Errorf("a leaver who cannot be removed ends %v", kind)
		}
	})
}

func TestManagersThatCannotBeWrittenNowDoNotFillTheQueue(t *testing.T) {
	for name, err := range map[string]error{
		"throttled": outcome.LaterAfter(30*time.Second, errors.New("429")),
		"denied":    outcome.Fail("permission denied", errors.New("403")),
		"gone":      outcome.RetryAfter(0, "not replicated", provisioning.ErrNotFound),
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			boss, _ := o.hired(t, "boss@fabrikam.example")
			o.Fail(provisioningtest.SetManager, always, err)
			var queue []change.Change
			for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				user := o.Hire(name + "@fabrikam.example")
				o.Report(user, boss)
				queue = append(queue, o.event(user, caughtUp))
			}
			looks := 0
			for range 20 {
				var later []change.Change
				for ; len(queue) > 0; looks++ {
					c := queue[0]
					queue = queue[1:]
					switch outcome.Of(o.work(t, c)).Kind {
					case outcome.Later:
						later = append(later, c.Later(1))
					case outcome.Retry:
						later = append(later, c.Retry(1))
					}
					queue = append(queue, o.Sent()...)
				}
				queue = later
				o.Advance(30 * time.Second)
			}
			if len(queue) > 80 || looks > 2000 {
				t.Errorf("of 8 people %d messages wait after %d looks", len(queue), looks)
			}
		})
	}
}

func TestALiveChangeThatMeetsBulkWorkDoesNotWaitBehindEverybody(t *testing.T) {
	o := newOffice()
	user, _ := o.hired(t, "ana@fabrikam.example")
	var live outcome.Outcome
	o.After(provisioningtest.User, 1, func() error {
		o.Change(user, attributes{"accountEnabled": false})
		live = outcome.Of(o.work(t, o.event(user)))
		return nil
	})
	o.Fail(provisioningtest.External, 1, outcome.LaterAfter(time.Second, errors.New("429")))
	_ = o.Reconcile(provisioning.InBulk(t.Context()), provisioningtest.Route, o.event(user, caughtUp), "bulk")
	if live.Kind != outcome.Done {
		t.Fatalf("the live change ends %v; this test shows nothing", live.Kind)
	}
	o.follows(t)
	if o.Live()[0].Enabled() {
		t.Error("the leaver waits behind everybody")
	}
}

func TestWhatBulkWorkLeadsToIsBulkWork(t *testing.T) {
	o := newOffice()
	boss, user := o.Hire("boss@fabrikam.example"), o.Hire("ana@fabrikam.example")
	o.Report(user, boss)
	for _, id := range []string{user, boss} {
		if err := o.Reconcile(provisioning.InBulk(t.Context()), provisioningtest.Route, o.event(id, caughtUp), "bulk "+id); err != nil {
			t.Fatal(err)
		}
	}
	if queues := o.Queues(); len(queues) != 1 || queues[0] != change.QueueBackfill {
		t.Errorf("sent was to %v", queues)
	}
}

func TestWhatARefusalLeavesOfARevocationIsKnown(t *testing.T) {
	o := ruled(granting(sales, inSales))
	user, _ := o.hired(t, "ana@fabrikam.example")
	o.Change(user, attributes{"department": "Research"})
	o.Fail(provisioningtest.Update, 1, outcome.Fail("refused by graph", errors.New("400")))
	_ = o.work(t, o.event(user))
	if link := o.Link(user); len(link.Granted) > 0 || len(link.Revoked) != 1 {
		t.Errorf("granted %v, revoked %v", link.Granted, link.Revoked)
	}
}

func TestABlockMeanwhileGoesWithItsReasonAndARejectionStays(t *testing.T) {
	o := ruled(groups("g1"), leaving(remove, afterMonth, disable))
	user := o.Hire("ana@fabrikam.example")
	o.Join(user, "g1")
	o.done(t, user)
	o.HoldDepartures(true)
	o.Join(user)
	o.done(t, user) // the block is held
	if !o.Link(user).Held || !o.Live()[0].Enabled() {
		t.Fatalf("the link is %+v", o.Link(user))
	}
	o.Change(user, attributes{"accountEnabled": false})
	o.settle(t, o.event(user, caughtUp))
	if o.Live()[0].Enabled() {
		t.Error("who is disabled in the source is enabled in the target")
	}
	o.Change(user, attributes{"accountEnabled": true})
	o.settle(t, o.event(user, caughtUp))
	if live := o.Live(); len(live) != 1 || !live[0].Enabled() || !o.Link(user).Held {
		t.Errorf("live are %+v, the link is %+v: the departure is still held, and nothing of it must be there", live, o.Link(user))
	}
	o.Advance(2 * month)
	o.settle(t, o.event(user, caughtUp))
	if live := o.Live(); len(live) != 1 || !live[0].Enabled() {
		t.Errorf("two months later live are %+v", live)
	}
}
