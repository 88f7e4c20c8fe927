package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Credential proves that we are the application. Exactly one field is set.
type Credential struct {
	// ClientSecret is a secret of the app registration: the fallback where there is no managed identity.
	ClientSecret string
	// Assertion returns a fresh client assertion, as ManagedIdentityAssertion does. It is called from several goroutines.
	Assertion func(context.Context) (string, error)
}

func (c Credential) check() error {
	switch {
	case c.ClientSecret == "" && c.Assertion == nil:
		return errors.New("there is no credential; give a managed identity (federated credential) or a client secret")
	case c.ClientSecret != "" && c.Assertion != nil:
		return errors.New("there are two credentials; give either a managed identity or a client secret")
	}
	return nil
}

// tokenExchange is the audience that Entra expects of an assertion it did not issue for itself (workload identity federation).
const tokenExchange = "api://AzureADTokenExchange/.default"

// ManagedIdentityAssertion returns assertions of a user-assigned managed identity, which the app registration must
// list as a federated credential. clientID is the identity's. The identity service is only asked when an assertion is wanted.
func ManagedIdentityAssertion(clientID string) (func(context.Context) (string, error), error) {
	if clientID == "" {
		return nil, errors.New("use a managed identity: there is no client id; only a user-assigned identity can be a federated credential")
	}
	identity, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(clientID)})
	if err != nil {
		return nil, fmt.Errorf("use managed identity %s: %w", clientID, err)
	}
	return func(ctx context.Context) (string, error) {
		token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{tokenExchange}})
		return token.Token, err
	}, nil
}

// credential makes what signs in to one tenant. It keeps its tokens, so there is one per tenant.
func (g *Graph) credential(tenantID string) (azcore.TokenCredential, error) {
	o := g.options
	client := policy.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: o.AuthorityHost},
		Transport: &http.Client{Transport: o.Transport},
		// The message on the bus is what is tried again, with a delay that holds no worker.
		Retry: policy.RetryOptions{MaxRetries: -1},
	}
	// Microsoft's instance discovery only knows Microsoft's own authorities.
	private := !microsoft(o.AuthorityHost)
	if o.Credential.ClientSecret != "" {
		return azidentity.NewClientSecretCredential(tenantID, o.ClientID, o.Credential.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: private})
	}
	return azidentity.NewClientAssertionCredential(tenantID, o.ClientID, o.Credential.Assertion,
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: private})
}

// scope is what a token is asked for: everything that was consented to on this cloud's Graph. A service that stands
// in for Graph elsewhere is asked for the public cloud's.
func (g *Graph) scope() string {
	if microsoft(g.options.Endpoint) {
		return g.options.Endpoint + "/.default"
	}
	return PublicEndpoint + "/.default"
}

// microsoft reports whether an address belongs to one of Microsoft's clouds.
func microsoft(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	for _, domain := range []string{".microsoft.com", ".microsoft.us", ".microsoftonline.com", ".microsoftonline.us", ".microsoftonline.cn", ".chinacloudapi.cn"} {
		if strings.HasSuffix(strings.ToLower(u.Hostname()), domain) {
			return true
		}
	}
	return false
}
