package subscription

import (
	"net/url"
	"slices"
	"time"
)

// Standing is how Graph treats notifications for a host, by how fast it answered of late.
type Standing string

// The standings of a host. Source: the delivery rules of change notifications with webhooks.
const (
	Steady   Standing = "steady"
	Slow     Standing = "slow"     // more than 10 % of the answers took over 3 s: new notifications wait for ten minutes
	Dropping Standing = "dropping" // more than 15 % took over 10 s: notifications are dropped for ten minutes, and never come
)

const (
	window    = 10 * time.Minute // over which answers count, and for which notifications are dropped
	slowDelay = 10 * time.Minute
	// judged is how many answers there must be: an older text of the documents says that a host is judged after 100 notifications.
	judged = 100
)

// Traffic is what became of notifications for a host.
type Traffic struct {
	Standing  Standing `json:"standing"`
	Published int      `json:"published"` // made
	Attempts  int      `json:"attempts"`  // requests
	Lost      int      `json:"lost"`      // on purpose
	Delayed   int      `json:"delayed"`   // because the host was slow
	Dropped   int      `json:"dropped"`   // because it was very slow
}

// host is a receiver of notifications. Its notifier's lock guards it.
type host struct {
	Traffic
	answers   []timedAnswer // of the last ten minutes
	dropUntil time.Time
}

type timedAnswer struct {
	at   time.Time
	took time.Duration
}

// host finds the host of an endpoint. n is locked.
func (n *Notifier) host(endpoint string) *host {
	name := endpoint
	if u, err := url.Parse(endpoint); err == nil {
		name = u.Host
	}
	if n.hosts[name] == nil {
		n.hosts[name] = &host{}
	}
	return n.hosts[name]
}

// answered remembers how long an answer took, or how long none came.
func (h *host) answered(now time.Time, took, within time.Duration) {
	h.Attempts++
	h.answers = append(h.answers, timedAnswer{now, took})
	if h.judge(now, within) == Dropping {
		h.dropUntil = now.Add(within)
	}
}

func (h *host) standing(now time.Time, within time.Duration) Standing {
	if now.Before(h.dropUntil) {
		return Dropping
	}
	return h.judge(now, within)
}

// judge looks at the answers within the window.
func (h *host) judge(now time.Time, within time.Duration) Standing {
	h.answers = slices.DeleteFunc(h.answers, func(a timedAnswer) bool { return now.Sub(a.at) >= within })
	if len(h.answers) < judged {
		return Steady
	}
	var slow, verySlow int
	for _, a := range h.answers {
		if a.took >= firstAttempt {
			slow++
		}
		if a.took >= laterAttempt {
			verySlow++
		}
	}
	switch {
	case 100*verySlow > 15*len(h.answers):
		return Dropping
	case 100*slow > 10*len(h.answers):
		return Slow
	}
	return Steady
}

// Traffic tells what became of notifications, by host.
func (n *Notifier) Traffic() map[string]Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]Traffic{}
	for name, h := range n.hosts {
		t := h.Traffic
		t.Standing = h.standing(n.now(), n.Pace.Span(window))
		all[name] = t
	}
	return all
}
