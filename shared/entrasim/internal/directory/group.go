package directory

import (
	"slices"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Values of groupTypes.
const (
	unified           = "Unified" // a Microsoft 365 group
	dynamicMembership = "DynamicMembership"
)

func (e *Entity) unified() bool { return slices.Contains(e.texts("groupTypes"), unified) }

// dynamic tells whether the members of a group follow from its rule. The simulator does not play the rules: the group is empty.
func (e *Entity) dynamic() bool { return slices.Contains(e.texts("groupTypes"), dynamicMembership) }

// roleAssignable tells whether a group can be given roles of the directory, so that its members are protected.
func (e *Entity) roleAssignable() bool { is, _ := e.Get(assignableToRole).(bool); return is }

const assignableToRole = "isAssignableToRole"

// Rights are what a caller may do with groups beyond what every caller may who can write them.
type Rights struct {
	Roles bool // change groups that can be given roles of the directory
}

// CreateGroup adds a group from the body of POST /groups, with members by their ids: all of it or nothing.
func (d *Directory) CreateGroup(body map[string]any, members []string, may Rights) (*Entity, error) {
	v, err := d.decode(Groups, body)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"displayName", "mailEnabled", "mailNickname", "securityEnabled"} {
		if body[name] == nil {
			return nil, required(Groups, name)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.draft(Groups, nil)
	var now any = moment(d.Now())
	n.put("createdDateTime", now)
	n.put("renewedDateTime", now)
	for p, value := range v {
		n.set(p, value)
	}
	if n.is(assignableToRole) && !may.Roles {
		return nil, fault.Denied()
	}
	if err := n.checkGroup(); err != nil {
		return nil, err
	}
	n.setGroupMail(d.initialDomain())
	g := &object{schema: Groups}
	joining, err := d.joining(&Entity{of: g, fields: n.fields}, members)
	if err != nil {
		return nil, err
	}
	e, err := d.add(g, n.fields)
	if err != nil {
		return nil, err
	}
	d.join(g, joining)
	return e, nil
}

// checkGroup refuses combinations that no group has: the references of the group resource and of group-post-groups.
func (n *draft) checkGroup() error {
	types := n.texts("groupTypes")
	isUnified, isDynamic := slices.Contains(types, unified), slices.Contains(types, dynamicMembership)
	switch {
	case n.is("mailEnabled") != isUnified:
		return fault.BadRequest("The service does not currently support writes of mail-enabled groups. " +
			"Please ensure that the mail-enablement property is unset and the security-enablement property is set.")
	case !isUnified && !n.is("securityEnabled"):
		return fault.BadRequest("A group is security-enabled or a Microsoft 365 group.")
	case isDynamic != (n.get("membershipRule") != nil):
		return fault.BadRequest("A group with dynamic membership has a membershipRule, and no other has one.")
	case n.is(assignableToRole) && (isDynamic || !n.is("securityEnabled")):
		return fault.BadRequest("A group that is assignable to a role is security-enabled and has no dynamic membership.")
	}
	return nil
}

// setGroupMail derives the address of a Microsoft 365 group from its nickname.
func (n *draft) setGroupMail(domain string) {
	if n.is("mailEnabled") && n.get("mail") == nil {
		address := n.text("mailNickname") + "@" + domain
		n.put("mail", address)
		n.put("proxyAddresses", []string{"SMTP:" + address})
	}
}

// UpdateGroup applies the properties in the body of PATCH /groups/{id}, and adds members by their ids: all of it or nothing.
func (d *Directory) UpdateGroup(id string, body map[string]any, members []string, may Rights) error {
	v, err := d.decode(Groups, body)
	if err != nil {
		return err
	}
	if _, sent := body[assignableToRole]; sent {
		return fault.BadRequest("Property '%s' can be set at creation only.", assignableToRole)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.writable(id, may)
	if err != nil {
		return err
	}
	joining, err := d.joining(g.now, members)
	if err != nil {
		return err
	}
	n := d.draft(Groups, g.now)
	for p, value := range v {
		n.set(p, value)
	}
	if err := n.checkGroup(); err != nil {
		return err
	}
	if err := d.replace(g, n); err != nil {
		return err
	}
	d.join(g, joining)
	return nil
}

// DeleteGroup removes a group.
func (d *Directory) DeleteGroup(id string, may Rights) error {
	d.mu.RLock()
	_, err := d.writable(id, may)
	d.mu.RUnlock()
	if err != nil {
		return err
	}
	return d.Delete(Groups, id)
}

// writable is a group that the caller may change. d is locked.
func (d *Directory) writable(id string, may Rights) (*object, error) {
	g, err := d.find(Groups, id)
	if err == nil && g.now.roleAssignable() && !may.Roles {
		err = fault.Denied()
	}
	return g, err
}
