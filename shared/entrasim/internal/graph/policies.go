package graph

import (
	"maps"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/policy"
)

// policies are those of the caller's tenant.
func (s *Service) policies(c *call) *policy.Policies { return s.Policies[c.caller.TenantID] }

const crossTenant = "policies/crossTenantAccessPolicy"

// policy is a policy as the body of an answer.
func (c *call) policy(o policy.Object, context string) answer {
	body := maps.Clone(o)
	body["@odata.context"] = c.context(context)
	return ok(body)
}

// noOptions refuses query options.
func (c *call) noOptions() error {
	_, err := c.options()
	return err
}

// getCrossTenant answers GET /policies/crossTenantAccessPolicy.
func (s *Service) getCrossTenant(c *call) (answer, error) {
	shown := policy.Object{"displayName": "CrossTenantAccessPolicy", "allowedCloudEndpoints": []string{}}
	return c.policy(shown, crossTenant+"/$entity"), c.noOptions()
}

func (s *Service) getDefaultPolicy(c *call) (answer, error) {
	return c.policy(s.policies(c).Default(), crossTenant+"/default/$entity"), c.noOptions()
}

func (s *Service) updateDefaultPolicy(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	return noContent, s.policies(c).UpdateDefault(body)
}

func (s *Service) resetDefaultPolicy(c *call) (answer, error) {
	s.policies(c).ResetDefault()
	return noContent, nil
}

func (s *Service) listPartners(c *call) (answer, error) {
	value := s.policies(c).Partners()
	if value == nil {
		value = []policy.Object{}
	}
	return ok(map[string]any{"@odata.context": c.context(crossTenant + "/partners"), "value": value}), c.noOptions()
}

func (s *Service) addPartner(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	added, err := s.policies(c).AddPartner(body)
	if err != nil {
		return answer{}, err
	}
	shown := c.policy(added, crossTenant+"/partners/$entity")
	return created(shown.body), nil
}

func (s *Service) getPartner(c *call) (answer, error) {
	partner, err := s.policies(c).Partner(c.params["tenant"])
	if err != nil {
		return answer{}, err
	}
	return c.policy(partner, crossTenant+"/partners/$entity"), c.noOptions()
}

func (s *Service) updatePartner(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	return noContent, s.policies(c).UpdatePartner(c.params["tenant"], body)
}

func (s *Service) removePartner(c *call) (answer, error) {
	return noContent, s.policies(c).RemovePartner(c.params["tenant"])
}

func (s *Service) getSynchronization(c *call) (answer, error) {
	settings, err := s.policies(c).Synchronization(c.params["tenant"])
	if err != nil {
		return answer{}, err
	}
	return c.policy(settings, crossTenant+"/partners('"+c.params["tenant"]+"')/identitySynchronization/$entity"), c.noOptions()
}

func (s *Service) putSynchronization(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	return noContent, s.policies(c).PutSynchronization(c.params["tenant"], body)
}

func (s *Service) updateSynchronization(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	return noContent, s.policies(c).UpdateSynchronization(c.params["tenant"], body)
}

func (s *Service) getAuthorization(c *call) (answer, error) {
	return c.policy(s.policies(c).Authorization(), "policies/authorizationPolicy/$entity"), c.noOptions()
}

func (s *Service) updateAuthorization(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	return noContent, s.policies(c).UpdateAuthorization(body)
}
