package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// certificate is one that nobody else trusts, of 127.0.0.1.
var certificate = sync.OnceValue(func() *httptest.Server {
	s := httptest.NewTLSServer(nil) // only for its certificate
	s.Close()
	return s
})

// trusting is the TLS configuration of clients.
func trusting() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Certificate())
	return &tls.Config{RootCAs: roots}
}

// startSecure is start with TLS, which the admin client insists on.
func startSecure(t testing.TB, options broker.Options) *broker.Server {
	t.Helper()
	options.TLS = &tls.Config{Certificates: certificate().TLS.Certificates}
	return start(t, options)
}

// adminRig is a server and the unmodified admin client.
type adminRig struct {
	t      testing.TB
	ctx    context.Context
	server *broker.Server
	client *admin.Client
	http   *http.Client
}

func administer(t testing.TB, s *broker.Server, key string) *adminRig {
	t.Helper()
	return administerWith(t, s, s.ConnectionString(key))
}

func administerWith(t testing.TB, s *broker.Server, connectionString string) *adminRig {
	t.Helper()
	a := newAdminRig(t, s)
	client, err := admin.NewClientFromConnectionString(connectionString, a.options())
	a.must(err)
	a.client = client
	return a
}

func newAdminRig(t testing.TB, s *broker.Server) *adminRig {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	transport := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &adminRig{t: t, ctx: ctx, server: s, http: &http.Client{Transport: transport}}
}

func (a *adminRig) options() *admin.ClientOptions {
	return &admin.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: a.http, Retry: policy.RetryOptions{MaxRetries: -1},
	}}
}

func (a *adminRig) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *adminRig) create(name string, properties admin.QueueProperties) admin.QueueProperties {
	a.t.Helper()
	created, err := a.client.CreateQueue(a.ctx, name, &admin.CreateQueueOptions{Properties: &properties})
	a.must(err)
	return created.QueueProperties
}

func (a *adminRig) get(name string) *admin.GetQueueResponse {
	a.t.Helper()
	got, err := a.client.GetQueue(a.ctx, name, nil)
	a.must(err)
	return got
}

// wantRefusal checks the status of a refused request, and that its text has the parts.
func wantRefusal(t testing.TB, err error, status int, parts ...string) {
	t.Helper()
	refused, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || refused.StatusCode != status {
		t.Errorf("error %v, want status %d", err, status)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not mention %q", err, part)
		}
	}
}

// request sends a request that the client would not send, with a token of the key, and returns the answer.
func (a *adminRig) request(method, path, key, body string) (*http.Response, string) {
	a.t.Helper()
	url := "https://" + a.server.Addr() + path
	r, err := http.NewRequestWithContext(a.ctx, method, url, strings.NewReader(body))
	a.must(err)
	if key != "" {
		r.Header.Set("Authorization", signature(url, key, keys[key].Secret, time.Now().Add(time.Hour)))
	}
	return a.do(r)
}

func (a *adminRig) do(r *http.Request) (*http.Response, string) {
	a.t.Helper()
	response, err := a.http.Do(r)
	a.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a.must(err)
	return response, string(text)
}

// anyToken is a credential whose token the broker cannot verify.
type anyToken struct{}

func (anyToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "x.y.z", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// connectionString is what a client needs that has a key of a queue.
func connectionString(s *broker.Server, name, secret string) string {
	return fmt.Sprintf("Endpoint=sb://%s;SharedAccessKeyName=%s;SharedAccessKey=%s;UseDevelopmentEmulator=true", s.Addr(), name, secret)
}

// connectWith is connect with a connection string of the test's own.
func connectWith(t testing.TB, s *broker.Server, connectionString string) *rig {
	t.Helper()
	client, err := sb.NewClientFromConnectionString(connectionString, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rigFor(t, s, client)
}

// rigFor is a rig with a client of the test's own.
func rigFor(t testing.TB, s *broker.Server, client *sb.Client) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = client.Close(ctx)
	})
	return &rig{t, ctx, s, client}
}

func (r *rig) senderTo(queue string) *sb.Sender {
	r.t.Helper()
	s, err := r.client.NewSender(queue, nil)
	r.must(err)
	return s
}

func (r *rig) receiverOf(queue string) *sb.Receiver {
	r.t.Helper()
	recv, err := r.client.NewReceiverForQueue(queue, nil)
	r.must(err)
	return recv
}

// sendTo sends one message to a queue other than orders.
func (r *rig) sendTo(queue string) {
	r.t.Helper()
	r.must(r.senderTo(queue).SendMessage(r.ctx, message("1"), nil))
}
