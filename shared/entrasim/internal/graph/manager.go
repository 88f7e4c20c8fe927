package graph

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// getManager answers GET /users/{id | userPrincipalName}/manager.
func (s *Service) getManager(c *call) (answer, error) {
	o, err := c.options("select")
	if err != nil {
		return answer{}, err
	}
	properties, err := c.selection(directory.Users, o.selected)
	if err != nil {
		return answer{}, err
	}
	e, err := c.view.Manager(c.params["user"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(e, properties, o)), nil
}

// setManager answers PUT /users/{id | userPrincipalName}/manager/$ref.
func (s *Service) setManager(c *call) (answer, error) {
	id, err := c.reference()
	if err != nil {
		return answer{}, err
	}
	return noContent, c.dir.SetManager(c.params["user"], id)
}

// removeManager answers DELETE /users/{id | userPrincipalName}/manager/$ref.
func (s *Service) removeManager(c *call) (answer, error) {
	return noContent, c.dir.RemoveManager(c.params["user"])
}

// directReports answers GET /users/{id | userPrincipalName}/directReports.
func (s *Service) directReports(c *call) (answer, error) {
	all, err := c.view.DirectReports(c.params["user"])
	return s.related(c, all, err)
}

// expansion is what $expand=manager asks for.
type expansion struct {
	selected []string // of the manager; nil: the default properties
}

// parseExpand reads $expand=manager or $expand=manager($select=…), the only ones that are played.
func parseExpand(text string) (*expansion, error) {
	name, nested, has := strings.Cut(text, "(")
	if !strings.EqualFold(name, "manager") {
		return nil, fault.NotModelled("$expand=%s", text)
	}
	if !has {
		return &expansion{}, nil
	}
	option, value, _ := strings.Cut(strings.TrimSuffix(nested, ")"), "=")
	if !strings.EqualFold(strings.TrimPrefix(option, "$"), "select") || !strings.HasSuffix(nested, ")") || strings.Contains(value, ";") {
		return nil, fault.NotModelled("$expand=%s", text)
	}
	return &expansion{selected: strings.Split(value, ",")}, nil
}

// expand adds their managers to users that are shown. Who has none is shown without.
func (c *call) expand(s *directory.Schema, users []*directory.Entity, shown []map[string]any, o options) error {
	if o.expanded == nil {
		return nil
	}
	if s != directory.Users {
		return unknownProperty("manager", s.Name)
	}
	properties, err := c.selection(directory.Users, o.expanded.selected)
	if err != nil {
		return err
	}
	for i, user := range users {
		if m := c.view.ManagerOf(user); m != nil {
			shown[i]["manager"] = typed(m, properties)
		}
	}
	return nil
}

// reference is the id in a body that refers to an object: {"@odata.id": "https://graph…/v1.0/users/{id}"}.
func (c *call) reference() (string, error) {
	data, err := c.read()
	if err == nil {
		_, err = c.parse(data) // refuses what is no JSON
	}
	if err != nil {
		return "", err
	}
	var body map[string]string
	if json.Unmarshal(data, &body) != nil || len(body) != 1 {
		return "", badRequest("The body of a reference holds @odata.id and nothing else.")
	}
	return referenceID(body["@odata.id"])
}

// referenceID is the id in the URL of an object, of whatever host.
func referenceID(reference string) (string, error) {
	u, err := url.Parse(reference)
	if err != nil {
		return "", badRequest("The reference '" + reference + "' is no URL.")
	}
	kind, id := path.Split(strings.TrimSuffix(u.Path, "/"))
	switch strings.ToLower(path.Base(kind)) {
	case "users", "groups", "serviceprincipals", "directoryobjects":
		return id, nil
	}
	return "", badRequest("The reference '" + reference + "' is the URL of no directory object.")
}
