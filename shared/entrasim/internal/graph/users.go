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
func (s *Service) listUsers(c *call) (answer, error) { return s.list(c, c.dir.List) }

// countUsers answers GET /users/$count, an advanced query by nature.
func (s *Service) countUsers(c *call) (answer, error) {
	if !strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual") {
		return answer{}, fault.BadRequest("$count is not currently supported.")
	}
	o, err := c.options("filter")
	if err != nil {
		return answer{}, err
	}
	q := directory.Query{Limit: math.MaxInt}
	if o.filter != nil {
		if q.Match, err = c.dir.Filter(o.filter, true); err != nil {
			return answer{}, err
		}
	}
	return ok(strconv.Itoa(c.dir.List(q).Total)), nil
}

// getUser answers GET /users/{id | userPrincipalName}.
func (s *Service) getUser(c *call) (answer, error) {
	o, names, err := c.selectOnly()
	if err != nil {
		return answer{}, err
	}
	u, err := c.dir.Get(c.params["user"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.entity(u, names, "users"+o.suffix(names))), nil
}

// selectOnly reads the options of a request for one user.
func (c *call) selectOnly() (options, []string, error) {
	o, err := c.options("select")
	if err != nil {
		return o, nil, err
	}
	names, err := c.selection(o)
	return o, names, err
}

// entity is one user as the body of an answer.
func (c *call) entity(u directory.User, names []string, set string) map[string]any {
	body := c.render(u, names)
	body["@odata.context"] = c.context(set + "/$entity")
	return body
}

// createUser answers POST /users.
func (s *Service) createUser(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	u, err := c.dir.Create(body)
	if err != nil {
		return answer{}, err
	}
	return created(c.entity(u, directory.DefaultProperties(), "users")), nil
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
		p := c.dir.Property(name)
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
	return noContent, c.dir.Delete(c.params["user"])
}

// listDeleted answers GET /directory/deletedItems/microsoft.graph.user; the cast is obligatory.
func (s *Service) listDeleted(c *call) (answer, error) { return s.list(c, c.dir.ListDeleted) }

// getDeleted answers GET /directory/deletedItems/{id}.
func (s *Service) getDeleted(c *call) (answer, error) {
	if strings.HasPrefix(strings.ToLower(spellOut(c.params["id"])), castPrefix) {
		return answer{}, unknown(c.Request)
	}
	o, names, err := c.selectOnly()
	if err != nil {
		return answer{}, err
	}
	u, err := c.dir.GetDeleted(c.params["id"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(u, names, o)), nil
}

// directoryObject is a user where the API promises a directory object: its type has to be said.
func (c *call) directoryObject(u directory.User, names []string, o options) map[string]any {
	body := c.entity(u, names, "directoryObjects"+o.suffix(names))
	body["@odata.type"] = "#microsoft.graph.user"
	return body
}

// restore answers POST /directory/deletedItems/{id}/restore. The body is optional.
func (s *Service) restore(c *call) (answer, error) {
	var body struct {
		AutoReconcileProxyConflict bool   `json:"autoReconcileProxyConflict"`
		NewUserPrincipalName       string `json:"newUserPrincipalName"`
	}
	if err := c.decodeOptional(&body); err != nil {
		return answer{}, err
	}
	u, err := c.dir.Restore(c.params["id"], directory.RestoreOptions(body))
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(u, directory.DefaultProperties(), options{})), nil
}

// purge answers DELETE /directory/deletedItems/{id}.
func (s *Service) purge(c *call) (answer, error) {
	return noContent, c.dir.Purge(c.params["id"])
}
