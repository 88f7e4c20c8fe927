package csdltest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func metadata(t *testing.T) *Model {
	t.Helper()
	f, err := os.Open("../../testdata/graph/v1.0.csdl.xml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnswersAreHeldToTheMetadata(t *testing.T) {
	m := metadata(t)
	const root = `"@odata.context":"https://graph/v1.0/$metadata#`
	for name, c := range map[string]struct {
		status int
		body   string
		want   string // part of the one problem; "" for none
	}{
		"a user":                          {200, `{` + root + `users/$entity","id":"1","displayName":"A","businessPhones":[],"mail":null}`, ""},
		"no context":                      {200, `{"id":"1"}`, "no @odata.context"},
		"a context of nothing":            {200, `{` + root + `people/$entity","id":"1"}`, `knows nothing of "people/$entity"`},
		"a name in another case":          {200, `{` + root + `users/$entity","DisplayName":"A"}`, ".DisplayName: a user has no such property"},
		"a number for a text":             {200, `{` + root + `users/$entity","displayName":5}`, ".displayName: 5 is no Edm.String"},
		"a text for a flag":               {200, `{` + root + `users/$entity","accountEnabled":"true"}`, "is no Edm.Boolean"},
		"a null list":                     {200, `{` + root + `users/$entity","businessPhones":null}`, "a collection is never null"},
		"a null that must not be":         {200, `{` + root + `policies/crossTenantAccessPolicy/partners/$entity","tenantId":null}`, "it is null, and must not be"},
		"a text for a list":               {200, `{` + root + `users/$entity","otherMails":"a"}`, "it is no list"},
		"a time without a zone":           {200, `{` + root + `users/$entity","createdDateTime":"2026-01-01T00:00:00"}`, "is no Edm.DateTimeOffset"},
		"an extension":                    {200, `{` + root + `users/$entity","extension_00000000000000000000000000000001_x":"a"}`, ""},
		"a field of a complex type":       {200, `{` + root + `users/$entity","employeeOrgData":{"division":"a","shoes":1}}`, ".employeeOrgData.shoes"},
		"what was selected":               {200, `{` + root + `users(id,mail)/$entity","id":"1","mail":"a@b.c"}`, ""},
		"what was not selected":           {200, `{` + root + `users(id,mail)/$entity","id":"1","city":"x"}`, ".city: it was not selected"},
		"what is expanded":                {200, `{` + root + `users(manager(id))/$entity","city":"x","manager":{"@odata.type":"#microsoft.graph.user","id":"1"}}`, ""},
		"a derived type":                  {200, `{` + root + `directoryObjects/$entity","@odata.type":"#microsoft.graph.group","mailEnabled":true}`, ""},
		"a type that is none of it":       {200, `{` + root + `users/$entity","@odata.type":"#microsoft.graph.group"}`, "is no user"},
		"a list":                          {200, `{` + root + `groups","@odata.nextLink":"x","value":[{"id":"1"}]}`, ""},
		"a list that is none":             {200, `{` + root + `groups","value":{}}`, "there is no list"},
		"in a list":                       {200, `{` + root + `groups","value":[{"id":"1"},{"id":2}]}`, ".value[1].id: 2 is no Edm.String"},
		"a property beside a list":        {200, `{` + root + `groups","value":[],"total":1}`, ".total: a collection has no such property"},
		"an unknown annotation":           {200, `{` + root + `users/$entity","@odata.mood":"good"}`, "unknown annotation"},
		"links that changed":              {200, `{` + root + `groups","value":[{"id":"1","members@delta":[{"@odata.type":"#microsoft.graph.user","id":"2","@removed":{"reason":"deleted"}}]}]}`, ""},
		"links that are none":             {200, `{` + root + `groups","value":[{"id":"1","friends@delta":[]}]}`, "no such link"},
		"a list of texts":                 {200, `{` + root + `Collection(Edm.String)","value":["a",1]}`, ".value[1]: 1 is no Edm.String"},
		"an enumeration":                  {200, `{` + root + `policies/authorizationPolicy/$entity","allowInvitesFrom":"friends"}`, "friends is no allowInvitesFrom"},
		"a guid":                          {200, `{` + root + `appRoleAssignments/$entity","appRoleId":"reader"}`, "reader is no Edm.Guid"},
		"no JSON":                         {200, `users`, "no JSON object"},
		"an error":                        {404, `{"error":{"code":"x","message":"y","innerError":{"date":"d","request-id":"r","client-request-id":"c"}}}`, ""},
		"an error without an envelope":    {404, `{"code":"x"}`, "the one property error"},
		"an error with half an inner one": {404, `{"error":{"code":"x","message":"y","innerError":{"date":"d"}}}`, ".error.innerError"},
		"an error of another shape":       {404, `{"error":{"code":5}}`, ".error.code: it is no text"},
		"in a batch":                      {200, `{"responses":[{"id":"1","status":200,"body":{` + root + `users/$entity","id":7}}]}`, "responses[0].body.id: 7 is no Edm.String"},
		"an error in a batch":             {200, `{"responses":[{"id":"1","status":404,"body":{"code":"x"}}]}`, "the one property error"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := m.Check(c.status, []byte(c.body))
			switch {
			case c.want == "" && len(problems) > 0:
				t.Errorf("it is refused: %q", problems)
			case c.want != "" && !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, c.want) }):
				t.Errorf("problems %q, want one that says %q", problems, c.want)
			}
		})
	}
}
