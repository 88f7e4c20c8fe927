// Package change decides what travels on the bus: "look at this user for this route", identity only, never the data.
package change

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Queues of the product. Live changes never wait behind bulk work.
const (
	QueueChanges  = "changes"
	QueueBackfill = "backfill"
)

// Queues are all of them, the live one first.
func Queues() []string { return []string{QueueChanges, QueueBackfill} }

// MaxSize bounds an encoded change, in bytes. A real one is about 300.
const MaxSize = 8 << 10

// Cause says why a change was put on the bus.
type Cause string

// The causes.
const (
	CauseNotification Cause = "notification" // Graph told us
	CauseCatchUp      Cause = "catch-up"     // a subscription began, so everybody is looked at once
	CauseReplay       Cause = "replay"       // a person replayed a dead letter
	CausePlanned      Cause = "planned"      // an earlier look asked for this one
	CauseApproved     Cause = "approved"     // a person approved a departure that was held
	CauseSweep        Cause = "sweep"        // change tracking told of it
	CauseManager      Cause = "manager"      // the user's manager came over
	CauseAsked        Cause = "asked"        // a person asked for a look at this user
)

// Change is one message. It names a user of a route's source; today's truth decides what happens.
type Change struct {
	Route string `json:"route"` // name of the route
	User  string `json:"user"`  // object id of the user in the source tenant
	Cause Cause  `json:"cause"`
	// Key is the same for two deliveries of the same event and differs between events, and between the copies of a message.
	Key string `json:"key"`
	// Deleted: Graph said the user is gone for good, or lists everybody but them. A claim to verify, not a fact.
	Deleted bool `json:"deleted,omitempty"`
	// EventAt is when Graph says it happened; zero when nobody said.
	EventAt time.Time `json:"eventAt,omitzero"`
	// ArrivedAt is when we first heard of it. It stays the same over retries; a wait until its route runs is not counted.
	ArrivedAt time.Time `json:"arrivedAt"`
	// Attempt counts failed attempts so far.
	Attempt int `json:"attempt,omitempty"`
	// Hop counts the copies made to wait or to retry.
	Hop int `json:"hop,omitempty"`
	// Replays counts how often it came back from the dead-letter queue.
	Replays int `json:"replays,omitempty"`
	// TraceID is what Trace returns, in copies and in what another change led to.
	TraceID string `json:"trace,omitempty"`
	// Paused: the message before this copy met a route that does not run, and the journal says so.
	Paused bool `json:"paused,omitempty"`
}

// Trace is the same, 32 hexadecimal digits, for all that follows from one event: copies, replays, and the looks at other users.
func (c Change) Trace() string {
	if c.TraceID != "" {
		return c.TraceID
	}
	return c.Key
}

// Key makes a Change.Key out of the parts that identify an event.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length goes first, so that moving a character from one part to the next makes another key.
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// MessageID is the Service Bus message id: equal for duplicates of one event on one route, which duplicate
// detection then drops, and different for each copy we make ourselves, which it must not drop. At most 128 characters.
func (c Change) MessageID() string {
	return fmt.Sprintf("%s.%d.%d", Key(c.Key, c.Route, c.User), c.Hop, c.Replays)
}

// Later is the copy of a message, in its delivery of this number, that waits for another look. Nothing failed, so
// attempts start again.
func (c Change) Later(delivery int) Change {
	c = c.copied(delivery)
	c.Attempt = 0
	return c
}

// Planned is the look at a later time that a message, in its delivery of this number, leads to. It arrives only then.
func (c Change) Planned(delivery int, at time.Time) Change {
	c = c.copied(delivery)
	c.Cause, c.Attempt, c.Hop, c.ArrivedAt, c.EventAt = CausePlanned, 0, 0, at, time.Time{}
	return c
}

// PausedUntil is the copy of a message, in its delivery of this number, that waits until its route may run again. It is as new as it
// was: a change that waits for days is tried for as long as any other when its turn comes.
func (c Change) PausedUntil(delivery int, at time.Time) Change {
	c = c.Later(delivery)
	c.ArrivedAt, c.Paused = at, true
	return c
}

// Retry is the copy that tries again after a failed attempt.
func (c Change) Retry(delivery int) Change {
	c = c.copied(delivery)
	c.Attempt++
	return c
}

// copied gives a copy a message id of its own. A message that comes again, because its completion failed, makes another
// copy than before: duplicate detection would drop the same one, although the first may be used up long since.
func (c Change) copied(delivery int) Change {
	c.TraceID = c.Trace()
	c.Hop++
	c.Paused = false
	c.Key = Key(c.Key, strconv.Itoa(delivery))
	return c
}

// Replayed is the copy that leaves the dead-letter queue: attempts start again.
func (c Change) Replayed(now time.Time) Change {
	c.Cause, c.Attempt, c.Hop, c.ArrivedAt, c.Paused = CauseReplay, 0, 0, now, false
	c.Replays++
	return c
}

const version = 1

type envelope struct {
	Version int `json:"v"`
	Change
}

// Encode renders the change as JSON, at most MaxSize bytes. It refuses a change that Decode would refuse.
func Encode(c Change) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode change: %w", err)
	}
	body, err := json.Marshal(envelope{version, c})
	if err != nil {
		return nil, fmt.Errorf("encode change: %w", err)
	}
	if len(body) > MaxSize {
		return nil, fmt.Errorf("encode change: %d bytes, more than %d", len(body), MaxSize)
	}
	return body, nil
}

// Decode reads what Encode wrote. Fields it does not know are ignored, so that an older program can read a newer message of the same version.
func Decode(body []byte) (Change, error) {
	if len(body) > MaxSize {
		return Change{}, fmt.Errorf("decode change: %d bytes, more than %d", len(body), MaxSize)
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return Change{}, fmt.Errorf("decode change: %w", err)
	}
	if e.Version != version {
		return Change{}, fmt.Errorf("decode change: version %d is not %d; a newer or older tenantsync wrote it", e.Version, version)
	}
	if err := e.check(); err != nil {
		return Change{}, fmt.Errorf("decode change: %w", err)
	}
	return e.Change, nil
}

func (c Change) check() error {
	switch {
	case c.Route == "":
		return errors.New("it names no route")
	case c.User == "":
		return errors.New("it names no user")
	case c.Cause == "":
		return errors.New("it names no cause")
	case c.Key == "":
		return errors.New("it has no key")
	case c.ArrivedAt.IsZero():
		return errors.New("it has no time of arrival")
	case c.Attempt < 0 || c.Hop < 0 || c.Replays < 0:
		return errors.New("it has a negative count")
	}
	return nil
}
