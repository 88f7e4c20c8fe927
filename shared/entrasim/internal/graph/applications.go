package graph

import (
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

// listApplications answers GET /applications?$filter=appId eq '…', the only filter of it that is played.
func (s *Service) listApplications(c *call) (answer, error) {
	o, err := c.options("filter", "select")
	if err != nil {
		return answer{}, err
	}
	found := c.caller.TenantID == s.Application.HomeTenantID
	if o.filter != nil {
		equal, ok := o.filter.(*filter.Equal)
		if !ok || len(equal.Path) != 1 || !strings.EqualFold(equal.Path[0], "appId") {
			return answer{}, fault.NotModelled("the filter %s of applications", o.filter)
		}
		id, _ := equal.Value.(string)
		found = found && strings.EqualFold(id, s.Application.ID)
	}
	value := []map[string]any{}
	if found {
		shown, err := s.Application.render(o)
		if err != nil {
			return answer{}, err
		}
		value = append(value, shown)
	}
	return ok(map[string]any{"@odata.context": c.context("applications" + o.names()), "value": value}), nil
}

// getApplication answers GET /applications/{id} and GET /applications(appId='{appId}').
func (s *Service) getApplication(c *call) (answer, error) {
	o, err := c.options("select")
	if err != nil {
		return answer{}, err
	}
	if err := s.findApplication(c); err != nil {
		return answer{}, err
	}
	body, err := s.Application.render(o)
	if err != nil {
		return answer{}, err
	}
	body["@odata.context"] = c.context("applications" + o.names() + "/$entity")
	return ok(body), nil
}

// findApplication refuses a request that does not name the application, or comes from a tenant it is not at home in.
func (s *Service) findApplication(c *call) error {
	app := s.Application
	named := strings.EqualFold(c.params["id"], app.ObjectID) || strings.EqualFold(c.params["appId"], app.ID)
	if named && c.caller.TenantID == app.HomeTenantID {
		return nil
	}
	return fault.NotFound(c.params["id"] + c.params["appId"])
}

func (a Application) render(o options) (map[string]any, error) {
	all := map[string]any{
		"id":              a.ObjectID,
		"appId":           a.ID,
		"deletedDateTime": nil,
		"displayName":     a.DisplayName,
		"signInAudience":  "AzureADMultipleOrgs",
	}
	if o.selected == nil {
		return all, nil
	}
	shown := map[string]any{}
	for _, name := range o.selected {
		v, known := all[name]
		if !known {
			return nil, fault.NotModelled("reading %s of applications", name)
		}
		shown[name] = v
	}
	return shown, nil
}

// extension is the extensionProperty resource.
type extension struct {
	Context         string   `json:"@odata.context,omitempty"`
	ID              string   `json:"id"`
	DeletedDateTime *string  `json:"deletedDateTime"`
	AppDisplayName  string   `json:"appDisplayName"`
	DataType        string   `json:"dataType"`
	IsMultiValued   bool     `json:"isMultiValued"`
	IsSynced        bool     `json:"isSyncedFromOnPremises"`
	Name            string   `json:"name"`
	TargetObjects   []string `json:"targetObjects"`
}

func (a Application) extension(e directory.Extension) extension {
	return extension{ID: e.ID, AppDisplayName: a.DisplayName, DataType: e.DataType, Name: e.Name, TargetObjects: e.TargetObjects}
}

func (s *Service) extensionContext(c *call) string {
	return c.context("applications('" + s.Application.ObjectID + "')/extensionProperties")
}

// listExtensions answers GET /applications/{id}/extensionProperties.
func (s *Service) listExtensions(c *call) (answer, error) {
	if _, err := c.options(); err != nil {
		return answer{}, err
	}
	if err := s.findApplication(c); err != nil {
		return answer{}, err
	}
	value := []extension{}
	for _, e := range s.Extensions.List() {
		value = append(value, s.Application.extension(e))
	}
	return ok(map[string]any{"@odata.context": s.extensionContext(c), "value": value}), nil
}

// createExtension answers POST /applications/{id}/extensionProperties.
func (s *Service) createExtension(c *call) (answer, error) {
	var body struct {
		Name          string   `json:"name"`
		DataType      string   `json:"dataType"`
		IsMultiValued bool     `json:"isMultiValued"`
		TargetObjects []string `json:"targetObjects"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if err := s.findApplication(c); err != nil {
		return answer{}, err
	}
	if body.IsMultiValued {
		return answer{}, fault.NotModelled("multi-valued extension properties")
	}
	e, err := s.Extensions.Define(body.Name, body.DataType, body.TargetObjects)
	if err != nil {
		return answer{}, err
	}
	shown := s.Application.extension(e)
	shown.Context = s.extensionContext(c) + "/$entity"
	return created(shown), nil
}
