package entrasim

import (
	"math"
	"slices"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
)

// Users returns a copy of every live user of a tenant, named by id or name, in the order of creation and by the names of
// Graph; properties nobody has set are absent. Values are string, bool, []string, map[string]any, []map[string]any or int64.
func (s *Server) Users(tenant string) []map[string]any {
	return s.snapshot(tenant, directory.Users, directory.View.List)
}

// DeletedUsers returns the soft-deleted users of a tenant in the same way.
func (s *Server) DeletedUsers(tenant string) []map[string]any {
	return s.snapshot(tenant, directory.Users, directory.View.ListDeleted)
}

// Groups returns the groups of a tenant in the same way.
func (s *Server) Groups(tenant string) []map[string]any {
	return s.snapshot(tenant, directory.Groups, directory.View.List)
}

func (s *Server) snapshot(tenant string, of *directory.Schema, list func(directory.View, *directory.Schema, directory.Query) directory.Page) []map[string]any {
	t, err := s.options.tenant(tenant)
	if err != nil {
		return nil
	}
	var objects []map[string]any
	for _, e := range list(s.directories[t.ID].View(0), of, directory.Query{Limit: math.MaxInt}).Entities {
		objects = append(objects, e.Map())
	}
	return objects
}

// TenantState is all there is in a tenant. Objects have the names of Graph; besides, a user has manager and a group members, which are
// ids, and both have what they are assigned to (appRoleAssignments: ids of service principals and roles).
type TenantState struct {
	Name          string           `json:"name"`
	ID            string           `json:"id"`
	Domains       []string         `json:"domains"`
	Users         []map[string]any `json:"users"`
	DeletedUsers  []map[string]any `json:"deletedUsers"`
	Groups        []map[string]any `json:"groups"`
	Subscriptions []Subscription   `json:"subscriptions"`
}

// State is all there is in a tenant, named by id or name.
func (s *Server) State(tenant string) (TenantState, error) {
	t, err := s.options.tenant(tenant)
	if err != nil {
		return TenantState{}, err
	}
	state := TenantState{
		Name: t.Name, ID: t.ID, Domains: t.domains(), Users: s.Users(t.ID), DeletedUsers: s.DeletedUsers(t.ID), Groups: s.Groups(t.ID),
		Subscriptions: s.registry.Of(t.ID),
	}
	view := s.directories[t.ID].View(0)
	for _, u := range state.Users {
		if boss, err := view.Manager(u["id"].(string)); err == nil {
			u["manager"] = boss.ID()
		}
	}
	for _, g := range state.Groups {
		members, err := view.Members(g["id"].(string), false)
		if err != nil { // it was deleted since
			continue
		}
		ids := make([]string, len(members))
		for i, m := range members {
			ids[i] = m.ID()
		}
		g["members"] = ids
	}
	for _, one := range slices.Concat(state.Users, state.Groups) {
		assigned, _, err := view.Assignments(directory.AssignmentQuery{PrincipalID: one["id"].(string), Limit: math.MaxInt})
		if err != nil || len(assigned) == 0 {
			continue
		}
		var list []map[string]string
		for _, a := range assigned {
			list = append(list, map[string]string{"resourceId": a.Resource.ID(), "appRoleId": a.RoleID})
		}
		one["appRoleAssignments"] = list
	}
	return state, nil
}
