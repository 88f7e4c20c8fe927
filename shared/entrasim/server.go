package entrasim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/certificate"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/graph"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/limit"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/login"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/pace"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/policy"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/subscription"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/weather"
)

// Server is a running or ready simulator. Safe for concurrent use.
type Server struct {
	options     Options
	authority   *certificate.Authority
	directories map[string]*directory.Directory // by tenant id
	policies    map[string]*policy.Policies     // by tenant id
	notifier    *subscription.Notifier
	registry    *subscription.Registry
	forecast    *weather.Forecast
	skew        *atomic.Int64 // of the simulated clock, a time.Duration
	requests    requestLog
	http        *http.Server

	mu       sync.Mutex
	listener net.Listener
	done     chan struct{} // closed when serving has ended
}

// New builds a simulator. It refuses tenants without a name, ids that are not UUIDs, and tenants that share a name or domain.
func New(o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("configure simulator: %w", err)
	}
	skew := new(atomic.Int64)
	real := o.Now
	o.Now = func() time.Time { return real().Add(time.Duration(skew.Load())) }
	authority, err := certificate.NewAuthority("entrasim")
	if err != nil {
		return nil, err
	}
	own, err := authority.Server("localhost", "127.0.0.1", "::1")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, authority: authority, directories: map[string]*directory.Directory{}, policies: map[string]*policy.Policies{}, skew: skew}
	handler, err := s.assemble()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12},
	}
	return s, nil
}

// assemble connects directories, subscriptions, Graph and login.
func (s *Server) assemble() (http.Handler, error) {
	o := s.options
	extensions := directory.NewExtensions(o.App.ID)
	for _, name := range o.App.ExtensionProperties {
		if _, err := extensions.Define(name, "String", []string{"User"}); err != nil {
			return nil, fmt.Errorf("define extension property %q: %w", name, err)
		}
	}
	s.notifier = subscription.NewNotifier(subscription.Options{
		Duplicate:     o.Notify.Duplicate,
		Reorder:       o.Notify.Reorder,
		ReorderWindow: o.Notify.ReorderWindow,
		MaxBatch:      o.Notify.MaxBatch,
		Backoff:       o.Notify.Backoff,
		Lose:          o.Notify.Lose,
		Authorization: o.Notify.Authorization,
		Pace:          pace.Pace(o.Speed),
		Transport:     o.Notify.Transport,
	}, o.Now, o.Seed, o.Logger)
	registry := subscription.NewRegistry(o.Now, s.notifier)
	s.registry = registry
	if err := s.found(extensions, registry); err != nil {
		return nil, err
	}
	s.forecast = weather.New(o.Weather, o.Seed)
	s.remember(o.Weather)
	var meter *limit.Meter
	if o.Limits {
		meter = &limit.Meter{Pace: pace.Pace(o.Speed)}
	}
	service := graph.New(graph.Config{
		Directories:   s.directories,
		Policies:      s.policies,
		Extensions:    extensions,
		Subscriptions: registry,
		Application: graph.Application{
			ID: o.App.ID, ObjectID: o.App.ObjectID, DisplayName: o.App.Name, HomeTenantID: o.App.HomeTenant,
		},
		Forecast: s.forecast,
		Observe:  s.requests.add,
		Meter:    meter,
		PageSize: o.PageSize,
		Now:      o.Now,
		Logger:   o.Logger,
	})
	authority, err := login.New(s.loginApp(), s.loginTenants(), o.Now, o.Logger, http.HandlerFunc(service.Unknown))
	if err != nil {
		return nil, fmt.Errorf("make login endpoint: %w", err)
	}
	service.Verify = authority.Verify
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if strings.EqualFold(first, graph.Prefix) {
			service.ServeHTTP(w, r)
			return
		}
		authority.ServeHTTP(w, r)
	}), nil
}

// found makes the tenants with what they have from the start.
func (s *Server) found(extensions *directory.Extensions, registry *subscription.Registry) error {
	for _, t := range s.options.Tenants {
		s.policies[t.ID] = policy.New()
		s.directories[t.ID] = s.directory(t, extensions, registry)
		if err := s.install(t); err != nil {
			return fmt.Errorf("install applications in tenant %s: %w", t.Name, err)
		}
	}
	if !s.options.AutoRedeem {
		return nil
	}
	if err := s.trustEachOther(); err != nil {
		return fmt.Errorf("set cross-tenant access policies: %w", err)
	}
	return nil
}

func (s *Server) directory(t Tenant, extensions *directory.Extensions, registry *subscription.Registry) *directory.Directory {
	o := s.options
	return directory.New(directory.Config{
		TenantID:   t.ID,
		Domains:    t.domains(),
		Extensions: extensions,
		Now:        o.Now,
		Pace:       pace.Pace(o.Speed),
		Seed:       o.Seed,
		OnChange:   registry.Publish,
		AutoRedeem: func(domain string) bool { return s.redeems(t.ID, domain) },
		Admit:      func(domain string) error { return s.policies[t.ID].Admit(s.owner(domain)) },
		Invite:     directory.InvitePolicy(o.Invitations),
	})
}

// microsoftGraph is the client id of Microsoft Graph, whose app roles are the application permissions.
const microsoftGraph = "00000003-0000-0000-c000-000000000000"

// install makes known in the tenant's directory what is there from the start: Microsoft Graph, the application with the permissions that
// were granted to it, the applications that people can be assigned to, and groups that roles can be assigned to.
func (s *Server) install(t Tenant) error {
	d, app := s.directories[t.ID], s.options.App
	permissions := EnterpriseApp{Name: "Microsoft Graph", Roles: slices.Concat(graph.Permissions(), t.Roles)}
	principals := []directory.ServicePrincipal{permissions.in(t, microsoftGraph, true)}
	if !t.NoConsent {
		principals = append(principals, directory.ServicePrincipal{
			ID: principalID(t.ID, app.ID), AppID: app.ID, DisplayName: app.Name, Owner: app.HomeTenant,
		})
	}
	for _, other := range t.Apps {
		principals = append(principals, other.in(t, derivedID("application "+other.Name), false))
	}
	for _, principal := range principals {
		if err := d.AddServicePrincipal(principal); err != nil {
			return err
		}
	}
	for _, name := range t.RoleGroups {
		group := map[string]any{"displayName": name, "mailNickname": name, "mailEnabled": false, "securityEnabled": true, "isAssignableToRole": true}
		if _, err := d.CreateGroup(group, nil, directory.Rights{Roles: true}); err != nil {
			return fmt.Errorf("make the group %s: %w", name, err)
		}
	}
	if t.NoConsent {
		return nil
	}
	for _, role := range t.Roles {
		if _, err := d.Assign(principals[0].ID, principals[1].ID, permissions.roleID(role)); err != nil {
			return fmt.Errorf("grant %s: %w", role, err)
		}
	}
	return nil
}

// in is the application as the tenant sees it. Its roles are for users and groups, or for applications.
func (a EnterpriseApp) in(t Tenant, appID string, forApplications bool) directory.ServicePrincipal {
	p := directory.ServicePrincipal{
		ID: derivedID("service principal " + t.ID + " " + a.Name), AppID: appID, DisplayName: a.Name, AssignmentRequired: !forApplications,
	}
	for _, role := range slices.Compact(slices.Sorted(slices.Values(a.Roles))) {
		p.Roles = append(p.Roles, directory.NewAppRole(a.roleID(role), role, forApplications))
	}
	return p
}

// principalID is the object id of the application in a tenant, which its access tokens name, too.
func principalID(tenantID, appID string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(tenantID+"/"+appID)).String()
}

func (a EnterpriseApp) roleID(value string) string {
	return derivedID("app role " + a.Name + " " + value)
}

// owner is the id of the simulated tenant that a domain belongs to, "" for any other domain.
func (s *Server) owner(domain string) string {
	for _, t := range s.options.Tenants {
		for _, own := range t.domains() {
			if strings.EqualFold(own, domain) {
				return t.ID
			}
		}
	}
	return ""
}

// redeems reports whether an invitation in a tenant of somebody from a domain is redeemed automatically: both tenants have to
// have said so.
func (s *Server) redeems(tenantID, domain string) bool {
	source := s.owner(domain)
	return source != "" && s.policies[tenantID].Redeems(source, true) && s.policies[source].Redeems(tenantID, false)
}

// trustEachOther makes every pair of tenants redeem automatically, in both directions.
func (s *Server) trustEachOther() error {
	for _, t := range s.options.Tenants {
		for _, other := range s.options.Tenants {
			if other.ID == t.ID {
				continue
			}
			_, err := s.policies[t.ID].AddPartner(policy.Object{
				"tenantId": other.ID, "automaticUserConsentSettings": policy.Object{"inboundAllowed": true, "outboundAllowed": true},
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) loginApp() login.App {
	app := login.App{ID: s.options.App.ID, Secret: s.options.App.Secret, Certificates: s.options.App.Certificates}
	for _, f := range s.options.App.Federated {
		if f.Audience == "" {
			f.Audience = "api://AzureADTokenExchange"
		}
		app.Federated = append(app.Federated, login.Federated(f))
	}
	return app
}

func (s *Server) loginTenants() []login.Tenant {
	var tenants []login.Tenant
	for _, t := range s.options.Tenants {
		tenants = append(tenants, login.Tenant{ID: t.ID, Domains: t.domains(), Consented: !t.NoConsent, Roles: t.Roles})
	}
	return tenants
}

// Listen starts serving at a loopback address such as 127.0.0.1:0, for which the certificate is good, and returns once
// connections are accepted.
func (s *Server) Listen(addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("listen: the simulator listens already")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.listener, s.done = l, make(chan struct{})
	go func() {
		defer close(s.done)
		if err := s.http.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.options.Logger.Error("serving ended", "error", err)
		}
	}()
	return nil
}

// Addr is the host and port it listens at; empty before Listen.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL is both the login authority and, with /v1.0, the root of Graph.
func (s *Server) URL() string { return "https://" + s.Addr() }

// CAPEM is the certificate of the authority that clients have to trust.
func (s *Server) CAPEM() []byte { return s.authority.PEM() }

// Client returns an HTTP client that trusts the simulator and nobody else.
func (s *Server) Client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.Certificate)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
}

// SetWeather changes the weather from the next request on.
func (s *Server) SetWeather(w Weather) {
	s.forecast.Set(w)
	s.remember(w)
}

// Weather is the present one.
func (s *Server) Weather() Weather { return s.forecast.Weather() }

// remember lets the directories look back as far as replicas may be behind.
func (s *Server) remember(w Weather) {
	back := time.Duration(w.LagFor)
	if w.Lag == 0 {
		back = 0
	}
	for _, d := range s.directories {
		d.Remember(back)
	}
}

// ResetDelta makes all tokens of change tracking in a tenant, by id or name, worthless.
func (s *Server) ResetDelta(tenant string) error {
	t, err := s.options.tenant(tenant)
	if err != nil {
		return err
	}
	s.directories[t.ID].ResetDelta()
	return nil
}

// App returns the application with everything filled in that was left out.
func (s *Server) App() App { return s.options.App }

// Tenants returns the tenants with everything filled in that was left out.
func (s *Server) Tenants() []Tenant { return append([]Tenant(nil), s.options.Tenants...) }

// Close stops serving and notifying. Requests under way have two seconds to finish; notifications that were not accepted
// are lost.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.notifier.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		<-s.done
	}
	return err
}
