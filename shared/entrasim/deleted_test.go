package entrasim_test

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestDeleteAndRestore(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	before := w.Users("contoso")
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+id, nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/users/"+id, nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "DELETE", "/users/"+id, nil)

	path := "/directory/deletedItems/" + id
	r := w.must(http.StatusOK, "contoso", "GET", path+"?$select=id,deletedDateTime", nil)
	if r.body["@odata.type"] != "#microsoft.graph.user" || r.body["deletedDateTime"] != "2026-03-01T12:00:00Z" {
		t.Errorf("the deleted item is %v", r.body)
	}
	list := "/directory/deleteditems/microsoft.graph.user"
	if r := w.must(http.StatusOK, "contoso", "GET", list+query("$filter", "mail eq 'adele@contoso.example.com'"), nil); len(r.values()) != 1 {
		t.Errorf("found %v by mail", r.values())
	}
	if r := w.must(http.StatusOK, "contoso", "GET", "/directory/deletedItems/graph.user", nil); len(r.values()) != 1 {
		t.Errorf("the cast as the SDKs write it lists %v", r.values())
	}
	if r := w.must(http.StatusOK, "contoso", "GET", list+query("$filter", "mail eq 'x@y.com'"), nil); len(r.values()) != 0 {
		t.Errorf("found %v by another mail", r.values())
	}

	r = w.must(http.StatusOK, "contoso", "POST", path+"/restore", nil)
	if r.id() != id || r.body["@odata.type"] != "#microsoft.graph.user" {
		t.Errorf("restored %v", r.body)
	}
	if after := w.Users("contoso"); !reflect.DeepEqual(before, after) || len(w.DeletedUsers("contoso")) != 0 {
		t.Errorf("restored %v, want %v as before", after, before)
	}
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "POST", path+"/restore", nil)
}

func TestRestoreTakesABodyOfNoLength(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+id, nil)
	body := struct{ io.Reader }{strings.NewReader("")} // hides the length, so that the body is sent in chunks: none
	req, err := http.NewRequest("POST", w.URL()+"/v1.0/directory/deletedItems/"+id+"/restore", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Header.Set("Authorization", "Bearer "+w.token("contoso"))
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %s", resp.Status)
	}
}

func TestRestoreConflicts(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+id, nil)
	successor := w.join("contoso", "adele")
	path := "/directory/deletedItems/" + id + "/restore"

	w.refused(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "contoso", "POST", path, nil)
	w.refused(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "contoso", "POST", path,
		map[string]any{"newUserPrincipalName": "adele2@contoso.onmicrosoft.com"}) // the address is taken, too
	w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "POST", path,
		map[string]any{"newUserPrincipalName": "adele2@example.com"})
	r := w.must(http.StatusOK, "contoso", "POST", path, map[string]any{
		"newUserPrincipalName": "adele2@contoso.onmicrosoft.com", "autoReconcileProxyConflict": true,
	})
	if r.id() != id || r.body["userPrincipalName"] != "adele2@contoso.onmicrosoft.com" {
		t.Errorf("restored %v", r.body)
	}
	r = w.must(http.StatusOK, "contoso", "GET", "/users/"+id+"?$select=proxyAddresses", nil)
	if proxies := r.body["proxyAddresses"].([]any); len(proxies) != 0 {
		t.Errorf("the address belongs to %s, yet the restored one has %v", successor, proxies)
	}
}

func TestDeletedUsersAreKeptForThirtyDays(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	first, second := w.join("contoso", "first"), w.join("contoso", "second")
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+first, nil)
	w.clock.advance(24 * time.Hour)
	w.tokens = map[string]string{}
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+second, nil)
	w.clock.advance(29*24*time.Hour - time.Second)
	if n := len(w.DeletedUsers("contoso")); n != 2 {
		t.Errorf("%d are restorable a second before the time is over, want 2", n)
	}
	w.clock.advance(time.Second)
	w.tokens = map[string]string{}
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "POST", "/directory/deletedItems/"+first+"/restore", nil)
	w.must(http.StatusOK, "contoso", "POST", "/directory/deletedItems/"+second+"/restore", nil)
}

func TestPurge(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "DELETE", "/directory/deletedItems/"+id, nil)
	w.must(http.StatusNoContent, "contoso", "DELETE", "/users/"+id, nil)
	w.must(http.StatusNoContent, "contoso", "DELETE", "/directory/deletedItems/"+id, nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/directory/deletedItems/"+id, nil)
}

// The references of group-delete and of directory-deleteditems: Microsoft 365 groups can be restored, security groups cannot.
func TestOnlyMicrosoft365GroupsCanBeRestored(t *testing.T) {
	w := newGroupWorld(t)
	a := w.join("contoso", "a")
	security, m365 := w.group("security"), w.group("m365", "groupTypes", []string{"Unified"}, "mailEnabled", true)
	for _, id := range []string{security, m365} {
		w.add(id, a)
		w.must(204, "contoso", "DELETE", "/groups/"+id, nil)
		w.must(404, "contoso", "GET", "/groups/"+id, nil)
	}
	if got := w.names("/directory/deletedItems/microsoft.graph.group"); len(got) != 1 || got[0] != "m365" {
		t.Errorf("the deleted groups are %v", got)
	}
	if got := w.names("/users/" + a + "/memberOf"); got != nil {
		t.Errorf("the user is a member of %v", got)
	}
	w.must(404, "contoso", "POST", "/directory/deletedItems/"+security+"/restore", nil)
	r := w.must(200, "contoso", "GET", "/directory/deletedItems/"+m365, nil)
	if r.body["@odata.type"] != "#microsoft.graph.group" || r.body["mail"] != "m365@contoso.onmicrosoft.com" || r.body["deletedDateTime"] == nil {
		t.Errorf("the deleted group is %v", r.body)
	}
	w.must(404, "contoso", "GET", "/directory/deletedItems/"+m365+"/microsoft.graph.user", nil)
	r = w.must(200, "contoso", "POST", "/directory/deletedItems/"+m365+"/restore", nil)
	if r.id() != m365 || r.body["deletedDateTime"] != nil {
		t.Errorf("restored %v", r.body)
	}
	if got := w.names("/groups/" + m365 + "/members"); len(got) != 1 {
		t.Errorf("the restored group has the members %v", got)
	}
	w.must(204, "contoso", "DELETE", "/groups/"+m365, nil)
	w.must(204, "contoso", "DELETE", "/directory/deletedItems/"+m365, nil)
	w.must(404, "contoso", "POST", "/directory/deletedItems/"+m365+"/restore", nil)
}

func TestTheAddressOfADeletedGroupIsFree(t *testing.T) {
	w := newGroupWorld(t)
	m365 := []any{"groupTypes", []string{"Unified"}, "mailEnabled", true}
	first := w.group("news", m365...)
	w.must(400, "contoso", "POST", "/groups", newGroup("news", m365...)) // the address is taken
	w.must(204, "contoso", "DELETE", "/groups/"+first, nil)
	w.group("news", m365...)
	w.refused(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "contoso", "POST", "/directory/deletedItems/"+first+"/restore", nil)
}

// Section 4.4 of the Graph notes: who may restore users is a matter of its own permission.
func TestRestoringTakesThePermissionForTheKind(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso", Roles: []string{"Group.ReadWrite.All", "User.ReadWrite.All"}}}})
	user, group := w.join("contoso", "a"), w.group("g", "groupTypes", []string{"Unified"}, "mailEnabled", true)
	w.must(204, "contoso", "DELETE", "/users/"+user, nil)
	w.must(204, "contoso", "DELETE", "/groups/"+group, nil)
	w.refused(403, "Authorization_RequestDenied", "contoso", "POST", "/directory/deletedItems/"+user+"/restore", nil)
	w.refused(403, "Authorization_RequestDenied", "contoso", "DELETE", "/directory/deletedItems/"+user, nil)
	w.must(200, "contoso", "POST", "/directory/deletedItems/"+group+"/restore", nil)
}
