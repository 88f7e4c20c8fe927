// Package entrasim simulates several Microsoft Entra tenants: the login endpoint and Microsoft Graph v1.0 behind one HTTPS
// address, with change notifications that are really delivered. It decides what a program that keeps users of tenants in step
// gets to see, without a cloud: unmodified client libraries work against it.
//
// What it answers follows the documented shapes and rules. What it does not model, it says: 501 with the method and the path,
// and a line in the log at error level. See docs/entrasim.md for what that is.
//
// It can be hostile as the real thing is: refuse and fail requests, cut connections before and after they took effect, hold
// the application to the documented limits. See Options.Hostile.
package entrasim

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/graph"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/weather"
)

// DefaultRoles are the application permissions granted in a tenant that names none: what tenantsync needs in a source and in
// a target, and what it takes to create the people it follows.
//
//   - User.Read.All: read users, subscribe to their changes
//   - User.ReadWrite.All: create and update users
//   - User.Invite.All: invite external users
//   - User.DeleteRestore.All: delete, restore and purge users
//   - Policy.Read.All: read what a tenant says about people of other tenants
//   - Application.ReadWrite.OwnedBy: define and read the application's directory extensions
var DefaultRoles = []string{
	"User.Read.All", "User.ReadWrite.All", "User.Invite.All", "User.DeleteRestore.All", "Policy.Read.All", "Application.ReadWrite.OwnedBy",
}

// Tenant is one simulated tenant.
type Tenant struct {
	Name string // of the initial domain: contoso makes contoso.onmicrosoft.com
	ID   string // a UUID; empty: derived from Name
	// Domain is a verified domain besides the initial one, which external users are named after. Empty: the initial one only.
	Domain string
	// Roles are the application permissions granted to the application here; nil: DefaultRoles.
	Roles []string
	// Apps are applications that people of the tenant can be assigned to.
	Apps []EnterpriseApp
	// RoleGroups are the names of security groups that directory roles can be assigned to, which are there from the start: to make one
	// takes a permission that the application may be better without.
	RoleGroups []string
	// NoConsent leaves the application unknown here, so that no token can be had.
	NoConsent bool
}

// EnterpriseApp is an application in a tenant. Its ids follow from the names of both.
type EnterpriseApp struct {
	Name  string
	Roles []string // values of its app roles; none: there is only the default access
}

// InitialDomain is the onmicrosoft.com domain the tenant was born with.
func (t Tenant) InitialDomain() string { return strings.ToLower(t.Name) + ".onmicrosoft.com" }

func (t Tenant) domains() []string {
	if t.Domain == "" || strings.EqualFold(t.Domain, t.InitialDomain()) {
		return []string{t.InitialDomain()}
	}
	return []string{t.InitialDomain(), strings.ToLower(t.Domain)}
}

// App is the multi-tenant application whose tokens the simulator issues.
type App struct {
	ID         string // client id; empty: a fixed one
	ObjectID   string // of the application object; empty: a fixed one
	Name       string // empty: tenantsync
	HomeTenant string // name or id; empty: the first tenant
	Secret     string // client secret; empty: none is accepted, unless there is no other credential: then a fixed one
	// Certificates hold the public keys (*rsa.PublicKey, *ecdsa.PublicKey on P-256) that client assertions of the
	// application itself are signed with.
	Certificates []crypto.PublicKey
	// Federated are the federated identity credentials.
	Federated []FederatedCredential
	// ExtensionProperties are directory extensions of type String on users that exist from the start, by their names
	// without the extension_{appId}_ in front.
	ExtensionProperties []string
}

// FederatedCredential trusts the tokens of another issuer as client assertions. All of issuer, subject and audience must
// be equal to the token's, and Key must verify it (RS256, PS256 or ES256).
type FederatedCredential struct {
	Issuer   string
	Subject  string
	Audience string // empty: api://AzureADTokenExchange
	Key      crypto.PublicKey
}

// Notify says how notifications are delivered. The zero value delivers each once, in order, at once.
type Notify struct {
	// Duplicate delivers every notification twice.
	Duplicate bool
	// Reorder delivers notifications in an order that Seed decides.
	Reorder bool
	// ReorderWindow is the longest time a notification is held back for that; 0: 50 ms.
	ReorderWindow time.Duration
	// MaxBatch bounds the notifications in one request; 0: 100.
	MaxBatch int
	// Backoff is the pause before the first retry, which doubles up to five minutes; 0: 500 ms.
	Backoff time.Duration
	// Lose is how often a notification is lost for good, from 0 to 1. Hostile leaves it at 0: a program that only listens, and does
	// not ask for what it may have missed, cannot live through that.
	Lose float64
	// Authorization is how long a subscription is authorized by its creation, renewal or reauthorization. When half of it is over
	// its lifecycle URL is asked to reauthorize; once it is over, notifications are lost. 0: as long as the subscription lives.
	Authorization time.Duration
	// Transport carries validation requests and notifications; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// Invitations answers what the documents leave open about POST /invitations.
type Invitations struct {
	// AdoptExisting answers the invitation of an external user who exists with 201 and the old object id, instead of 400
	// with a message that holds it.
	AdoptExisting bool
	// RefuseMembers answers 403 to invitedUserType Member.
	RefuseMembers bool
}

// Options configure a Server. The zero value is a world of three tenants (fabrikam-mexico, fabrikam-us, contoso) in calm
// weather.
type Options struct {
	Tenants []Tenant
	App     App
	// AutoRedeem sets the cross-tenant access settings of all simulated tenants so that they redeem invitations of each other's
	// people automatically. Without it, or after a change of these settings, both sides have to say so.
	AutoRedeem  bool
	Invitations Invitations
	Notify      Notify
	// Weather makes requests to Graph go wrong; the zero Weather is calm.
	Weather Weather
	// Limits holds the application to the documented limits: resource units, writes, invitations, subscriptions.
	Limits bool
	// Speed lets documented times pass so many times faster: how long limits last, deleted objects and tokens of change tracking are
	// kept, and notifications are tried again. Moments stay real, as do the lives of access tokens and subscriptions, which a client
	// times with its own clock, and how long endpoints have to answer. 0: 1.
	Speed    float64
	PageSize int              // bounds a page of a list; 0: 100, or what $top asks for
	Seed     uint64           // object ids and the order of notifications follow from it
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: discard. Ids only, no names or addresses
}

// CalmHeader, with any value, exempts a request from weather and limits: it is for those who make the world go round.
const CalmHeader = graph.CalmHeader

// Weather is how often what goes wrong with requests to Graph. Requests with the CalmHeader meet none of it.
type Weather = weather.Weather

// Duration is a time in a Weather.
type Duration = weather.Duration

// Hostile are the options in weather that a program has to live through: one request in twenty is refused or fails, one in a
// hundred loses its connection, before or after it took effect; one read in twenty comes from a replica that is up to three
// seconds behind; pages have 3 objects; notifications come twice and in any order; the documented limits hold.
func (o Options) Hostile() Options {
	o.Weather = Weather{
		Throttle: 0.02, Fail: 0.02, Cut: 0.003, CutAfter: 0.004, Torn: 0.003, Slow: 0.05, SlowFor: Duration(300 * time.Millisecond),
		Lag: 0.05, LagFor: Duration(3 * time.Second), Forget: 0.01,
		Silent: 0.5, RetryAfter: Duration(2 * time.Second),
	}
	o.Limits = true
	o.PageSize = 3
	o.Notify.Duplicate, o.Notify.Reorder = true, true
	return o
}

// namespace derives ids that are the same in every run.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/tenantsync/tenantsync/shared/entrasim"))

func derivedID(of string) string { return uuid.NewSHA1(namespace, []byte(of)).String() }

// complete fills in what may be left out and refuses what makes no sense.
func (o Options) complete() (Options, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Tenants) == 0 {
		o.Tenants = []Tenant{{Name: "fabrikam-mexico"}, {Name: "fabrikam-us"}, {Name: "contoso"}}
	}
	tenants := make([]Tenant, len(o.Tenants))
	for i, t := range o.Tenants {
		if t.ID == "" {
			t.ID = derivedID("tenant " + strings.ToLower(t.Name))
		}
		t.ID = strings.ToLower(t.ID)
		if t.Roles == nil {
			t.Roles = DefaultRoles
		}
		tenants[i] = t
	}
	o.Tenants = tenants
	o.App = o.App.complete()
	home, err := o.tenant(o.App.HomeTenant)
	if o.App.HomeTenant == "" {
		home, err = o.Tenants[0], nil
	}
	o.App.HomeTenant = home.ID
	return o, errors.Join(err, o.check())
}

func (a App) complete() App {
	if a.ID == "" {
		a.ID = derivedID("application")
	}
	if a.ObjectID == "" {
		a.ObjectID = derivedID("application object")
	}
	if a.Name == "" {
		a.Name = "tenantsync"
	}
	if a.Secret == "" && a.Certificates == nil && a.Federated == nil {
		a.Secret = derivedID("secret")
	}
	return a
}

func (o Options) check() error {
	var errs []error
	seen := map[string]bool{}
	for _, t := range o.Tenants {
		if t.Name == "" {
			errs = append(errs, errors.New("a tenant has no name: set Tenant.Name"))
			continue
		}
		if _, err := uuid.Parse(t.ID); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: the id %q is not a UUID", t.Name, t.ID))
		}
		for _, key := range append(t.domains(), t.ID) {
			if seen[key] {
				errs = append(errs, fmt.Errorf("tenant %s: another tenant has %s as well", t.Name, key))
			}
			seen[key] = true
		}
	}
	for _, id := range []string{o.App.ID, o.App.ObjectID} {
		if _, err := uuid.Parse(id); err != nil {
			errs = append(errs, fmt.Errorf("application: the id %q is not a UUID", id))
		}
	}
	return errors.Join(append(errs, o.Weather.Check())...)
}

// tenant finds a tenant by name or id.
func (o Options) tenant(name string) (Tenant, error) {
	for _, t := range o.Tenants {
		if strings.EqualFold(t.Name, name) || strings.EqualFold(t.ID, name) {
			return t, nil
		}
	}
	return Tenant{}, fmt.Errorf("no tenant has the name or id %q", name)
}
