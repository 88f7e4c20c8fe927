package subscription

import "time"

// Life is what a new or renewed subscription asks for: an hour under Graph's maximum, because a request for exactly
// the documented maximum is known to be refused where clocks differ. Renewal is due when a day of it is spent: it
// also refreshes Graph's own token, without which delivery pauses, and it leaves four weeks in which renewals may fail.
const (
	Life     = MaxLife - time.Hour
	RenewDue = Life - 24*time.Hour
)

// StepKind is what is due on one subscription.
type StepKind string

// The steps.
const (
	Create   StepKind = "create"
	Renew    StepKind = "renew"
	Recreate StepKind = "recreate"
	Keep     StepKind = "keep"
)

// Step is what is due for one wanted subscription, and why. Held is what exists; zero for Create.
type Step struct {
	Kind      StepKind
	Wanted    Wanted
	Held      Held
	Reason    string
	ExpiresAt time.Time // for all but Keep: the end to ask for
}

// Plan decides what is due so that every wanted subscription exists, calls the right URL with the right secret, and
// stays. It returns one step per wanted subscription, in their order. Subscriptions of tenants that are not wanted are left alone.
func Plan(want []Wanted, have []Held, now time.Time) []Step {
	steps := make([]Step, len(want))
	for i, w := range want {
		steps[i] = planOne(w, have, now)
	}
	return steps
}

func planOne(w Wanted, have []Held, now time.Time) Step {
	s := Step{Wanted: w, ExpiresAt: now.Add(Life)}
	held, found := longest(have, w.TenantID)
	switch {
	case !found || !held.ExpiresAt.After(now):
		s.Kind, s.Reason = Create, "there is none"
		return s
	case held.Fingerprint == "":
		s.Kind, s.Reason = Recreate, "it was not made with this data: another installation uses this app registration, or the data was lost"
	case held.Fingerprint != w.Fingerprint():
		s.Kind, s.Reason = Recreate, "the clientState or the lifecycle URL has changed"
	case held.NotificationURL != w.NotificationURL:
		s.Kind, s.Reason = Recreate, "the notification URL has changed"
	case held.ExpiresAt.Sub(now) < RenewDue:
		s.Kind, s.Reason = Renew, "a day of its life is spent"
	default:
		s.Kind, s.Reason, s.ExpiresAt = Keep, "it is as it should be", time.Time{}
	}
	s.Held = held
	return s
}

// longest finds the tenant's subscription that lives longest. Graph allows only one of a kind, so there is rarely a choice.
func longest(have []Held, tenantID string) (best Held, found bool) {
	for _, h := range have {
		if h.TenantID == tenantID && (!found || h.ExpiresAt.After(best.ExpiresAt)) {
			best, found = h, true
		}
	}
	return best, found
}
