package graph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	kiotaauth "github.com/microsoft/kiota-authentication-azure-go"
	kiotahttp "github.com/microsoft/kiota-http-go"
	msgraph "github.com/microsoftgraph/msgraph-sdk-go"
	msgraphcore "github.com/microsoftgraph/msgraph-sdk-go-core"

	"github.com/tenantsync/tenantsync/shared/outcome"
)

// requestLimit bounds one request, sign-in included. Graph answers in well under a second, and takes up to two
// validation handshakes of ten seconds to create a subscription.
const requestLimit = 30 * time.Second

type sdk = msgraph.GraphBaseServiceClient

// tenant is the connection to one tenant.
type tenant struct {
	graph  *Graph
	id     string
	client atomic.Pointer[sdk]
}

// request names what is being done, for the sentence that says why it failed.
type request struct {
	verb   string // "read user"
	object string // id of what it is done to; empty when that is not one object
	// long: it is a page of a long list, which would have to begin anew.
	long bool
}

// call runs one request and translates its failure.
func (t *tenant) call(ctx context.Context, r request, do func(context.Context, *sdk) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	client := t.client.Load()
	err := do(ctx, client)
	if err == nil {
		return nil
	}
	err = t.translate(ctx, r, err)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusUnauthorized {
		t.signInAgain(client)
	}
	return err
}

// ask is call for a request whose answer has a body. The SDK makes nil of an empty one.
func ask[T any](ctx context.Context, t *tenant, r request, do func(context.Context, *sdk) (T, error)) (answer T, err error) {
	err = t.call(ctx, r, func(ctx context.Context, c *sdk) (err error) {
		answer, err = do(ctx, c)
		return err
	})
	if err == nil && any(answer) == nil {
		err = t.unexpected(r, "the answer is empty")
	}
	return answer, err
}

// pageTries is how often a page of a long list is asked for.
const pageTries = 4

// askPage is ask, and asks for a page of a long list again when that fails for now.
func askPage[T any](ctx context.Context, t *tenant, r request, do func(context.Context, *sdk) (T, error)) (answer T, err error) {
	for try := 1; ; try++ {
		answer, err = ask(ctx, t, r, do)
		o := outcome.Of(err)
		if !r.long || try == pageTries || o.Kind == outcome.Done || o.Kind == outcome.Terminal || expired(err) {
			return answer, err
		}
		timer := time.NewTimer(min(max(o.Delay, outcome.Backoff(try, 0)), t.graph.options.PageWait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		}
	}
}

// unexpected is a success that cannot be one.
func (t *tenant) unexpected(r request, what string) error {
	return outcome.RetryAfter(0, codeUnexpected, errors.New(sentence(r, t.id)+": "+what))
}

// write is call for a request that changes one object.
func (t *tenant) write(ctx context.Context, r request, do func(context.Context, *sdk) error) error {
	if err := t.identified(r); err != nil {
		return err
	}
	return t.call(ctx, r, do)
}

// identified refuses an empty id, which would address the whole collection.
func (t *tenant) identified(r request) error {
	if r.object == "" {
		return outcome.Fail(codeRefused, errors.New(sentence(r, t.id)+": no id was given"))
	}
	return nil
}

// signInAgain drops the credential that got a token which Graph does not accept, for the SDK keeps a token until it expires.
func (t *tenant) signInAgain(used *sdk) {
	client, err := t.graph.connect(t.id)
	if err != nil {
		t.graph.options.Logger.Error("cannot sign in again", "tenant", t.id, "error", err)
		return
	}
	if t.client.CompareAndSwap(used, client) {
		t.graph.options.Logger.Warn("Graph refused our token; signing in again", "tenant", t.id)
	}
}

// connect puts an SDK client for one tenant together. No request is sent.
func (g *Graph) connect(tenantID string) (*sdk, error) {
	credential, err := g.credential(tenantID)
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(g.options.Endpoint)
	if err != nil {
		return nil, err
	}
	// The SDK sends the token to these hosts only; it compares without the port.
	auth, err := kiotaauth.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(
		credential, []string{g.scope()}, []string{endpoint.Hostname()})
	if err != nil {
		return nil, err
	}
	adapter, err := msgraph.NewGraphRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		auth, nil, nil, g.httpClient(tenantID))
	if err != nil {
		return nil, err
	}
	adapter.SetBaseUrl(g.options.Endpoint + "/v1.0")
	// A nil backing store factory keeps the SDK's default; naming it would write a global variable that other tenants read.
	return msgraph.NewGraphBaseServiceClient(adapter, nil), nil
}

// httpClient is the SDK's client without its retries and without compression of our tiny bodies.
func (g *Graph) httpClient(tenantID string) *http.Client {
	options := msgraph.GetDefaultClientOptions()
	return &http.Client{
		Transport: kiotahttp.NewCustomTransportWithParentTransport(
			exchange{next: g.options.Transport, tenant: tenantID, logger: g.options.Logger, now: g.options.Now},
			msgraphcore.NewGraphTelemetryHandler(&options), // client-request-id
			kiotahttp.NewRedirectHandler(),
			kiotahttp.NewParametersNameDecodingHandler(),
			kiotahttp.NewUserAgentHandlerWithOptions(&kiotahttp.UserAgentHandlerOptions{Enabled: true, ProductName: "tenantsync", ProductVersion: "1"}),
		),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// pool is the default transport with as many idle connections as we have workers: they all talk to two hosts.
func pool() http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 256, 128
	return transport
}
