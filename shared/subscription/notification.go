package subscription

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Notification is one item of what Graph posts. It says only "look at this user".
type Notification struct {
	SubscriptionID string
	TenantID       string
	ClientState    string
	// Deleted: the changeType is "deleted", which Graph uses for a purge only.
	Deleted bool
	UserID  string
	// EventAt is Graph's eventTime; zero when it sent none that can be read.
	EventAt time.Time
	// Sequence is Graph's sequenceNumber as it was written, a 64-bit number; empty when there is none.
	Sequence string
}

// ErrNotForUs: the item is none of ours to act on (a lifecycle event, another kind of object, no user id).
var ErrNotForUs = errors.New("not a change of a user")

var objectID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

type wireNotification struct {
	SubscriptionID string `json:"subscriptionId"`
	TenantID       string `json:"tenantId"`
	ClientState    string `json:"clientState"`
	ChangeType     string `json:"changeType"`
	Resource       string `json:"resource"`
	LifecycleEvent string `json:"lifecycleEvent"`
	ResourceData   struct {
		ID             string          `json:"id"`
		EventTime      json.RawMessage `json:"eventTime"`
		SequenceNumber json.RawMessage `json:"sequenceNumber"`
	} `json:"resourceData"`
}

// DecodeEnvelope splits what Graph posted, {"value":[…]}, into its items. The error means that the whole is no
// such thing; a single bad item is found by DecodeNotification and does not spoil the others.
func DecodeEnvelope(body []byte) ([]json.RawMessage, error) {
	var e struct {
		Value []json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("decode notifications: %w", err)
	}
	if e.Value == nil {
		return nil, errors.New(`decode notifications: there is no "value" with a list of notifications`)
	}
	return e.Value, nil
}

// DecodeNotification reads one item. Fields it does not know are ignored; sequenceNumber may be a number or a string
// (Graph documents a string and sends a number).
func DecodeNotification(item json.RawMessage) (Notification, error) {
	var w wireNotification
	if err := json.Unmarshal(item, &w); err != nil {
		return Notification{}, fmt.Errorf("decode notification: %w", err)
	}
	n := Notification{
		SubscriptionID: w.SubscriptionID,
		TenantID:       strings.ToLower(w.TenantID),
		ClientState:    w.ClientState,
		Deleted:        strings.EqualFold(w.ChangeType, "deleted"),
		Sequence:       sequence(w.ResourceData.SequenceNumber),
		UserID:         strings.ToLower(w.ResourceData.ID),
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.Trim(string(w.ResourceData.EventTime), `"`)); err == nil {
		n.EventAt = t.UTC()
	}
	kind, id, ok := strings.Cut(strings.TrimPrefix(w.Resource, "/"), "/")
	if n.UserID == "" && ok {
		n.UserID = strings.ToLower(id)
	}
	switch {
	case w.LifecycleEvent != "":
		return n, fmt.Errorf("%w: lifecycle event %q", ErrNotForUs, w.LifecycleEvent)
	case !strings.EqualFold(kind, "users"):
		return n, fmt.Errorf("%w: its resource is not a user", ErrNotForUs)
	case !objectID.MatchString(n.UserID):
		return n, fmt.Errorf("%w: it names no user id", ErrNotForUs)
	}
	return n, nil
}

// Event is what a subscription needs, by the names that Graph gives to lifecycle events.
type Event string

// Lifecycle events. Of users and groups Graph sends only the first; the others are there should that change.
const (
	ReauthorizationRequired Event = "reauthorizationRequired"
	Removed                 Event = "subscriptionRemoved"
	Missed                  Event = "missed"
)

// DecodeLifecycle reads one item that was posted to a lifecycle URL. The notification has what a Gate checks.
func DecodeLifecycle(item json.RawMessage) (Notification, Event, error) {
	var w wireNotification
	if err := json.Unmarshal(item, &w); err != nil {
		return Notification{}, "", fmt.Errorf("decode lifecycle event: %w", err)
	}
	n := Notification{SubscriptionID: w.SubscriptionID, TenantID: strings.ToLower(w.TenantID), ClientState: w.ClientState}
	if w.LifecycleEvent == "" {
		return n, "", fmt.Errorf("%w: it names no lifecycle event", ErrNotForUs)
	}
	return n, Event(w.LifecycleEvent), nil
}

// sequence reads a whole number, written as such or as a string; "" when it is neither.
func sequence(raw json.RawMessage) string {
	text := strings.Trim(string(raw), `"`)
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return ""
	}
	return text
}
