package graph

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
)

// getManager answers GET /users/{id | userPrincipalName}/manager.
func (s *Service) getManager(c *call) (answer, error) {
	o, names, err := c.selectOnly()
	if err != nil {
		return answer{}, err
	}
	u, err := c.dir.Manager(c.params["user"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObject(u, names, o)), nil
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

// directReports answers GET /users/{id | userPrincipalName}/directReports, on one page.
func (s *Service) directReports(c *call) (answer, error) {
	o, names, err := c.selectOnly()
	if err != nil {
		return answer{}, err
	}
	users, err := c.dir.DirectReports(c.params["user"])
	if err != nil {
		return answer{}, err
	}
	return ok(c.directoryObjects(users, names, o)), nil
}

// directoryObjects is a collection in which each object has to say what it is.
func (c *call) directoryObjects(users []directory.User, names []string, o options) map[string]any {
	value := make([]map[string]any, len(users))
	for i, u := range users {
		value[i] = c.render(u, names)
		value[i]["@odata.type"] = "#microsoft.graph.user"
	}
	return map[string]any{"@odata.context": c.context("directoryObjects" + o.suffix(names)), "value": value}
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
	case "users", "groups", "directoryobjects":
		return id, nil
	}
	return "", badRequest("The reference '" + reference + "' is the URL of no directory object.")
}
