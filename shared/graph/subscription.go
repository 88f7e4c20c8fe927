package graph

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"github.com/tenantsync/tenantsync/shared/subscription"
)

// List returns our application's subscriptions to the users of a tenant, whoever created them.
func (g *Graph) List(ctx context.Context, tenantID string) ([]subscription.Held, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return nil, err
	}
	var held []subscription.Held
	for link := ""; ; {
		answer, err := ask(ctx, t, request{verb: "list subscriptions"}, func(ctx context.Context, c *sdk) (models.SubscriptionCollectionResponseable, error) {
			if link != "" {
				return c.Subscriptions().WithUrl(link).Get(ctx, nil)
			}
			return c.Subscriptions().Get(ctx, nil) // the resource takes no query parameters
		})
		if err != nil {
			return nil, err
		}
		for _, m := range answer.GetValue() {
			if watchesUsers(deref(m.GetResource())) {
				held = append(held, t.held(m))
			}
		}
		if link = deref(answer.GetOdataNextLink()); link == "" {
			return held, nil
		}
	}
}

// watchesUsers: Graph gives the resource back with or without its slash.
func watchesUsers(resource string) bool {
	return strings.EqualFold(strings.Trim(resource, "/"), strings.Trim(subscription.Resource, "/"))
}

// Create makes a subscription and returns it, without its Fingerprint. Graph calls the notification URL back before it answers; when that fails, or when a
// subscription to the same changes exists, the error says which URL or which subscription.
func (g *Graph) Create(ctx context.Context, w subscription.Wanted, expiresAt time.Time) (subscription.Held, error) {
	t, err := g.tenant(w.TenantID)
	if err != nil {
		return subscription.Held{}, err
	}
	wanted := models.NewSubscription()
	wanted.SetChangeType(ptr(subscription.ChangeType))
	wanted.SetResource(ptr(subscription.Resource))
	wanted.SetNotificationUrl(&w.NotificationURL)
	if w.LifecycleURL != "" {
		wanted.SetLifecycleNotificationUrl(&w.LifecycleURL)
	}
	wanted.SetClientState(&w.Secret)
	wanted.SetExpirationDateTime(ptr(expiresAt.UTC()))
	r := request{verb: "create a subscription that notifies " + withoutQuery(w.NotificationURL)}
	created, err := ask(ctx, t, r, func(ctx context.Context, c *sdk) (models.Subscriptionable, error) {
		return c.Subscriptions().Post(ctx, wanted, nil)
	})
	if err != nil {
		return subscription.Held{}, err
	}
	return t.held(created), nil
}

// withoutQuery is an address for people to read: its query may hold the function's key.
func withoutQuery(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host + u.Path
	}
	return "an invalid address"
}

// Renew moves the end of a subscription and returns it, without its Fingerprint.
func (g *Graph) Renew(ctx context.Context, tenantID, id string, expiresAt time.Time) (subscription.Held, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return subscription.Held{}, err
	}
	change := models.NewSubscription()
	change.SetExpirationDateTime(ptr(expiresAt.UTC()))
	r := request{verb: "renew subscription", object: id}
	if err := t.identified(r); err != nil {
		return subscription.Held{}, err
	}
	renewed, err := ask(ctx, t, r, func(ctx context.Context, c *sdk) (models.Subscriptionable, error) {
		return c.Subscriptions().BySubscriptionId(id).Patch(ctx, change, nil)
	})
	if notFound(err) {
		return subscription.Held{}, fmt.Errorf("%s: %w", sentence(r, t.id), subscription.ErrNotFound)
	}
	if err != nil {
		return subscription.Held{}, err
	}
	return t.held(renewed), nil
}

// Delete ends a subscription; one that is gone needs no ending.
func (g *Graph) Delete(ctx context.Context, tenantID, id string) error {
	t, err := g.tenant(tenantID)
	if err != nil {
		return err
	}
	err = t.write(ctx, request{verb: "delete subscription", object: id}, func(ctx context.Context, c *sdk) error {
		return c.Subscriptions().BySubscriptionId(id).Delete(ctx, nil)
	})
	if notFound(err) {
		return nil
	}
	return err
}

func (t *tenant) held(m models.Subscriptionable) subscription.Held {
	return subscription.Held{
		ID:              deref(m.GetId()),
		TenantID:        t.id,
		NotificationURL: deref(m.GetNotificationUrl()),
		ExpiresAt:       deref(m.GetExpirationDateTime()),
	}
}
