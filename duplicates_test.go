package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/demo"
	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

// wild is weather in which every notification is delivered twice and none in its order.
var wild = entrasim.Notify{Duplicate: true, Reorder: true}

// career is what happens to one person. Changes that are listed together happen at the same time.
type career struct {
	changes      []map[string]any
	leaves, back bool
}

// careers are drawn so that a seed tells the same story each time.
func careers(r *rand.Rand, n int) []career {
	out := make([]career, n)
	for i := range out {
		for range r.IntN(4) {
			out[i].changes = append(out[i].changes, map[string]any{
				"department": fmt.Sprintf("Department %d", r.IntN(1000)), "jobTitle": fmt.Sprintf("Rank %d", r.IntN(1000)),
			})
		}
		out[i].leaves = r.IntN(3) == 0
		out[i].back = out[i].leaves && r.IntN(2) == 0
	}
	return out
}

func (c career) live(d *directory, person map[string]any) error {
	id, err := d.join(person)
	if err != nil {
		return err
	}
	if err := all(c.changes, func(_ int, patch map[string]any) error { return d.change(id, patch) }); err != nil {
		return err
	}
	if c.leaves {
		if err := d.leave(id); err != nil {
			return err
		}
	}
	if c.back {
		return d.restore(id)
	}
	return nil
}

func TestWhatIsDeliveredTwiceAndOutOfOrderHappensOnce(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := open(t, wild, seed)
			people := append(crowd(seed, 15, usDomain), crowd(seed+100, 15, mexicoDomain)...)
			homes := []*directory{h.directory(t, demo.US), h.directory(t, demo.Mexico)}
			err := all(careers(rand.New(rand.NewPCG(seed, seed)), len(people)), func(i int, c career) error {
				return c.live(homes[i/15], people[i])
			})
			if err != nil {
				t.Fatal(err)
			}
			took := h.settles(t)
			t.Logf("%d people in the target, right after %s", len(h.graph.Users(demo.Contoso.ID)), took.Round(time.Millisecond))
		})
	}
}

func TestChangesOfOneUserAtTheSameTimeMakeOneExternalUser(t *testing.T) {
	for name, weather := range map[string]entrasim.Notify{
		"notified at once":          {},
		"notified twice":            {Duplicate: true},
		"notified one by one":       {MaxBatch: 1},
		"notified twice, unordered": wild,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, weather, 1)
			source := h.directory(t, demo.US)
			people := crowd(41, 8, usDomain)
			err := all(people, func(_ int, person map[string]any) error {
				id, err := source.join(person)
				if err != nil {
					return err
				}
				return all(make([]struct{}, 20), func(i int, _ struct{}) error {
					return source.change(id, map[string]any{"department": fmt.Sprint("Department ", i)})
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			h.settles(t)
			if n := len(h.graph.Users(demo.Contoso.ID)) + len(h.graph.DeletedUsers(demo.Contoso.ID)); n != len(people) {
				t.Errorf("%d users in the target, want one for each of %d", n, len(people))
			}
		})
	}
}

// notify posts a notification for each user as Graph does and returns the status and how long the answer took.
func (h *house) notify(t *testing.T, userIDs ...string) (status int, took time.Duration) {
	t.Helper()
	held, err := h.program.Store.Subscriptions(t.Context(), demo.US.ID)
	if err != nil {
		t.Fatal(err)
	}
	var items []any
	for _, id := range userIDs {
		items = append(items, map[string]any{
			"subscriptionId": held[0].ID, "tenantId": demo.US.ID, "changeType": "updated", "resource": "Users/" + id,
			"clientState":  subscription.Secret([]byte(clientStateKey), demo.US.ID),
			"resourceData": map[string]any{"@odata.type": "#Microsoft.Graph.User", "@odata.id": "Users/" + id, "id": id},
		})
	}
	body, err := json.Marshal(map[string]any{"value": items})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	resp, err := http.Post(h.url+"/api/notifications", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, time.Since(began)
}

func TestWhileTheBusIsDownNotifyAnswers503InTimeAndNothingIsLost(t *testing.T) {
	t.Parallel()
	h := open(t, entrasim.Notify{}, 1)
	source := h.directory(t, demo.US)
	people := crowd(43, 2, usDomain)
	early, err := source.join(people[0])
	if err != nil {
		t.Fatal(err)
	}
	h.settles(t)
	if status, _ := h.notify(t, early); status != http.StatusAccepted {
		t.Errorf("with the bus up notify answers %d, want 202", status)
	}
	h.settles(t)

	if err := h.bus.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		status, took := h.notify(t, early)
		if status != http.StatusServiceUnavailable || took > 3*time.Second {
			t.Errorf("with the bus down notify answers %d after %s, want 503 within 3 s", status, took)
		}
		t.Logf("with the bus down: %d after %s", status, took.Round(time.Millisecond))
	}
	if _, err := source.join(people[1]); err != nil {
		t.Fatal(err)
	}

	h.bus = openBus(t, h.bus.Addr())
	back := eventually(t, patience, func() string {
		if status, _ := h.notify(t, early); status != http.StatusAccepted {
			return fmt.Sprintf("with the bus back notify answers %d, want 202", status)
		}
		return ""
	})
	// Graph delivers again what was answered with 503.
	arrived := h.settles(t)
	t.Logf("with the bus back: 202 after %s, who joined meanwhile is there %s later", back.Round(time.Millisecond), arrived.Round(time.Millisecond))
}

func TestAThousandNotificationsInOnePostAreAllOnTheBus(t *testing.T) {
	t.Parallel()
	h := open(t, entrasim.Notify{}, 1)
	strangers := make([]string, 1000)
	for i := range strangers {
		strangers[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	}
	status, took := h.notify(t, strangers...)
	if status != http.StatusAccepted {
		t.Errorf("notify answers %d, want 202", status)
	}
	t.Logf("%d notifications: %d after %s", len(strangers), status, took.Round(time.Millisecond))
	// Nobody knows these users, so that each of their changes ends up waiting for another look.
	eventually(t, patience, func() string {
		counts, err := h.bus.Counts(change.QueueChanges)
		if err != nil {
			return err.Error()
		}
		if counts.Active > 0 || counts.Scheduled != len(strangers) {
			return fmt.Sprintf("the bus holds %+v, want %d scheduled", counts, len(strangers))
		}
		return ""
	})
}
