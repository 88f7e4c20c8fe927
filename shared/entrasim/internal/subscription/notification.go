package subscription

import (
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
)

// notification is one item of a delivery, as recorded on the wire for directory objects. It has no id of its own.
type notification struct {
	ChangeType     string       `json:"changeType"`
	ClientState    *string      `json:"clientState,omitempty"`
	Resource       string       `json:"resource"`
	ResourceData   resourceData `json:"resourceData"`
	Expiration     string       `json:"subscriptionExpirationDateTime"`
	SubscriptionID string       `json:"subscriptionId"`
	TenantID       string       `json:"tenantId"`
}

type resourceData struct {
	Type           string `json:"@odata.type"`
	Path           string `json:"@odata.id"`
	ID             string `json:"id"`
	OrganizationID string `json:"organizationId"`
	EventTime      string `json:"eventTime"`
	SequenceNumber int64  `json:"sequenceNumber"`
}

// lifecycleItem is one item of a delivery to a lifecycle URL. It has neither a change type nor a resource.
type lifecycleItem struct {
	LifecycleEvent string  `json:"lifecycleEvent"`
	ClientState    *string `json:"clientState,omitempty"`
	Expiration     string  `json:"subscriptionExpirationDateTime"`
	SubscriptionID string  `json:"subscriptionId"`
	TenantID       string  `json:"tenantId"`
}

// envelope is the body of a delivery.
type envelope struct {
	Value []any `json:"value"` // notifications or lifecycle items
}

// Times as .NET prints them: up to seven digits of a second.
const (
	eventTimeLayout  = "2006-01-02T15:04:05.9999999Z"
	expirationLayout = "2006-01-02T15:04:05.9999999-07:00"
)

func notificationOf(s *Subscription, c directory.Change, changeType string) notification {
	kind := map[string]string{"user": "User", "group": "Group"}[c.Kind]
	path := kind + "s/" + c.ObjectID
	return notification{
		ChangeType:  changeType,
		ClientState: s.ClientState,
		Resource:    path,
		ResourceData: resourceData{
			Type:           "#Microsoft.Graph." + kind,
			Path:           path,
			ID:             c.ObjectID,
			OrganizationID: c.TenantID,
			EventTime:      c.Time.UTC().Format(eventTimeLayout),
			SequenceNumber: ticks(c.Time),
		},
		Expiration:     s.Expiration.Format(expirationLayout),
		SubscriptionID: s.ID,
		TenantID:       c.TenantID,
	}
}

// ticks counts 100 ns since the year 1, as .NET does. It exceeds 2^53, so a decoder must not go through a float.
func ticks(t time.Time) int64 {
	const unixEpoch = 621_355_968_000_000_000
	return unixEpoch + t.Unix()*10_000_000 + int64(t.Nanosecond())/100
}
