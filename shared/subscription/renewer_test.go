package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// graph is Graph's side and our memory of it: one subscription of a kind per tenant.
type graph struct {
	subscriptions map[string]subscription.Held // by id
	secrets       map[string]string            // clientState by id; Graph does not show it
	remembered    map[string]subscription.Held
	next          int
	down          map[string]error // by the call and tenant, "create <tenant>"
}

func newGraph(standing ...subscription.Held) *graph {
	g := &graph{
		subscriptions: map[string]subscription.Held{}, secrets: map[string]string{},
		remembered: map[string]subscription.Held{}, down: map[string]error{},
	}
	for _, h := range standing {
		if h.Fingerprint != "" {
			g.remembered[h.ID] = h
		}
		g.subscriptions[h.ID], g.secrets[h.ID] = h, subscription.Secret(key, h.TenantID)
	}
	return g
}

func (g *graph) List(_ context.Context, tenantID string) ([]subscription.Held, error) {
	return of(g.subscriptions, tenantID, func(h *subscription.Held) { h.Fingerprint = "" }), g.down["list "+tenantID]
}

func (g *graph) Create(_ context.Context, w subscription.Wanted, expiresAt time.Time) (subscription.Held, error) {
	if err := g.down["create "+w.TenantID]; err != nil {
		return subscription.Held{}, err
	}
	for _, h := range g.subscriptions {
		if h.TenantID == w.TenantID && h.ExpiresAt.After(now) {
			return subscription.Held{}, errors.New("409 subscription already exists for the requested combination")
		}
	}
	g.next++
	h := subscription.Held{
		ID: fmt.Sprintf("new-%d", g.next), TenantID: w.TenantID, NotificationURL: w.NotificationURL, ExpiresAt: expiresAt,
	}
	g.subscriptions[h.ID], g.secrets[h.ID] = h, w.Secret
	return h, nil
}

func (g *graph) Renew(_ context.Context, tenantID, id string, expiresAt time.Time) (subscription.Held, error) {
	if err := g.down["renew "+tenantID]; err != nil {
		return subscription.Held{}, err
	}
	h, ok := g.subscriptions[id]
	if !ok {
		return subscription.Held{}, subscription.ErrNotFound
	}
	h.ExpiresAt = expiresAt
	g.subscriptions[id] = h
	h.Fingerprint = ""
	return h, nil
}

func (g *graph) Delete(_ context.Context, tenantID, id string) error {
	delete(g.subscriptions, id)
	return g.down["delete "+tenantID]
}

func (g *graph) Subscription(_ context.Context, id string) (subscription.Held, error) {
	h, ok := g.remembered[id]
	if !ok {
		return h, subscription.ErrNotFound
	}
	return h, nil
}

func (g *graph) Subscriptions(_ context.Context, tenantID string) ([]subscription.Held, error) {
	return of(g.remembered, tenantID, func(*subscription.Held) {}), nil
}

func (g *graph) SaveSubscription(_ context.Context, h subscription.Held) error {
	if err := g.down["save "+h.TenantID]; err != nil {
		return err
	}
	g.remembered[h.ID] = h
	return nil
}

func (g *graph) ForgetSubscription(_ context.Context, id string) error {
	delete(g.remembered, id)
	return nil
}

func of(all map[string]subscription.Held, tenantID string, edit func(*subscription.Held)) (out []subscription.Held) {
	for _, h := range all {
		if h.TenantID == tenantID {
			edit(&h)
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b subscription.Held) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (g *graph) renewer() *subscription.Renewer {
	return &subscription.Renewer{
		Service: g, Store: g, Sources: []tenant.Tenant{{Name: "fabrikam-us", ID: us}, {Name: "fabrikam-mexico", ID: mexico}},
		NotificationURL: url, Key: key, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
}

// standing checks that a tenant has one live subscription, in good order and remembered as it is, and returns its id.
func (g *graph) standing(t *testing.T, tenantID string) string {
	t.Helper()
	live := slices.DeleteFunc(of(g.subscriptions, tenantID, func(*subscription.Held) {}),
		func(h subscription.Held) bool { return !h.ExpiresAt.After(now) })
	if len(live) != 1 {
		t.Fatalf("%s has %d live subscriptions, want 1", tenantID, len(live))
	}
	h := live[0]
	want := held(tenantID, id(h.ID), func(w *subscription.Held) { w.ExpiresAt = h.ExpiresAt })
	if remembered := g.remembered[h.ID]; !reflect.DeepEqual(remembered, want) {
		t.Errorf("remembered %+v, want %+v", remembered, want)
	}
	if h.NotificationURL != url || g.secrets[h.ID] != subscription.Secret(key, tenantID) {
		t.Errorf("subscription %+v calls the wrong URL or has the wrong clientState", h)
	}
	if h.ExpiresAt.Sub(now) < subscription.RenewDue {
		t.Errorf("it ends in %v", h.ExpiresAt.Sub(now))
	}
	return h.ID
}

func TestRenewerRun(t *testing.T) {
	for _, c := range []struct {
		name string
		have []subscription.Held
		same bool // the subscription of fabrikam-us stays the same object
	}{
		{"creates where there is none", nil, false},
		{"keeps one in good order", []subscription.Held{held(us)}, true},
		{"renews one that is due", []subscription.Held{held(us, left(time.Hour))}, true},
		{"creates after one that ended", []subscription.Held{held(us, left(-time.Hour))}, false},
		{"replaces one whose clientState nobody knows", []subscription.Held{held(us, notOurs)}, false},
		{"replaces one with an old clientState", []subscription.Held{held(us, madeWith("old"))}, false},
		{"replaces one that calls an old URL", []subscription.Held{held(us, elsewhere)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGraph(c.have...)
			for run := range 2 { // the second finds nothing to do
				before := len(g.subscriptions)
				stands, err := g.renewer().Run(t.Context())
				if err != nil || len(stands) != 2 {
					t.Fatalf("run %d: %v stand, error %v; want 2", run, stands, err)
				}
				for i, tenantID := range []string{us, mexico} {
					if got := g.standing(t, tenantID); stands[i].ID != got {
						t.Errorf("run %d says %s stands for %s, it is %s", run, stands[i].ID, tenantID, got)
					}
				}
				if run == 1 && len(g.subscriptions) != before {
					t.Errorf("the second run made %d of %d subscriptions", len(g.subscriptions), before)
				}
			}
			if got := g.standing(t, us) == "subscription-of-"+us; got != c.same {
				t.Errorf("the same subscription: %t, want %t", got, c.same)
			}
		})
	}
}

func TestRenewerForgetsWhatGraphDoesNotHoldAnyMore(t *testing.T) {
	g := newGraph()
	g.remembered["lost"] = held(us, id("lost"))
	if _, err := g.renewer().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.standing(t, us)
	if _, err := g.Subscription(t.Context(), "lost"); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("a lost subscription is still remembered (%v): its notifications would be believed", err)
	}
}

func TestRenewerCreatesWhenTheOneToRenewVanishes(t *testing.T) {
	g := newGraph(held(us, left(time.Hour)))
	r := g.renewer()
	r.Service = vanishing{g}
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.standing(t, us)
}

// vanishing loses each subscription right before it is renewed.
type vanishing struct{ *graph }

func (v vanishing) Renew(ctx context.Context, tenantID, id string, expiresAt time.Time) (subscription.Held, error) {
	delete(v.subscriptions, id)
	return v.graph.Renew(ctx, tenantID, id, expiresAt)
}

func TestRenewerDoesNotLetOneTenantHoldUpTheOthers(t *testing.T) {
	errDown := errors.New("503 ServiceUnavailable")
	for _, call := range []string{"list", "create", "save"} {
		t.Run(call+" fails", func(t *testing.T) {
			g := newGraph()
			g.down[call+" "+us] = errDown
			stands, err := g.renewer().Run(t.Context())
			if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "fabrikam-us") {
				t.Errorf("error %v, want one that names the tenant and the cause", err)
			}
			if len(stands) != 1 || stands[0].ID != g.standing(t, mexico) {
				t.Errorf("%v stand, want the one of the other tenant", stands)
			}
			clear(g.down)
			if _, err := g.renewer().Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.standing(t, us)
		})
	}
}

func TestRenewerKeepsWhatItCannotRenewYet(t *testing.T) {
	g := newGraph(held(us, left(time.Hour)))
	g.down["renew "+us] = errors.New("503 ServiceUnavailable")
	if _, err := g.renewer().Run(t.Context()); err == nil {
		t.Error("a renewal that failed is not told")
	}
	if h, ok := g.subscriptions["subscription-of-"+us]; !ok || !h.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("the old subscription became %+v", h)
	}
	clear(g.down)
	if _, err := g.renewer().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.standing(t, us)
}

func TestReauthorizingRenewsBeforeThatIsDueAndNotTwiceWithinTenMinutes(t *testing.T) {
	for _, c := range []struct {
		name    string
		have    []subscription.Held
		renewed bool
	}{
		{"an hour old", []subscription.Held{held(us, left(subscription.Life-time.Hour))}, true},
		{"ten minutes old", []subscription.Held{held(us, left(subscription.Life-10*time.Minute))}, true},
		{"renewed nine minutes ago", []subscription.Held{held(us, left(subscription.Life-9*time.Minute))}, false},
		{"made just now", []subscription.Held{held(us)}, false},
		{"gone", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGraph(c.have...)
			before := len(g.subscriptions)
			r := g.renewer()
			if err := r.Reauthorize(t.Context(), us); err != nil {
				t.Fatal(err)
			}
			renewed := len(g.subscriptions) > before
			for _, h := range g.subscriptions {
				renewed = renewed || len(c.have) > 0 && h.ExpiresAt.After(c.have[0].ExpiresAt)
			}
			if renewed != c.renewed {
				t.Errorf("renewed: %v, subscriptions %+v", renewed, g.subscriptions)
			}
		})
	}
	if err := newGraph().renewer().Reauthorize(t.Context(), "a tenant of others"); err != nil {
		t.Errorf("a tenant that is no source: %v", err)
	}
}

func TestAnotherLifecycleURLIsAnotherSubscription(t *testing.T) {
	plain := wanted(us)
	with := plain
	with.LifecycleURL = "https://sync.example/api/lifecycle"
	if plain.Fingerprint() != subscription.Fingerprint(plain.Secret) || with.Fingerprint() == plain.Fingerprint() {
		t.Error("the fingerprint does not tell")
	}
	if steps := subscription.Plan([]subscription.Wanted{with}, []subscription.Held{held(us)}, now); steps[0].Kind != subscription.Recreate {
		t.Errorf("step %s, want recreate", steps[0].Kind)
	}
}
