package trust_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/trust"
)

// tenants keep the policies of two tenants, and may fail.
type tenants struct {
	mu             sync.Mutex
	source, target trust.Policies
	fail           map[string]error // by tenant id
	slow           time.Duration
	reads          map[string]int // of partner settings: one for each round, by tenant id
}

func (o *tenants) of(tenantID string) (trust.Policies, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if tenantID == route.Source.ID {
		return o.source, o.fail[tenantID]
	}
	return o.target, o.fail[tenantID]
}

func (o *tenants) PartnerSettings(ctx context.Context, tenantID, partnerID string) (*trust.Settings, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(o.slow):
	}
	o.mu.Lock()
	o.reads[tenantID]++
	o.mu.Unlock()
	p, err := o.of(tenantID)
	if tenantID == partnerID {
		return nil, errors.New("a tenant is asked about itself")
	}
	return p.Partner, err
}

func (o *tenants) DefaultSettings(_ context.Context, tenantID string) (trust.Settings, error) {
	p, err := o.of(tenantID)
	return p.Default, err
}

func (o *tenants) InvitesFrom(_ context.Context, tenantID string) (string, error) {
	p, err := o.of(tenantID)
	return p.InvitesFrom, err
}

// redeem says whether the target redeems automatically.
func (o *tenants) redeem(yes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.target.Partner = &trust.Settings{Inbound: trust.Direction{Redeems: &yes}}
}

// gate is a gate in front of two tenants, and its log. It belongs into a bubble of synctest, whose clock it has.
type gate struct {
	trust.Gate
	*tenants
	log bytes.Buffer
}

func newGate() *gate {
	g := &gate{tenants: &tenants{source: trusting(), target: trusting(), fail: map[string]error{}, reads: map[string]int{}}}
	g.Gate = trust.Gate{Policies: g.tenants, Now: time.Now, Log: slog.New(slog.NewTextHandler(&g.log, nil))}
	return g
}

// ask asks once, and returns what came of it as one word.
func (g *gate) ask(t *testing.T) string {
	t.Helper()
	err := g.Check(t.Context(), route)
	o := outcome.Of(err)
	switch {
	case err == nil:
		return "runs"
	case o.Paused && o.Kind == outcome.Later && o.Delay >= time.Second && o.Delay <= 5*time.Minute:
		return "paused"
	}
	return fmt.Sprintf("%v %v: %v", o.Kind, o.Delay, err)
}

func (g *gate) asks(t *testing.T, want string) {
	t.Helper()
	if got := g.ask(t); got != want {
		t.Errorf("the gate says %s, want %s", got, want)
	}
}

func (g *gate) haveRead(t *testing.T, times int) {
	t.Helper()
	if got := g.reads; got[route.Source.ID] != times || got[route.Target.ID] != times {
		t.Errorf("policies were read %v times, want %d of each tenant", got, times)
	}
}

func (g *gate) logged(t *testing.T, text string, times int) {
	t.Helper()
	if got := strings.Count(g.log.String(), text); got != times {
		t.Errorf("the log says %q %d times, want %d:\n%s", text, got, times, g.log.String())
	}
}

func TestPoliciesAreReadBeforeTheFirstChangeAndThenHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		for range 60 {
			g.asks(t, "runs")
			time.Sleep(time.Minute - time.Millisecond)
		}
		g.haveRead(t, 1)
		time.Sleep(time.Second)
		g.asks(t, "runs")
		g.haveRead(t, 2)
		if g.log.Len() > 0 {
			t.Errorf("a route that runs is logged: %s", g.log.String())
		}
	})
}

func TestARoutePausesAndRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.asks(t, "runs")
		g.redeem(false)
		g.asks(t, "runs") // for the hour
		time.Sleep(time.Hour)
		for range 3 {
			g.asks(t, "paused")
			g.asks(t, "paused")
			time.Sleep(5 * time.Minute)
		}
		g.haveRead(t, 4)
		g.logged(t, "a route is paused", 1)
		g.logged(t, "PATCH /v1.0/policies/crossTenantAccessPolicy/partners/"+route.Source.ID, 1)
		g.redeem(true)
		g.asks(t, "runs")
		g.asks(t, "runs")
		g.logged(t, "a route runs again", 1)
		g.haveRead(t, 5)
	})
}

func TestAPausedRouteIsLoggedAgainWhenTheReasonChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.redeem(false)
		g.target.InvitesFrom = "none"
		g.asks(t, "paused")
		g.redeem(true)
		time.Sleep(5 * time.Minute)
		g.asks(t, "paused")
		g.logged(t, "a route is paused", 2)
		g.logged(t, "automaticUserConsentSettings.inboundAllowed", 1)
		g.logged(t, "PATCH /v1.0/policies/authorizationPolicy", 2)
	})
}

func TestAChangeThatIsPutOffComesBackWhenTheRouteIsCheckedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.redeem(false)
		for _, c := range []struct{ passed, want time.Duration }{
			{0, 5 * time.Minute}, {4 * time.Minute, time.Minute}, {time.Minute - time.Millisecond, time.Second}, {time.Millisecond, 5 * time.Minute},
		} {
			time.Sleep(c.passed)
			if o := outcome.Of(g.Check(t.Context(), route)); o.Delay != c.want {
				t.Errorf("it comes back after %v, want %v", o.Delay, c.want)
			}
		}
	})
}

func TestManyChangesAtOnceAreOneRoundOfReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.slow = time.Second
		began := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { g.asks(t, "runs") })
		}
		all.Wait()
		g.haveRead(t, 1)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v: the tenants are not asked at the same time", took)
		}
	})
}

func TestWhoeverWaitsForAnothersRoundMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.slow = 5 * time.Second
		first, giveUp := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- g.Check(first, route) }()
		synctest.Wait()
		second, cancel := context.WithCancel(t.Context())
		go func() { ended <- g.Check(second, route) }()
		synctest.Wait()
		cancel()
		if err := <-ended; outcome.Of(err).Kind != outcome.Retry || !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up hears %v", err)
		}
		giveUp() // and who reads for others goes on
		if err := <-ended; err != nil {
			t.Errorf("who read hears %v", err)
		}
		g.haveRead(t, 1)
	})
}

func TestNothingIsKnownUntilThePoliciesCouldBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.fail[route.Target.ID] = outcome.RetryAfter(0, "service unavailable", errors.New("503"))
		for range 5 {
			if o := outcome.Of(g.Check(t.Context(), route)); o.Kind != outcome.Retry || o.Code != "service unavailable" || o.Paused {
				t.Errorf("got %+v, want what Graph said", o)
			}
		}
		g.haveRead(t, 1) // a crowd does not ask a service that is down each for itself
		time.Sleep(2 * time.Second)
		g.fail[route.Target.ID] = outcome.LaterAfter(30*time.Second, errors.New("429"))
		if o := outcome.Of(g.Check(t.Context(), route)); o.Kind != outcome.Later || o.Delay != 30*time.Second || o.Paused {
			t.Errorf("got %+v, want the wait that Graph asked for", o)
		}
		time.Sleep(29 * time.Second)
		g.ask(t)
		g.haveRead(t, 2)
		delete(g.fail, route.Target.ID)
		time.Sleep(time.Second)
		g.asks(t, "runs")
	})
}

func TestAHangingReadEndsAsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.slow = time.Hour
		began := time.Now()
		if err := g.Check(t.Context(), route); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestAFailureThatMayPassKeepsTheLastVerdict(t *testing.T) {
	down := outcome.RetryAfter(0, "service unavailable", errors.New("503"))
	for verdict, redeems := range map[string]bool{"runs": true, "paused": false} {
		t.Run(verdict, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				g.redeem(redeems)
				g.asks(t, verdict)
				g.fail[route.Source.ID] = down
				time.Sleep(time.Hour)
				g.asks(t, verdict)
				g.asks(t, verdict)
				g.haveRead(t, 2)
				g.logged(t, "its last verdict holds", 1)
				delete(g.fail, route.Source.ID)
				g.redeem(!redeems)
				time.Sleep(5 * time.Minute) // it is tried again soon
				if got := g.ask(t); got == verdict {
					t.Errorf("the gate still says %s", got)
				}
			})
		})
	}
}

func TestAMissingPermissionPausesTheRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.asks(t, "runs")
		g.fail[route.Source.ID] = fmt.Errorf("%w: %w", trust.ErrForbidden, outcome.Fail("permission denied", errors.New("403")))
		time.Sleep(time.Hour)
		g.asks(t, "paused")
		err := g.Check(t.Context(), route)
		for _, want := range []string{"Policy.Read.All", "fabrikam-us", route.Source.ID, "403"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not name %s", err, want)
			}
		}
		delete(g.fail, route.Source.ID)
		time.Sleep(5 * time.Minute)
		g.asks(t, "runs")
	})
}

func TestPoliciesThatCanNeverBeReadPauseTheRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.fail[route.Target.ID] = outcome.Fail("not supported", errors.New("501"))
		g.asks(t, "paused")
	})
}

func TestRoutesAreCheckedEachForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.asks(t, "runs")
		g.redeem(false)
		other := route
		other.Name = "another"
		if err := g.Check(t.Context(), other); !outcome.Of(err).Paused {
			t.Errorf("the other route: %v", err)
		}
		g.asks(t, "runs")
	})
}

func TestHowOftenARouteIsCheckedCanBeChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.Every = 10 * time.Second
		g.asks(t, "runs")
		g.redeem(false)
		time.Sleep(10 * time.Second)
		g.asks(t, "paused")
		g.redeem(true)
		time.Sleep(10 * time.Second)
		g.asks(t, "runs")
		g.haveRead(t, 3)
	})
}
