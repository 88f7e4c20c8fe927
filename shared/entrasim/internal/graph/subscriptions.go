package graph

import (
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/subscription"
)

func (c *call) owner() subscription.Owner {
	return subscription.Owner{TenantID: c.caller.TenantID, AppID: c.caller.AppID}
}

// subscriptionEntity is one subscription as the body of an answer.
type subscriptionEntity struct {
	Context string `json:"@odata.context"`
	subscription.Subscription
}

func (c *call) subscription(s subscription.Subscription) subscriptionEntity {
	return subscriptionEntity{c.context("subscriptions/$entity"), s}
}

// subscribe are the application permissions that a subscription takes, by what it watches: the reference of subscription-post.
var subscribe = map[string]permissions{"users": readUsers, "groups": readGroupsOnly}

// mayWatch refuses a caller who must not be told about a resource. Of a resource that nobody can subscribe to, others decide.
func (c *call) mayWatch(resource string) error {
	if needs, known := subscribe[subscription.Watches(resource)]; known && !needs.heldBy(c.caller) {
		return fault.Denied()
	}
	return nil
}

// mayTouch is mayWatch for one of the caller's subscriptions, which renewing takes as well as making it.
func (s *Service) mayTouch(c *call) error {
	sub, err := s.Subscriptions.Get(c.owner(), c.params["id"])
	if err != nil {
		return err
	}
	return c.mayWatch(sub.Resource)
}

// listSubscriptions answers GET /subscriptions, which does not tell the client states.
func (s *Service) listSubscriptions(c *call) (answer, error) {
	if _, err := c.options(); err != nil {
		return answer{}, err
	}
	value := []subscription.Subscription{}
	for _, sub := range s.Subscriptions.List(c.owner()) {
		sub.ClientState = nil
		value = append(value, sub)
	}
	return ok(map[string]any{"@odata.context": c.context("subscriptions"), "value": value}), nil
}

// createSubscription answers POST /subscriptions once the endpoints have proven themselves.
func (s *Service) createSubscription(c *call) (answer, error) {
	var req subscription.Request
	if err := c.decode(&req); err != nil {
		return answer{}, err
	}
	if req.Resource != nil {
		if err := c.mayWatch(*req.Resource); err != nil {
			return answer{}, err
		}
	}
	sub, err := s.Subscriptions.Create(c.Context(), c.owner(), req)
	if err != nil {
		return answer{}, err
	}
	return created(c.subscription(sub)), nil
}

// getSubscription answers GET /subscriptions/{id}.
func (s *Service) getSubscription(c *call) (answer, error) {
	if _, err := c.options(); err != nil {
		return answer{}, err
	}
	sub, err := s.Subscriptions.Get(c.owner(), c.params["id"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.subscription(sub)), nil
}

// updateSubscription answers PATCH /subscriptions/{id}: a renewal, or another endpoint.
func (s *Service) updateSubscription(c *call) (answer, error) {
	var req subscription.Request
	if err := c.decode(&req); err != nil {
		return answer{}, err
	}
	if err := s.mayTouch(c); err != nil {
		return answer{}, err
	}
	sub, err := s.Subscriptions.Update(c.Context(), c.owner(), c.params["id"], req)
	if err != nil {
		return answer{}, err
	}
	return ok(c.subscription(sub)), nil
}

// deleteSubscription answers DELETE /subscriptions/{id}.
func (s *Service) deleteSubscription(c *call) (answer, error) {
	return noContent, s.Subscriptions.Delete(c.owner(), c.params["id"])
}

// reauthorize answers POST /subscriptions/{id}/reauthorize, which does not extend the lifetime.
func (s *Service) reauthorize(c *call) (answer, error) {
	if err := s.mayTouch(c); err != nil {
		return answer{}, err
	}
	return noContent, s.Subscriptions.Reauthorize(c.owner(), c.params["id"])
}
