package limit

import (
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// charge makes n requests at a moment and returns how many of them were let through, and the last verdict.
func charge(m *Meter, at time.Time, n, users int, c Cost) (through int, last Verdict) {
	for range n {
		if last = m.Charge(at, "app", "tenant", users, c); !last.Throttled {
			through++
		}
	}
	return through, last
}

func TestEachDocumentedLimitHoldsInItsWindow(t *testing.T) {
	for _, c := range []struct {
		name        string
		cost        Cost
		users, most int
		window      time.Duration
		scope       string
	}{
		{"units of a small tenant", Cost{Units: 10}, 49, 350, 10 * time.Second, "Tenant_Application/ReadWrite/app/tenant"},
		{"units of a medium tenant", Cost{Units: 10}, 500, 500, 10 * time.Second, "Tenant_Application/ReadWrite/app/tenant"},
		{"units of a large tenant", Cost{Units: 10}, 501, 800, 10 * time.Second, "Tenant_Application/ReadWrite/app/tenant"},
		{"writes", Cost{Write: true}, 1, 3000, 150 * time.Second, "Tenant_Application/Write/app/tenant"},
		{"invitations", Cost{Invitation: true}, 1, 150, 5 * time.Second, "Tenant/Write/app/tenant"},
		{"subscriptions", Cost{Subscription: true}, 1, 1000, 20 * time.Second, "Tenant_Application/ReadWrite/app/tenant"},
		{"lists of subscriptions", Cost{SubscriptionList: true}, 1, 40, 20 * time.Second, "Tenant_Application/Read/app/tenant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Meter
			through, last := charge(&m, epoch, c.most+5, c.users, c.cost)
			if through != c.most || last.Scope != c.scope {
				t.Errorf("%d of %d came through, scope %q; want %d and %q", through, c.most+5, last.Scope, c.most, c.scope)
			}
			if again := epoch.Add(c.window + c.window/slots); m.Charge(again, "app", "tenant", c.users, c.cost).Throttled {
				t.Error("a window later it is throttled still")
			}
		})
	}
}

func TestRetryAfterIsWhenThereIsRoomAgain(t *testing.T) {
	var m Meter
	write := Cost{Write: true}
	charge(&m, epoch, 3000, 1, write)
	_, last := charge(&m, epoch.Add(10*time.Second), 1, 1, write)
	if !last.Throttled || last.RetryAfter < 135*time.Second || last.RetryAfter > 150*time.Second {
		t.Fatalf("after 10 of 150 seconds: %+v", last)
	}
	if _, later := charge(&m, epoch.Add(10*time.Second).Add(last.RetryAfter), 1, 1, write); later.Throttled {
		t.Errorf("throttled after the wait that was asked for: %+v", later)
	}
}

func TestThrottledRequestsCount(t *testing.T) {
	var m Meter
	write := Cost{Write: true}
	charge(&m, epoch, 3000, 1, write)
	charge(&m, epoch.Add(75*time.Second), 3000, 1, write) // all refused
	if _, v := charge(&m, epoch.Add(160*time.Second), 1, 1, write); !v.Throttled {
		t.Error("what was refused did not count")
	}
}

func TestApplicationsAndTenantsAreMeteredApart(t *testing.T) {
	var m Meter
	write := Cost{Write: true}
	charge(&m, epoch, 3001, 1, write)
	if m.Charge(epoch, "app", "another tenant", 1, write).Throttled || m.Charge(epoch, "another app", "tenant", 1, write).Throttled {
		t.Error("somebody else is throttled")
	}
	for i := range 20_000 { // six other applications write to the tenant
		v := m.Charge(epoch, strings.Repeat("x", i/2900+1), "tenant", 1, write)
		if v.Throttled {
			if !strings.HasPrefix(v.Scope, "Tenant/Write/") {
				t.Errorf("scope %q", v.Scope)
			}
			return
		}
	}
	t.Error("a tenant takes any number of writes")
}

func BenchmarkCharge(b *testing.B) {
	var m Meter
	b.ReportAllocs()
	for b.Loop() {
		m.Charge(epoch, "app", "tenant", 1000, Cost{Units: 2})
	}
}
