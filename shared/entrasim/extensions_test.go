package entrasim_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestExtensionProperties(t *testing.T) {
	w := newWorld(t, entrasim.Options{App: entrasim.App{HomeTenant: "fabrikam-us", ExtensionProperties: []string{"predefined"}}})
	prefix := "extension_" + strings.ReplaceAll(w.App().ID, "-", "") + "_"

	r := w.must(http.StatusOK, "fabrikam-us", "GET", "/applications"+query("$filter", "appId eq '"+w.App().ID+"'"), nil)
	if len(r.values()) != 1 || r.values()[0]["id"] != w.App().ObjectID {
		t.Fatalf("the application is %v", r.values())
	}
	if r := w.must(http.StatusOK, "fabrikam-us", "GET", "/applications(appId='"+w.App().ID+"')?$select=id", nil); r.id() != w.App().ObjectID {
		t.Errorf("by appId it is %v", r.body)
	}
	if r := w.must(http.StatusOK, "contoso", "GET", "/applications", nil); len(r.values()) != 0 {
		t.Errorf("outside of its home the application shows as %v", r.values())
	}

	path := "/applications/" + w.App().ObjectID + "/extensionProperties"
	link := map[string]any{"name": "link", "dataType": "String", "targetObjects": []string{"User"}}
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "POST", path, link)
	r = w.must(http.StatusCreated, "fabrikam-us", "POST", path, link)
	want := map[string]any{
		"@odata.context": w.URL() + "/v1.0/$metadata#applications('" + w.App().ObjectID + "')/extensionProperties/$entity",
		"id":             r.id(), "deletedDateTime": nil, "appDisplayName": "tenantsync", "dataType": "String", "isMultiValued": false,
		"isSyncedFromOnPremises": false, "name": prefix + "link", "targetObjects": []any{"User"},
	}
	if !reflect.DeepEqual(r.body, want) {
		t.Errorf("created %v, want %v", r.body, want)
	}
	w.refused(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "fabrikam-us", "POST", path, link)
	if r := w.must(http.StatusOK, "fabrikam-us", "GET", path, nil); len(r.values()) != 2 || r.values()[0]["name"] != prefix+"predefined" {
		t.Errorf("the list is %v", r.values())
	}
}

func TestExtensionValues(t *testing.T) {
	w := newWorld(t, entrasim.Options{App: entrasim.App{HomeTenant: "fabrikam-us", ExtensionProperties: []string{"link"}}})
	property := "extension_" + strings.ReplaceAll(w.App().ID, "-", "") + "_link"
	id := invitedID(w.invite("contoso", "adele@fabrikam.com"))
	user := "/users/" + id
	w.must(http.StatusNoContent, "contoso", "PATCH", user, map[string]any{property: "tenant/user"})

	if r := w.must(http.StatusOK, "contoso", "GET", user, nil); r.body[property] != nil {
		t.Errorf("it shows without $select: %v", r.body)
	}
	selected := user + "?$select=id," + property
	if r := w.must(http.StatusOK, "contoso", "GET", selected, nil); r.body[property] != "tenant/user" {
		t.Errorf("with $select it is %v", r.body)
	}
	found := "/users" + query("$filter", property+" eq 'tenant/user'")
	if r := w.must(http.StatusOK, "contoso", "GET", found, nil); len(r.values()) != 1 {
		t.Errorf("the filter finds %v", r.values())
	}
	w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "PATCH", user, map[string]any{property: strings.Repeat("x", 257)})
	w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "PATCH", user, map[string]any{property + "2": "x"})
	w.must(http.StatusNoContent, "contoso", "PATCH", user, map[string]any{property: nil})
	if r := w.must(http.StatusOK, "contoso", "GET", selected, nil); len(r.body) != 2 {
		t.Errorf("cleared, it shows as %v", r.body)
	}
}

func TestExtensionTypes(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("fabrikam-mexico", "adele")
	path := "/applications/" + w.App().ObjectID + "/extensionProperties"
	for dataType, tc := range map[string]struct{ good, bad any }{
		"String":       {"x", 5},
		"Boolean":      {true, "true"},
		"Integer":      {2147483647, 2147483648},
		"LargeInteger": {9007199254740993, 1.5},
		"DateTime":     {"2026-03-01T00:00:00Z", "yesterday"},
		"Binary":       {"AAEC", "not base64!"},
	} {
		t.Run(dataType, func(t *testing.T) {
			w.t = t
			r := w.must(http.StatusCreated, "fabrikam-mexico", "POST", path,
				map[string]any{"name": "of" + dataType, "dataType": dataType, "targetObjects": []string{"User"}})
			property := r.body["name"].(string)
			w.must(http.StatusNoContent, "fabrikam-mexico", "PATCH", "/users/"+id, map[string]any{property: tc.good})
			w.refused(http.StatusBadRequest, "Request_BadRequest", "fabrikam-mexico", "PATCH", "/users/"+id, map[string]any{property: tc.bad})
		})
	}
	for name, body := range map[string]map[string]any{
		"no name":           {"dataType": "String", "targetObjects": []string{"User"}},
		"a type unheard of": {"name": "a", "dataType": "Float", "targetObjects": []string{"User"}},
		"no target":         {"name": "a", "dataType": "String"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.refused(http.StatusBadRequest, "Request_BadRequest", "fabrikam-mexico", "POST", path, body)
		})
	}
}
