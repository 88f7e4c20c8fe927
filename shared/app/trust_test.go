package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// timer renews, and says of routes whether they run.
type timer struct {
	mu       sync.Mutex
	asked    []string
	verdicts map[string]error // by route
	renewing error
}

func (w *timer) Run(context.Context) ([]subscription.Held, error) {
	return []subscription.Held{{ID: "s"}}, w.renewing
}

func (w *timer) Check(_ context.Context, r tenant.Route) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.Name)
	return w.verdicts[r.Name]
}

func TestTheTimerChecksTheTrustOfRoutes(t *testing.T) {
	topology, err := tenant.NewTopology([]tenant.Tenant{
		{Name: "us", ID: "00000000-0000-4000-8000-000000000001"}, {Name: "contoso", ID: "00000000-0000-4000-8000-000000000002"},
		{Name: "woodgrove", ID: "00000000-0000-4000-8000-000000000003"},
	}, []tenant.RouteSpec{{Source: "us", Target: "contoso"}, {Source: "us", Target: "woodgrove"}, {Source: "contoso", Target: "woodgrove"}})
	if err != nil {
		t.Fatal(err)
	}
	assumed := provisioning.DefaultRules()
	assumed.TrustAssumed = true
	c := &config.Config{File: config.File{Topology: topology, Rules: map[string]*provisioning.Rules{
		"us→contoso": provisioning.DefaultRules(), "us→woodgrove": provisioning.DefaultRules(), "contoso→woodgrove": assumed,
	}}}
	down, paused := outcome.RetryAfter(0, "service unavailable", errors.New("503")), outcome.PausedAfter(time.Minute, errors.New("no trust"))
	expired := errors.New("expired")
	for name, tt := range map[string]struct {
		verdict, renewing error
		want              []error
	}{
		"routes that run":                        {},
		"a route that is paused is no failure":   {verdict: paused},
		"a route of which nothing is known is":   {verdict: down, want: []error{down}},
		"so is a subscription that is not there": {verdict: down, renewing: expired, want: []error{down, expired}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &timer{verdicts: map[string]error{"us→woodgrove": tt.verdict}, renewing: tt.renewing}
			standing, err := checked{w, w, c}.Run(t.Context())
			if len(standing) != 1 {
				t.Errorf("subscriptions %v, want what the renewer says", standing)
			}
			if slices.Sort(w.asked); !slices.Equal(w.asked, []string{"us→contoso", "us→woodgrove"}) {
				t.Errorf("asked about %v, want every route whose trust is not assumed", w.asked)
			}
			if len(tt.want) == 0 && err != nil {
				t.Errorf("error %v", err)
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v in it", err, want)
				}
			}
		})
	}
}
