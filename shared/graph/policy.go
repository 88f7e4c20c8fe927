package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"github.com/tenantsync/tenantsync/shared/trust"
)

// PartnerSettings reads the cross-tenant access settings of a tenant for another one; nil: there are none. It needs the app role
// Policy.Read.All, as all of this file does.
func (g *Graph) PartnerSettings(ctx context.Context, tenantID, partnerID string) (*trust.Settings, error) {
	r := request{verb: "read the cross-tenant access settings for", object: partnerID}
	t, err := g.tenant(tenantID)
	if err == nil {
		err = t.identified(r)
	}
	if err != nil {
		return nil, err
	}
	m, err := readPolicy(ctx, t, r, func(ctx context.Context, c *sdk) (models.CrossTenantAccessPolicyConfigurationPartnerable, error) {
		return c.Policies().CrossTenantAccessPolicy().Partners().ByCrossTenantAccessPolicyConfigurationPartnerTenantId(partnerID).Get(ctx, nil)
	})
	switch {
	case notFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case !strings.EqualFold(deref(m.GetTenantId()), partnerID):
		return nil, t.unexpected(r, "the answer is about another tenant")
	}
	s := settings(m)
	return &s, nil
}

// DefaultSettings reads the cross-tenant access settings of a tenant for every other one.
func (g *Graph) DefaultSettings(ctx context.Context, tenantID string) (trust.Settings, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return trust.Settings{}, err
	}
	r := request{verb: "read the default cross-tenant access settings"}
	m, err := readPolicy(ctx, t, r, func(ctx context.Context, c *sdk) (models.CrossTenantAccessPolicyConfigurationDefaultable, error) {
		return c.Policies().CrossTenantAccessPolicy().DefaultEscaped().Get(ctx, nil)
	})
	if err != nil {
		return trust.Settings{}, err
	}
	return settings(m), nil
}

// InvitesFrom reads who may invite people to a tenant; empty when it is somebody that the SDK does not know.
func (g *Graph) InvitesFrom(ctx context.Context, tenantID string) (string, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return "", err
	}
	m, err := readPolicy(ctx, t, request{verb: "read the authorization policy"}, func(ctx context.Context, c *sdk) (models.AuthorizationPolicyable, error) {
		return c.Policies().AuthorizationPolicy().Get(ctx, nil)
	})
	if err != nil || m.GetAllowInvitesFrom() == nil {
		return "", err
	}
	return m.GetAllowInvitesFrom().String(), nil
}

// readPolicy is ask for a policy. Roles are in the token: to see one that is granted after a refusal, we sign in again.
func readPolicy[T any](ctx context.Context, t *tenant, r request, do func(context.Context, *sdk) (T, error)) (T, error) {
	client := t.client.Load()
	answer, err := ask(ctx, t, r, do)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusForbidden && refused.code != "" {
		t.signInAgain(client)
		err = fmt.Errorf("%w: %w", trust.ErrForbidden, err)
	}
	return answer, err
}

// crossTenant is what the settings for one tenant and those for all have in common.
type crossTenant interface {
	GetAutomaticUserConsentSettings() models.InboundOutboundPolicyConfigurationable
	GetB2bCollaborationInbound() models.CrossTenantAccessPolicyB2BSettingable
	GetB2bCollaborationOutbound() models.CrossTenantAccessPolicyB2BSettingable
}

func settings(m crossTenant) (s trust.Settings) {
	if consent := m.GetAutomaticUserConsentSettings(); consent != nil {
		s.Inbound.Redeems, s.Outbound.Redeems = consent.GetInboundAllowed(), consent.GetOutboundAllowed()
	}
	s.Inbound.Users, s.Outbound.Users = usersOf(m.GetB2bCollaborationInbound()), usersOf(m.GetB2bCollaborationOutbound())
	return s
}

// usersOf are the users that a setting allows or blocks; nil when it says nothing about users.
func usersOf(m models.CrossTenantAccessPolicyB2BSettingable) *trust.Users {
	if m == nil || m.GetUsersAndGroups() == nil || m.GetUsersAndGroups().GetAccessType() == nil {
		return nil
	}
	users := m.GetUsersAndGroups()
	u := &trust.Users{Blocked: *users.GetAccessType() == models.BLOCKED_CROSSTENANTACCESSPOLICYTARGETCONFIGURATIONACCESSTYPE}
	for _, target := range users.GetTargets() {
		u.Targets = append(u.Targets, deref(target.GetTarget()))
	}
	return u
}
