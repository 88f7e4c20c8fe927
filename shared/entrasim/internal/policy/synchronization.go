package policy

import (
	"maps"
	"net/http"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Synchronization returns the settings for Microsoft's own synchronization of people of another tenant into this one. They are no
// condition for an invitation.
func (p *Policies) Synchronization(tenantID string) (Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.synchronizations[strings.ToLower(tenantID)]; one != nil {
		return one, nil
	}
	return nil, fault.NotFound(tenantID)
}

// PutSynchronization applies the body of PUT …/partners/{tenantID}/identitySynchronization, which creates the settings. The partner has
// to be there.
func (p *Policies) PutSynchronization(tenantID string, body Object) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := strings.ToLower(tenantID)
	if p.partners[id] == nil {
		return fault.NotFound(tenantID)
	}
	if p.synchronizations[id] != nil {
		return fault.New(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "A conflicting object with one or more of the specified property values is present in the directory.")
	}
	return p.setSynchronization(id, Object{"tenantId": id, "displayName": nil, "userSyncInbound": nil}, body)
}

// UpdateSynchronization applies the body of PATCH …/partners/{tenantID}/identitySynchronization.
func (p *Policies) UpdateSynchronization(tenantID string, body Object) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := strings.ToLower(tenantID)
	if p.synchronizations[id] == nil {
		return fault.NotFound(tenantID)
	}
	return p.setSynchronization(id, p.synchronizations[id], body)
}

// setSynchronization changes what is kept for a tenant. mu is held.
func (p *Policies) setSynchronization(id string, was, body Object) error {
	next := maps.Clone(was)
	for name, value := range body {
		valid := value == nil
		switch name {
		case "displayName":
			_, isText := value.(string)
			valid = valid || isText
		case "userSyncInbound":
			fields, isObject := value.(Object)
			_, isFlag := fields["isSyncAllowed"].(bool)
			valid = valid || isObject && isFlag && len(fields) == 1
		default:
			return fault.BadRequest("Invalid property '%s'.", name)
		}
		if !valid {
			return wrong(name)
		}
		next[name] = value
	}
	p.synchronizations[id] = next
	return nil
}
