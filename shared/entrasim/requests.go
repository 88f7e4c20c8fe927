package entrasim

import (
	"sync"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/graph"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/subscription"
)

// Request is a request to Graph that was made, and what became of it.
type Request = graph.Request

// Subscription is a subscription as Graph shows it.
type Subscription = subscription.Subscription

// remembered is how many requests a log keeps.
const remembered = 1000

// requestLog keeps the latest requests.
type requestLog struct {
	mu     sync.Mutex
	ring   []Request
	next   int // where the next one goes
	served int64
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.served++
	if len(l.ring) < remembered {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.next] = r
	l.next = (l.next + 1) % remembered
}

// latest returns up to n requests, the latest first, and how many there were in all.
func (l *requestLog) latest(n int) (list []Request, served int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(n, len(l.ring)) {
		list = append(list, l.ring[(l.next+len(l.ring)-1-i)%len(l.ring)])
	}
	return list, l.served
}

// Requests returns up to n of the latest thousand requests to Graph, the latest first, and how many there were in all. Requests in a batch
// are in the one request for the batch.
func (s *Server) Requests(n int) (list []Request, served int64) { return s.requests.latest(n) }
