package subscription

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Registry holds the subscriptions of all tenants and hands changes to its notifier. Safe for concurrent use.
type Registry struct {
	now       func() time.Time
	handshake handshake
	notifier  *Notifier
	lasts     time.Duration // an authorization; 0: for ever
	apart     time.Duration // of a renewal and a reauthorization

	mu   sync.Mutex
	subs []*Subscription // in the order of creation
}

// NewRegistry returns an empty registry that validates endpoints with, and delivers through, the given notifier.
func NewRegistry(now func() time.Time, n *Notifier) *Registry {
	r := &Registry{now: now, notifier: n, handshake: handshake{client: n.client, timeout: n.HandshakeTimeout}, lasts: n.Pace.Span(n.Authorization), apart: n.Pace.Span(apart)}
	n.where = r.where
	if r.lasts > 0 {
		n.wg.Go(r.watch)
	}
	return r
}

// where is the endpoint of a subscription for notifications or lifecycle notifications, if it is there.
func (r *Registry) where(id string, lifecycle bool) (endpoint string, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	for _, s := range r.subs {
		switch {
		case s.ID != id:
		case !lifecycle:
			return s.NotificationURL, true
		case s.LifecycleNotificationURL != nil:
			return *s.LifecycleNotificationURL, true
		}
	}
	return "", false
}

// Create validates the endpoints of a subscription and adds it. It takes as long as they do, 10 s at most each.
func (r *Registry) Create(ctx context.Context, owner Owner, req Request) (Subscription, error) {
	s, err := draft(owner, req, r.now())
	if err != nil {
		return Subscription{}, err
	}
	r.mu.Lock()
	err = r.admit(s)
	r.mu.Unlock()
	if err != nil {
		return Subscription{}, err
	}
	endpoints := []string{s.NotificationURL}
	if s.LifecycleNotificationURL != nil {
		endpoints = append(endpoints, *s.LifecycleNotificationURL)
	}
	for _, endpoint := range endpoints { // one request each, even when they are equal
		if err := r.handshake.validate(ctx, endpoint); err != nil {
			return Subscription{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(s); err != nil { // somebody else may have been faster
		return Subscription{}, err
	}
	s.ID = uuid.NewString()
	s.authorize(r.now(), r.lasts)
	s.CreatorID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(owner.TenantID+"/"+owner.AppID)).String()
	r.subs = append(r.subs, s)
	return *s, nil
}

// admit refuses a duplicate and one too many. r is locked.
func (r *Registry) admit(s *Subscription) error {
	r.expire()
	var owned, inTenant, ofApp int
	for _, other := range r.subs {
		if other.sameSubject(s) {
			return fault.New(http.StatusConflict, "ObjectIdentifierInUse",
				"Subscription Id %s already exists for the requested combination", other.ID)
		}
		if other.owner == s.owner {
			owned++
		}
		if other.owner.TenantID == s.owner.TenantID {
			inTenant++
		}
		if other.owner.AppID == s.owner.AppID {
			ofApp++
		}
	}
	for _, quota := range []struct {
		have, limit int
		of          string
	}{{owned, maxPerApp, "application and tenant"}, {inTenant, maxPerTenant, "tenant"}, {ofApp, maxOfApp, "application"}} {
		if quota.have >= quota.limit {
			return fault.New(http.StatusForbidden, "Forbidden", "The subscription limit of %d per %s has been reached.", quota.limit, quota.of)
		}
	}
	return nil
}

// List returns the owner's subscriptions.
func (r *Registry) List(owner Owner) []Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	var list []Subscription
	for _, s := range r.subs {
		if s.owner == owner {
			list = append(list, *s)
		}
	}
	return list
}

// Of returns all subscriptions in a tenant, of whatever application.
func (r *Registry) Of(tenantID string) []Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	var list []Subscription
	for _, s := range r.subs {
		if s.owner.TenantID == tenantID {
			list = append(list, *s)
		}
	}
	return list
}

// Get returns one of the owner's subscriptions.
func (r *Registry) Get(owner Owner, id string) (Subscription, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(owner, id)
	if err != nil {
		return Subscription{}, err
	}
	return *s, nil
}

// Update renews a subscription or moves it to another endpoint, which is validated like a new one.
func (r *Registry) Update(ctx context.Context, owner Owner, id string, req Request) (Subscription, error) {
	switch {
	case req.ChangeType != nil, req.Resource != nil, req.ClientState != nil, req.LifecycleNotificationURL != nil,
		req.LatestSupportedTLS != nil, req.IncludeResourceData != nil:
		return Subscription{}, invalid("Only expirationDateTime and notificationUrl of a subscription can be updated.")
	case req.Expiration == nil && req.NotificationURL == nil:
		return Subscription{}, missing("expirationDateTime")
	}
	if req.Expiration != nil {
		if err := checkExpiration(*req.Expiration, r.now()); err != nil {
			return Subscription{}, err
		}
	}
	if _, err := r.Get(owner, id); err != nil {
		return Subscription{}, err
	}
	if req.NotificationURL != nil {
		if err := checkEndpoint(*req.NotificationURL); err != nil {
			return Subscription{}, err
		}
		if err := r.handshake.validate(ctx, *req.NotificationURL); err != nil {
			return Subscription{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(owner, id)
	if err != nil {
		return Subscription{}, err
	}
	if req.Expiration != nil {
		if err := s.renew(r.now(), r.lasts, r.apart); err != nil {
			return Subscription{}, err
		}
		s.Expiration = req.Expiration.UTC()
	}
	if req.NotificationURL != nil {
		s.NotificationURL = *req.NotificationURL
	}
	return *s, nil
}

// Delete ends a subscription at once.
func (r *Registry) Delete(owner Owner, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(owner, id)
	if err != nil {
		return err
	}
	r.remove(s)
	return nil
}

// remove forgets a subscription. r is locked.
func (r *Registry) remove(s *Subscription) {
	r.subs = slices.DeleteFunc(r.subs, func(other *Subscription) bool { return other == s })
}

// Publish makes the notifications of a change. It neither blocks nor calls back, as the directory demands.
func (r *Registry) Publish(c directory.Change) {
	changeType := "updated"
	if c.Purged {
		changeType = "deleted"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	for _, s := range r.subs {
		if s.hears(c, changeType) && s.authorized(r.now()) {
			r.notifier.notify(s.NotificationURL, delivery{item: notificationOf(s, c, changeType), subscription: s.ID, about: c.ObjectID})
		}
	}
}

// find looks among the owner's own. r is locked.
func (r *Registry) find(owner Owner, id string) (*Subscription, error) {
	r.expire()
	for _, s := range r.subs {
		if s.owner == owner && strings.EqualFold(s.ID, id) {
			return s, nil
		}
	}
	return nil, fault.New(http.StatusNotFound, "ResourceNotFound", "The object was not found.")
}

// expire drops the subscriptions whose time is over. Nobody is told, as with Graph. r is locked.
func (r *Registry) expire() {
	now := r.now()
	r.subs = slices.DeleteFunc(r.subs, func(s *Subscription) bool { return !s.Expiration.After(now) })
}
