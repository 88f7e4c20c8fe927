package subscription

import (
	"net/http"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Lifecycle events. Graph sends only the first for users and groups; the others can be provoked.
const (
	ReauthorizationRequired = "reauthorizationRequired"
	SubscriptionRemoved     = "subscriptionRemoved"
	Missed                  = "missed"
)

// Events are the lifecycle events.
var Events = []string{ReauthorizationRequired, SubscriptionRemoved, Missed}

// apart is how long a renewal and a reauthorization of the same subscription have to be apart. The documents forbid less, and do not say
// what is answered; here it is 409.
const apart = 10 * time.Minute

// authorization is the right to deliver, which the token gave that made, renewed or reauthorized a subscription.
type authorization struct {
	until        time.Time // zero: for ever
	from         time.Time
	asked        int // reauthorizations
	renewed      time.Time
	reauthorized time.Time
}

func (a *authorization) authorize(now time.Time, lasts time.Duration) {
	a.from, a.until, a.asked = now, time.Time{}, 0
	if lasts > 0 {
		a.until = now.Add(lasts)
	}
}

// authorized tells whether notifications are delivered. Those made while they are not are lost.
func (a *authorization) authorized(now time.Time) bool {
	return a.until.IsZero() || now.Before(a.until)
}

func (a *authorization) renew(now time.Time, lasts, apart time.Duration) error {
	if now.Sub(a.reauthorized) < apart {
		return tooClose("renewed", "reauthorized")
	}
	a.renewed = now
	a.authorize(now, lasts)
	return nil
}

func tooClose(what, after string) error {
	return fault.New(http.StatusConflict, "Conflict", "The subscription cannot be %s within 10 minutes after it was %s.", what, after)
}

// Reauthorize lets deliveries go on. It does not extend the life of the subscription.
func (r *Registry) Reauthorize(owner Owner, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(owner, id)
	if err != nil {
		return err
	}
	now := r.now()
	if now.Sub(s.renewed) < r.apart {
		return tooClose("reauthorized", "renewed")
	}
	s.reauthorized = now
	s.authorize(now, r.lasts)
	return nil
}

// Lifecycle sends an event for every subscription in a tenant that has a lifecycle URL, and returns how many these are. A subscription
// that was removed is gone afterwards.
func (r *Registry) Lifecycle(tenantID, event string) (sent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	for _, s := range slices.Clone(r.subs) {
		if s.owner.TenantID != tenantID {
			continue
		}
		if r.tell(s, event) {
			sent++
		}
		if event == SubscriptionRemoved {
			r.remove(s)
		}
	}
	return sent
}

// tell sends an event, if somebody wants to hear it. r is locked.
func (r *Registry) tell(s *Subscription, event string) bool {
	if s.LifecycleNotificationURL == nil {
		return false
	}
	r.notifier.send(way{endpoint: *s.LifecycleNotificationURL}, delivery{
		item: lifecycleItem{
			LifecycleEvent: event, ClientState: s.ClientState, Expiration: s.Expiration.Format(expirationLayout), SubscriptionID: s.ID, TenantID: s.owner.TenantID,
		},
		subscription: s.ID, lifecycle: true, gone: event == SubscriptionRemoved, due: time.Now(),
	})
	return true
}

// watchEvery is how often authorizations are looked at, on the machine's clock.
const watchEvery = 100 * time.Millisecond

// watch asks for reauthorization until the notifier is closed.
func (r *Registry) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-r.notifier.ctx.Done():
			return
		case <-ticker.C:
			r.ask()
		}
	}
}

// ask sends reauthorizationRequired to those whose authorization is half over, and again when three quarters are. The documents give no
// times.
func (r *Registry) ask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	now := r.now()
	for _, s := range r.subs {
		passed := now.Sub(s.from)
		if s.asked == 0 && passed >= r.lasts/2 || s.asked == 1 && passed >= r.lasts*3/4 {
			s.asked++
			r.tell(s, ReauthorizationRequired)
		}
	}
}
