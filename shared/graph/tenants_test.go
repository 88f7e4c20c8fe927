package graph_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

func TestSourceUser(t *testing.T) {
	t.Run("every copied attribute is asked for and read under its Graph name", func(t *testing.T) {
		values := provisioning.Attributes{"accountEnabled": false}
		body := `{"id":"` + userID + `","userPrincipalName":"ana@fabrikam.example","userType":"Member","accountEnabled":false`
		for _, name := range provisioning.Copied {
			if name == "businessPhones" {
				values[name] = []string{"+52 1"}
				body += `,"businessPhones":["+52 1"]`
				continue
			}
			values[name] = "value of " + name
			body += `,"` + name + `":"value of ` + name + `"`
		}
		r := play(t, map[string]answer{"GET /users/" + userID: {body: body + `}`}})
		got, err := r.source(t).User(t.Context(), userID)
		if err != nil {
			t.Fatal(err)
		}
		want := provisioning.User{ID: userID, PrincipalName: "ana@fabrikam.example", UserType: "Member", Attributes: values}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		_, selected, _ := strings.Cut(r.requests()[0], "$select=")
		for name := range values {
			if !slices.Contains(strings.Split(selected, ","), name) {
				t.Errorf("%s is not selected in %s", name, r.requests()[0])
			}
		}
	})
	t.Run("a value that is null is no value", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: {body: `{"id":"` + userID + `","city":null,"businessPhones":[]}`}})
		got, err := r.source(t).User(t.Context(), userID)
		if _, has := got.Attributes["city"]; err != nil || has {
			t.Errorf("got %v, %v", got.Attributes, err)
		}
	})
	for name, body := range map[string]string{
		"by its creation type":  `{"id":"` + userID + `","creationType":"Invitation"}`,
		"by its principal name": `{"id":"` + userID + `","userPrincipalName":"ana_x.com#EXT#@fabrikam.onmicrosoft.com"}`,
	} {
		t.Run("an invited user is known "+name, func(t *testing.T) {
			r := play(t, map[string]answer{"GET /users/" + userID: {body: body}})
			if got, err := r.source(t).User(t.Context(), userID); err != nil || !got.Invited {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("a 404 of Graph means not found", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: {status: 404, body: recorded(t, "404-not-found.json")}})
		if _, err := r.source(t).User(t.Context(), userID); !errors.Is(err, provisioning.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	for name, a := range map[string]answer{
		"a 404 of a gateway":     {status: 404, body: "page not found"},
		"a 401":                  {status: 401, body: recorded(t, "401-invalid-token.json")},
		"a 403":                  {status: 403, body: recorded(t, "403-request-denied.json")},
		"a 500":                  {status: 500},
		"an empty success":       {status: 200},
		"a success of a gateway": {status: 200, body: "<html>sign in</html>", header: http.Header{"Content-Type": {"text/html"}}},
		"another object":         {status: 200, body: `{"id":"somebody else"}`},
		"no object at all":       {status: 200, body: `{}`},
	} {
		t.Run(name+" says nothing about the user", func(t *testing.T) {
			r := play(t, map[string]answer{"GET /users/" + userID: a, "GET /directory/deletedItems/" + userID + "/graph.user": a})
			s := r.source(t)
			_, err := s.User(t.Context(), userID)
			if err == nil || errors.Is(err, provisioning.ErrNotFound) {
				t.Errorf("error %v", err)
			}
			if deleted, err := s.Deleted(t.Context(), userID); err == nil || deleted {
				t.Errorf("deleted %v, error %v", deleted, err)
			}
		})
	}
	t.Run("an empty id asks nobody", func(t *testing.T) {
		r := play(t, nil)
		if _, err := r.source(t).User(t.Context(), ""); outcome.Of(err).Kind != outcome.Terminal || len(r.requests()) != 0 {
			t.Errorf("error %v, requests %v", err, r.requests())
		}
	})
}

func TestSourceDeleted(t *testing.T) {
	path := "GET /directory/deletedItems/" + userID + "/graph.user"
	for name, c := range map[string]struct {
		answer answer
		want   bool
	}{
		"a soft-deleted user":     {answer{body: `{"id":"` + userID + `"}`}, true},
		"a user who is not there": {answer{status: 404, body: recorded(t, "404-not-found.json")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := play(t, map[string]answer{path: c.answer}).source(t).Deleted(t.Context(), userID); err != nil || got != c.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestTargetFinds(t *testing.T) {
	gone := answer{status: 404, body: recorded(t, "404-not-found.json")}
	deleted := "GET /directory/deletedItems/" + userID + "/graph.user"
	external := answer{body: `{"id":"` + userID + `","userType":"Member","creationType":"Invitation","showInAddressList":true,"` + keyName + `":"t/u"}`}
	t.Run("a live external user with its link key", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: external})
		got, err := r.target(t).External(t.Context(), userID)
		want := provisioning.External{ID: userID, UserType: "Member", Invited: true, SourceKey: "t/u",
			Attributes: provisioning.Attributes{"userType": "Member", "showInAddressList": true}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
		if !strings.Contains(r.requests()[0], keyName) {
			t.Errorf("the link key is not selected in %s", r.requests()[0])
		}
	})
	t.Run("a soft-deleted external user", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: gone, deleted: external})
		if got, err := r.target(t).External(t.Context(), userID); err != nil || !got.Deleted || got.SourceKey != "t/u" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		r := play(t, map[string]answer{"GET /users/" + userID: gone, deleted: gone})
		if _, err := r.target(t).External(t.Context(), userID); !errors.Is(err, provisioning.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("by link key, among the live and the deleted ones", func(t *testing.T) {
		r := play(t, map[string]answer{
			"GET /users":                             {body: `{"value":[{"id":"a"}]}`},
			"GET /directory/deletedItems/graph.user": {body: `{"value":[{"id":"b"}]}`},
		})
		got, err := r.target(t).ByKey(t.Context(), "tenant/o'brien")
		if err != nil || len(got) != 2 || got[0].ID != "a" || got[0].Deleted || got[1].ID != "b" || !got[1].Deleted {
			t.Errorf("got %+v, %v", got, err)
		}
		for _, asked := range r.requests() {
			if !strings.Contains(asked, "$filter="+keyName+" eq 'tenant/o''brien'") {
				t.Errorf("asked %s", asked)
			}
		}
	})
	t.Run("by link key, where deleted ones cannot be filtered by it", func(t *testing.T) {
		filtered := 0
		r := play(t, map[string]answer{
			"GET /users":                             {body: `{"value":[]}`},
			"GET /directory/deletedItems/graph.user": {body: `{"value":[{"id":"a","` + keyName + `":"t/u"},{"id":"b","` + keyName + `":"t/v"},{"id":"c"}]}`},
		})
		r.refuse = func(line string) bool {
			if strings.HasPrefix(line, "GET /directory/deletedItems") && strings.Contains(line, "$filter=") {
				filtered++
				return true
			}
			return false
		}
		got, err := r.target(t).ByKey(t.Context(), "t/u")
		if err != nil || len(got) != 1 || got[0].ID != "a" || filtered != 1 {
			t.Errorf("got %+v, %v after %d refusals", got, err, filtered)
		}
	})
	t.Run("by mail, in all three places and on every page", func(t *testing.T) {
		r := play(t, map[string]answer{
			"GET /users":        {body: `{"value":[{"id":"a"}],"@odata.nextLink":"$SERVER/v1.0/users%2Fmore?$skiptoken=2"}`},
			"GET /users%2Fmore": {body: `{"value":[{"id":"b"}]}`},
		})
		got, err := r.target(t).ByMail(t.Context(), "a+b#c@x.example")
		if err != nil || len(got) != 2 {
			t.Fatalf("got %+v, %v", got, err)
		}
		want := "$filter=mail eq 'a+b#c@x.example' or otherMails/any(m:m eq 'a+b#c@x.example') or " +
			"proxyAddresses/any(p:p eq 'SMTP:a+b#c@x.example') or proxyAddresses/any(p:p eq 'smtp:a+b#c@x.example')"
		if asked := r.requests()[0]; !strings.Contains(asked, want) {
			t.Errorf("asked %s", asked)
		}
	})
}

func TestTargetInvites(t *testing.T) {
	t.Run("without a mail, and returns the new id", func(t *testing.T) {
		r := play(t, map[string]answer{"POST /invitations": {status: 201, body: recorded(t, "invitation.json")}})
		id, err := r.target(t).Invite(t.Context(), "ana@fabrikam.example", "Ana")
		if err != nil || id != "cbb896f9-8306-49d0-b56b-b8e39cd28825" {
			t.Errorf("got %q, %v", id, err)
		}
		want := `POST /invitations {"inviteRedirectUrl":"https://myapplications.microsoft.com","invitedUserDisplayName":"Ana","invitedUserEmailAddress":"ana@fabrikam.example","sendInvitationMessage":false}`
		if asked := r.requests()[0]; asked != want {
			t.Errorf("asked %s\nwant  %s", asked, want)
		}
	})
	t.Run("and says who has the address already", func(t *testing.T) {
		message := strings.TrimSpace(recorded(t, "already-exists.txt"))
		r := play(t, map[string]answer{"POST /invitations": {status: 400, body: `{"error":{"code":"BadRequest","message":"` + message + `"}}`}})
		id, err := r.target(t).Invite(t.Context(), "ana@fabrikam.example", "")
		var exists provisioning.Exists
		if !errors.As(err, &exists) || exists.ID != "dc8b9eaa-68c0-4781-aa4f-be3a015c90f0" || id != "" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	t.Run("but an answer without a user is a failure", func(t *testing.T) {
		r := play(t, map[string]answer{"POST /invitations": {status: 201, body: `{"status":"Error"}`}})
		if id, err := r.target(t).Invite(t.Context(), "ana@fabrikam.example", ""); outcome.Of(err).Kind != outcome.Retry {
			t.Errorf("got %q, %v", id, err)
		}
	})
}

func TestTargetWrites(t *testing.T) {
	done := answer{status: 204}
	t.Run("values, cleared values and the link key in one request", func(t *testing.T) {
		r := play(t, map[string]answer{"PATCH /users/" + userID: done})
		err := r.target(t).Update(t.Context(), userID, provisioning.Attributes{
			"department": "R&D", "city": nil, "accountEnabled": false, "businessPhones": nil,
		}, "tenant/user")
		if err != nil {
			t.Fatal(err)
		}
		want := `PATCH /users/` + userID + ` {"@odata.type":"#microsoft.graph.user","accountEnabled":false,"businessPhones":[],"city":null,"department":"R\u0026D","` + keyName + `":"tenant/user"}`
		if asked := r.requests()[0]; asked != want {
			t.Errorf("asked %s\nwant  %s", asked, want)
		}
	})
	t.Run("a list of phones", func(t *testing.T) {
		r := play(t, map[string]answer{"PATCH /users/" + userID: done})
		if err := r.target(t).Update(t.Context(), userID, provisioning.Attributes{"businessPhones": []string{"+52 1"}}, ""); err != nil {
			t.Fatal(err)
		}
		if asked := r.requests()[0]; !strings.Contains(asked, `"businessPhones":["+52 1"]`) {
			t.Errorf("asked %s", asked)
		}
	})
	t.Run("nothing when there is nothing to write", func(t *testing.T) {
		r := play(t, nil)
		if err := r.target(t).Update(t.Context(), userID, nil, ""); err != nil || len(r.requests()) != 0 {
			t.Errorf("error %v, requests %v", err, r.requests())
		}
	})
	t.Run("a removal", func(t *testing.T) {
		if err := play(t, map[string]answer{"DELETE /users/" + userID: done}).target(t).Remove(t.Context(), userID); err != nil {
			t.Error(err)
		}
	})
	t.Run("a removal of what is gone", func(t *testing.T) {
		r := play(t, map[string]answer{"DELETE /users/" + userID: {status: 404, body: recorded(t, "404-not-found.json")}})
		if err := r.target(t).Remove(t.Context(), userID); err != nil {
			t.Error(err)
		}
	})
	t.Run("a restore", func(t *testing.T) {
		r := play(t, map[string]answer{"POST /directory/deletedItems/" + userID + "/restore": {body: `{"@odata.type":"#microsoft.graph.user","id":"` + userID + `"}`}})
		if err := r.target(t).Restore(t.Context(), userID); err != nil {
			t.Error(err)
		}
	})
}

func TestUserIDs(t *testing.T) {
	r := play(t, map[string]answer{
		"GET /users": {body: `{"value":[{"id":"member","userType":"Member"},{"id":"guest","userType":"Guest"},{"id":"old"}],
			"@odata.nextLink":"$SERVER/v1.0/users/page2?$skiptoken=x"}`},
		"GET /users/page2": {body: `{"value":[{"id":"external","userType":"Member","creationType":"Invitation"}],"@odata.nextLink":"$SERVER/v1.0/users/page3"}`},
		"GET /users/page3": {body: `{"value":[{"id":"last","userType":"Member"}]}`},
	})
	g := r.open(t)
	t.Run("hands over internal users, page by page", func(t *testing.T) {
		var pages [][]string
		err := g.UserIDs(t.Context(), tenantID, func(ids []string) error { pages = append(pages, ids); return nil })
		if want := [][]string{{"member", "guest", "old"}, {"last"}}; err != nil || !reflect.DeepEqual(pages, want) {
			t.Errorf("got %v, %v", pages, err)
		}
		if want := "GET /users?$select=id,userPrincipalName,userType,creationType&$top=999"; r.requests()[0] != want {
			t.Errorf("asked %s", r.requests()[0])
		}
	})
	t.Run("stops when the receiver fails", func(t *testing.T) {
		full := errors.New("the bus is away")
		if err := g.UserIDs(t.Context(), tenantID, func([]string) error { return full }); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	})
}
