package entrasim_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

var eventual = http.Header{"ConsistencyLevel": {"eventual"}}

// libraryOfPeople has two users and a guest to filter by.
func libraryOfPeople(t *testing.T) *world {
	w := newWorld(t, entrasim.Options{})
	w.join("contoso", "adele")
	w.join("contoso", "o.neil")
	w.invite("contoso", "guest@fabrikam.com")
	w.must(http.StatusNoContent, "contoso", "PATCH", "/users/adele@contoso.onmicrosoft.com", map[string]any{
		"companyName": "Contoso", "surname": "O'Neil", "accountEnabled": false, "department": "Sales",
		"onPremisesExtensionAttributes": map[string]any{"extensionAttribute3": "link"},
	})
	return w
}

const theGuest = "guest_fabrikam.com#EXT#"

// What any request may filter by. Source: the table of the reference of advanced queries.
func TestAnyRequestFiltersBy(t *testing.T) {
	w := libraryOfPeople(t)
	for filter, want := range map[string]string{
		"mail eq 'ADELE@contoso.example.com'":                                          "adele",
		"surname eq 'O''Neil'":                                                         "adele",
		"creationType eq 'Invitation'":                                                 theGuest,
		"userPrincipalName eq 'guest_fabrikam.com#EXT#@contoso.onmicrosoft.com'":       theGuest,
		"proxyAddresses/any(p:p eq 'smtp:guest@fabrikam.com')":                         theGuest,
		"otherMails/any(x:x eq 'nobody@x.com' or x eq 'guest@fabrikam.com')":           theGuest,
		"userType eq 'Member'":                                                         "adele o.neil",
		"accountEnabled eq false or mailNickname eq 'o.neil'":                          "adele o.neil",
		"accountEnabled eq true and (mailNickname eq 'o.neil' or userType eq 'Guest')": "o.neil " + theGuest,
		"startswith(displayName,'user O')":                                             "o.neil",
		"mailNickname in ('adele', 'o.neil') and department in ('Sales')":              "adele",
		"proxyAddresses/any(p:startswith(p,'smtp:guest@'))":                            theGuest,
		"externalUserState eq 'Accepted'":                                              "",
		"department ge 'sales' and department le 'SALES'":                              "adele",
		"createdDateTime ge 2026-03-01 and createdDateTime le 2026-03-01T12:00:00Z":    "adele o.neil " + theGuest,
		"createdDateTime ge 2026-03-02":                                                "",
		"identities/any(i:i/issuerAssignedId eq 'adele@contoso.onmicrosoft.com' and i/issuer eq 'contoso.onmicrosoft.com')": "adele",
	} {
		r := w.must(http.StatusOK, "contoso", "GET", "/users"+query("$select", "mailNickname", "$filter", filter), nil)
		if got := nicknames(r); got != want {
			t.Errorf("%s found %q, want %q", filter, got, want)
		}
	}
}

// What takes ConsistencyLevel: eventual and $count=true, and is refused without either. Source: as above.
func TestAdvancedQueriesFilterBy(t *testing.T) {
	w := libraryOfPeople(t)
	for filter, want := range map[string]string{
		"companyName eq 'contoso'":                                       "adele",
		"companyName ne null and not(companyName eq 'Microsoft')":        "adele",
		"endswith(mail,'adele@CONTOSO.example.com')":                     "adele",
		"surname ne null and not startswith(surname,'x')":                "adele",
		"surname eq null and creationType eq 'Invitation'":               theGuest,
		"onPremisesExtensionAttributes/extensionAttribute3 eq 'link'":    "adele",
		"accountEnabled ne true":                                         "adele",
		"endsWith(userPrincipalName,'#EXT#@contoso.onmicrosoft.com')":    theGuest,
		"proxyAddresses/any(p:endsWith(p,'fabrikam.com'))":               theGuest,
		"otherMails/$count ne 0":                                         theGuest,
		"otherMails/$count eq 0 and startswith(mail,'adele')":            "adele",
		"not(proxyAddresses/any(p:startswith(p,'smtp:guest@fabrikam')))": "adele o.neil",
		"displayName ge 'user o'":                                        "o.neil",
	} {
		path := "/users" + query("$select", "mailNickname", "$filter", filter)
		w.refused(http.StatusBadRequest, "Request_UnsupportedQuery", "contoso", "GET", path, nil)
		w.refused(http.StatusBadRequest, "Request_UnsupportedQuery", "contoso", "GET", path+"&$count=true", nil)
		if r := w.graphWith("contoso", "GET", path, eventual, nil); r.status != http.StatusBadRequest {
			t.Errorf("%s without $count=true answered %d", filter, r.status)
		}
		if r := w.graphWith("contoso", "GET", path+"&$count=true", eventual, nil); nicknames(r) != want {
			t.Errorf("%s found %s, want %q", filter, r.text, want)
		}
	}
}

func TestAFilterIsRefused(t *testing.T) {
	w := libraryOfPeople(t)
	for filter, want := range map[string]struct {
		status int
		code   string
	}{
		"mail eq":                                          {400, "BadRequest"},
		"shoeSize eq '43'":                                 {400, "Request_BadRequest"},
		"accountEnabled eq 'yes'":                          {400, "Request_BadRequest"},
		"mail eq true":                                     {400, "Request_BadRequest"},
		"createdDateTime ge '2026-03-01'":                  {400, "Request_BadRequest"},
		"id eq 5b31c38c-2584-42f0-aa47-657fb3a84230":       {400, "Request_BadRequest"},
		"otherMails eq 'a'":                                {400, "Request_UnsupportedQuery"},
		"mail/any(x:x eq 'a')":                             {400, "Request_UnsupportedQuery"},
		"mail/$count eq 0":                                 {400, "Request_UnsupportedQuery"},
		"otherMails/$count eq 2":                           {400, "Request_UnsupportedQuery"},
		"onPremisesDomainName eq 'a'":                      {400, "Request_UnsupportedQuery"},
		"startswith(onPremisesDomainName,'a')":             {400, "Request_UnsupportedQuery"},
		"startswith(creationType,'a')":                     {400, "Request_UnsupportedQuery"},
		"creationType ge 'a'":                              {400, "Request_UnsupportedQuery"},
		"startswith(accountEnabled,'a')":                   {400, "Request_UnsupportedQuery"},
		"identities/any(i:i/issuer eq 'a')":                {400, "Request_UnsupportedQuery"},
		"otherMails/any(x:y eq 'a')":                       {400, "Request_BadRequest"},
		"identities/any(i:i/x eq 'a' and i/issuer eq 'b')": {400, "Request_UnsupportedQuery"},
		"mail gt 'a'":                                      {400, "Request_UnsupportedQuery"},
		"contains(mail,'a')":                               {400, "Request_UnsupportedQuery"},
		"manager/id eq 'a'":                                {501, "NotImplemented"},
		"assignedLicenses/any(x:x/skuId eq 'a')":           {501, "NotImplemented"},
		"onPremisesExtensionAttributes/x eq 'a'":           {400, "Request_BadRequest"},
		"extension_0123_unknown eq 'a'":                    {400, "Request_BadRequest"},
	} {
		for _, path := range []string{"/users" + query("$filter", filter), "/users" + query("$filter", filter, "$count", "true")} {
			if r := w.graphWith("contoso", "GET", path, eventual, nil); r.status != want.status {
				t.Errorf("%s answered %d %s", filter, r.status, r.text)
			} else if code, _ := r.fault(); code != want.code {
				t.Errorf("%s answered %s, want %s", filter, code, want.code)
			}
		}
	}
}

// The wordings are those of the examples in the reference of advanced queries.
func TestAQueryThatIsNotAdvancedIsToldSo(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for path, want := range map[string]string{
		"/users/$count": "$count is not currently supported.",
		"/users" + query("$filter", "endsWith(userPrincipalName,'#EXT#@contoso.com')"):        "Operator 'endsWith' is not supported because the required parameters might be missing. Try adding $count=true query parameter and ConsistencyLevel:eventual header. Refer to https://aka.ms/graph-docs/advanced-queries for more information",
		"/users" + query("$search", `"displayName:wa"`):                                       "Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'",
		"/users" + query("$filter", "startswith(displayName,'a')", "$orderby", "displayName"): "Sorting not supported for current query.",
		"/users" + query("$filter", "onPremisesDomainName eq 'a'"):                            "The request uses a filter property that is not indexed",
		"/users" + query("$filter", "creationType ge 'a'"):                                    "Unsupported or invalid query filter clause specified for property 'creationType' of resource 'User'.",
	} {
		r := w.graph("contoso", "GET", path, nil)
		if _, message := r.fault(); r.status != http.StatusBadRequest || message != want {
			t.Errorf("%s answered %d %s", path, r.status, r.text)
		}
	}
	if r := w.must(http.StatusOK, "contoso", "GET", "/users?$count=true", nil); r.body["@odata.count"] != nil {
		t.Errorf("a $count without the header is not silently ignored: %s", r.text)
	}
}

// Source: the table "sorting by properties of directory objects" of the same reference.
func TestListsAreSorted(t *testing.T) {
	w := libraryOfPeople(t)
	for _, c := range []struct {
		options  string
		advanced bool
		want     string
	}{
		{query("$orderby", "displayName"), false, theGuest + " adele o.neil"},
		{query("$orderby", "displayName desc"), false, "o.neil adele " + theGuest},
		{query("$orderby", "userPrincipalName asc"), false, "adele " + theGuest + " o.neil"},
		{query("$orderby", "displayName", "$top", "1"), false, theGuest},
		{query("$orderby", "createdDateTime", "$count", "true"), true, "adele o.neil " + theGuest},
		{query("$orderby", "displayName", "$count", "true", "$filter", "userType eq 'Member'"), true, "adele o.neil"},
		{query("$orderby", "displayName desc", "$count", "true", "$search", `"displayName:user"`), true, "o.neil adele"},
	} {
		header := http.Header{}
		if c.advanced {
			w.refused(http.StatusBadRequest, "Request_UnsupportedQuery", "contoso", "GET", "/users"+c.options, nil)
			header = eventual
		}
		if r := w.graphWith("contoso", "GET", "/users"+c.options+"&$select=mailNickname", header, nil); nicknames(r) != c.want {
			t.Errorf("%s answered %d %s, want %q", c.options, r.status, r.text, c.want)
		}
	}
	w.refused(http.StatusBadRequest, "Request_UnsupportedQuery", "contoso", "GET", "/users?$orderby=city", nil)
	w.refused(http.StatusBadRequest, "BadRequest", "contoso", "GET", "/users?$orderby=shoeSize", nil)
	w.refused(http.StatusBadRequest, "BadRequest", "contoso", "GET", "/users?$orderby=displayName+up", nil)
	w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "GET", "/users?$orderby=displayName,userPrincipalName", nil)
}

func TestASortedListIsReadByPages(t *testing.T) {
	w := libraryOfPeople(t)
	var names []string
	for next := "/users?$select=mailNickname&$orderby=displayName&$top=1"; next != ""; {
		r := w.must(http.StatusOK, "contoso", "GET", next, nil)
		names = append(names, nicknames(r))
		link, _ := r.body["@odata.nextLink"].(string)
		next = strings.TrimPrefix(link, w.URL()+"/v1.0")
	}
	if got := strings.Join(names, ","); got != theGuest+",adele,o.neil" {
		t.Errorf("the pages are %s", got)
	}
}

// Source: the reference of the $search parameter.
func TestSearchFindsTheBeginningsOfWords(t *testing.T) {
	w := libraryOfPeople(t)
	for search, want := range map[string]string{
		`"displayName:use"`:                            "adele o.neil",
		`"displayName:ad"`:                             "adele",
		`"displayName:dele"`:                           "",
		`"displayName:neil user"`:                      "o.neil",
		`"mail:o.neil@"`:                               "o.neil",
		`"displayName:adele" OR "displayName:o"`:       "adele o.neil",
		`"displayName:user" AND "mail:adele"`:          "adele",
		`("displayName:x" OR "mail:a") AND "mail:ade"`: "adele",
	} {
		if r := w.graphWith("contoso", "GET", "/users"+query("$select", "mailNickname", "$search", search), eventual, nil); r.status != http.StatusOK || nicknames(r) != want {
			t.Errorf("%s found %d %s, want %q", search, r.status, r.text, want)
		}
	}
	for _, search := range []string{`displayName:a`, `"a"`, `"displayName:a" "displayName:b"`, `"displayName:a" or "displayName:b"`, `"displayName:a`, ``} {
		if r := w.graphWith("contoso", "GET", "/users"+query("$search", search), eventual, nil); r.status != http.StatusBadRequest {
			t.Errorf("%s answered %d %s", search, r.status, r.text)
		}
	}
}

// Query options are those of OData: known, once, with or without the $.
func TestQueryOptionsAreKnownOrRefused(t *testing.T) {
	w := libraryOfPeople(t)
	if r := w.graphWith("contoso", "GET", "/users"+query("select", "mailNickname", "FILTER", "companyName eq 'Contoso'", "count", "true"), eventual, nil); nicknames(r) != "adele" {
		t.Errorf("options without the $ answered %d %s", r.status, r.text)
	}
	for path, want := range map[string]int{
		"/users?$skip=1":                      400,
		"/users?$apply=groupby((city))":       400,
		"/users?$count=yes":                   400,
		"/users?$top=1&$top=2":                400,
		"/users?$top=1&top=2":                 400,
		"/users?$top=0":                       400,
		"/users?$format=json":                 501,
		"/users?$orderbydisplayName":          501,
		"/users?api-version=1":                501,
		"/users?$expand=manager&$count=true":  400,
		"/users/$count?$top=1":                501,
		"/users/adele@contoso.com?$top=1":     501,
		"/subscriptions?$top=1":               501,
		"/users?$select=shoeSize":             400,
		"/users?$select=signInActivity":       501,
		"/users?$select=displayName&$filter=": 400,
	} {
		if r := w.graphWith("contoso", "GET", path, eventual, nil); r.status != want {
			t.Errorf("%s answered %d %s, want %d", path, r.status, r.text, want)
		}
	}
}

func nicknames(r reply) string {
	var names []string
	for _, u := range r.values() {
		names = append(names, u["mailNickname"].(string))
	}
	return strings.Join(names, " ")
}
