package graph

import (
	"strings"
)

// readOrganization are the application permissions of GET /organization, least first.
var readOrganization = permissions{"Organization.Read.All", "Directory.Read.All", "Organization.ReadWrite.All", "Directory.ReadWrite.All"}

// organization answers GET /organization: the caller's tenant, alone in a list, with the domains it verified.
func (s *Service) organization(c *call) (answer, error) {
	domains := c.dir.Domains
	verified := make([]map[string]any, len(domains))
	for i, name := range domains {
		verified[i] = map[string]any{
			"name": name, "type": "Managed", "capabilities": "Email", "isInitial": i == 0, "isDefault": i == len(domains)-1,
		}
	}
	name, _, _ := strings.Cut(domains[0], ".")
	return ok(map[string]any{
		"@odata.context": c.context("organization"),
		"value": []map[string]any{{
			"id": c.caller.TenantID, "displayName": name, "tenantType": "AAD", "verifiedDomains": verified,
		}},
	}), c.noOptions()
}
