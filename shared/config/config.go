// Package config decides what this program runs with: one file for what is wanted, the environment for endpoints and
// secrets. It finds every mistake at once and says where each stands and what to write instead.
package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"sort"
	"strings"
)

// Config is a checked configuration.
type Config struct {
	File
	Graph Graph
	Bus   Bus
	// ClientStateKey is what the clientState of subscriptions is derived from; PreviousClientStateKey is still accepted.
	ClientStateKey, PreviousClientStateKey []byte
	// AdminKey opens the functions for administrators on a host that does not keep function keys itself.
	AdminKey string
	// PublicURL is where Graph reaches this program, without a path.
	PublicURL string
	// DataDir is where links, leases and the journal are kept.
	DataDir string
}

// CheckPublicURL refuses a public URL that Graph could not call. Its error is a Mistake.
func (c *Config) CheckPublicURL() error {
	u, err := url.Parse(c.PublicURL)
	if err == nil && u.Host != "" && u.Path == "" && (u.Scheme == "https" || u.Scheme == "http" && net.ParseIP(u.Hostname()).IsLoopback()) {
		return nil
	}
	return Mistake{File: "environment", Text: fmt.Sprintf(
		"%q is no address that Graph can reach; set %s (or --public-url) to one such as https://sync.contoso.com, without a path", c.PublicURL, EnvPublicURL)}
}

// Graph says where Microsoft Graph is and who we are there.
type Graph struct {
	// AuthorityHost and Endpoint are https addresses; empty means the global cloud.
	AuthorityHost string
	Endpoint      string
	ClientID      string
	// Exactly one of the two is set.
	ClientSecret            string
	ManagedIdentityClientID string
}

// Bus says where Service Bus is. All empty: nowhere, so that a single process brings its own.
type Bus struct {
	ConnectionString        string
	Namespace               string
	ManagedIdentityClientID string
}

// Configured reports whether a bus is named.
func (b Bus) Configured() bool { return b.ConnectionString != "" || b.Namespace != "" }

// Names of the settings, in the environment or as app settings. ServiceBusConnection is the name that the trigger of
// the Functions host reads too, so the two can never differ.
const (
	EnvAuthorityHost     = "TENANTSYNC_AUTHORITY_HOST"
	EnvGraphEndpoint     = "TENANTSYNC_GRAPH_ENDPOINT"
	EnvClientID          = "TENANTSYNC_CLIENT_ID"
	EnvClientSecret      = "TENANTSYNC_CLIENT_SECRET"
	EnvManagedIdentity   = "TENANTSYNC_MANAGED_IDENTITY_CLIENT_ID"
	EnvClientStateKey    = "TENANTSYNC_CLIENT_STATE_KEY"
	EnvClientStateBefore = "TENANTSYNC_CLIENT_STATE_KEY_PREVIOUS"
	EnvAdminKey          = "TENANTSYNC_ADMIN_KEY"
	EnvPublicURL         = "TENANTSYNC_PUBLIC_URL"
	EnvDataDir           = "TENANTSYNC_DATA"
	EnvConfigFile        = "TENANTSYNC_CONFIG"
	EnvBus               = "ServiceBusConnection"
	EnvBusNamespace      = "ServiceBusConnection__fullyQualifiedNamespace"
	EnvBusIdentity       = "ServiceBusConnection__clientId"
)

// Mistake is one thing to mend. Line is 0 for what is not in the file.
type Mistake struct {
	File string
	Line int
	Text string
}

func (m Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
}

// Invalid is all mistakes of a configuration, in the order of the file.
type Invalid []Mistake

func (i Invalid) Error() string {
	lines := make([]string, len(i))
	for n, m := range i {
		lines[n] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads the file and the environment. Its error is Invalid when something has to be mended there.
func Load(path string, getenv func(string) string) (*Config, error) {
	doc, mistakes := read(path)
	if doc == nil {
		return nil, Invalid(mistakes)
	}
	c := &Config{File: doc.file()}
	mistakes = append(mistakes, c.environment(path, doc.Line("tenants"), getenv)...)
	if len(mistakes) > 0 {
		return nil, inOrder(mistakes)
	}
	return c, nil
}

// inOrder sorts mistakes by their line; what is not in the file comes last.
func inOrder(mistakes []Mistake) Invalid {
	sort.SliceStable(mistakes, func(i, j int) bool { return order(mistakes[i]) < order(mistakes[j]) })
	return mistakes
}

func order(m Mistake) int {
	if m.Line == 0 {
		return math.MaxInt
	}
	return m.Line
}

func (c *Config) environment(path string, tenantsLine int, getenv func(string) string) (mistakes []Mistake) {
	c.Graph = Graph{
		AuthorityHost: getenv(EnvAuthorityHost), Endpoint: strings.TrimRight(getenv(EnvGraphEndpoint), "/"),
		ClientID: getenv(EnvClientID), ClientSecret: getenv(EnvClientSecret), ManagedIdentityClientID: getenv(EnvManagedIdentity),
	}
	c.Bus = Bus{ConnectionString: getenv(EnvBus), Namespace: getenv(EnvBusNamespace), ManagedIdentityClientID: getenv(EnvBusIdentity)}
	c.ClientStateKey, c.PreviousClientStateKey = []byte(getenv(EnvClientStateKey)), []byte(getenv(EnvClientStateBefore))
	c.AdminKey, c.PublicURL, c.DataDir = getenv(EnvAdminKey), strings.TrimRight(getenv(EnvPublicURL), "/"), getenv(EnvDataDir)

	// The credential serves every tenant, so a missing one is reported where the tenants begin.
	atTenants := func(text string) { mistakes = append(mistakes, Mistake{path, tenantsLine, text}) }
	inEnv := func(text string) { mistakes = append(mistakes, Mistake{File: "environment", Text: text}) }
	if c.Graph.ClientID == "" {
		atTenants("there is no application to reach these tenants with; set " + EnvClientID + " to the client ID of the app registration")
	}
	switch {
	case c.Graph.ClientSecret == "" && c.Graph.ManagedIdentityClientID == "":
		atTenants("there is no credential to reach these tenants with; set " + EnvManagedIdentity + " to the client ID of a user-assigned managed identity that the app trusts, or " + EnvClientSecret)
	case c.Graph.ClientSecret != "" && c.Graph.ManagedIdentityClientID != "":
		inEnv("both " + EnvClientSecret + " and " + EnvManagedIdentity + " are set; unset one of them")
	}
	if c.Bus.ConnectionString != "" && c.Bus.Namespace != "" {
		inEnv("both " + EnvBus + " and " + EnvBusNamespace + " are set; unset one of them")
	}
	for _, u := range []struct{ name, value string }{{EnvAuthorityHost, c.Graph.AuthorityHost}, {EnvGraphEndpoint, c.Graph.Endpoint}} {
		if u.value != "" && !strings.HasPrefix(u.value, "https://") {
			inEnv(fmt.Sprintf("%s is %q; write an address that begins with https://", u.name, u.value))
		}
	}
	return mistakes
}
