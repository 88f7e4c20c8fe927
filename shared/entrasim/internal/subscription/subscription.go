// Package subscription keeps the change-notification subscriptions of Microsoft Graph and delivers their notifications.
// It decides which endpoint may be notified (the validation handshake), which subscription hears of a change, and when a
// delivery is tried again or given up.
package subscription

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Limits of subscriptions on users and groups.
const (
	maxLifetime    = 41_760 * time.Minute
	maxClientState = 128
	maxPerApp      = 100    // for one application in one tenant
	maxPerTenant   = 1_000  // for all applications in one tenant
	maxOfApp       = 50_000 // for one application in all tenants
)

// Owner is the application in the tenant whose token made a request. It sees its own subscriptions only.
type Owner struct{ TenantID, AppID string }

// Subscription is the resource as Graph shows it.
type Subscription struct {
	ID                       string    `json:"id"`
	Resource                 string    `json:"resource"`
	ApplicationID            string    `json:"applicationId"`
	ChangeType               string    `json:"changeType"`
	ClientState              *string   `json:"clientState"`
	NotificationURL          string    `json:"notificationUrl"`
	LifecycleNotificationURL *string   `json:"lifecycleNotificationUrl"`
	Expiration               time.Time `json:"expirationDateTime"`
	CreatorID                string    `json:"creatorId"`
	LatestSupportedTLS       string    `json:"latestSupportedTlsVersion"`
	EncryptionCertificate    *string   `json:"encryptionCertificate"`
	EncryptionCertificateID  *string   `json:"encryptionCertificateId"`
	IncludeResourceData      bool      `json:"includeResourceData"`
	NotificationContentType  *string   `json:"notificationContentType"`

	owner Owner
	authorization
}

// Request is the body of POST and PATCH /subscriptions; a nil field was not sent.
type Request struct {
	ChangeType               *string    `json:"changeType"`
	NotificationURL          *string    `json:"notificationUrl"`
	LifecycleNotificationURL *string    `json:"lifecycleNotificationUrl"`
	Resource                 *string    `json:"resource"`
	Expiration               *time.Time `json:"expirationDateTime"`
	ClientState              *string    `json:"clientState"`
	LatestSupportedTLS       *string    `json:"latestSupportedTlsVersion"`
	IncludeResourceData      *bool      `json:"includeResourceData"`
}

// changeTypes splits and folds a changeType; the order in it means nothing.
func (s *Subscription) changeTypes() []string {
	types := strings.Split(strings.ToLower(s.ChangeType), ",")
	for i := range types {
		types[i] = strings.TrimSpace(types[i])
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// resources are those that can be subscribed to, in lower case: all users or groups, one of them, or the members of one group.
var resources = regexp.MustCompile(`^(users|groups)(?:/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))?$|^(groups)/([0-9a-f-]{36})/(members)$`)

// subject is what a subscription watches. An empty id stands for all objects, an empty link for the objects themselves.
type subject struct{ set, id, link string }

func (s *Subscription) subject() subject {
	m := resources.FindStringSubmatch(normalise(s.Resource))
	if m == nil {
		return subject{}
	}
	return subject{m[1] + m[3], m[2] + m[4], m[5]}
}

// Watches is the collection that a resource is about, users or groups; "" if it is none of those that can be subscribed to.
func Watches(resource string) string {
	s := Subscription{Resource: resource}
	return s.subject().set
}

func normalise(resource string) string { return strings.ToLower(strings.Trim(resource, "/")) }

// sameSubject reports whether both watch the same changes of the same resource for the same owner, which Graph refuses.
func (s *Subscription) sameSubject(o *Subscription) bool {
	return s.owner == o.owner && normalise(s.Resource) == normalise(o.Resource) &&
		slices.Equal(s.changeTypes(), o.changeTypes())
}

// hears reports whether a change makes a notification. Graph delivers the creation of a user or group as updated.
func (s *Subscription) hears(c directory.Change, changeType string) bool {
	about := s.subject()
	return s.owner.TenantID == c.TenantID && about.set == c.Kind+"s" && (about.id == "" || about.id == strings.ToLower(c.ObjectID)) &&
		(about.link == "" || about.link == c.Link) && slices.Contains(s.changeTypes(), changeType)
}

// draft checks the body of a POST and makes a subscription of it, without an id.
func draft(owner Owner, r Request, now time.Time) (*Subscription, error) {
	switch {
	case r.ChangeType == nil:
		return nil, missing("changeType")
	case r.NotificationURL == nil:
		return nil, missing("notificationUrl")
	case r.Resource == nil:
		return nil, missing("resource")
	case r.Expiration == nil:
		return nil, missing("expirationDateTime")
	}
	s := &Subscription{
		Resource:                 *r.Resource,
		ApplicationID:            owner.AppID,
		ChangeType:               *r.ChangeType,
		ClientState:              r.ClientState,
		NotificationURL:          *r.NotificationURL,
		LifecycleNotificationURL: r.LifecycleNotificationURL,
		Expiration:               r.Expiration.UTC(),
		LatestSupportedTLS:       "v1_2",
		owner:                    owner,
	}
	if r.LatestSupportedTLS != nil {
		s.LatestSupportedTLS = *r.LatestSupportedTLS
	}
	if r.IncludeResourceData != nil && *r.IncludeResourceData {
		return nil, invalid("Resource data is not supported for notifications of '%s'.", s.Resource)
	}
	return s, s.check(now)
}

func (s *Subscription) check(now time.Time) error {
	for _, changeType := range s.changeTypes() {
		if !slices.Contains([]string{"created", "updated", "deleted"}, changeType) {
			return invalid("Invalid changeType '%s'.", s.ChangeType)
		}
	}
	if s.ClientState != nil && utf8.RuneCountInString(*s.ClientState) > maxClientState {
		return invalid("The clientState is longer than %d characters.", maxClientState)
	}
	if err := checkResource(s.Resource); err != nil {
		return err
	}
	if err := checkExpiration(s.Expiration, now); err != nil {
		return err
	}
	if err := checkEndpoint(s.NotificationURL); err != nil {
		return err
	}
	if s.LifecycleNotificationURL != nil {
		return checkEndpoint(*s.LifecycleNotificationURL)
	}
	return nil
}

func checkResource(resource string) error {
	if strings.Contains(resource, "://") {
		return invalid("The resource '%s' must not hold the base URL.", resource)
	}
	if Watches(resource) == "" {
		return fault.NotModelled("subscriptions to %s", resource)
	}
	return nil
}

func checkExpiration(expiration, now time.Time) error {
	switch {
	case !expiration.After(now):
		return invalid("Subscription expiration must be in the future.")
	case expiration.Sub(now) > maxLifetime:
		return invalid("Subscription expiration can only be %d minutes in the future.", int(maxLifetime.Minutes()))
	}
	return nil
}

// checkEndpoint wants https. It also takes http on a loopback address, which Graph could never reach, so that programs under
// test need no certificate.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return invalid("The notification URL '%s' is not a valid URL.", endpoint)
	case strings.EqualFold(u.Scheme, "EventHub"), strings.EqualFold(u.Scheme, "EventGrid"):
		return fault.NotModelled("delivery to %s", u.Scheme)
	case u.Scheme == "https" && u.Host != "", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return invalid("The notification URL '%s' must be an https URL.", endpoint)
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

func missing(property string) error {
	return invalid("The required property '%s' is missing.", property)
}

func invalid(format string, args ...any) error {
	return fault.New(http.StatusBadRequest, "InvalidRequest", format, args...)
}
