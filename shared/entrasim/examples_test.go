package entrasim_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/textproto"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/graph"
)

// examples are those of the official documents; their README says where they come from.
const examples = "testdata/graph/examples"

// printed is a message as a document prints it.
type printed struct {
	name   string
	method string // of a request
	url    string
	status int // of a response
	header http.Header
	body   []byte
}

// readExample reads a file of the form .http.
func readExample(t *testing.T, name string) printed {
	t.Helper()
	text, err := os.ReadFile(path.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	e := printed{name: name}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	line := strings.TrimSpace(string(first))
	if status, is := strings.CutPrefix(line, "HTTP/1.1 "); is {
		e.status, _ = strconv.Atoi(strings.Fields(status)[0])
	} else {
		method, address, _ := strings.Cut(line, " ")
		e.method, e.url = method, strings.TrimSpace(address)
	}
	head, body := rest, []byte(nil)
	if at := bytes.IndexByte(rest, '{'); at >= 0 {
		head, body = rest[:at], rest[at:]
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(string(bytes.TrimSpace(head)) + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	e.header, e.body = http.Header(header), bytes.TrimSpace(body)
	return e
}

// stage is a world in which the examples can be played: there is one of everything they name.
type stage struct {
	*world
	ids map[string]string // of the one object of each collection
}

func newStage(t *testing.T) *stage {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{
		{Name: "contoso", Domain: "contoso.com", Roles: graph.Permissions(), Apps: []entrasim.EnterpriseApp{{Name: "Payroll", Roles: []string{"Reader"}}}},
		{Name: "fabrikam", Domain: "fabrikam.com"},
	}})
	s := &stage{w, map[string]string{}}
	person := func(name string) string {
		return w.must(201, "contoso", "POST", "/users", newUser(name, "contoso", map[string]any{"mail": name + "@contoso.com", "jobTitle": "Manager", "businessPhones": []string{"1"}})).id()
	}
	s.ids["users"], s.ids["directoryObjects"] = person("adele"), person("alex")
	s.ids["groups"] = w.must(201, "contoso", "POST", "/groups", map[string]any{"displayName": "Staff", "description": "Everybody", "mailNickname": "staff", "mailEnabled": false, "securityEnabled": true}).id()
	w.must(204, "contoso", "POST", "/groups/"+s.ids["groups"]+"/members/$ref", map[string]any{"@odata.id": w.URL() + "/v1.0/directoryObjects/" + s.ids["users"]})
	s.ids["members"] = s.ids["users"]
	gone := person("gone")
	w.must(204, "contoso", "DELETE", "/users/"+gone, nil)
	s.ids["deletedItems"] = gone
	s.ids["applications"] = w.App().ObjectID
	s.ids["servicePrincipals"] = w.must(200, "contoso", "GET", "/servicePrincipals"+query("$filter", "displayName eq 'Payroll'"), nil).values()[0]["id"].(string)
	role := w.must(200, "contoso", "GET", "/servicePrincipals/"+s.ids["servicePrincipals"], nil).body["appRoles"].([]any)[0].(map[string]any)["id"].(string)
	s.ids["appRoleId"], s.ids["resourceId"], s.ids["principalId"] = role, s.ids["servicePrincipals"], s.ids["directoryObjects"]
	s.ids["appRoleAssignments"] = w.must(201, "contoso", "POST", "/users/"+s.ids["users"]+"/appRoleAssignments", map[string]any{"principalId": s.ids["users"], "resourceId": s.ids["servicePrincipals"], "appRoleId": role}).id()
	w.must(201, "contoso", "POST", partners, map[string]any{"tenantId": w.tenantID("fabrikam")})
	s.ids["partners"] = w.tenantID("fabrikam")
	s.ids["subscriptions"] = w.subscribe("contoso", newEndpoint(t).URL, nil).id()
	return s
}

var (
	placeholder = regexp.MustCompile(`^\{.*\}$|^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	graphRoot   = regexp.MustCompile(`^https://graph\.microsoft\.com/(v1\.0|beta)`)
)

// localize makes the ids in an address those of the stage.
func (s *stage) localize(address string) string {
	address = graphRoot.ReplaceAllString(address, "")
	where, question, asks := strings.Cut(address, "?")
	segments := strings.Split(where, "/")
	for i := 1; i < len(segments); i++ {
		collection := segments[i-1]
		if strings.EqualFold(collection, "deletedItems") {
			collection = "deletedItems"
		}
		if id, known := s.ids[collection]; known && placeholder.MatchString(segments[i]) {
			segments[i] = id
		}
	}
	where = strings.Join(segments, "/")
	if !asks {
		return where
	}
	var options []string
	for option := range strings.SplitSeq(question, "&") {
		name, value, _ := strings.Cut(option, "=")
		options = append(options, name, s.localizeText(value))
	}
	return where + query(options...)
}

var anyGUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (s *stage) localizeText(value string) string {
	return anyGUID.ReplaceAllString(value, s.ids["servicePrincipals"])
}

// localizeBody makes what a body names something of the stage.
func (s *stage) localizeBody(body []byte) any {
	if len(body) == 0 {
		return nil
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	return s.localizeValue("", v)
}

func (s *stage) localizeValue(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = s.localizeValue(name, inner)
		}
	case []any:
		for i := range v {
			v[i] = s.localizeValue(name, v[i])
		}
	case string:
		switch {
		case graphRoot.MatchString(v):
			return s.URL() + "/v1.0" + s.localize(v)
		case s.ids[name] != "":
			return s.ids[name]
		case name == "tenantId":
			return "0b5cd8e4-9c8a-4c1b-9f2d-6f7b8f1a2c3d"
		case name == "notificationUrl", name == "lifecycleNotificationUrl":
			return newEndpoint(s.t).URL
		case name == "expirationDateTime":
			return s.clock.Now().Add(time.Hour).Format(time.RFC3339)
		}
	}
	return v
}

// play sends a request of the examples as it stands, but for ids.
func (s *stage) play(e printed) reply {
	s.t.Helper()
	header := http.Header{}
	for _, name := range []string{"Consistencylevel", "Prefer"} {
		if v := e.header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	return s.graphWith("contoso", e.method, s.localize(e.url), header, s.localizeBody(e.body))
}

// missing lists what an example has and an answer has not, or has as another type. null has no type.
func missing(where string, want, got any) (list []string) {
	switch want := want.(type) {
	case map[string]any:
		have, is := got.(map[string]any)
		if !is {
			return []string{where + " is no object"}
		}
		for name, value := range want {
			if inner, there := have[name]; there {
				list = append(list, missing(where+"."+name, value, inner)...)
			} else {
				list = append(list, where+"."+name)
			}
		}
	case []any:
		have, is := got.([]any)
		if !is {
			return []string{where + " is no list"}
		}
		if len(want) > 0 && len(have) > 0 {
			return missing(where+"[]", want[0], have[0])
		}
	default:
		if want != nil && got != nil && reflect.TypeOf(want) != reflect.TypeOf(got) {
			list = append(list, fmt.Sprintf("%s is a %T, want a %T", where, got, want))
		}
	}
	slices.Sort(list)
	return list
}

// exampleFiles are all files of the examples.
func exampleFiles(t *testing.T) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(examples), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// why finds the reason for which an example is not played: that of the first pattern it fits.
func why(list []leftOut, name string) string {
	for _, l := range list {
		if fits, _ := path.Match(l.pattern, name); fits {
			return l.reason
		}
	}
	return ""
}

// answerOf is the file with the answer to a request; "" if there is none.
func answerOf(request string, all []string) string {
	if current, is := strings.CutSuffix(request, ".request.http"); is {
		if name := current + ".response.http"; slices.Contains(all, name) {
			return name
		}
		return ""
	}
	m := numbered.FindStringSubmatch(request)
	n, _ := strconv.Atoi(m[2])
	for _, name := range all {
		if strings.HasPrefix(name, fmt.Sprintf("%s%02d-response-", m[1], n+1)) {
			return name
		}
	}
	return ""
}

var numbered = regexp.MustCompile(`^(.*__)(\d\d)-request-`)

func TestRequestsOfTheDocumentsAreAnsweredAsThere(t *testing.T) {
	all := exampleFiles(t)
	for _, name := range all {
		if !strings.HasSuffix(name, ".request.http") && !numbered.MatchString(name) || why(notPlayed, name) != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, request := newStage(t), readExample(t, name)
			r := s.play(request)
			file := answerOf(name, all)
			if reason := why(refused, name); reason != "" {
				if r.status != http.StatusNotImplemented {
					t.Errorf("it is answered with %d %s, although: %s", r.status, r.text, reason)
				}
				return
			}
			if file == "" {
				if r.status >= 300 {
					t.Errorf("it is answered with %d %s", r.status, r.text)
				}
				return
			}
			answer := readExample(t, file)
			if r.status != answer.status {
				t.Fatalf("it is answered with %d %s, want %d", r.status, r.text, answer.status)
			}
			var want any
			if !bytes.HasPrefix(answer.body, []byte("{")) || json.Unmarshal(answer.body, &want) != nil {
				return // no body, a number, or a body with comments
			}
			for _, part := range missing("", want, any(r.body)) {
				if !slices.ContainsFunc(lacking, func(l lack) bool { return l.where.MatchString(name + part) }) {
					t.Errorf("the answer has not what the example has: %s", part)
				}
			}
		})
	}
}

func TestEveryExampleIsPlayedOrHasAReason(t *testing.T) {
	all := exampleFiles(t)
	played := map[string]bool{}
	for _, name := range all {
		if strings.HasSuffix(name, ".request.http") || numbered.MatchString(name) {
			if why(notPlayed, name) == "" {
				played[name], played[answerOf(name, all)] = true, true
			}
		}
	}
	for file := range provoked {
		played[file] = true
	}
	used := map[string]bool{}
	for _, name := range all {
		reason := why(append(elsewhere, notPlayed...), name)
		if !played[name] && reason == "" {
			t.Errorf("%s is not played, and no reason stands for that", name)
		}
		for _, l := range slices.Concat(elsewhere, notPlayed, refused) {
			if fits, _ := path.Match(l.pattern, name); fits {
				used[l.pattern] = true
			}
		}
	}
	for _, l := range slices.Concat(elsewhere, notPlayed, refused) {
		if !used[l.pattern] || l.reason == "" {
			t.Errorf("the pattern %s fits no example, or has no reason", l.pattern)
		}
	}
}

func TestErrorsOfTheDocumentsAreThose(t *testing.T) {
	for file, provoke := range provoked {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path.Join(examples, file))
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Error struct{ Code, Message string }
			}
			if json.Unmarshal(text, &want) != nil { // a message alone, or in a body that leaves something out
				want.Error.Message = strings.TrimSpace(string(text))
				if m := messageIn.FindSubmatch(text); m != nil {
					want.Error.Message = string(m[1])
				}
			}
			r := provoke(newStage(t))
			code, message := r.fault()
			if want.Error.Code != "" && code != want.Error.Code {
				t.Errorf("the code is %s, want %s", code, want.Error.Code)
			}
			generic := func(s string) string { return variable.ReplaceAllString(s, "…") }
			if got := generic(message); !strings.HasPrefix(got, generic(strings.TrimSuffix(want.Error.Message, "."))) {
				t.Errorf("the message is\n%s, want\n%s", got, generic(want.Error.Message))
			}
		})
	}
}

var messageIn = regexp.MustCompile(`"message":"([^"]+)"`)

// variable is what differs from one message to the next.
var variable = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|<\w+>|\b\d+ minutes`)
