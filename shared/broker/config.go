package broker

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// QueueConfig describes one queue. Zero fields take Service Bus's defaults.
type QueueConfig struct {
	// Name is matched without regard to case. It consists of letters, digits and . - _ / and neither starts nor ends
	// with /. It has at most 260 characters.
	Name string
	// LockDuration is how long a receiver holds a message; default 1 minute. Service Bus allows 5 seconds to 5 minutes;
	// the broker allows any duration from 1 millisecond to 5 minutes, so that tests of lock expiry need not wait.
	LockDuration time.Duration
	// MaxDeliveryCount is the number of failed deliveries (abandoned, or lock expired) after which a message becomes a
	// dead letter; default 10.
	MaxDeliveryCount int
	// DuplicateDetectionWindow is how long the id of a message is remembered; a message with the same id is accepted
	// and dropped within it. 0 turns detection off. It cannot be turned on or off later.
	DuplicateDetectionWindow time.Duration
	// DefaultTTL limits the life of every message, which may ask for less; 0 is forever.
	DefaultTTL time.Duration
	// DeadLetterOnExpiration makes an expired message a dead letter instead of dropping it.
	DeadLetterOnExpiration bool
	// MaxSizeMB is how many megabytes the queue may take in memory, with its dead letters and the ids it remembers for duplicate
	// detection; default 1024. A message that would exceed it is refused with amqp:resource-limit-exceeded.
	MaxSizeMB int
	// MaxMessageSizeKB is how large one message or batch may be; default 256, at most 102400.
	MaxMessageSizeKB int
	// AutoDeleteOnIdle deletes the queue with its messages when nobody was attached to it for so long; 0 is never.
	AutoDeleteOnIdle time.Duration
	// Status is what the queue allows; default StatusActive.
	Status Status
	// Keys are good for this queue only, by name.
	Keys map[string]Key
	// UserMetadata is free text of at most 1024 characters.
	UserMetadata string
	// RequiresSession is kept in the description, but message sessions are not modelled: links to such a queue are refused.
	RequiresSession bool
	// EnablePartitioning is kept in the description; as in Service Bus it makes MaxSizeMB count 16 times.
	EnablePartitioning bool
	// DisableBatchedOperations is kept in the description and changes nothing.
	DisableBatchedOperations bool
}

// Status is what a queue allows.
type Status string

// The statuses of a queue.
const (
	StatusActive          Status = "Active"
	StatusDisabled        Status = "Disabled"
	StatusSendDisabled    Status = "SendDisabled"
	StatusReceiveDisabled Status = "ReceiveDisabled"
)

func (s Status) allows(r right) bool {
	switch s {
	case StatusActive:
		return true
	case StatusSendDisabled:
		return r != rightSend
	case StatusReceiveDisabled:
		return r != rightListen
	}
	return false
}

// Limits and defaults of queues, those of Service Bus unless QueueConfig says otherwise.
const (
	defaultLockDuration     = time.Minute
	minLockDuration         = time.Millisecond
	maxLockDuration         = 5 * time.Minute
	defaultMaxDeliveryCount = 10
	defaultMaxSizeMB        = 1024
	maxMaxSizeMB            = 80 << 10
	defaultMaxMessageKB     = 256
	maxMaxMessageKB         = 100 << 10
	maxNameLength           = 260
	maxUserMetadata         = 1024
	partitions              = 16
)

// Key is a shared access key and what it allows. Manage includes both other rights.
type Key struct {
	Secret               string
	Secondary            string // another secret that is as good, so that one can be replaced while the other is in use; "" is none
	Listen, Send, Manage bool
}

// withDefaults is the configuration with every zero field replaced.
func (c QueueConfig) withDefaults() QueueConfig {
	setDefault(&c.LockDuration, defaultLockDuration)
	setDefault(&c.MaxDeliveryCount, defaultMaxDeliveryCount)
	setDefault(&c.MaxSizeMB, defaultMaxSizeMB)
	setDefault(&c.MaxMessageSizeKB, defaultMaxMessageKB)
	setDefault(&c.Status, StatusActive)
	c.Keys = maps.Clone(c.Keys)
	return c
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// validate reports every mistake in the configuration of one queue, whose defaults are set.
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
	case strings.Contains("/"+name+"/", "//"), strings.Contains("/"+name+"/", "/./"), strings.Contains("/"+name+"/", "/../"):
		refuse("no part of a name between two / is empty, . or ..")
	case len(name) > maxNameLength:
		refuse("a name has at most %d characters", maxNameLength)
	}
	inRange(refuse, "lock duration", c.LockDuration, minLockDuration, maxLockDuration)
	inRange(refuse, "maximum size in megabytes", c.MaxSizeMB, 1, maxMaxSizeMB)
	inRange(refuse, "maximum message size in kilobytes", c.MaxMessageSizeKB, 1, maxMaxMessageKB)
	inRange(refuse, "maximum delivery count", c.MaxDeliveryCount, 1, 1<<31-1)
	inRange(refuse, "length of the user metadata", len(c.UserMetadata), 0, maxUserMetadata)
	if c.DuplicateDetectionWindow < 0 || c.DefaultTTL < 0 || c.AutoDeleteOnIdle < 0 {
		refuse("a duration is negative")
	}
	switch c.Status {
	case StatusActive, StatusDisabled, StatusSendDisabled, StatusReceiveDisabled:
	default:
		refuse("status %q is none of Active, Disabled, SendDisabled and ReceiveDisabled", c.Status)
	}
	errs = append(errs, validateKeys(c.Keys))
	return errors.Join(errs...)
}

func inRange[T int | time.Duration](refuse func(string, ...any), what string, value, least, most T) {
	if value < least || value > most {
		refuse("%s %v is not between %v and %v", what, value, least, most)
	}
}

func validateKeys(keys map[string]Key) error {
	var errs []error
	for name, key := range keys {
		if name == "" || key.Secret == "" {
			errs = append(errs, fmt.Errorf("broker: key %q: give it a name and a secret", name))
		}
	}
	return errors.Join(errs...)
}

// rules is the configuration as the state machine takes it.
func (c QueueConfig) rules() queue.Config {
	return queue.Config{
		Name:                     c.Name,
		LockDuration:             c.LockDuration,
		MaxDeliveryCount:         c.MaxDeliveryCount,
		DuplicateDetectionWindow: c.DuplicateDetectionWindow,
		DefaultTTL:               c.DefaultTTL,
		DeadLetterOnExpiration:   c.DeadLetterOnExpiration,
		MaxSize:                  int64(c.sizeMB()) << 20,
	}
}

// sizeMB is the quota with all partitions.
func (c QueueConfig) sizeMB() int {
	if c.EnablePartitioning {
		return c.MaxSizeMB * partitions
	}
	return c.MaxSizeMB
}
