package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tenantsync/tenantsync/functions/renew"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

// checked is a renewer that also has the trust of every route checked when that is due: so it is known from the start, before anybody
// waits for it, and a route that is paused says so although no change comes.
type checked struct {
	renew.Renewer
	trust  provisioning.Trust
	config *config.Config
}

// Run renews and checks at the same time. That a route is paused is no failure of the timer; that it cannot be known is.
func (c checked) Run(ctx context.Context) ([]subscription.Held, error) {
	routes := c.config.Topology.Routes()
	unknown := make([]error, len(routes))
	var checks sync.WaitGroup
	for i, route := range routes {
		if c.config.Rules[route.Name].TrustAssumed {
			continue
		}
		checks.Go(func() {
			if err := c.trust.Check(ctx, route); err != nil && !outcome.Of(err).Paused {
				unknown[i] = fmt.Errorf("check the trust of route %s: %w", route.Name, err)
			}
		})
	}
	standing, err := c.Renewer.Run(ctx)
	checks.Wait()
	return standing, errors.Join(append(unknown, err)...)
}
