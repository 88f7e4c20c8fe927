package graph_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/trust"
)

const partnerID = "44444444-4444-4444-4444-444444444444"

func TestPartnerSettings(t *testing.T) {
	path := "GET /policies/crossTenantAccessPolicy/partners/" + partnerID
	read := func(t *testing.T, a answer) (*trust.Settings, error) {
		t.Helper()
		return play(t, map[string]answer{path: a}).open(t).PartnerSettings(t.Context(), tenantID, partnerID)
	}
	everybody := `{"accessType":"%s","targets":[{"target":"AllUsers","targetType":"user"}]}`
	for name, c := range map[string]struct {
		body string
		want trust.Settings
	}{
		"a new partner says nothing": {`"b2bCollaborationInbound":null,"b2bCollaborationOutbound":null,` +
			`"automaticUserConsentSettings":{"inboundAllowed":null,"outboundAllowed":null}`,
			trust.Settings{}},
		"a partner of old says less": {`"b2bDirectConnectInbound":{"usersAndGroups":` + fmt.Sprintf(everybody, "blocked") + `}`, trust.Settings{}},
		"redemption is told by direction": {`"automaticUserConsentSettings":{"inboundAllowed":true,"outboundAllowed":false}`,
			trust.Settings{Inbound: trust.Direction{Redeems: new(true)}, Outbound: trust.Direction{Redeems: new(false)}}},
		"users are told by direction": {`"b2bCollaborationInbound":{"usersAndGroups":` + fmt.Sprintf(everybody, "blocked") + `},` +
			`"b2bCollaborationOutbound":{"usersAndGroups":` + fmt.Sprintf(everybody, "allowed") + `}`,
			trust.Settings{Inbound: trust.Direction{Users: &trust.Users{Blocked: true, Targets: []string{trust.AllUsers}}},
				Outbound: trust.Direction{Users: &trust.Users{Targets: []string{trust.AllUsers}}}}},
		"applications are not asked about": {`"b2bCollaborationInbound":{"applications":{"accessType":"blocked",` +
			`"targets":[{"target":"AllApplications","targetType":"application"}]}}`,
			trust.Settings{}},
		"a kind of access from the future says nothing": {`"b2bCollaborationInbound":{"usersAndGroups":` + fmt.Sprintf(everybody, "perhaps") + `}`, trust.Settings{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, answer{body: `{"tenantId":"` + partnerID + `",` + c.body + `}`})
			if err != nil || !reflect.DeepEqual(*got, c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("a 404 of Graph means that there are none", func(t *testing.T) {
		if got, err := read(t, answer{status: 404, body: recorded(t, "404-not-found.json")}); got != nil || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	for name, a := range map[string]answer{
		"a 404 of a gateway": {status: 404, body: "page not found"},
		"a 403 of a gateway": {status: 403, body: "go away"},
		"a 500":              {status: 500},
		"another tenant":     {body: `{"tenantId":"` + tenantID + `"}`},
		"no tenant":          {body: `{}`},
	} {
		t.Run(name+" says nothing about the settings", func(t *testing.T) {
			if got, err := read(t, a); got != nil || outcome.Of(err).Kind != outcome.Retry || errors.Is(err, trust.ErrForbidden) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("who may not read them signs in again for the next time", func(t *testing.T) {
		r := play(t, map[string]answer{path: {status: 403, body: recorded(t, "403-request-denied.json")}})
		g := r.open(t)
		for range 2 {
			if _, err := g.PartnerSettings(t.Context(), tenantID, partnerID); !errors.Is(err, trust.ErrForbidden) || outcome.Of(err).Kind != outcome.Terminal {
				t.Errorf("error %v", err)
			}
		}
		if r.issued() != 2 {
			t.Errorf("%d tokens, want a new one that may hold the permission", r.issued())
		}
	})
	t.Run("an empty id asks nobody", func(t *testing.T) {
		r := play(t, nil)
		if _, err := r.open(t).PartnerSettings(t.Context(), tenantID, ""); outcome.Of(err).Kind != outcome.Terminal || len(r.requests()) != 0 {
			t.Errorf("error %v, requests %v", err, r.requests())
		}
	})
}

func TestInvitesFrom(t *testing.T) {
	for from, want := range map[string]string{"none": "none", "adminsAndGuestInviters": "adminsAndGuestInviters", "everyone": "everyone", "robots": ""} {
		r := play(t, map[string]answer{"GET /policies/authorizationPolicy": {body: `{"id":"authorizationPolicy","allowInvitesFrom":"` + from + `"}`}})
		if got, err := r.open(t).InvitesFrom(t.Context(), tenantID); got != want || err != nil {
			t.Errorf("of %s: %q, %v", from, got, err)
		}
	}
}

// policies are those of a tenant for another, as the gate reads them.
func policies(t *testing.T, g *graph.Graph, of, about string) (p trust.Policies) {
	t.Helper()
	var errs [3]error
	p.Partner, errs[0] = g.PartnerSettings(t.Context(), of, about)
	p.Default, errs[1] = g.DefaultSettings(t.Context(), of)
	p.InvitesFrom, errs[2] = g.InvitesFrom(t.Context(), of)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheCallsOfFindingsMendThemOverTheSimulator(t *testing.T) {
	blocked := map[string]any{"usersAndGroups": map[string]any{"accessType": "blocked", "targets": []any{map[string]any{"target": "AllUsers", "targetType": "user"}}}}
	const partners, everybody = "/policies/crossTenantAccessPolicy/partners", "/policies/crossTenantAccessPolicy/default"
	for name, c := range map[string]struct {
		trusting bool
		spoil    func(s *simulated)
		want     int
	}{
		"tenants that trust each other": {true, func(*simulated) {}, 0},
		"strangers":                     {false, func(*simulated) {}, 2},
		"strangers that are blocked": {false, func(s *simulated) {
			s.requestIn(t, s.source, http.MethodPatch, everybody, map[string]any{"b2bCollaborationOutbound": blocked})
			s.requestIn(t, s.target, http.MethodPatch, everybody, map[string]any{"b2bCollaborationInbound": blocked})
		}, 4},
		"a partner that was put off": {true, func(s *simulated) {
			s.requestIn(t, s.target, http.MethodPatch, partners+"/"+s.source, map[string]any{
				"b2bCollaborationInbound": blocked, "automaticUserConsentSettings": map[string]any{"inboundAllowed": false}})
			s.requestIn(t, s.source, http.MethodPatch, partners+"/"+s.target, map[string]any{"automaticUserConsentSettings": map[string]any{"outboundAllowed": false}})
		}, 3},
		"no invitations": {true, func(s *simulated) {
			s.requestIn(t, s.target, http.MethodPatch, "/policies/authorizationPolicy", map[string]any{"allowInvitesFrom": "adminsAndGuestInviters"})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate(t, entrasim.Options{AutoRedeem: c.trusting})
			c.spoil(s)
			route := tenant.Route{Name: "fabrikam→contoso", Source: tenant.Tenant{Name: "fabrikam", ID: s.source}, Target: tenant.Tenant{Name: "contoso", ID: s.target}}
			check := func() []trust.Finding {
				return trust.Check(route, policies(t, s.graph, s.source, s.target), policies(t, s.graph, s.target, s.source))
			}
			found := check()
			if len(found) != c.want {
				t.Fatalf("%d findings, want %d: %v", len(found), c.want, found)
			}
			for _, f := range found {
				var body any
				if err := json.Unmarshal([]byte(f.Mend.Body), &body); err != nil {
					t.Fatalf("%s: %v", f.Mend.Body, err)
				}
				s.requestIn(t, f.Tenant.ID, f.Mend.Method, strings.TrimPrefix(f.Mend.Path, "/v1.0"), body)
			}
			if left := check(); len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
			target := s.targetTenant(t)
			if _, err := target.Invite(t.Context(), "ana@fabrikam.onmicrosoft.com", "Ana"); err != nil {
				t.Errorf("nobody can be invited all the same: %v", err)
			}
		})
	}
}

func TestPoliciesTakeAPermissionOverTheSimulator(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	_, err := s.graph.DefaultSettings(t.Context(), s.Tenants()[3].ID)
	if !errors.Is(err, trust.ErrForbidden) {
		t.Errorf("without Policy.Read.All: %v", err)
	}
}
