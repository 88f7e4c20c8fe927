package subscription_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/subscription"
	"pgregory.net/rapid"
)

const (
	mexico = "11111111-1111-4111-8111-111111111111"
	us     = "22222222-2222-4222-8222-222222222222"
	url    = "https://sync.example/api/notify"
)

var (
	now = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	key = []byte("the key of this installation")
)

func wanted(tenantID string) subscription.Wanted {
	return subscription.Wanted{TenantID: tenantID, NotificationURL: url, Secret: subscription.Secret(key, tenantID)}
}

// held is a subscription in good order, after edits.
func held(tenantID string, edits ...func(*subscription.Held)) subscription.Held {
	h := subscription.Held{
		ID: "subscription-of-" + tenantID, TenantID: tenantID, NotificationURL: url,
		ExpiresAt: now.Add(subscription.Life), Fingerprint: subscription.Fingerprint(subscription.Secret(key, tenantID)),
	}
	for _, edit := range edits {
		edit(&h)
	}
	return h
}

func left(d time.Duration) func(*subscription.Held) {
	return func(h *subscription.Held) { h.ExpiresAt = now.Add(d) }
}

func id(id string) func(*subscription.Held) { return func(h *subscription.Held) { h.ID = id } }

func madeWith(secret string) func(*subscription.Held) {
	return func(h *subscription.Held) { h.Fingerprint = subscription.Fingerprint(secret) }
}

func notOurs(h *subscription.Held)   { h.Fingerprint = "" }
func elsewhere(h *subscription.Held) { h.NotificationURL = "https://old.example/api/notify" }

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name string
		have []subscription.Held
		kind subscription.StepKind
		held string // id of the subscription that the step is about
	}{
		{"none is there", nil, subscription.Create, ""},
		{"one is there and young", []subscription.Held{held(us)}, subscription.Keep, "subscription-of-" + us},
		{"half of its life is left, to the second", []subscription.Held{held(us, left(subscription.RenewDue))}, subscription.Keep, "subscription-of-" + us},
		{"less than half of its life is left", []subscription.Held{held(us, left(subscription.RenewDue-time.Second))}, subscription.Renew, "subscription-of-" + us},
		{"a second is left", []subscription.Held{held(us, left(time.Second))}, subscription.Renew, "subscription-of-" + us},
		{"it ends now", []subscription.Held{held(us, left(0))}, subscription.Create, ""},
		{"it ended long ago", []subscription.Held{held(us, left(-time.Hour))}, subscription.Create, ""},
		{"one is there that we did not make", []subscription.Held{held(us, notOurs)}, subscription.Recreate, "subscription-of-" + us},
		{"its secret is not the one of today", []subscription.Held{held(us, madeWith("old"))}, subscription.Recreate, "subscription-of-" + us},
		{"it calls another URL", []subscription.Held{held(us, elsewhere)}, subscription.Recreate, "subscription-of-" + us},
		{"it is due and calls another URL", []subscription.Held{held(us, elsewhere, left(time.Hour))}, subscription.Recreate, "subscription-of-" + us},
		{"only another tenant has one", []subscription.Held{held(mexico)}, subscription.Create, ""},
		{"of two, the one that lives longest counts",
			[]subscription.Held{held(us, id("short"), left(time.Hour)), held(us, id("long")), held(us, id("over"), left(-time.Hour))},
			subscription.Keep, "long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps := subscription.Plan([]subscription.Wanted{wanted(us)}, c.have, now)
			if len(steps) != 1 {
				t.Fatalf("%d steps, want 1", len(steps))
			}
			s := steps[0]
			if s.Kind != c.kind || s.Held.ID != c.held || s.Reason == "" || s.Wanted != wanted(us) {
				t.Errorf("step %+v, want %s of %q", s, c.kind, c.held)
			}
			end := now.Add(subscription.Life)
			if c.kind == subscription.Keep {
				end = time.Time{}
			}
			if !s.ExpiresAt.Equal(end) {
				t.Errorf("it asks for %v, want %v", s.ExpiresAt, end)
			}
		})
	}
}

func TestPlanHasOneStepForEachWantedInTheirOrder(t *testing.T) {
	steps := subscription.Plan([]subscription.Wanted{wanted(us), wanted(mexico)}, []subscription.Held{held(mexico)}, now)
	var got []string
	for _, s := range steps {
		got = append(got, string(s.Kind)+" "+s.Wanted.TenantID)
	}
	if want := []string{"create " + us, "keep " + mexico}; !reflect.DeepEqual(got, want) {
		t.Errorf("steps %v, want %v", got, want)
	}
	if steps := subscription.Plan(nil, []subscription.Held{held(us)}, now); len(steps) != 0 {
		t.Errorf("nothing is wanted, yet %v", steps)
	}
}

func TestLifeIsOneThatGraphGrants(t *testing.T) {
	if subscription.Life >= subscription.MaxLife || subscription.MaxLife != 29*24*time.Hour {
		t.Errorf("life %v, longest %v", subscription.Life, subscription.MaxLife)
	}
}

// TestPlanSettles carries a plan out in a model of Graph: after that, everything is kept, whatever was there before.
func TestPlanSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := []subscription.Wanted{wanted(us), wanted(mexico)}
		var have []subscription.Held
		for range rapid.IntRange(0, 4).Draw(t, "held") {
			tenantID := rapid.SampledFrom([]string{us, mexico, "another"}).Draw(t, "tenant")
			h := held(tenantID, id(rapid.StringMatching(`[a-z]{8}`).Draw(t, "id")),
				left(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(subscription.MaxLife)).Draw(t, "left"))))
			for _, edit := range []func(*subscription.Held){notOurs, elsewhere, madeWith("old")} {
				if rapid.IntRange(0, 3).Draw(t, "edit") == 0 {
					edit(&h)
				}
			}
			have = append(have, h)
		}
		for _, s := range subscription.Plan(want, have, now) {
			if s.Kind != subscription.Keep && !s.ExpiresAt.After(now) {
				t.Fatalf("%s asks for an end that is over: %v", s.Kind, s.ExpiresAt)
			}
			have = carriedOut(have, s)
		}
		for _, s := range subscription.Plan(want, have, now) {
			if s.Kind != subscription.Keep {
				t.Fatalf("planned again: %s, because %s", s.Kind, s.Reason)
			}
		}
	})
}

func carriedOut(have []subscription.Held, s subscription.Step) (then []subscription.Held) {
	for _, h := range have {
		switch {
		case h != s.Held:
			then = append(then, h)
		case s.Kind == subscription.Renew:
			h.ExpiresAt = s.ExpiresAt
			then = append(then, h)
		case s.Kind == subscription.Keep:
			then = append(then, h)
		}
	}
	if s.Kind == subscription.Create || s.Kind == subscription.Recreate {
		then = append(then, held(s.Wanted.TenantID, id("new of "+s.Wanted.TenantID)))
	}
	return then
}

func TestSecretsDifferBetweenTenantsAndKeys(t *testing.T) {
	secret := subscription.Secret(key, us)
	if len(secret) != 43 {
		t.Errorf("%d characters, want 43 (Graph allows 128)", len(secret))
	}
	if secret != subscription.Secret(key, us) {
		t.Error("it is not the same the second time")
	}
	for _, other := range []string{subscription.Secret(key, mexico), subscription.Secret([]byte("another key"), us)} {
		if other == secret {
			t.Error("two secrets are the same")
		}
	}
}

func TestFingerprintsTellSecretsApartAndNothingElse(t *testing.T) {
	secret := subscription.Secret(key, us)
	print := subscription.Fingerprint(secret)
	if print == "" || print != subscription.Fingerprint(secret) || print == subscription.Fingerprint(secret+"x") {
		t.Errorf("%q does not name the secret", print)
	}
	if strings.Contains(print, secret[:6]) {
		t.Errorf("%q tells of the secret", print)
	}
}
