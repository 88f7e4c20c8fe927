package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/functions/look"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/demo"
	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// sweep has what changed looked at, now.
func (h *house) sweep(t *testing.T) {
	t.Helper()
	if err := h.fire(t, "sweep"); err != nil {
		t.Fatal(err)
	}
}

// fire runs a timer once, now.
func (h *house) fire(t testing.TB, timer string) error {
	t.Helper()
	i := slices.IndexFunc(h.program.Functions, func(f functions.Function) bool { return f.Name == timer })
	if i < 0 {
		t.Fatalf("there is no function %s", timer)
	}
	return h.program.Functions[i].Timer.Run(t.Context())
}

// tracked waits until a sweep has a place to go on from in every source.
func (h *house) tracked(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() string {
		for _, source := range h.sources {
			if at, err := h.program.Store.Cursor(t.Context(), "sweep/"+source.ID); err != nil || at == "" {
				return fmt.Sprintf("%s is not tracked yet (%v)", source.Name, err)
			}
		}
		return ""
	})
}

func TestASweepFindsWhatNoNotificationTold(t *testing.T) {
	for _, lost := range []float64{0.3, 1} {
		t.Run(fmt.Sprintf("%.0f %% of the notifications are lost", lost*100), func(t *testing.T) {
			t.Parallel()
			h := open(t, entrasim.Notify{Duplicate: true, Reorder: true, Lose: lost}, 41)
			h.tracked(t)
			people := append(crowd(41, 15, usDomain), crowd(141, 15, mexicoDomain)...)
			homes := []*directory{h.directory(t, demo.US), h.directory(t, demo.Mexico)}
			err := all(careers(rand.New(rand.NewPCG(41, 41)), len(people)), func(i int, c career) error {
				return c.live(homes[i/15], people[i])
			})
			if err != nil {
				t.Fatal(err)
			}
			if lost == 1 && h.wrong() == "" {
				t.Error("all is right although nobody told; this test shows nothing")
			}
			h.sweep(t)
			took := h.settles(t)
			t.Logf("right %s after the sweep", took.Round(time.Millisecond))
		})
	}
}

func TestASweepWhoseCursorExpiredLooksAtEverybody(t *testing.T) {
	t.Parallel()
	h := open(t, entrasim.Notify{Lose: 1}, 43)
	h.tracked(t)
	home := h.directory(t, demo.US)
	if err := all(crowd(43, 10, usDomain), func(_ int, person map[string]any) error { _, err := home.join(person); return err }); err != nil {
		t.Fatal(err)
	}
	w := h.graph.Weather()
	w.Forget = 1 // every token of change tracking is answered with 410
	h.graph.SetWeather(w)
	h.sweep(t)
	h.settles(t)
}

func TestALiveChangeDoesNotWaitBehindALookAtEverybody(t *testing.T) {
	t.Parallel()
	h := open(t, entrasim.Notify{Lose: 1}, 47)
	h.tracked(t)
	home := h.directory(t, demo.US)
	leaver := crowd(47, 1, usDomain)[0]
	id, err := home.join(leaver)
	if err != nil {
		t.Fatal(err)
	}
	h.notify(t, id)
	h.settles(t)
	if err := all(crowd(147, 300, usDomain), func(_ int, person map[string]any) error { _, err := home.join(person); return err }); err != nil {
		t.Fatal(err)
	}
	w := h.graph.Weather()
	w.Forget = 1
	h.graph.SetWeather(w)
	h.sweep(t)
	if err := home.change(id, map[string]any{"accountEnabled": false}); err != nil {
		t.Fatal(err)
	}
	h.notify(t, id)
	target := h.directory(t, demo.Contoso)
	took := eventually(t, soon, func() string {
		users, err := target.withMail(fmt.Sprint(leaver["mail"]))
		if err != nil || len(users) != 1 || users[0].AccountEnabled {
			return fmt.Sprintf("the target shows %+v, %v", users, err)
		}
		return ""
	})
	waiting, err := h.bus.Counts(change.QueueBackfill)
	if err != nil || waiting.Active < 50 {
		t.Errorf("%d of 300 still wait when the leaver is blocked, %v; this test shows nothing", waiting.Active, err)
	}
	t.Logf("blocked after %s, with %d of 300 still waiting", took.Round(time.Millisecond), waiting.Active)
	eventually(t, patience, h.wrong) // the bulk lane takes its time
}

func TestWhatGraphSaysOfASubscriptionIsDoneAtOnce(t *testing.T) {
	t.Run("it was removed", func(t *testing.T) {
		t.Parallel()
		h := open(t, entrasim.Notify{}, 53)
		h.tracked(t)
		before, err := h.program.Store.Subscriptions(t.Context(), demo.US.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := h.graph.Lifecycle(demo.US.ID, "subscriptionRemoved"); n != 1 || err != nil {
			t.Fatalf("%d subscriptions were removed, %v", n, err)
		}
		took := eventually(t, soon, func() string {
			held, err := h.program.Store.Subscriptions(t.Context(), demo.US.ID)
			if err != nil || len(held) != 1 || held[0].ID == before[0].ID {
				return fmt.Sprintf("the subscriptions are %+v, %v", held, err)
			}
			return ""
		})
		t.Logf("there is another one after %s", took.Round(time.Millisecond))
		if _, err := h.directory(t, demo.US).join(crowd(53, 1, usDomain)[0]); err != nil {
			t.Fatal(err)
		}
		h.settles(t)
	})
	t.Run("something was missed", func(t *testing.T) {
		t.Parallel()
		h := open(t, entrasim.Notify{Lose: 1}, 59)
		h.tracked(t)
		if _, err := h.directory(t, demo.US).join(crowd(59, 1, usDomain)[0]); err != nil {
			t.Fatal(err)
		}
		if n, err := h.graph.Lifecycle(demo.US.ID, "missed"); n != 1 || err != nil {
			t.Fatalf("%d subscriptions were told, %v", n, err)
		}
		h.settles(t)
	})
}

func TestEverybodyIsLookedAtWhenSomebodyAsks(t *testing.T) {
	t.Parallel()
	w := settle(t, open(t, entrasim.Notify{}, 53))
	crew := []person{w.hire(t, us, nil), w.hire(t, us, nil), w.hire(t, us, nil)}
	for _, p := range crew {
		w.ask(t, contoso, http.MethodPatch, "/users/"+p.arrives(t, contoso), edits{"jobTitle": "Changed"})
	}
	if err := w.fire(t, "renew"); err != nil {
		t.Fatal(err)
	}
	if wrong := w.wrong(); wrong == "" {
		t.Error("all is right although nobody asked; this test shows nothing")
	}
	w.manage(t, "look", look.Request{Route: crew[0].route(contoso), All: true}, &look.Answer{})
	if err := w.fire(t, "renew"); err != nil {
		t.Fatal(err)
	}
	w.settles(t)
}
