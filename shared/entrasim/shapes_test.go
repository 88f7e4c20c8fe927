package entrasim_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// example reads the body of a documented answer.
func example(t *testing.T, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	var body map[string]any
	if err := json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &body); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return body
}

// checkShape reports what a documented answer holds and ours does not, or holds as another type. null has no type.
func checkShape(t *testing.T, at string, documented, ours any) {
	t.Helper()
	switch documented := documented.(type) {
	case map[string]any:
		object, ok := ours.(map[string]any)
		if !ok {
			t.Errorf("%s is %v, want an object", at, ours)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(documented)) {
			if _, has := object[name]; !has {
				t.Errorf("%s has no %s", at, name)
				continue
			}
			checkShape(t, at+"."+name, documented[name], object[name])
		}
	case []any:
		list, ok := ours.([]any)
		if !ok {
			t.Errorf("%s is %v, want a list", at, ours)
		} else if len(documented) > 0 && len(list) > 0 {
			checkShape(t, at+"[0]", documented[0], list[0])
		}
	case string:
		if _, ok := ours.(string); !ok && ours != nil {
			t.Errorf("%s is %v, want a string", at, ours)
		}
	case bool:
		if _, ok := ours.(bool); !ok && ours != nil {
			t.Errorf("%s is %v, want true or false", at, ours)
		}
	}
}

// The answers of the simulator hold everything the documented examples hold.
func TestShapesOfAnswers(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	id := w.join("fabrikam-mexico", "adele")
	for _, tc := range []struct {
		file         string
		method, path string
		body         any
	}{
		{"user-get-select.response.http", "GET", "/users/" + id + "?$select=displayName,givenName,postalCode,identities", nil},
		{"invitation-create.response.http", "POST", "/invitations",
			map[string]any{"invitedUserEmailAddress": "admin@fabrikam.com", "inviteRedirectUrl": "https://myapp.contoso.com"}},
		{"extensionproperty-create.response.http", "POST", "/applications/" + w.App().ObjectID + "/extensionProperties",
			map[string]any{"name": "jobGroup", "dataType": "String", "targetObjects": []string{"User"}}},
		{"subscription-create.response.http", "POST", "/subscriptions", w.newSubscription(e.URL, nil)},
		{"subscription-list.response.http", "GET", "/subscriptions", nil},
		{"error-404.payload.json", "GET", "/users/" + anyID, nil},
		{"", "DELETE", "/users/" + id, nil},
		{"deleted-item-restore.response.http", "POST", "/directory/deletedItems/" + id + "/restore", nil},
	} {
		r := w.graph("fabrikam-mexico", tc.method, tc.path, tc.body)
		if tc.file == "" {
			if r.status != http.StatusNoContent {
				t.Fatalf("%s %s answered %d %s", tc.method, tc.path, r.status, r.text)
			}
			continue
		}
		checkShape(t, tc.file, example(t, tc.file), r.body)
	}
}
