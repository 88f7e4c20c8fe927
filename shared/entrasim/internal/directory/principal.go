package directory

import (
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// appRoles is the property that holds the roles of an application.
const appRoles = "appRoles"

// AppRole is a role that an application offers.
type AppRole struct {
	ID          string   `json:"id"`
	Value       string   `json:"value"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description"`
	MemberTypes []string `json:"allowedMemberTypes"` // User, which means groups as well, and Application
	Enabled     bool     `json:"isEnabled"`
	Origin      string   `json:"origin"`
}

// NewAppRole is a role for users and groups, or for applications: then it is an application permission.
func NewAppRole(id, value string, forApplications bool) AppRole {
	r := AppRole{ID: id, Value: value, DisplayName: value, Description: value, MemberTypes: []string{forUsers}, Enabled: true, Origin: "Application"}
	if forApplications {
		r.MemberTypes = []string{forApps}
	}
	return r
}

// Values of allowedMemberTypes.
const (
	forUsers = "User"
	forApps  = "Application"
)

// ServicePrincipal is an application in this tenant.
type ServicePrincipal struct {
	ID, AppID, DisplayName string
	Owner                  string    // id of the tenant that the application is at home in
	Roles                  []AppRole // none: everybody gets DefaultAccess
	// AssignmentRequired keeps out whoever has no role.
	AssignmentRequired bool
}

// AddServicePrincipal makes an application known here.
func (d *Directory) AddServicePrincipal(p ServicePrincipal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.draft(ServicePrincipals, nil)
	for name, v := range map[string]any{
		"accountEnabled":            true,
		"appDisplayName":            p.DisplayName,
		"appId":                     p.AppID,
		"appOwnerOrganizationId":    p.Owner,
		"appRoleAssignmentRequired": p.AssignmentRequired,
		appRoles:                    append([]AppRole{}, p.Roles...),
		"displayName":               p.DisplayName,
		"servicePrincipalNames":     []string{p.AppID},
		"servicePrincipalType":      "Application",
	} {
		n.put(name, v)
	}
	_, err := d.add(&object{id: fold(p.ID), schema: ServicePrincipals}, n.fields)
	return err
}

// PrincipalID is the object id of the application with a client id.
func (v View) PrincipalID(appID string) (string, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	if o := v.dir.unique[principalKey(appID)]; o != nil {
		return o.id, nil
	}
	return "", fault.NotFound(appID)
}

// offers finds the role of an application with an id. An application without roles for users offers them DefaultAccess.
func (e *Entity) offers(roleID string, to *Schema) bool {
	wanted := forUsers
	if to == ServicePrincipals {
		wanted = forApps
	}
	roles, _ := e.Get(appRoles).([]AppRole)
	roles = slices.DeleteFunc(slices.Clone(roles), func(r AppRole) bool { return !slices.Contains(r.MemberTypes, wanted) })
	if len(roles) == 0 {
		return roleID == DefaultAccess
	}
	return slices.ContainsFunc(roles, func(r AppRole) bool { return strings.EqualFold(r.ID, roleID) })
}
