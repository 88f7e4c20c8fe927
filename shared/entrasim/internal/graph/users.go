package graph

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// listUsers answers GET /users.
func (s *Service) listUsers(c *call) (answer, error) {
	return s.list(c, directory.Users, directory.View.List)
}

// countUsers answers GET /users/$count, an advanced query by nature.
func (s *Service) countUsers(c *call) (answer, error) { return s.count(c, directory.Users) }

func (s *Service) count(c *call, schema *directory.Schema) (answer, error) {
	if err := c.mayCount(); err != nil {
		return answer{}, err
	}
	o, err := c.options("filter", "search")
	if err != nil {
		return answer{}, err
	}
	match, err := c.test(schema, o, true)
	if err != nil {
		return answer{}, err
	}
	all := c.view.List(schema, directory.Query{Match: match, Count: true, After: math.MaxInt64})
	return ok(strconv.Itoa(all.Total)), nil
}

// getUser answers GET /users/{id | userPrincipalName}.
func (s *Service) getUser(c *call) (answer, error) {
	return s.get(c, directory.Users, c.params["user"])
}

// createUser answers POST /users.
func (s *Service) createUser(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	e, err := c.dir.Create(body)
	if err != nil {
		return answer{}, err
	}
	return created(c.entity(e, directory.Users.Defaults(), options{})), nil
}

// updateUser answers PATCH /users/{id | userPrincipalName}: 204 and never a body.
func (s *Service) updateUser(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	if !c.mayUpdate(body) {
		return answer{}, fault.Denied()
	}
	return noContent, c.dir.Update(c.params["user"], body)
}

// mayUpdate reports whether the caller may write each of the properties.
func (c *call) mayUpdate(body map[string]any) bool {
	if len(body) == 0 {
		return updateUsers.heldBy(c.caller)
	}
	for name := range body {
		p := c.dir.Property(directory.Users, name)
		if p == nil || len(p.Sensitive) == 0 {
			if !updateUsers.heldBy(c.caller) {
				return false
			}
			continue
		}
		if !c.holdsAll(p.Sensitive) && (p.Exclusive || !createUsers.heldBy(c.caller)) {
			return false
		}
	}
	return true
}

func (c *call) holdsAll(roles []string) bool {
	return !slices.ContainsFunc(roles, func(role string) bool { return !slices.Contains(c.caller.Roles, role) })
}

// deleteUser answers DELETE /users/{id | userPrincipalName}.
func (s *Service) deleteUser(c *call) (answer, error) {
	return noContent, c.dir.Delete(directory.Users, c.params["user"])
}

// revokeSessions answers POST /users/{id | userPrincipalName}/revokeSignInSessions. It answers true whatever it did: the known
// issues say so.
func (s *Service) revokeSessions(c *call) (answer, error) {
	if err := c.dir.RevokeSessions(c.params["user"]); err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"@odata.context": c.context("Edm.Boolean"), "value": true}), nil
}

// listDeletedUsers answers GET /directory/deletedItems/microsoft.graph.user; the cast is obligatory.
func (s *Service) listDeletedUsers(c *call) (answer, error) {
	return s.list(c, directory.Users, directory.View.ListDeleted)
}

// listDeletedGroups answers GET /directory/deletedItems/microsoft.graph.group.
func (s *Service) listDeletedGroups(c *call) (answer, error) {
	return s.list(c, directory.Groups, directory.View.ListDeleted)
}

// getDeleted answers GET /directory/deletedItems/{id}, if the caller may read objects of its kind.
func (s *Service) getDeleted(c *call) (answer, error) {
	if strings.HasPrefix(strings.ToLower(spellOut(c.params["id"])), castPrefix) {
		return answer{}, unknown(c.Request)
	}
	o, err := c.options("select")
	if err != nil {
		return answer{}, err
	}
	cast, err := c.cast()
	if err != nil {
		return answer{}, err
	}
	e, err := c.view.Deleted(c.params["id"])
	switch {
	case err != nil:
		return answer{}, err
	case cast != nil && e.Schema() != cast:
		return answer{}, fault.NotFound(c.params["id"])
	case !readDeleted[e.Schema()].heldBy(c.caller):
		return answer{}, fault.Denied()
	}
	properties, err := c.selection(e.Schema(), o.selected)
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(e, properties, o)), nil
}

// mayRestore reports whether the caller may restore and purge objects of a kind.
func (c *call) mayRestore(s *directory.Schema) bool { return restoreDeleted[s].heldBy(c.caller) }

// restore answers POST /directory/deletedItems/{id}/restore. The body is optional.
func (s *Service) restore(c *call) (answer, error) {
	var body struct {
		AutoReconcileProxyConflict bool   `json:"autoReconcileProxyConflict"`
		NewUserPrincipalName       string `json:"newUserPrincipalName"`
	}
	if err := c.decodeOptional(&body); err != nil {
		return answer{}, err
	}
	e, err := c.dir.Restore(c.params["id"], directory.RestoreOptions(body), c.mayRestore)
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(e, e.Schema().Defaults(), options{})), nil
}

// purge answers DELETE /directory/deletedItems/{id}.
func (s *Service) purge(c *call) (answer, error) {
	return noContent, c.dir.Purge(c.params["id"], c.mayRestore)
}
