package notify

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/subscription"
)

// Why an item is dropped. The texts are for logs; a sender never sees them.
var (
	errUnknownTenant       = errors.New("unknown tenant")
	errUnknownSubscription = errors.New("unknown subscription")
	errClientState         = errors.New("wrong clientState")
)

// reason is the class that dropped items are counted by.
func reason(err error) string {
	for _, class := range []error{errUnknownTenant, errUnknownSubscription, errClientState, subscription.ErrNotForUs} {
		if errors.Is(err, class) {
			return class.Error()
		}
	}
	return "malformed"
}

// Unavailable: whether an item is to be admitted could not be found out. It must be delivered again.
type Unavailable struct{ Err error }

func (u Unavailable) Error() string { return u.Err.Error() }
func (u Unavailable) Unwrap() error { return u.Err }

// Subscriptions tells what is known of a subscription; subscription.ErrNotFound when nothing is.
type Subscriptions interface {
	Subscription(ctx context.Context, id string) (subscription.Held, error)
}

// Gate admits what Graph sent because of a subscription of ours: known tenant, known secret, known subscription.
type Gate struct {
	subscriptions Subscriptions
	// secrets are the clientStates a tenant may send: the current one and, while it is being changed, the previous.
	secrets map[string][]string
	known   sync.Map // subscription id → tenant id
}

// NewGate admits notifications of these tenants. keys are the current key and, if any, the previous one.
func NewGate(subscriptions Subscriptions, tenantIDs []string, keys ...[]byte) *Gate {
	g := &Gate{subscriptions: subscriptions, secrets: map[string][]string{}}
	for _, id := range tenantIDs {
		for _, key := range keys {
			g.secrets[id] = append(g.secrets[id], subscription.Secret(key, id))
		}
	}
	return g
}

// Admit checks one notification. Errors other than Unavailable mean: drop it. An unknown subscription is looked for
// again until waitUntil.
func (g *Gate) Admit(ctx context.Context, n subscription.Notification, waitUntil time.Time) error {
	secrets, ok := g.secrets[n.TenantID]
	if !ok {
		return errUnknownTenant
	}
	right := 0
	for _, s := range secrets {
		right |= subtle.ConstantTimeCompare([]byte(s), []byte(n.ClientState))
	}
	if right == 0 {
		return errClientState
	}
	tenantID, err := g.owner(ctx, n.SubscriptionID, waitUntil)
	if err != nil {
		return err
	}
	if tenantID != n.TenantID {
		return errUnknownSubscription
	}
	return nil
}

// A notification can be faster than the program that made its subscription and has yet to store the id. So one that
// brings the right secret is waited for: this long for all items of a POST together, looking again at this pace.
const (
	ownerWait  = time.Second
	ownerPause = 50 * time.Millisecond
)

// owner finds the tenant of a subscription.
func (g *Gate) owner(ctx context.Context, id string, waitUntil time.Time) (string, error) {
	if tenantID, ok := g.known.Load(id); ok {
		return tenantID.(string), nil
	}
	for {
		held, err := g.subscriptions.Subscription(ctx, id)
		switch {
		case err == nil:
			g.known.Store(id, held.TenantID)
			return held.TenantID, nil
		case !errors.Is(err, subscription.ErrNotFound):
			return "", Unavailable{fmt.Errorf("look up a subscription: %w", err)}
		case time.Until(waitUntil) <= 0:
			return "", errUnknownSubscription
		}
		select {
		case <-ctx.Done():
			return "", Unavailable{fmt.Errorf("look up a subscription: %w", ctx.Err())}
		case <-time.After(ownerPause):
		}
	}
}
