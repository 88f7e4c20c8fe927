package directory

import (
	"fmt"
	"testing"
	"time"
)

// Change tracking must not grow with the number of changes, only with what there is and what went within the life of a token.
func TestChangeTrackingTakesBoundedMemory(t *testing.T) {
	c := newClock()
	d := newDirectory(c.Now)
	group := found(t, d, "g", false)
	const users = 100
	var ids []string
	for i := range users {
		ids = append(ids, create(t, d, i))
		must(t, d.AddMember(group, ids[i], Rights{}))
	}
	for round := range 50 {
		for _, id := range ids {
			must(t, d.Update(id, map[string]any{"department": fmt.Sprint(round)}))
			must(t, d.RemoveMember(group, id, Rights{}))
			must(t, d.AddMember(group, id, Rights{}))
		}
		c.advance(time.Hour)
	}
	if n := len(d.kinds[Users].changed.entries); n > 2*users+smallest {
		t.Errorf("%d users changed 5,000 times left %d entries", users, n)
	}
	c.advance(2 * deltaLife)
	for range 50 { // adding sweeps, at the latest when there are twice as many as at the last sweep
		for _, id := range ids {
			must(t, d.RemoveMember(group, id, Rights{}))
			must(t, d.AddMember(group, id, Rights{}))
		}
		c.advance(2 * deltaLife)
	}
	if n := len(d.objects[group].links.members.order.entries); n > 4*users+smallest {
		t.Errorf("memberships that came and went 5,000 times left %d entries", n)
	}
}

func TestWhatIsGoneForGoodIsForgottenAfterTheLifeOfAToken(t *testing.T) {
	c := newClock()
	d := newDirectory(c.Now)
	comeAndGo := func() {
		for i := range 500 {
			id := create(t, d, i)
			must(t, d.Delete(Users, id))
			must(t, d.Purge(id, anybody))
		}
	}
	comeAndGo()
	gone := func() int {
		page := d.View(0).Delta(Users, DeltaQuery{From: 1, Start: 1, After: 1, Limit: 10_000, LinkLimit: 1})
		return len(page.Items)
	}
	if n := gone(); n < 499 {
		t.Errorf("change tracking tells of %d who are gone, want all", n)
	}
	c.advance(deltaLife + time.Second)
	if n := gone(); n != 0 {
		t.Errorf("after the life of a token it still tells of %d", n)
	}
	comeAndGo()
	if n := len(d.kinds[Users].changed.entries); n > 1_100 {
		t.Errorf("%d entries are kept, want those of the second half", n)
	}
	if n := len(d.objects); n != 0 {
		t.Errorf("%d objects are kept, want none", n)
	}
}

// The reference of user-delete: restorable for 30 days, then gone for good.
func TestTheClockPurgesInTheOrderOfDeletion(t *testing.T) {
	c := newClock()
	d := newDirectory(c.Now)
	var purged []string
	d.OnChange = func(change Change) {
		if change.Purged {
			purged = append(purged, change.ObjectID)
		}
	}
	first, second, kept := create(t, d, 1), create(t, d, 2), create(t, d, 3)
	must(t, d.Delete(Users, second))
	c.advance(time.Hour)
	must(t, d.Delete(Users, first))
	must(t, d.Delete(Users, kept))
	_, err := d.Restore(kept, RestoreOptions{}, anybody)
	must(t, err)
	c.advance(retention - time.Hour)
	d.View(0).List(Users, Query{Limit: 1}) // anybody who looks
	if fmt.Sprint(purged) != fmt.Sprint([]string{second}) {
		t.Errorf("30 days after the first deletion %v are purged, want %s", purged, second)
	}
	c.advance(time.Hour)
	d.Expire()
	if fmt.Sprint(purged) != fmt.Sprint([]string{second, first}) {
		t.Errorf("an hour later %v are purged", purged)
	}
	if _, err := d.View(0).Get(Users, kept); err != nil {
		t.Errorf("who was restored in time: %v", err)
	}
}

func TestManyReadersDoNotWaitForEachOther(t *testing.T) {
	d := newDirectory(time.Now)
	id := create(t, d, 1)
	inside, leave := make(chan bool), make(chan bool)
	go d.View(0).List(Users, Query{Limit: 1, Match: func(*Entity) bool { inside <- true; <-leave; return true }})
	<-inside
	if _, err := d.View(0).Get(Users, id); err != nil { // would wait for ever
		t.Error(err)
	}
	close(leave)
}
