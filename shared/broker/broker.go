// Package broker is an embedded queue server that speaks Azure Service Bus's dialect of AMQP 1.0, so that an unmodified
// Service Bus client works against it.
//
// It decides which message a receiver gets, how long it may keep it, and what becomes of it: the rules are in
// internal/queue, a pure state machine; internal/amqp reads and writes bytes; this package joins the two with
// connections, sessions and links. Each queue has a lock of its own, shared with its dead-letter queue.
//
// Covered: queues with peek-lock and receive-and-delete, batches, settlement on the link and by lock token on
// $management, lock renewal and expiry, delivery counts, dead letters with reasons, time to live, duplicate detection,
// scheduled and deferred messages, peek, shared access signatures with the rights Listen, Send and Manage.
//
// Not modelled:
//   - message sessions, topics, subscriptions, forwarding, transactions, partitions, AMQP over WebSocket;
//   - the management API over HTTP: queues are given to New and do not change;
//   - durability: messages live in memory and are gone after Close;
//   - quotas on the size of a queue, throttling (com.microsoft:server-busy);
//   - the expiry of a token on a link that is open: it is checked when a link attaches and at each management request.
//
// Memory is bounded by what clients store, never by how slowly they read: see the comment on conn.
package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// QueueConfig describes one queue. Zero fields take Service Bus's defaults.
type QueueConfig struct {
	// Name is matched without regard to case. It consists of letters, digits and . - _ / and neither starts nor ends
	// with /.
	Name string
	// LockDuration is how long a receiver holds a message; default 1 minute. Service Bus allows 5 seconds to 5 minutes;
	// the broker allows any duration from 1 millisecond to 5 minutes, so that tests of lock expiry need not wait.
	LockDuration time.Duration
	// MaxDeliveryCount is the number of failed deliveries (abandoned, or lock expired) after which a message becomes a
	// dead letter; default 10.
	MaxDeliveryCount int
	// DuplicateDetectionWindow is how long the id of a message is remembered; a message with the same id is accepted
	// and dropped within it. 0 turns detection off.
	DuplicateDetectionWindow time.Duration
	// DefaultTTL limits the life of every message, which may ask for less; 0 is forever.
	DefaultTTL time.Duration
	// DeadLetterOnExpiration makes an expired message a dead letter instead of dropping it.
	DeadLetterOnExpiration bool
}

const (
	defaultLockDuration     = time.Minute
	maxLockDuration         = 5 * time.Minute
	defaultMaxDeliveryCount = 10
	defaultIdleTimeout      = 2 * time.Minute
)

// Key is a shared access key and what it allows. Manage includes both other rights.
type Key struct {
	Secret               string
	Listen, Send, Manage bool
}

// Options configure a Server. Only Queues is required; without Keys no client can do anything.
type Options struct {
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
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate reports every mistake in the configuration of one queue.
func (c QueueConfig) validate() error {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("broker: queue %q: "+format, append([]any{c.Name}, args...)...))
	}
	switch name := strings.ToLower(c.Name); {
	case name == "":
		refuse("give it a name")
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_/") != "", strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"):
		refuse("a name consists of letters, digits and . - _ / and neither starts nor ends with /")
	}
	if c.LockDuration < 0 || c.LockDuration > maxLockDuration || (c.LockDuration > 0 && c.LockDuration < time.Millisecond) {
		refuse("lock duration %v is not between 1ms and %v", c.LockDuration, maxLockDuration)
	}
	if c.MaxDeliveryCount < 0 {
		refuse("maximum delivery count %d is negative", c.MaxDeliveryCount)
	}
	if c.DuplicateDetectionWindow < 0 || c.DefaultTTL < 0 {
		refuse("a duration is negative")
	}
	return errors.Join(errs...)
}

// rules is the configuration as the state machine takes it.
func (c QueueConfig) rules() queue.Config {
	rules := queue.Config{
		Name:                     c.Name,
		LockDuration:             c.LockDuration,
		MaxDeliveryCount:         c.MaxDeliveryCount,
		DuplicateDetectionWindow: c.DuplicateDetectionWindow,
		DefaultTTL:               c.DefaultTTL,
		DeadLetterOnExpiration:   c.DeadLetterOnExpiration,
	}
	if rules.LockDuration == 0 {
		rules.LockDuration = defaultLockDuration
	}
	if rules.MaxDeliveryCount == 0 {
		rules.MaxDeliveryCount = defaultMaxDeliveryCount
	}
	return rules
}
