package graph

import (
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

// reauthorize answers POST /subscriptions/{id}/reauthorize, which does not extend the lifetime. Deliveries of the simulator
// need no authorization, so all that is left to decide is whether the subscription is there.
func (s *Service) reauthorize(c *call) (answer, error) {
	_, err := s.Subscriptions.Get(c.owner(), c.params["id"])
	return noContent, err
}
