package entrasim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/subscription"
)

// Traffic is what became of the notifications for one host.
type Traffic = subscription.Traffic

// Traffic tells what became of notifications, by host (host:port) of the notification URLs.
func (s *Server) Traffic() map[string]Traffic { return s.notifier.Traffic() }

// Lifecycle sends a lifecycle event for every subscription in a tenant, named by id or name, that has a lifecycle URL, and returns how
// many these are: reauthorizationRequired, subscriptionRemoved (the subscriptions are gone then) or missed. Of itself the simulator
// sends only the first, as Graph does for users and groups.
func (s *Server) Lifecycle(tenant, event string) (int, error) {
	t, err := s.options.tenant(tenant)
	if err != nil {
		return 0, err
	}
	if !slices.Contains(subscription.Events, event) {
		return 0, fmt.Errorf("there is no lifecycle event %q; name one of: %s", event, strings.Join(subscription.Events, ", "))
	}
	return s.registry.Lifecycle(t.ID, event), nil
}
