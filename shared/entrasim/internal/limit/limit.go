// Package limit meters what applications ask of tenants, and decides when it is too much. The numbers are those of the
// documented limits of identity and access, and of subscriptions.
package limit

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/pace"
)

// Cost is what a request takes.
type Cost struct {
	Units      int  // resource units
	Write      bool // counts as one write
	Invitation bool
	// Subscription requests have limits of their own, and lists of subscriptions others.
	Subscription, SubscriptionList bool
}

// Verdict is what becomes of a request. Requests that are throttled count, too.
type Verdict struct {
	Throttled bool
	// Share is how much of the fullest limit is used, 1 being all of it.
	Share float64
	// Scope, Information and RetryAfter are set if the request is throttled.
	Scope       string
	Information string
	RetryAfter  time.Duration
}

// rule is one limit: at most so much in a window, for each key.
type rule struct {
	scope, information string
	window             time.Duration
	most               func(users int) int
	key                func(app, tenant string) string
	takes              func(Cost) int
}

func fixed(n int) func(int) int { return func(int) int { return n } }

// bySize is the number of resource units for a tenant of so many users: S, M and L.
func bySize(users int) int {
	switch {
	case users < 50:
		return 3500
	case users <= 500:
		return 5000
	}
	return 8000
}

func both(app, tenant string) string     { return app + "/" + tenant }
func appOnly(app, _ string) string       { return app }
func tenantOnly(_, tenant string) string { return tenant }

func units(c Cost) int { return c.Units }

func one(of func(Cost) bool) func(Cost) int {
	return func(c Cost) int {
		if of(c) {
			return 1
		}
		return 0
	}
}

var (
	writes        = one(func(c Cost) bool { return c.Write })
	invitations   = one(func(c Cost) bool { return c.Invitation })
	subscriptions = one(func(c Cost) bool { return c.Subscription })
	listings      = one(func(c Cost) bool { return c.SubscriptionList })
)

const (
	unitsExceeded  = "ResourceUnitLimitExceeded"
	writesExceeded = "WriteLimitExceeded"
)

// rules are the documented limits, see sections 5.1 and 5.2 of the Graph notes.
var rules = []rule{
	{"Tenant_Application/ReadWrite", unitsExceeded, 10 * time.Second, bySize, both, units},
	{"Application/ReadWrite", unitsExceeded, 20 * time.Second, fixed(150_000), appOnly, units},
	{"Tenant_Application/Write", writesExceeded, 150 * time.Second, fixed(3000), both, writes},
	{"Application/Write", writesExceeded, 5 * time.Minute, fixed(35_000), appOnly, writes},
	{"Tenant/Write", writesExceeded, 5 * time.Minute, fixed(18_000), tenantOnly, writes},
	{"Tenant/Write", writesExceeded, 5 * time.Second, fixed(150), tenantOnly, invitations},
	{"Tenant_Application/ReadWrite", unitsExceeded, 20 * time.Second, fixed(1000), both, subscriptions},
	{"Tenant/ReadWrite", unitsExceeded, 20 * time.Second, fixed(2000), tenantOnly, subscriptions},
	{"Application/ReadWrite", unitsExceeded, 20 * time.Second, fixed(5000), appOnly, subscriptions},
	{"Tenant_Application/Read", unitsExceeded, 20 * time.Second, fixed(40), both, listings},
	{"Application/Read", unitsExceeded, 20 * time.Second, fixed(80), appOnly, listings},
}

// Meter counts. The zero Meter is ready, and safe for concurrent use.
type Meter struct {
	// Pace shortens the windows. The numbers in them stay.
	Pace pace.Pace

	mu   sync.Mutex
	used map[string]*window // by rule and key
}

// Charge counts a request of an application to a tenant of so many users, and judges it.
func (m *Meter) Charge(now time.Time, app, tenant string, users int, c Cost) Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil {
		m.used = map[string]*window{}
	}
	var v Verdict
	for i := range rules {
		r := &rules[i]
		n := r.takes(c)
		if n == 0 {
			continue
		}
		id := fmt.Sprint(i, " ", r.key(app, tenant))
		w := m.used[id]
		if w == nil {
			w = &window{slot: m.Pace.Span(r.window) / slots}
			m.used[id] = w
		}
		w.add(now, n)
		share := float64(w.total) / float64(r.most(users))
		v.Share = max(v.Share, share)
		if share > 1 && !v.Throttled {
			v.Throttled = true
			v.Scope = r.scope + "/" + app + "/" + tenant
			v.Information = r.information
			v.RetryAfter = max(time.Duration(math.Ceil(w.until(now, r.most(users)).Seconds()))*time.Second, time.Second)
		}
	}
	return v
}

// slots is how many parts a window slides in.
const slots = 10

// window counts what came in the last slots of time.
type window struct {
	slot   time.Duration
	first  int64 // number of the oldest slot, counted from 1970
	counts [slots]int
	total  int
}

func (w *window) add(now time.Time, n int) {
	number := now.UnixNano() / int64(w.slot)
	w.slide(number)
	w.counts[number%slots] += n
	w.total += n
}

// slide forgets what is a whole window older than slot number.
func (w *window) slide(number int64) {
	oldest := number - slots + 1
	if oldest-w.first >= slots {
		w.counts, w.total, w.first = [slots]int{}, 0, oldest
		return
	}
	for ; w.first < oldest; w.first++ {
		w.total -= w.counts[w.first%slots]
		w.counts[w.first%slots] = 0
	}
}

// until is how long it takes until there is room again below most, if nothing else comes.
func (w *window) until(now time.Time, most int) time.Duration {
	left := w.total
	for number := w.first; number < w.first+slots; number++ {
		left -= w.counts[number%slots]
		if left < most {
			return time.Unix(0, (number+slots)*int64(w.slot)).Sub(now)
		}
	}
	return time.Duration(slots) * w.slot
}
