// Package policy keeps the policies of one tenant that decide about people from other tenants: cross-tenant access settings
// and the authorization policy. It decides what they may say, and what follows from them for an invitation.
package policy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Object is a policy as Graph shows it.
type Object = map[string]any

// Policies are those of one tenant. Safe for concurrent use. Stored objects are replaced, never changed.
type Policies struct {
	mu               sync.Mutex
	partners         map[string]Object // by tenant id
	synchronizations map[string]Object // by tenant id
	defaults         Object            // what differs from the service's default; nil: nothing
	authorization    Object
}

// New returns the policies that a tenant is born with.
func New() *Policies {
	return &Policies{
		partners:         map[string]Object{},
		synchronizations: map[string]Object{},
		authorization:    Object{"id": "authorizationPolicy", "displayName": "Authorization Policy", "allowInvitesFrom": "everyone"},
	}
}

// The settings of a partner that are objects, and those that say who may collaborate.
var (
	collaborations = []string{"b2bCollaborationInbound", "b2bCollaborationOutbound", "b2bDirectConnectInbound", "b2bDirectConnectOutbound"}
	settings       = append([]string{"inboundTrust", "tenantRestrictions", "crossCloudMeetingConfiguration", consent}, collaborations...)
)

// consent is the setting with automatic redemption.
const consent = "automaticUserConsentSettings"

// partner is a new partner: null inherits the default.
func partner(tenantID string) Object {
	p := Object{"tenantId": tenantID, "isServiceProvider": nil}
	for _, name := range settings {
		p[name] = nil
	}
	p[consent] = Object{"inboundAllowed": nil, "outboundAllowed": nil}
	p["crossCloudMeetingConfiguration"] = Object{"inboundAllowed": nil, "outboundAllowed": nil}
	return p
}

// Partners lists the partners in the order of their tenants.
func (p *Policies) Partners() []Object {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Object
	for _, id := range slices.Sorted(maps.Keys(p.partners)) {
		list = append(list, p.partners[id])
	}
	return list
}

// Partner returns the settings for one tenant.
func (p *Policies) Partner(tenantID string) (Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.partners[strings.ToLower(tenantID)]; one != nil {
		return one, nil
	}
	return nil, fault.NotFound(tenantID)
}

// AddPartner adds settings for a tenant from the body of POST …/partners.
func (p *Policies) AddPartner(body Object) (Object, error) {
	id, _ := body["tenantId"].(string)
	if _, err := uuid.Parse(id); err != nil {
		return nil, fault.BadRequest("A valid tenantId is required.")
	}
	id = strings.ToLower(id)
	rest := maps.Clone(body)
	delete(rest, "tenantId")
	added, err := change(partner(id), rest)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.partners[id] != nil {
		return nil, fault.New(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "A conflicting object with one or more of the specified property values is present in the directory.")
	}
	p.partners[id] = added
	return added, nil
}

// UpdatePartner applies the body of PATCH …/partners/{tenantID}.
func (p *Policies) UpdatePartner(tenantID string, body Object) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := strings.ToLower(tenantID)
	if p.partners[id] == nil {
		return fault.NotFound(tenantID)
	}
	changed, err := change(p.partners[id], body)
	if err == nil {
		p.partners[id] = changed
	}
	return err
}

// RemovePartner goes back to the default for a tenant.
func (p *Policies) RemovePartner(tenantID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := strings.ToLower(tenantID)
	if p.partners[id] == nil {
		return fault.NotFound(tenantID)
	}
	delete(p.partners, id)
	delete(p.synchronizations, id)
	return nil
}

// change is a policy with other settings, checked.
func change(policy, body Object) (Object, error) {
	next := maps.Clone(policy)
	for name, value := range body {
		fields, isObject := value.(Object)
		switch {
		case name == "isServiceProvider":
			if _, is := value.(bool); value != nil && !is {
				return nil, wrong(name)
			}
		case !slices.Contains(settings, name):
			return nil, fault.BadRequest("Invalid property '%s'.", name)
		case value != nil && !isObject:
			return nil, wrong(name)
		case name == consent:
			if value == nil {
				fields = Object{"inboundAllowed": nil, "outboundAllowed": nil}
			}
			merged, err := flags(policy[name], fields)
			if err != nil {
				return nil, err
			}
			value = merged
		case slices.Contains(collaborations, name) && value != nil:
			if err := checkCollaboration(name, fields); err != nil {
				return nil, err
			}
		}
		next[name] = value
	}
	return next, nil
}

// flags merges the two flags of automatic redemption.
func flags(old any, fields Object) (Object, error) {
	merged, _ := old.(Object)
	if merged = maps.Clone(merged); merged == nil {
		merged = Object{}
	}
	for name, value := range fields {
		_, is := value.(bool)
		if (name != "inboundAllowed" && name != "outboundAllowed") || (value != nil && !is) {
			return nil, wrong(consent)
		}
		merged[name] = value
	}
	return merged, nil
}

// checkCollaboration refuses a setting that does not say who and what is allowed or blocked.
func checkCollaboration(name string, fields Object) error {
	for part, value := range fields {
		if part != "usersAndGroups" && part != "applications" {
			return wrong(name)
		}
		if value == nil {
			continue
		}
		settings, _ := value.(Object)
		access, _ := settings["accessType"].(string)
		if _, isList := settings["targets"].([]any); !isList || (access != allowed && access != blocked) {
			return wrong(name)
		}
	}
	return nil
}

const (
	allowed = "allowed"
	blocked = "blocked"
)

func wrong(name string) error {
	return fault.BadRequest("Invalid value specified for property '%s'.", name)
}

// Default returns the settings for all tenants without settings of their own.
func (p *Policies) Default() Object {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := Object{
		"isServiceDefault": p.defaults == nil,
		"inboundTrust":     Object{"isMfaAccepted": false, "isCompliantDeviceAccepted": false, "isHybridAzureADJoinedDeviceAccepted": false},
		consent:            Object{"inboundAllowed": false, "outboundAllowed": false},
	}
	for _, name := range collaborations {
		access := allowed
		if strings.HasPrefix(name, "b2bDirect") {
			access = blocked
		}
		d[name] = everybody(access)
	}
	maps.Copy(d, p.defaults)
	return d
}

// everybody is a setting that is the same for all users and applications.
func everybody(access string) Object {
	part := func(target, kind string) Object {
		return Object{"accessType": access, "targets": []any{Object{"target": target, "targetType": kind}}}
	}
	return Object{"usersAndGroups": part("AllUsers", "user"), "applications": part("AllApplications", "application")}
}

// UpdateDefault applies the body of PATCH …/default. Automatic redemption cannot be on for everybody.
func (p *Policies) UpdateDefault(body Object) error {
	if _, is := body[consent]; is {
		return fault.BadRequest("The property '%s' of the default cannot be changed.", consent)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.defaults
	if old == nil {
		old = Object{}
	}
	changed, err := change(old, body)
	if err == nil {
		p.defaults = changed
	}
	return err
}

// ResetDefault goes back to what the service began with.
func (p *Policies) ResetDefault() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.defaults = nil
}

// Authorization returns the authorization policy.
func (p *Policies) Authorization() Object {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.authorization
}

// inviters are the values of allowInvitesFrom.
var inviters = []string{"none", "adminsAndGuestInviters", "adminsGuestInvitersAndAllMembers", "everyone"}

// UpdateAuthorization applies the body of PATCH /policies/authorizationPolicy, of which only allowInvitesFrom is kept.
func (p *Policies) UpdateAuthorization(body Object) error {
	for name, value := range body {
		from, _ := value.(string)
		switch {
		case name != "allowInvitesFrom":
			return fault.NotModelled("writing %s of the authorization policy", name)
		case !slices.Contains(inviters, from):
			return wrong(name)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(p.authorization)
	maps.Copy(next, body)
	p.authorization = next
	return nil
}

// Redeems tells whether people from (inbound) or of (outbound) here redeem invitations automatically as far as this tenant
// has a say; the other one has to agree.
func (p *Policies) Redeems(partnerID string, inbound bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	settings, _ := p.partners[strings.ToLower(partnerID)][consent].(Object)
	name := "outboundAllowed"
	if inbound {
		name = "inboundAllowed"
	}
	is, _ := settings[name].(bool)
	return is
}

// Admit refuses the invitation, by an application, of somebody of another tenant, in the words of Graph: nobody may be invited if
// invitations are for administrators only or for no one, and nobody of a tenant whose users are blocked for collaboration. partnerID
// is "" for somebody of no known tenant. Sources: the reference of invitation-post, and external-id/troubleshoot.
func (p *Policies) Admit(partnerID string) error {
	inbound := p.Default()["b2bCollaborationInbound"].(Object)
	p.mu.Lock()
	defer p.mu.Unlock()
	if own, is := p.partners[strings.ToLower(partnerID)]["b2bCollaborationInbound"].(Object); is {
		inbound = own
	}
	users, _ := inbound["usersAndGroups"].(Object)
	switch from := p.authorization["allowInvitesFrom"]; {
	case from == "none" || from == "adminsAndGuestInviters":
		return fault.New(http.StatusForbidden, "Forbidden", "Guest invitations not allowed for your company. Contact your company administrator for more details.")
	case users["accessType"] == blocked:
		return fault.New(http.StatusForbidden, "Forbidden", "This invitation is blocked by cross-tenant access settings. Admins in both your organization "+
			"and the invited user's organization must configure cross-tenant access settings to allow the invitation.")
	}
	return nil
}
