package entrasim_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestCreateUser(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	r := w.must(http.StatusCreated, "contoso", "POST", "/users", newUser("adele", "contoso", map[string]any{
		"mail": "adele@contoso.com", "givenName": "Adele", "usageLocation": "US", "businessPhones": []string{"+1 425 555 0109"},
		"@odata.type": "#microsoft.graph.user",
	}))
	want := map[string]any{
		"@odata.context": w.URL() + "/v1.0/$metadata#users/$entity",
		"id":             r.id(), "businessPhones": []any{"+1 425 555 0109"}, "displayName": "User adele", "givenName": "Adele",
		"jobTitle": nil, "mail": "adele@contoso.com", "mobilePhone": nil, "officeLocation": nil, "preferredLanguage": nil,
		"surname": nil, "userPrincipalName": "adele@contoso.onmicrosoft.com",
	}
	if !reflect.DeepEqual(r.body, want) {
		t.Errorf("answered\n%v, want the eleven default properties\n%v", r.body, want)
	}
	r = w.must(http.StatusOK, "contoso", "GET", "/users/"+r.id()+
		"?$select=createdDateTime,creationType,externalUserState,identities,proxyAddresses,userType,accountEnabled,passwordProfile", nil)
	want = map[string]any{
		"@odata.context": w.URL() + "/v1.0/$metadata#users(createdDateTime,creationType,externalUserState,identities,proxyAddresses," +
			"userType,accountEnabled,passwordProfile)/$entity",
		"createdDateTime": "2026-03-01T12:00:00Z", "creationType": nil, "externalUserState": nil,
		"identities": []any{map[string]any{
			"signInType": "userPrincipalName", "issuer": "contoso.onmicrosoft.com", "issuerAssignedId": "adele@contoso.onmicrosoft.com",
		}},
		"proxyAddresses": []any{"SMTP:adele@contoso.com"}, "userType": "Member", "accountEnabled": true, "passwordProfile": nil,
	}
	if !reflect.DeepEqual(r.body, want) {
		t.Errorf("the object is\n%v, want\n%v", r.body, want)
	}
}

func TestCreateUserRefuses(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	w.must(http.StatusCreated, "contoso", "POST", "/users", newUser("taken", "contoso", map[string]any{"mail": "taken@contoso.com"}))
	for name, replace := range map[string]map[string]any{
		"no accountEnabled":          {"accountEnabled": nil},
		"no displayName":             {"displayName": nil},
		"no mailNickname":            {"mailNickname": nil},
		"no userPrincipalName":       {"userPrincipalName": nil},
		"no passwordProfile":         {"passwordProfile": nil},
		"no password":                {"passwordProfile": map[string]any{"forceChangePasswordNextSignIn": true}},
		"an unverified domain":       {"userPrincipalName": "x@example.com"},
		"a taken principal name":     {"userPrincipalName": "TAKEN@contoso.onmicrosoft.com"},
		"a taken mail":               {"mail": "Taken@contoso.com"},
		"a space in mailNickname":    {"mailNickname": "a b"},
		"extension attributes":       {"onPremisesExtensionAttributes": map[string]any{"extensionAttribute1": "x"}},
		"a password that is no text": {"passwordProfile": map[string]any{"password": 12345678}},
		"a flag that is none":        {"passwordProfile": map[string]any{"password": "x", "forceChangePasswordNextSignIn": "yes"}},
		"an unknown password rule":   {"passwordProfile": map[string]any{"password": "x", "length": 5}},
		"an unknown property":        {"shoeSize": 43},
		"a read-only property":       {"createdDateTime": "2026-01-01T00:00:00Z"},
		"a directory it is not for":  {"userPrincipalName": "x@fabrikam-us.onmicrosoft.com"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "POST", "/users", newUser("fresh", "contoso", replace))
		})
	}
	if n := len(w.Users("contoso")); n != 1 {
		t.Errorf("%d users exist, want the first one only", n)
	}
}

func TestGetUserByPrincipalName(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.invite("contoso", "adele@fabrikam.com").body["invitedUser"].(map[string]any)["id"]
	r := w.must(http.StatusOK, "contoso", "GET", "/USERS/Adele_fabrikam.com%23EXT%23@contoso.onmicrosoft.com?%24select=ID", nil)
	if r.id() != id {
		t.Errorf("found %v, want %v", r.id(), id)
	}
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "GET", "/users/nobody@contoso.onmicrosoft.com", nil)
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "fabrikam-us", "GET", "/users/"+r.id(), nil)
	w.refused(http.StatusBadRequest, "BadRequest", "contoso", "GET", "/users/"+r.id()+"?$select=shoeSize", nil)
	w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "GET", "/users/"+r.id()+"?$select=skills", nil)
}

func TestUpdateUser(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	r := w.must(http.StatusNoContent, "contoso", "PATCH", "/users/"+id, map[string]any{
		"department": "Sales", "jobTitle": "Buyer", "mail": "vance@contoso.com", "accountEnabled": false, "userType": "Guest",
		"onPremisesExtensionAttributes": map[string]any{"extensionAttribute1": "a", "extensionAttribute2": "b"},
		"employeeOrgData":               map[string]any{"costCenter": "1", "division": "x"},
		"userPrincipalName":             "vance@contoso.onmicrosoft.com",
	})
	if r.text != "" {
		t.Errorf("204 has the body %q", r.text)
	}
	w.must(http.StatusNoContent, "contoso", "PATCH", "/users/vance@contoso.onmicrosoft.com", map[string]any{
		"jobTitle":                      nil,
		"onPremisesExtensionAttributes": map[string]any{"extensionAttribute1": nil},
		"employeeOrgData":               map[string]any{"costCenter": "2"},
	})
	u := w.Users("contoso")[0]
	attributes := u["onPremisesExtensionAttributes"].(map[string]any)
	if attributes["extensionAttribute1"] != nil || attributes["extensionAttribute2"] != "b" {
		t.Errorf("extension attributes are %v: each is a property of its own", attributes)
	}
	if want := map[string]any{"costCenter": "2", "division": nil}; !reflect.DeepEqual(u["employeeOrgData"], want) {
		t.Errorf("employeeOrgData is %v: what was not sent becomes null", u["employeeOrgData"])
	}
	if want := []string{"SMTP:vance@contoso.com", "smtp:adele@contoso.example.com"}; !reflect.DeepEqual(u["proxyAddresses"], want) {
		t.Errorf("proxyAddresses are %v, want %v", u["proxyAddresses"], want)
	}
	if _, set := u["jobTitle"]; set || u["department"] != "Sales" || u["userType"] != "Guest" || u["accountEnabled"] != false {
		t.Errorf("the user is %v", u)
	}
	w.refused(http.StatusNotFound, "Request_ResourceNotFound", "contoso", "PATCH", "/users/adele@contoso.onmicrosoft.com",
		map[string]any{"department": "x"})
}

func TestUpdateUserRefuses(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	w.join("contoso", "other")
	long := func(n int) string { return strings.Repeat("x", n) }
	before := w.Users("contoso")
	for name, tc := range map[string]struct {
		property string
		value    any
	}{
		"an unknown property":             {"shoeSize", "43"},
		"a name in the wrong case":        {"Department", "x"},
		"an undefined extension":          {"extension_0123_link", "x"},
		"a number for a text":             {"department", 5},
		"a text for a flag":               {"accountEnabled", "true"},
		"a text for a list":               {"otherMails", "a@b.com"},
		"a number in a list":              {"otherMails", []any{5}},
		"a text for an object":            {"employeeOrgData", "x"},
		"an unknown field of an object":   {"employeeOrgData", map[string]any{"team": "x"}},
		"an empty text":                   {"department", ""},
		"displayName over 256":            {"displayName", long(257)},
		"companyName over 64":             {"companyName", long(65)},
		"department over 64":              {"department", long(65)},
		"givenName over 64":               {"givenName", long(65)},
		"surname over 64":                 {"surname", long(65)},
		"mobilePhone over 64":             {"mobilePhone", long(65)},
		"mailNickname over 64":            {"mailNickname", long(65)},
		"jobTitle over 128":               {"jobTitle", long(129)},
		"city over 128":                   {"city", long(129)},
		"state over 128":                  {"state", long(129)},
		"country over 128":                {"country", long(129)},
		"employeeId over 16":              {"employeeId", long(17)},
		"postalCode over 40":              {"postalCode", long(41)},
		"streetAddress over 1024":         {"streetAddress", long(1025)},
		"two business phones":             {"businessPhones", []any{"1", "2"}},
		"251 other mails":                 {"otherMails", slices.Repeat([]any{"a@b.com"}, 251)},
		"an other mail over 250":          {"otherMails", []any{long(250) + "@b.com"}},
		"clearing displayName":            {"displayName", nil},
		"clearing mail":                   {"mail", nil},
		"clearing usageLocation":          {"usageLocation", nil},
		"clearing accountEnabled":         {"accountEnabled", nil},
		"clearing userPrincipalName":      {"userPrincipalName", nil},
		"a mail that is none":             {"mail", "nowhere"},
		"a mail that is taken":            {"mail", "other@contoso.example.com"},
		"a usageLocation by name":         {"usageLocation", "Mexico"},
		"a userType of its own":           {"userType", "External"},
		"an unverified domain":            {"userPrincipalName", "adele@example.com"},
		"a principal name that is taken":  {"userPrincipalName", "other@contoso.onmicrosoft.com"},
		"proxyAddresses":                  {"proxyAddresses", []any{"SMTP:a@b.com"}},
		"imAddresses":                     {"imAddresses", []any{"sip:a@b.com"}},
		"onPremisesImmutableId":           {"onPremisesImmutableId", "x"},
		"creationType":                    {"creationType", "Invitation"},
		"id":                              {"id", id},
		"a sixteenth extension attribute": {"onPremisesExtensionAttributes", map[string]any{"extensionAttribute16": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "PATCH", "/users/"+id,
				map[string]any{tc.property: tc.value, "officeLocation": "must not be written"})
		})
	}
	for _, delegated := range []string{
		"aboutMe", "birthday", "employeeHireDate", "interests", "mySite", "pastProjects", "responsibilities", "schools", "skills",
	} {
		t.Run("an application writing "+delegated, func(t *testing.T) {
			w.t = t
			w.refused(http.StatusForbidden, "Authorization_RequestDenied", "contoso", "PATCH", "/users/"+id, map[string]any{delegated: "x"})
		})
	}
	if after := w.Users("contoso"); !reflect.DeepEqual(before, after) {
		t.Errorf("a refused update changed %v into %v", before, after)
	}
}

func TestPropertiesTheSimulatorDoesNotKeepAreNotUnknown(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "GET", "/users/"+id+"?$select=signInActivity", nil)
	for _, property := range []string{"preferredDataLocation", "manager@odata.bind"} {
		w.refused(http.StatusNotImplemented, "NotImplemented", "contoso", "PATCH", "/users/"+id, map[string]any{property: "x"})
	}
}

func TestBodies(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, `{"department":"Sales"}`)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		header http.Header
		body   string
		status int
	}{
		"gzip is undone":                  {http.Header{"Content-Encoding": {"gzip"}}, zipped.String(), 204},
		"what only says gzip is refused":  {http.Header{"Content-Encoding": {"gzip"}}, "{}", 400},
		"another encoding is refused":     {http.Header{"Content-Encoding": {"br"}}, "{}", 415},
		"broken JSON is refused":          {nil, `{"department":`, 400},
		"a JSON array is refused":         {nil, `[]`, 400},
		"a second value is refused":       {nil, `{} {}`, 400},
		"nothing is refused":              {nil, ``, 400},
		"another media type is refused":   {http.Header{"Content-Type": {"text/plain"}}, `{}`, 400},
		"more than four MB is refused":    {nil, `{"department":"` + strings.Repeat("x", 4<<20) + `"}`, 413},
		"an empty object changes nothing": {nil, `{}`, 204},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			if r := w.graphWith("contoso", "PATCH", "/users/"+id, tc.header, []byte(tc.body)); r.status != tc.status {
				t.Errorf("got %d, want %d: %s", r.status, tc.status, r.text)
			}
		})
	}
	if got := w.Users("contoso")[0]["department"]; got != "Sales" {
		t.Errorf("department is %v", got)
	}
}

func TestListUsers(t *testing.T) {
	w := newWorld(t, entrasim.Options{PageSize: 3})
	for i := range 7 {
		w.join("contoso", fmt.Sprintf("user%d", i))
	}
	var names []string
	pages := 0
	for next := "/users?$select=mailNickname&$count=true"; next != ""; pages++ {
		r := w.graphWith("contoso", "GET", next, http.Header{"ConsistencyLevel": {"eventual"}}, nil)
		if count, want := r.body["@odata.count"], any(7.0); pages == 0 && count != want {
			t.Errorf("@odata.count is %v, want %v", count, want)
		}
		for _, u := range r.values() {
			if len(u) != 1 {
				t.Errorf("got %v, want the selected property only", u)
			}
			names = append(names, u["mailNickname"].(string))
		}
		link, _ := r.body["@odata.nextLink"].(string)
		if pages == 0 {
			w.must(http.StatusNoContent, "contoso", "DELETE", "/users/user1@contoso.onmicrosoft.com", nil)
			w.join("contoso", "user7")
		}
		next = strings.TrimPrefix(link, w.URL()+"/v1.0")
	}
	if want := "user0 user1 user2 user3 user4 user5 user6 user7"; strings.Join(names, " ") != want || pages != 3 {
		t.Errorf("%d pages held %v, want three with %s: nobody twice, nobody lost", pages, names, want)
	}

	if r := w.must(http.StatusOK, "contoso", "GET", "/users?$top=2", nil); len(r.values()) != 2 || r.body["@odata.nextLink"] == nil {
		t.Errorf("$top=2 answered %v", r.body)
	}
	if r := w.must(http.StatusOK, "contoso", "GET", "/users?$count=true", nil); r.body["@odata.count"] != nil {
		t.Errorf("without ConsistencyLevel $count answered %v", r.body["@odata.count"])
	}
	r := w.graphWith("contoso", "GET", "/users/$count", http.Header{"ConsistencyLevel": {"eventual"}}, nil)
	if r.text != "7" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("/users/$count answered %q", r.text)
	}
	w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "GET", "/users/$count", nil)
	w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "GET", "/users?$top=1000", nil)
	w.refused(http.StatusBadRequest, "Request_BadRequest", "contoso", "GET", "/users?$skiptoken=x", nil)
}

// The path of an object may hold its key in parentheses: the overview of the API, and the reference of user-get for names that
// begin with a dollar sign.
func TestUsersAreFoundByKeysInParentheses(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "o'neil")
	for _, path := range []string{
		"/users('" + id + "')", "/users(id='" + id + "')", "/users('o''neil@contoso.onmicrosoft.com')", "/Users(%27" + id + "%27)",
		"/users(userPrincipalName='o''neil@contoso.onmicrosoft.com')?$select=id",
	} {
		if r := w.must(200, "contoso", "GET", path, nil); r.id() != id {
			t.Errorf("%s leads to %v", path, r.body)
		}
	}
	w.must(204, "contoso", "PATCH", "/users('"+id+"')", map[string]any{"city": "Austin"})
	w.refused(404, "Request_ResourceNotFound", "contoso", "GET", "/users('"+anyID+"')/manager", nil)
	w.must(501, "contoso", "GET", "/users(mail='x@contoso.com')", nil)
}

// The reference of user-revokesigninsessions, and the known issue that it answers true.
func TestSessionsAreRevoked(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	id := w.join("contoso", "adele")
	w.clock.advance(time.Minute)
	if r := w.must(200, "contoso", "POST", "/users/"+id+"/revokeSignInSessions", nil); r.body["value"] != true {
		t.Errorf("answered %v", r.body)
	}
	const property = "signInSessionsValidFromDateTime"
	if r := w.must(200, "contoso", "GET", "/users/"+id+"?$select="+property, nil); r.body[property] != "2026-03-01T12:01:00Z" {
		t.Errorf("sessions are valid from %v", r.body[property])
	}
	w.refused(404, "Request_ResourceNotFound", "contoso", "POST", "/users/"+anyID+"/revokeSignInSessions", nil)
}

// The concept page on extensibility: 100 extension values for an object.
func TestAUserHasAHundredExtensionValuesAtMost(t *testing.T) {
	var o entrasim.Options
	body := map[string]any{}
	for i := range 101 {
		o.App.ExtensionProperties = append(o.App.ExtensionProperties, fmt.Sprint("p", i))
	}
	w := newWorld(t, o)
	for i := range 101 {
		body["extension_"+strings.ReplaceAll(w.App().ID, "-", "")+fmt.Sprint("_p", i)] = "x"
	}
	id := w.join("contoso", "adele")
	w.refused(403, "Directory_QuotaExceeded", "contoso", "PATCH", "/users/"+id, body)
	for name := range body {
		body[name] = nil
		break
	}
	w.must(204, "contoso", "PATCH", "/users/"+id, body)
}

// BenchmarkUsers prints how many reads and updates of users a second the simulator answers over HTTPS in calm weather, with so
// many users in ten tenants, and what a user takes (B/user, on the heap of client and server).
func BenchmarkUsers(b *testing.B) {
	for _, users := range []int{2_000, 20_000} {
		b.Run(fmt.Sprint(users, " users"), func(b *testing.B) {
			c := newCrowd(b, users)
			b.Run("get", func(b *testing.B) { c.hammer(b, "GET", nil) })
			b.Run("patch", func(b *testing.B) { c.hammer(b, "PATCH", map[string]any{"department": "Sales"}) })
		})
	}
}

// crowd is a running simulator with many users.
type crowd struct {
	*entrasim.Server
	client *http.Client
	tokens []string   // by tenant
	ids    [][]string // of users, by tenant
}

const crowdTenants = 10

func newCrowd(b *testing.B, users int) *crowd {
	b.Helper()
	var o entrasim.Options
	for i := range crowdTenants {
		o.Tenants = append(o.Tenants, entrasim.Tenant{Name: fmt.Sprint("tenant", i)})
	}
	s, err := entrasim.New(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	c := &crowd{Server: s, client: s.Client(), ids: make([][]string, crowdTenants)}
	b.Cleanup(func() {
		c.client.CloseIdleConnections()
		s.Close()
	})
	for _, t := range s.Tenants() {
		c.tokens = append(c.tokens, c.ask(b, t.ID))
	}
	before := heap()
	for i, p := range entrasim.People(1, users) {
		name := fmt.Sprint("tenant", i%crowdTenants)
		created, err := c.send("POST", "/users", i%crowdTenants, newUser(p.MailNickname, name, map[string]any{
			"displayName": p.DisplayName, "givenName": p.GivenName, "surname": p.Surname, "jobTitle": p.JobTitle, "department": p.Department,
			"city": p.City, "country": p.Country, "officeLocation": p.Office, "mobilePhone": p.Mobile, "employeeId": p.EmployeeID,
			"companyName": p.Company, "mail": p.MailNickname + "@" + name + ".example.com",
		}))
		if err != nil {
			b.Fatal(err)
		}
		c.ids[i%crowdTenants] = append(c.ids[i%crowdTenants], created["id"].(string))
	}
	b.Logf("%d users in %d tenants: %d B/user", users, crowdTenants, (heap()-before)/uint64(users))
	return c
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// ask gets a token for a tenant.
func (c *crowd) ask(b *testing.B, tenant string) string {
	b.Helper()
	resp, err := c.client.PostForm(c.URL()+"/"+tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
		"client_id": {c.App().ID}, "client_secret": {c.App().Secret},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Token == "" {
		b.Fatalf("no token: %s %v", resp.Status, err)
	}
	return body.Token
}

func (c *crowd) send(method, path string, tenant int, body any) (answer map[string]any, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, c.URL()+"/v1.0"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.tokens[tenant])
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s answered %s: %s %w", method, path, resp.Status, text, err)
	}
	if len(text) > 0 {
		err = json.Unmarshal(text, &answer)
	}
	return answer, err
}

// hammer sends a request about one user after the other, from several clients at once.
func (c *crowd) hammer(b *testing.B, method string, body any) {
	var turn atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := int(turn.Add(1))
			ids := c.ids[n%crowdTenants]
			if _, err := c.send(method, "/users/"+ids[n/crowdTenants%len(ids)], n%crowdTenants, body); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
