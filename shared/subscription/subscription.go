// Package subscription decides which Graph subscriptions must exist and what is due on those that do.
package subscription

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"
)

// What every source tenant is watched for. create, update, soft delete and restore arrive as "updated", a purge as "deleted".
const (
	Resource   = "/users"
	ChangeType = "updated,deleted"
)

// MaxLife is the longest life Graph gives a subscription to directory objects: 41,760 minutes.
const MaxLife = 41_760 * time.Minute

// Wanted is a subscription that must exist.
type Wanted struct {
	TenantID        string
	NotificationURL string
	// LifecycleURL is where Graph says that a subscription needs something.
	LifecycleURL string
	// Secret is the clientState it must have been created with.
	Secret string
}

// Fingerprint tells what it must have been created with that Graph does not show.
func (w Wanted) Fingerprint() string {
	if w.LifecycleURL == "" {
		return Fingerprint(w.Secret)
	}
	return Fingerprint(w.Secret + " " + w.LifecycleURL)
}

// Held is a subscription that exists: Graph's part, and what we remember of it.
type Held struct {
	ID              string
	TenantID        string
	NotificationURL string
	ExpiresAt       time.Time
	// Fingerprint tells what it was created with that Graph does not show; empty when we did not create it.
	Fingerprint string
}

// ErrNotFound: there is no such subscription.
var ErrNotFound = errors.New("no such subscription")

// Service is Graph's subscription API, one tenant per call.
type Service interface {
	// List returns our application's user subscriptions in the tenant; Fingerprint is empty.
	List(ctx context.Context, tenantID string) ([]Held, error)
	// Create makes one. Graph calls the notification URL back before it answers.
	Create(ctx context.Context, w Wanted, expiresAt time.Time) (Held, error)
	// Renew moves the end of one and returns it. ErrNotFound when it is gone.
	Renew(ctx context.Context, tenantID, id string, expiresAt time.Time) (Held, error)
	// Delete ends one. Deleting what is gone is no error.
	Delete(ctx context.Context, tenantID, id string) error
}

// Store remembers the subscriptions we made.
type Store interface {
	// Subscription returns what we know of an id, or ErrNotFound.
	Subscription(ctx context.Context, id string) (Held, error)
	// Subscriptions lists what we remember of a tenant.
	Subscriptions(ctx context.Context, tenantID string) ([]Held, error)
	SaveSubscription(ctx context.Context, h Held) error
	ForgetSubscription(ctx context.Context, id string) error
}

// Secret derives a tenant's clientState from the installation's key: 43 characters (Graph allows 128). A tenant that learns its own learns nothing of another's.
func Secret(key []byte, tenantID string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("tenantsync clientState " + tenantID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Fingerprint names a secret without telling it.
func Fingerprint(secret string) string {
	sum := sha256.Sum256([]byte("tenantsync fingerprint " + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
