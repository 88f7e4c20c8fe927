package broker

import (
	"fmt"
	"sync/atomic"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// Limits on what clients can make the broker hold besides the messages in its queues; see the package comment.
const (
	// defaultMaxConnections is what a namespace of Service Bus takes.
	defaultMaxConnections = 5000
	// maxGuests are the connections on top of them that may be in their handshake, about to be refused, or speak HTTP.
	maxGuests = 256
	// maxLinks is how many links a connection may have, over all its sessions.
	maxLinks = 5000
	// maxHeld is how many bytes the broker holds for all clients together: deliveries of which a part is still to come,
	// replies that have not left, sessions and links. It is more than the largest message that a queue can allow.
	maxHeld = 256 << 20
	// sessionCost and linkCost are what a session and a link count as.
	sessionCost = 2 << 10
	linkCost    = 1 << 10
)

// budget is a number of bytes that may be used. It is safe for concurrent use.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take uses n bytes, or nothing if there are not so many left.
func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.limit {
		b.give(n)
		return false
	}
	return true
}

func (b *budget) give(n int) { b.used.Add(-int64(n)) }

// exhausted refuses what would exceed the budget. Clients try again after a server-busy.
func exhausted(what string) *amqp.Error {
	return &amqp.Error{Condition: conditionServerBusy, Description: fmt.Sprintf("The broker holds %d MiB for its clients already, and cannot hold %s too. Try again later.", maxHeld>>20, what)}
}

// admit counts an open connection, or refuses it.
func (s *Server) admit() *amqp.Error {
	limit := s.options.MaxConnections
	if s.admitted.Add(1) <= int64(limit) {
		return nil
	}
	s.admitted.Add(-1)
	return &amqp.Error{Condition: conditionFull, Description: fmt.Sprintf("The broker serves %d connections already, which is its limit. Close some, or raise the limit.", limit)}
}

func (s *Server) dismiss() { s.admitted.Add(-1) }
