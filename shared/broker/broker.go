// Package broker is an embedded queue server that speaks Azure Service Bus's dialect of AMQP 1.0, so that an unmodified
// Service Bus client works against it.
//
// It decides which message a receiver gets, how long it may keep it, and what becomes of it: the rules are in
// internal/queue, a pure state machine; internal/amqp reads and writes bytes; this package joins the two with
// connections, sessions and links. Each queue has a lock of its own, shared with its dead-letter queue.
//
// With a directory, internal/store keeps every queue on a disk: a message or a settlement is acknowledged when it is there,
// and after a crash everything is as it was acknowledged, but for locks, which are gone.
//
// One port serves AMQP, with and without TLS, AMQP over WebSocket, and the management API over HTTP.
//
// Covered: queues with peek-lock and receive-and-delete, batches, settlement on the link and by lock token on
// $management, lock renewal and expiry, delivery counts, dead letters with reasons, time to live, duplicate detection,
// scheduled and deferred messages, peek, quotas, statuses, queues that delete themselves when they are idle, shared access
// signatures with the rights Listen, Send and Manage, for the namespace and for one queue.
//
// Not modelled:
//   - message sessions: a queue can say that it requires them, and then refuses links;
//   - topics, subscriptions, forwarding and its transfer dead-letter queues, transactions;
//   - partitions: a partitioned queue has a larger quota and is otherwise like any other;
//   - throttling by load: com.microsoft:server-busy means that the disk cannot be written, or that memory runs short.
//
// # Limits
//
// Memory is bounded by what clients store in queues, never by how slowly they read (see the comment on conn), and besides by:
//   - connections: Options.MaxConnections with AMQP; more are refused with amqp:resource-limit-exceeded behind the open. 256
//     others may be in their handshake or speak HTTP; beyond these a connection is closed without a word;
//   - a handshake, which lasts 20 seconds at most, and silence, which lasts Options.IdleTimeout at most;
//   - 5,000 sessions and 5,000 links of a connection, 256 links of a session;
//   - 256 MiB for all clients together: deliveries of which a part is still to come, replies that were not read, sessions and
//     links. What would exceed it is refused with com.microsoft:server-busy: the link ends, or the connection if it is a
//     session that it asks for;
//   - frames of 64 KiB, messages of QueueConfig.MaxMessageSizeKB, requests of 256 KiB, of which a link may have 64 without an
//     answer; replies of about 256 KiB to a peek, of 256 messages and 1 MiB to a request for deferred messages;
//   - 64 KiB of properties that settlements set on a message, which do not count in the size of its queue;
//   - the life of a token: when it is over and was not replaced, its links end with amqp:unauthorized-access.
//
// A connection takes about 64 KiB when it is idle and up to 0.6 MiB when its client does not read.
package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// defaultIdleTimeout ends connections that are silent.
const defaultIdleTimeout = 2 * time.Minute

// Options configure a Server. Without Keys no client can do anything.
type Options struct {
	// Dir is where the queues are kept; it is made if it is not there, and one server can use it at a time. Without it
	// they are in memory only.
	Dir string
	// Queues are made at the start. In a Dir that has a queue of the same name already, it gets these rules and keeps its
	// messages; other queues that are there stay.
	Queues []QueueConfig
	// Keys by name.
	Keys map[string]Key
	// TLS, if set, is used by clients that start with a TLS handshake; others are served in plain text on the same port.
	TLS *tls.Config
	// AcceptJWT lets every token of type "jwt" pass, unverified and with all rights, for clients that use a
	// TokenCredential. It makes the broker open to anyone who can reach it.
	AcceptJWT bool
	// IdleTimeout ends the connection of a client that sends nothing, not even empty frames; default 2 minutes.
	IdleTimeout time.Duration
	// MaxConnections is how many connections may be open at a time; default 5000.
	MaxConnections int
	// Now is the clock for locks, lifetimes and tokens; default time.Now.
	Now func() time.Time
	// Logger gets connection ids, queue names and error conditions; default discards.
	Logger *slog.Logger
}

// withDefaults is the options with every zero field replaced.
func (o Options) withDefaults() Options {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = defaultIdleTimeout
	}
	setDefault(&o.MaxConnections, defaultMaxConnections)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate reports every mistake in the options.
func (o Options) validate() error {
	errs := []error{validateKeys(o.Keys)}
	if o.IdleTimeout < 0 {
		errs = append(errs, fmt.Errorf("broker: the idle timeout %v is negative", o.IdleTimeout))
	}
	names := map[string]string{}
	for _, config := range o.Queues {
		errs = append(errs, config.withDefaults().validate())
		key := strings.ToLower(config.Name)
		if other, taken := names[key]; taken {
			errs = append(errs, fmt.Errorf("broker: queue %q has the same name as %q: names do not differ by case alone", config.Name, other))
		}
		names[key] = config.Name
	}
	return errors.Join(errs...)
}
