package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

// simulated is a source and a target tenant, and our connection to them.
type simulated struct {
	*entrasim.Server
	client         *http.Client
	graph          *graph.Graph
	source, target string // tenant ids
}

func simulate(t *testing.T, o entrasim.Options) *simulated {
	t.Helper()
	roles := append([]string{"GroupMember.Read.All", "Group.ReadWrite.All", "Policy.ReadWrite.CrossTenantAccess", "Policy.ReadWrite.Authorization"},
		entrasim.DefaultRoles...)
	o.Tenants = []entrasim.Tenant{{Name: "fabrikam", Roles: roles}, {Name: "contoso", Roles: roles}, {Name: "closed", NoConsent: true},
		{Name: "silent", Roles: []string{"User.Read.All"}}}
	o.App.ExtensionProperties = []string{"tenantsyncSource"}
	o.PageSize = 2
	return start(t, o, graph.Reads{})
}

// start plays tenants and connects to them. The first is the source; the second is the target, or the first if it is alone.
func start(t *testing.T, o entrasim.Options, reads graph.Reads) *simulated {
	t.Helper()
	server, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s, tenants := &simulated{Server: server, client: server.Client()}, server.Tenants()
	t.Cleanup(func() {
		s.client.CloseIdleConnections() // which the server would wait for
		server.Close()
	})
	s.source, s.target = tenants[0].ID, tenants[min(1, len(tenants)-1)].ID
	s.graph = s.connect(t, reads)
	return s
}

func (s *simulated) connect(t *testing.T, reads graph.Reads) *graph.Graph {
	t.Helper()
	g, err := graph.New(graph.Options{
		AuthorityHost: s.URL(), Endpoint: s.URL(), ClientID: s.App().ID, Reads: reads,
		Credential: graph.Credential{ClientSecret: s.App().Secret}, Transport: s.client.Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (s *simulated) targetTenant(t *testing.T) provisioning.Target {
	t.Helper()
	target, err := s.graph.Target(s.target)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// hire creates a user of the source by plain HTTP, as an administrator's program would, and returns its id.
func (s *simulated) hire(t *testing.T, name string, more map[string]any) string {
	t.Helper()
	user := map[string]any{
		"accountEnabled": true, "displayName": name, "mailNickname": name, "userPrincipalName": name + "@fabrikam.onmicrosoft.com",
		"mail": name + "@fabrikam.onmicrosoft.com", "passwordProfile": map[string]any{"password": "Correct-Horse-9"},
	}
	for k, v := range more {
		user[k] = v
	}
	answer := s.request(t, http.MethodPost, "/users", user)
	id, _ := answer["id"].(string)
	if id == "" {
		t.Fatalf("hire %s: %v", name, answer)
	}
	return id
}

// request is one of the source.
func (s *simulated) request(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	return s.requestIn(t, s.source, method, path, body)
}

func (s *simulated) requestIn(t *testing.T, tenantID, method, path string, body any) (answer map[string]any) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.App().ID}, "client_secret": {s.App().Secret},
		"scope": {"https://graph.microsoft.com/.default"}}
	token, err := s.client.PostForm(s.URL()+"/"+tenantID+"/oauth2/v2.0/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer token.Body.Close()
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(token.Body).Decode(&granted); err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(body)
	q, _ := http.NewRequestWithContext(t.Context(), method, s.URL()+"/v1.0"+path, bytes.NewReader(raw))
	q.Header.Set("Authorization", "Bearer "+granted.Token)
	q.Header.Set("Content-Type", "application/json")
	r, err := s.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	if r.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, r.StatusCode, text)
	}
	_ = json.Unmarshal(text, &answer) // a 204 has no body
	return answer
}

func TestSourceOverTheSimulator(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	id := s.hire(t, "ana", map[string]any{"department": "Sales", "businessPhones": []string{"+52 55 5555 0100"}})
	source, err := s.graph.Source(s.source)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a user", func(t *testing.T) {
		got, err := source.User(t.Context(), id)
		if err != nil || got.ID != id || got.Invited || !got.Enabled() || got.Attributes["department"] != "Sales" ||
			!reflect.DeepEqual(got.Attributes["businessPhones"], []string{"+52 55 5555 0100"}) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		if _, err := source.User(t.Context(), userID); !errors.Is(err, provisioning.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if deleted, err := source.Deleted(t.Context(), userID); err != nil || deleted {
			t.Errorf("deleted %v, %v", deleted, err)
		}
	})
	t.Run("a leaver", func(t *testing.T) {
		leaver := s.hire(t, "luis", nil)
		s.request(t, http.MethodDelete, "/users/"+leaver, nil)
		if _, err := source.User(t.Context(), leaver); !errors.Is(err, provisioning.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if deleted, err := source.Deleted(t.Context(), leaver); err != nil || !deleted {
			t.Errorf("deleted %v, %v", deleted, err)
		}
	})
	t.Run("everybody", func(t *testing.T) {
		want := []string{id}
		for i := range 4 {
			want = append(want, s.hire(t, fmt.Sprintf("person%d", i), nil))
		}
		var got []string
		err := s.graph.UserIDs(t.Context(), s.source, func(ids []string) error { got = append(got, ids...); return nil })
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	})
	t.Run("a tenant without consent says so", func(t *testing.T) {
		closed, err := s.graph.Source(s.Tenants()[2].ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = closed.User(t.Context(), id)
		if got := outcome.Of(err); got.Code != "credential refused" || !strings.Contains(err.Error(), "consent") {
			t.Errorf("got %q: %v", got.Code, err)
		}
	})
}

func TestTargetOverTheSimulator(t *testing.T) {
	ctx := t.Context()
	s := simulate(t, entrasim.Options{})
	target := s.targetTenant(t)
	const address, key = "o'brien@fabrikam.onmicrosoft.com", "tenant/o'brien"
	id, err := target.Invite(ctx, "ana@fabrikam.onmicrosoft.com", "Ana")
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		do   func() error
		want provisioning.External // ID and Invited are the same in all
	}{
		{"invited", func() error { return nil },
			provisioning.External{UserType: "Guest", Attributes: provisioning.Attributes{"displayName": "Ana"}}},
		{"updated", func() error {
			return target.Update(ctx, id, provisioning.Attributes{"userType": "Member", "department": "Sales", "city": "Puebla",
				"businessPhones": []string{"+52 1"}, "showInAddressList": true}, key)
		}, provisioning.External{UserType: "Member", SourceKey: key, Attributes: provisioning.Attributes{"department": "Sales", "city": "Puebla",
			"businessPhones": []string{"+52 1"}, "showInAddressList": true}}},
		{"partly cleared", func() error {
			return target.Update(ctx, id, provisioning.Attributes{"city": nil, "businessPhones": nil, "accountEnabled": false}, "")
		}, provisioning.External{UserType: "Member", SourceKey: key, Attributes: provisioning.Attributes{"department": "Sales", "accountEnabled": false, "city": nil}}},
		{"removed", func() error { return target.Remove(ctx, id) },
			provisioning.External{UserType: "Member", SourceKey: key, Deleted: true, Attributes: provisioning.Attributes{"department": "Sales"}}},
		{"removed again", func() error { return target.Remove(ctx, id) },
			provisioning.External{UserType: "Member", SourceKey: key, Deleted: true}},
		{"restored", func() error { return target.Restore(ctx, id) },
			provisioning.External{UserType: "Member", SourceKey: key, Attributes: provisioning.Attributes{"department": "Sales"}}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		got, err := target.External(ctx, id)
		if err != nil || got.ID != id || !got.Invited || got.Deleted != step.want.Deleted || got.UserType != step.want.UserType || got.SourceKey != step.want.SourceKey {
			t.Fatalf("%s: got %+v, %v", step.name, got, err)
		}
		for name, want := range step.want.Attributes {
			if !reflect.DeepEqual(got.Attributes[name], want) {
				t.Errorf("%s: %s is %v, want %v", step.name, name, got.Attributes[name], want)
			}
		}
		found, err := target.ByKey(ctx, key)
		if step.want.SourceKey != "" && (err != nil || len(found) != 1 || !reflect.DeepEqual(found[0], got)) {
			t.Errorf("%s: found by key %+v, %v", step.name, found, err)
		}
		found, err = target.ByMail(ctx, "Ana@fabrikam.onmicrosoft.com")
		if want := !step.want.Deleted; err != nil || (len(found) == 1) != want {
			t.Errorf("%s: found by mail %+v, %v", step.name, found, err)
		}
	}
	t.Run("a person who is there is named", func(t *testing.T) {
		_, err := target.Invite(ctx, "ana@fabrikam.onmicrosoft.com", "Ana")
		var exists provisioning.Exists
		if !errors.As(err, &exists) || exists.ID != id {
			t.Errorf("error %v", err)
		}
	})
	t.Run("an address with a quote finds nobody and harms nothing", func(t *testing.T) {
		if found, err := target.ByMail(ctx, address); err != nil || len(found) != 0 {
			t.Errorf("found %v, %v", found, err)
		}
	})
	t.Run("a value that the directory refuses is terminal", func(t *testing.T) {
		err := target.Update(ctx, id, provisioning.Attributes{"usageLocation": "Mexico"}, "")
		if got := outcome.Of(err); got.Kind != outcome.Terminal || got.Code != "refused by graph" {
			t.Errorf("got %v %q: %v", got.Kind, got.Code, err)
		}
	})
	t.Run("nobody can be written to", func(t *testing.T) {
		err := target.Update(ctx, userID, provisioning.Attributes{"city": "Puebla"}, "")
		if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != "not replicated" {
			t.Errorf("got %v %q: %v", got.Kind, got.Code, err)
		}
	})
}

func TestSubscriptionsOverTheSimulator(t *testing.T) {
	ctx := t.Context()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/broken" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, q.URL.Query().Get("validationToken"))
	}))
	defer endpoint.Close()
	s := simulate(t, entrasim.Options{})
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	wanted := subscription.Wanted{TenantID: s.source, NotificationURL: endpoint.URL + "/notify", Secret: "secret"}
	held, err := s.graph.Create(ctx, wanted, ends)
	if want := (subscription.Held{ID: held.ID, TenantID: s.source, NotificationURL: wanted.NotificationURL, ExpiresAt: ends}); err != nil || held.ID == "" || held != want {
		t.Fatalf("got %+v, %v", held, err)
	}
	if list, err := s.graph.List(ctx, s.source); err != nil || len(list) != 1 || list[0] != held {
		t.Errorf("listed %+v, %v", list, err)
	}
	if _, err := s.graph.Create(ctx, wanted, ends); err == nil || !strings.Contains(err.Error(), held.ID) {
		t.Errorf("a second one: %v", err)
	}
	if got, err := s.graph.Renew(ctx, s.source, held.ID, ends.Add(time.Hour)); err != nil || !got.ExpiresAt.Equal(ends.Add(time.Hour)) {
		t.Errorf("renewed %+v, %v", got, err)
	}
	for range 2 {
		if err := s.graph.Delete(ctx, s.source, held.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.graph.Renew(ctx, s.source, held.ID, ends); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("renewed what is gone: %v", err)
	}
	wanted.NotificationURL = endpoint.URL + "/broken"
	if _, err := s.graph.Create(ctx, wanted, ends); err == nil || !strings.Contains(err.Error(), wanted.NotificationURL) {
		t.Errorf("an endpoint that fails the handshake: %v", err)
	}
}

func TestWhatRulesReadAndWriteOverTheSimulator(t *testing.T) {
	const extension = "extension_%s_costCenter"
	s := simulate(t, entrasim.Options{})
	name := fmt.Sprintf(extension, strings.ReplaceAll(s.App().ID, "-", ""))
	s.request(t, http.MethodPost, "/applications/"+s.App().ObjectID+"/extensionProperties", map[string]any{"name": "costCenter", "dataType": "String", "targetObjects": []string{"User"}})
	reads := graph.Reads{
		Source:   []string{"displayName", "manager", "employeeLeaveDateTime", "createdDateTime", "onPremisesExtensionAttributes", "otherMails", name},
		Manager:  []string{"displayName", "department"},
		External: []string{"department", "extensionAttribute3", "extensionAttribute4", name},
	}
	g := s.connect(t, reads)
	boss := s.hire(t, "luz", map[string]any{"department": "Board"})
	id := s.hire(t, "ana", map[string]any{name: "4711"})
	s.request(t, http.MethodPatch, "/users/"+id, map[string]any{"onPremisesExtensionAttributes": map[string]any{"extensionAttribute3": "blue"}})
	s.request(t, http.MethodPut, "/users/"+id+"/manager/$ref", map[string]any{"@odata.id": s.URL() + "/v1.0/users/" + boss})

	source, err := g.Source(s.source)
	if err != nil {
		t.Fatal(err)
	}
	u, err := source.User(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if created, is := u.Attributes["createdDateTime"].(time.Time); !is || time.Since(created) > time.Hour {
		t.Errorf("created %v", u.Attributes["createdDateTime"])
	}
	for attribute, want := range map[string]any{
		"onPremisesExtensionAttributes": map[string]any{"extensionAttribute3": "blue"},
		"manager":                       mapping.Values{"displayName": "luz", "department": "Board"},
		"employeeLeaveDateTime":         nil, name: "4711", "accountEnabled": true,
	} {
		if got := u.Attributes[attribute]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, want %#v", attribute, got, want)
		}
	}
	if lonely, err := source.User(t.Context(), boss); err != nil || lonely.Attributes["manager"] != nil {
		t.Errorf("who has no manager has %v, %v", lonely.Attributes["manager"], err)
	}

	target, err := g.Target(s.target)
	if err != nil {
		t.Fatal(err)
	}
	external, err := target.Invite(t.Context(), "ana@fabrikam.onmicrosoft.com", "ana")
	if err != nil {
		t.Fatal(err)
	}
	update := func(values provisioning.Attributes, want provisioning.Attributes) {
		t.Helper()
		if err := target.Update(t.Context(), external, values, ""); err != nil {
			t.Fatal(err)
		}
		e, err := target.External(t.Context(), external)
		if err != nil {
			t.Fatal(err)
		}
		for attribute, value := range want {
			if got := e.Attributes[attribute]; got != value {
				t.Errorf("%s is %#v, want %#v", attribute, got, value)
			}
		}
	}
	update(provisioning.Attributes{"extensionAttribute3": "red", "extensionAttribute4": "x", name: "9"}, provisioning.Attributes{"extensionAttribute3": "red", "extensionAttribute4": "x", name: "9"})
	update(provisioning.Attributes{"extensionAttribute4": nil, name: nil}, provisioning.Attributes{"extensionAttribute3": "red", "extensionAttribute4": nil, name: nil})
}

func TestGroupsOverTheSimulator(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	ana, luz := s.hire(t, "ana", nil), s.hire(t, "luz", nil)
	outer, inner, other := s.group(t, "outer"), s.group(t, "inner"), s.group(t, "other")
	s.join(t, outer, inner)
	s.join(t, inner, ana)
	s.join(t, other, luz)
	source, err := s.graph.Source(s.source)
	if err != nil {
		t.Fatal(err)
	}
	asked := []string{outer, other}
	for range 25 { // more than one request can ask for
		asked = append(asked, s.group(t, "more"))
	}
	if in, err := source.Groups(t.Context(), ana, asked); err != nil || !slices.Equal(in, []string{outer}) {
		t.Errorf("she is in %v, %v; want the outer group, through the inner one", in, err)
	}
	if _, err := source.Groups(t.Context(), "00000000-0000-4000-8000-000000000000", asked); !errors.Is(err, provisioning.ErrNotFound) {
		t.Errorf("nobody: %v, want ErrNotFound", err)
	}
}
