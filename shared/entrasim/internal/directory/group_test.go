package directory

import (
	"errors"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Section 4.5 of the Graph notes: groups that can be given roles take RoleManagement.ReadWrite.Directory besides.
func TestGroupsWithRolesTakeARightOfTheirOwn(t *testing.T) {
	d := newDirectory(newClock().Now)
	member, other := create(t, d, 1), create(t, d, 2)
	body := map[string]any{"displayName": "admins", "mailNickname": "admins", "mailEnabled": false, "securityEnabled": true, "isAssignableToRole": true}
	e, err := d.CreateGroup(body, []string{member}, Rights{Roles: true})
	must(t, err)
	for name, do := range map[string]func(Rights) error{
		"create":          func(r Rights) error { _, err := d.CreateGroup(body, nil, r); return err },
		"update":          func(r Rights) error { return d.UpdateGroup(e.ID(), map[string]any{"description": "x"}, nil, r) },
		"add a member":    func(r Rights) error { return d.AddMember(e.ID(), other, r) },
		"remove a member": func(r Rights) error { return d.RemoveMember(e.ID(), member, r) },
	} {
		if refused := new(fault.Fault); !errors.As(do(Rights{}), &refused) || refused.Status != 403 {
			t.Errorf("%s without the right: %v, want 403", name, refused)
		}
		if err := do(Rights{Roles: true}); err != nil {
			t.Errorf("%s with the right: %v", name, err)
		}
	}
	if err := d.DeleteGroup(e.ID(), Rights{}); err == nil {
		t.Error("deleted without the right")
	}
	must(t, d.DeleteGroup(e.ID(), Rights{Roles: true}))
}

// The reference of the group resource: combinations that no group has.
func TestCombinationsNoGroupHas(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"mail without Microsoft 365":         {"mailEnabled": true},
		"Microsoft 365 without mail":         {"groupTypes": []any{"Unified"}},
		"neither security nor Microsoft 365": {"securityEnabled": false},
		"roles and a rule":                   {"isAssignableToRole": true, "groupTypes": []any{"DynamicMembership"}, "membershipRule": "x"},
		"roles without security": {
			"isAssignableToRole": true, "securityEnabled": false, "mailEnabled": true, "groupTypes": []any{"Unified"},
		},
	} {
		body := map[string]any{"displayName": "g", "mailNickname": "g", "mailEnabled": false, "securityEnabled": true}
		for property, v := range change {
			body[property] = v
		}
		d := newDirectory(newClock().Now)
		if _, err := d.CreateGroup(body, nil, Rights{Roles: true}); err == nil {
			t.Errorf("a group with %s was made", name)
		}
	}
}
