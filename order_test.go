package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

// event is one thing that happens to one of the people of a history.
type event struct {
	who  int
	what string
	// to is the value of a change, or whom somebody reports to.
	to int
	// delivered are the notifications that are posted right after: places in the list of those that are outstanding. Some come twice, some
	// long after others that are younger.
	delivered []int
}

// happening is all that may happen. What makes no sense at its moment does not happen.
var happening = []string{"moves", "moves", "disabled", "enabled", "reports", "reports to nobody", "leaves", "comes back", "is deleted for good"}

const characters = 3

// histories are short, and end with all notifications posted, in any order and some of them again.
var histories = rapid.Custom(func(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			who: rapid.IntRange(0, characters-1).Draw(t, "who"), what: rapid.SampledFrom(happening).Draw(t, "what"),
			to: rapid.IntRange(0, 99).Draw(t, "to"), delivered: rapid.SliceOfN(rapid.IntRange(0, 99), 0, 3).Draw(t, "delivered"),
		}
	}), 20, 40).Draw(t, "events")
})

// notice is what Graph would post of an event.
type notice struct {
	user     string
	sequence int
	deleted  bool
}

// post delivers a notification in place of Graph.
func (r *realm) post(t *testing.T, n notice) {
	t.Helper()
	held, err := r.program.Store.Subscriptions(t.Context(), us.ID)
	if err != nil {
		t.Fatal(err)
	}
	kind := "updated"
	if n.deleted {
		kind = "deleted"
	}
	body, err := json.Marshal(map[string]any{"value": []any{map[string]any{
		"subscriptionId": held[0].ID, "tenantId": us.ID, "changeType": kind, "resource": "Users/" + n.user,
		"clientState":  subscription.Secret([]byte(clientStateKey), us.ID),
		"resourceData": map[string]any{"@odata.type": "#Microsoft.Graph.User", "@odata.id": "Users/" + n.user, "id": n.user, "sequenceNumber": n.sequence},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(r.url+"/api/notifications", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("notify answers %d", resp.StatusCode)
	}
}

// happens lets an event happen, and tells whether it did and whether it was a deletion for good.
func (r *realm) happens(t *testing.T, c *citizen, e event) (did, deleted bool) {
	t.Helper()
	people := r.citizens[us.Name]
	switch {
	case c.purged:
		return false, false
	case c.left:
		switch e.what {
		case "comes back":
			c.back(t)
			c.left = false
		case "is deleted for good":
			c.ask(t, http.MethodDelete, "/directory/deletedItems/"+c.id, nil)
			c.purged = true
		default:
			return false, false
		}
		return true, c.purged
	}
	switch boss := people[e.to%len(people)]; e.what {
	case "moves":
		c.moves(t, edits{"department": fmt.Sprint("Department ", e.to), "mobilePhone": nil})
	case "disabled", "enabled":
		c.moves(t, edits{"accountEnabled": e.what == "enabled"})
	case "reports":
		if boss == c || boss.left {
			return false, false
		}
		c.reportsTo(t, boss.person)
		c.boss = boss
	case "reports to nobody":
		if c.boss == nil || c.boss.left {
			return false, false
		}
		c.reportsToNobody(t)
		c.boss = nil
	case "leaves":
		c.leave(t)
		c.left = true
	default:
		return false, false
	}
	return true, false
}

// Graph itself says nothing here: its notifications are lost, and posted by the test in another order.
func TestTheOrderInWhichNotificationsArriveDoesNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range 10 {
		t.Run(fmt.Sprintf("history %d", seed), func(t *testing.T) {
			t.Parallel()
			w := settle(t, build(t, blueprint{tenants: simulated(us, contoso), weather: entrasim.Notify{Lose: 1}, options: app.Options{SecondLook: time.Second}}))
			directions := []direction{{from: us, to: contoso}}
			r := found(t, w, 0, directions)
			r.serve(t, yaml(directions))
			var outstanding, posted []notice
			post := func(n notice) { r.post(t, n); posted = append(posted, n) }
			for range characters {
				c := r.joins(t, us)
				c.unseen = true // a notification may be late
				r.citizens[us.Name] = append(r.citizens[us.Name], c)
				outstanding = append(outstanding, notice{user: c.id, sequence: len(outstanding)})
			}
			history, sequence := histories.Example(seed), characters
			for _, e := range history {
				c := r.citizens[us.Name][e.who]
				if did, deleted := r.happens(t, c, e); did {
					outstanding = append(outstanding, notice{c.id, sequence, deleted})
					sequence++
				}
				for _, at := range e.delivered {
					if len(outstanding) > 0 && at%3 > 0 {
						i := at % len(outstanding)
						post(outstanding[i])
						outstanding = append(outstanding[:i:i], outstanding[i+1:]...)
					} else if len(posted) > 0 {
						post(posted[at%len(posted)])
					}
				}
			}
			for i := len(outstanding) - 1; i >= 0; i-- {
				post(outstanding[i])
			}
			took := settled(t, r.wrong)
			t.Logf("%d events, %d notifications, right after %s", sequence, len(posted), took.Round(time.Millisecond))
		})
	}
}
