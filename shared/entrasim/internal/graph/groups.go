package graph

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// membersBind is the property with which a PATCH of a group adds members.
const membersBind = "members@odata.bind"

// listGroups answers GET /groups.
func (s *Service) listGroups(c *call) (answer, error) {
	o, err := c.options("select", "top", "skiptoken")
	if err != nil {
		return answer{}, err
	}
	names, err := groupSelection(o)
	if err != nil {
		return answer{}, err
	}
	page := c.dir.Groups(directory.Query{After: o.after, Limit: s.limit(o)})
	value := make([]map[string]any, len(page.Users))
	for i, g := range page.Users {
		value[i] = renderGroup(g, names)
	}
	body := map[string]any{"@odata.context": c.context("groups" + o.suffix(names)), "value": value}
	if page.Next > 0 {
		body["@odata.nextLink"] = c.nextLink(page.Next)
	}
	return ok(body), nil
}

// getGroup answers GET /groups/{id}.
func (s *Service) getGroup(c *call) (answer, error) {
	o, err := c.options("select")
	if err != nil {
		return answer{}, err
	}
	names, err := groupSelection(o)
	if err != nil {
		return answer{}, err
	}
	g, err := c.dir.Group(c.params["id"])
	if err != nil {
		return answer{}, err
	}
	body := renderGroup(g, names)
	body["@odata.context"] = c.context("groups" + o.suffix(names) + "/$entity")
	return ok(body), nil
}

// createGroup answers POST /groups.
func (s *Service) createGroup(c *call) (answer, error) {
	body, err := c.object()
	if err != nil {
		return answer{}, err
	}
	if is, _ := body["isAssignableToRole"].(bool); is && !c.mayRoles() {
		return answer{}, fault.Denied()
	}
	g, err := c.dir.CreateGroup(body)
	if err != nil {
		return answer{}, err
	}
	shown := renderGroup(g, directory.DefaultGroupProperties())
	shown["@odata.context"] = c.context("groups/$entity")
	return created(shown), nil
}

// mayRoles tells whether the caller may change groups that can be given roles of the directory.
func (c *call) mayRoles() bool {
	return slices.Contains(c.caller.Roles, "RoleManagement.ReadWrite.Directory")
}

// updateGroup answers PATCH /groups/{id}: of properties, or of members, which are added all or none.
func (s *Service) updateGroup(c *call) (answer, error) {
	data, err := c.read()
	if err != nil {
		return answer{}, err
	}
	body, err := c.parse(data)
	if err != nil {
		return answer{}, err
	}
	var bind struct {
		Members []string `json:"members@odata.bind"`
	}
	if json.Unmarshal(data, &bind) != nil {
		return answer{}, badRequest("The value of '" + membersBind + "' is not a list of references.")
	}
	delete(body, membersBind)
	if bind.Members == nil {
		if !writeGroups.heldBy(c.caller) {
			return answer{}, fault.Denied()
		}
		return noContent, c.dir.UpdateGroup(c.params["id"], body)
	}
	if len(body) > 0 {
		return answer{}, fault.NotModelled("a PATCH of members and properties at a time")
	}
	ids := make([]string, len(bind.Members))
	for i, reference := range bind.Members {
		if ids[i], err = referenceID(reference); err != nil {
			return answer{}, err
		}
	}
	return noContent, c.dir.AddMembers(c.params["id"], ids, c.mayRoles())
}

// deleteGroup answers DELETE /groups/{id}.
func (s *Service) deleteGroup(c *call) (answer, error) {
	return noContent, c.dir.DeleteGroup(c.params["id"])
}

// addMember answers POST /groups/{id}/members/$ref.
func (s *Service) addMember(c *call) (answer, error) {
	id, err := c.reference()
	if err != nil {
		return answer{}, err
	}
	return noContent, c.dir.AddMembers(c.params["id"], []string{id}, c.mayRoles())
}

// removeMember answers DELETE /groups/{id}/members/{member}/$ref.
func (s *Service) removeMember(c *call) (answer, error) {
	return noContent, c.dir.RemoveMember(c.params["id"], c.params["member"], c.mayRoles())
}

// deleteMember answers DELETE /groups/{id}/members/{member} without $ref, which deletes the member itself: the reference of
// group-delete-members warns of it.
func (s *Service) deleteMember(c *call) (answer, error) {
	if !deleteUsers.heldBy(c.caller) {
		return answer{}, fault.Denied()
	}
	members, err := c.dir.Members(c.params["id"], false)
	if err != nil {
		return answer{}, err
	}
	for _, m := range members {
		if m.Kind == "user" && strings.EqualFold(m.Values["id"].(string), c.params["member"]) {
			return noContent, c.dir.Delete(c.params["member"])
		}
	}
	return answer{}, fault.NotFound(c.params["member"])
}

// objects answers a list of objects, of one kind or all, or its number.
func (s *Service) objects(c *call, all []directory.Object, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	if kind, cast := c.params["kind"]; cast {
		if kind = strings.ToLower(kind); kind != "user" && kind != "group" {
			return answer{}, unknown(c.Request)
		}
		all = slices.DeleteFunc(all, func(o directory.Object) bool { return o.Kind != kind })
	}
	if strings.HasSuffix(c.URL.Path, "/$count") {
		if !strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual") {
			return answer{}, fault.BadRequest("$count is not currently supported.")
		}
		return ok(strconv.Itoa(len(all))), nil
	}
	o, err := c.options("select", "top", "skiptoken")
	if err != nil {
		return answer{}, err
	}
	value := []map[string]any{}
	page := all[min(int(o.after), len(all)):]
	page = page[:min(s.limit(o), len(page))]
	for _, one := range page {
		shown, err := c.renderObject(one, o)
		if err != nil {
			return answer{}, err
		}
		value = append(value, shown)
	}
	body := map[string]any{"@odata.context": c.context("directoryObjects" + o.suffix(o.selected)), "value": value}
	if next := int(o.after) + len(page); next < len(all) {
		body["@odata.nextLink"] = c.nextLink(int64(next))
	}
	return ok(body), nil
}

func (c *call) renderObject(one directory.Object, o options) (shown map[string]any, err error) {
	var names []string
	if one.Kind == "user" {
		if names, err = c.selection(o); err == nil {
			shown = c.render(one.Values, names)
		}
	} else if names, err = groupSelection(o); err == nil {
		shown = renderGroup(one.Values, names)
	}
	if err != nil {
		return nil, err
	}
	shown["@odata.type"] = "#microsoft.graph." + one.Kind
	return shown, nil
}

func (s *Service) members(c *call) (answer, error) {
	all, err := c.dir.Members(c.params["id"], false)
	return s.objects(c, all, err)
}

func (s *Service) transitiveMembers(c *call) (answer, error) {
	all, err := c.dir.Members(c.params["id"], true)
	return s.objects(c, all, err)
}

func (s *Service) memberOf(c *call) (answer, error) {
	all, err := c.dir.MemberOf(c.params["user"], false)
	return s.objects(c, all, err)
}

func (s *Service) transitiveMemberOf(c *call) (answer, error) {
	all, err := c.dir.MemberOf(c.params["user"], true)
	return s.objects(c, all, err)
}

// groupSelection resolves $select to the names of properties of groups.
func groupSelection(o options) ([]string, error) {
	if o.selected == nil {
		return directory.DefaultGroupProperties(), nil
	}
	var names []string
	for _, sent := range o.selected {
		p := directory.GroupProperty(strings.TrimSpace(sent))
		if p == nil {
			return nil, fault.NotModelled("reading %s of a group", strings.TrimSpace(sent))
		}
		names = append(names, p.Name)
	}
	return names, nil
}

func renderGroup(g directory.User, names []string) map[string]any {
	shown := make(map[string]any, len(names)+1)
	for _, name := range names {
		v, set := g[name]
		if !set {
			v = directory.GroupProperty(name).Empty()
		}
		shown[name] = v
	}
	return shown
}
