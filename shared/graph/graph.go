// Package graph speaks Microsoft Graph for the domain, one tenant at a time. It decides what an answer of Graph means:
// a user, an absence, or a failure with an outcome (package outcome). No SDK type and no SDK error leaves it.
package graph

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/trust"
)

// Defaults of Options.
const (
	PublicAuthority = "https://login.microsoftonline.com/"
	PublicEndpoint  = "https://graph.microsoft.com"
	MyApps          = "https://myapplications.microsoft.com"
)

// Options says where Graph is and who we are there.
type Options struct {
	// AuthorityHost is the sign-in service, https. Empty: PublicAuthority.
	AuthorityHost string
	// Endpoint is the Graph service root without the version, https. Empty: PublicEndpoint.
	Endpoint string
	// ClientID is the application (client) id of the multi-tenant app, which every tenant has consented to.
	ClientID   string
	Credential Credential
	// RedirectURL is where an invited person lands after redemption. Graph demands one. Empty: MyApps.
	RedirectURL string
	// Reads are the attributes to ask for; none are those of the default rules.
	Reads Reads
	// Transport carries the requests to both services. Nil: a pool of our own with the system's trusted roots.
	Transport http.RoundTripper
	Logger    *slog.Logger
	Now       func() time.Time
	// PageWait is how long it takes at most until a page of a long list, which failed for now, is asked for again; 0: 20 s.
	PageWait time.Duration
}

// Graph is Microsoft Graph for every tenant of the installation. It is safe for concurrent use.
type Graph struct {
	options     Options
	reads       Reads
	keyProperty string // Graph name of the app's directory extension "tenantsyncSource", which carries the link key

	mu      sync.Mutex
	tenants map[string]*tenant
}

var (
	_ provisioning.Directories = (*Graph)(nil)
	_ subscription.Service     = (*Graph)(nil)
	_ trust.Reader             = (*Graph)(nil)
)

// New checks the options and finds every mistake at once. It opens no connection.
func New(o Options) (*Graph, error) {
	if o.AuthorityHost == "" {
		o.AuthorityHost = PublicAuthority
	}
	if o.Endpoint == "" {
		o.Endpoint = PublicEndpoint
	}
	if o.RedirectURL == "" {
		o.RedirectURL = MyApps
	}
	if o.Transport == nil {
		o.Transport = pool()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageWait == 0 {
		o.PageWait = 20 * time.Second
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("set up Microsoft Graph: %w", err)
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	return &Graph{
		options:     o,
		reads:       o.Reads.complete(),
		keyProperty: "extension_" + strings.ReplaceAll(o.ClientID, "-", "") + "_tenantsyncSource",
		tenants:     map[string]*tenant{},
	}, nil
}

func (o Options) check() error {
	var mistakes []error
	if o.ClientID == "" {
		mistakes = append(mistakes, errors.New("there is no client id; give the application (client) id of the app registration"))
	}
	for name, address := range map[string]string{"authority host": o.AuthorityHost, "Graph endpoint": o.Endpoint} {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" {
			mistakes = append(mistakes, fmt.Errorf("the %s is %q; write an https address such as %s", name, address, PublicEndpoint))
		}
	}
	return errors.Join(append(mistakes, o.Credential.check())...)
}

// Source gives the tenant the role of a source. Nothing is asked of the tenant yet.
func (g *Graph) Source(tenantID string) (provisioning.Source, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return nil, err
	}
	return source{t}, nil
}

// Target gives the tenant the role of a target. Nothing is asked of the tenant yet.
func (g *Graph) Target(tenantID string) (provisioning.Target, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return nil, err
	}
	return target{t}, nil
}

// tenant returns the one connection to a tenant; it lives as long as g does.
func (g *Graph) tenant(id string) (*tenant, error) {
	id = strings.ToLower(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, ok := g.tenants[id]; ok {
		return t, nil
	}
	t := &tenant{graph: g, id: id}
	client, err := g.connect(id)
	if err != nil {
		return nil, fmt.Errorf("prepare tenant %q: %w", id, err)
	}
	t.client.Store(client)
	g.tenants[id] = t
	return t, nil
}
