package entrasim_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/jwt"
)

// clientOptions point azidentity at the simulator.
func (w *world) clientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: w.URL()},
		Transport: w.client,
	}
}

var graphScope = policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}

// readWith uses a token of an unmodified client library for a Graph call.
func (w *world) readWith(credential azcore.TokenCredential) {
	w.t.Helper()
	token, err := credential.GetToken(context.Background(), graphScope)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.send("GET", w.URL()+"/v1.0/users", http.Header{"Authorization": {"Bearer " + token.Token}}, nil)
	if r.status != http.StatusOK {
		w.t.Fatalf("the token was not accepted: %d %s", r.status, r.text)
	}
}

func TestClientSecretCredential(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	for _, tenant := range []string{w.tenantID("contoso"), "contoso.onmicrosoft.com"} {
		credential, err := azidentity.NewClientSecretCredential(tenant, w.App().ID, w.App().Secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: w.clientOptions(), DisableInstanceDiscovery: true})
		if err != nil {
			t.Fatal(err)
		}
		w.readWith(credential)
	}
}

func TestClientCertificateCredential(t *testing.T) {
	key := rsaKey(t)
	w := newWorld(t, entrasim.Options{
		App: entrasim.App{Certificates: []crypto.PublicKey{&key.PublicKey}},
		Now: time.Now, // azidentity dates its assertions by the machine's clock
	})
	credential, err := azidentity.NewClientCertificateCredential(w.tenantID("contoso"), w.App().ID, selfSigned(t, key), key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: w.clientOptions(), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	w.readWith(credential)
}

// federated is a managed identity's token as the workload presents it.
var federated = map[string]any{
	"iss": "https://login.microsoftonline.com/home/v2.0", "sub": "principal", "aud": "api://AzureADTokenExchange",
	"nbf": time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC).Unix(), "exp": time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC).Unix(),
}

func federatedWorld(t *testing.T, key *rsa.PrivateKey) *world {
	return newWorld(t, entrasim.Options{App: entrasim.App{Federated: []entrasim.FederatedCredential{{
		Issuer: federated["iss"].(string), Subject: federated["sub"].(string), Key: &key.PublicKey,
	}}}})
}

func TestClientAssertionCredential(t *testing.T) {
	key := rsaKey(t)
	w := federatedWorld(t, key)
	credential, err := azidentity.NewClientAssertionCredential(w.tenantID("contoso"), w.App().ID,
		func(context.Context) (string, error) { return rs256(t, key, federated), nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: w.clientOptions(), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	w.readWith(credential)
}

func TestAssertionsAreRefused(t *testing.T) {
	key, other := rsaKey(t), rsaKey(t)
	w := federatedWorld(t, key)
	for name, tc := range map[string]struct {
		key     *rsa.PrivateKey
		replace map[string]any
		code    int
	}{
		"of another issuer":                {key, map[string]any{"iss": "https://elsewhere"}, 700211},
		"of another subject":               {key, map[string]any{"sub": "somebody else"}, 700213},
		"for another audience":             {key, map[string]any{"aud": "https://graph.microsoft.com"}, 700212},
		"signed by another key":            {other, nil, 700027},
		"too old":                          {key, map[string]any{"exp": 1}, 700024},
		"without an expiry":                {key, map[string]any{"exp": 0}, 700024},
		"of the app without a certificate": {key, map[string]any{"iss": w.App().ID, "sub": w.App().ID, "aud": w.URL() + "/contoso.onmicrosoft.com/oauth2/v2.0/token"}, 700027},
		"for the app of another name":      {key, map[string]any{"iss": w.App().ID, "sub": "somebody else"}, 700021},
		"of the app for another endpoint":  {key, map[string]any{"iss": w.App().ID, "sub": w.App().ID}, 700023},
	} {
		t.Run(name, func(t *testing.T) {
			claims := map[string]any{}
			for _, layer := range []map[string]any{federated, tc.replace} {
				for k, v := range layer {
					claims[k] = v
				}
			}
			r := w.askToken("contoso.onmicrosoft.com", map[string]string{
				"client_assertion": rs256(t, tc.key, claims), "client_secret": "",
				"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			})
			checkOAuth(t, r, http.StatusUnauthorized, "invalid_client", tc.code)
		})
	}
}

func TestTokenRequestsAreRefused(t *testing.T) {
	w := newWorld(t, entrasim.Options{Tenants: []entrasim.Tenant{{Name: "contoso"}, {Name: "stranger", NoConsent: true}}})
	for name, tc := range map[string]struct {
		tenant  string
		replace map[string]string
		status  int
		oauth   string
		code    int
	}{
		"a wrong secret":                  {"contoso.onmicrosoft.com", map[string]string{"client_secret": "guess"}, 401, "invalid_client", 7000215},
		"no credential":                   {"contoso.onmicrosoft.com", map[string]string{"client_secret": ""}, 401, "invalid_client", 7000216},
		"an unknown application":          {"contoso.onmicrosoft.com", map[string]string{"client_id": "5b31c38c-2584-42f0-aa47-657fb3a84230"}, 400, "unauthorized_client", 700016},
		"a tenant that did not consent":   {"stranger.onmicrosoft.com", nil, 400, "unauthorized_client", 700016},
		"an unknown tenant":               {"nowhere.onmicrosoft.com", nil, 400, "invalid_request", 90002},
		"another grant":                   {"contoso.onmicrosoft.com", map[string]string{"grant_type": "password"}, 400, "unsupported_grant_type", 70003},
		"a scope without default":         {"contoso.onmicrosoft.com", map[string]string{"scope": "User.Read.All"}, 400, "invalid_scope", 1002012},
		"a scope of another resource":     {"contoso.onmicrosoft.com", map[string]string{"scope": "https://vault.azure.net/.default"}, 400, "invalid_resource", 500011},
		"a missing scope":                 {"contoso.onmicrosoft.com", map[string]string{"scope": ""}, 400, "invalid_request", 900144},
		"an assertion of no known format": {"contoso.onmicrosoft.com", map[string]string{"client_assertion": "x.y.z", "client_assertion_type": "x"}, 401, "invalid_client", 50027},
		"an assertion that is none":       {"contoso.onmicrosoft.com", map[string]string{"client_assertion": "x.y.z", "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, 401, "invalid_client", 50027},
	} {
		t.Run(name, func(t *testing.T) {
			checkOAuth(t, w.askToken(tc.tenant, tc.replace), tc.status, tc.oauth, tc.code)
		})
	}
}

func checkOAuth(t *testing.T, r reply, status int, oauth string, code int) {
	t.Helper()
	codes, _ := r.body["error_codes"].([]any)
	description, _ := r.body["error_description"].(string)
	if r.status != status || r.body["error"] != oauth || len(codes) != 1 || codes[0] != float64(code) ||
		!strings.HasPrefix(description, fmt.Sprintf("AADSTS%d: ", code)) {
		t.Errorf("got %d %s, want %d %s AADSTS%d", r.status, r.text, status, oauth, code)
	}
}

func TestTokenSaysWhoMayDoWhat(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	part := strings.Split(w.token("contoso"), ".")[1]
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Aud, Iss, Tid, AppID string
		Roles                []string
		Exp                  int64
	}
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Aud != "https://graph.microsoft.com" || claims.Tid != w.tenantID("contoso") || claims.AppID != w.App().ID ||
		claims.Iss != "https://sts.windows.net/"+claims.Tid+"/" || claims.Exp != w.clock.Now().Unix()+3599 ||
		strings.Join(claims.Roles, " ") != strings.Join(entrasim.DefaultRoles, " ") {
		t.Errorf("got %+v", claims)
	}
}

func TestGraphWantsAToken(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	token := w.token("contoso")
	for name, authorization := range map[string]string{
		"missing":     "",
		"garbage":     "Bearer garbage",
		"another way": "Basic " + token,
		"tampered":    "Bearer " + strings.Split(token, ".")[0] + ".e30." + strings.Split(token, ".")[2],
	} {
		t.Run(name, func(t *testing.T) {
			r := w.send("GET", w.URL()+"/v1.0/users", http.Header{"Authorization": {authorization}}, nil)
			if code, _ := r.fault(); r.status != http.StatusUnauthorized || code != "InvalidAuthenticationToken" {
				t.Errorf("got %d %s", r.status, r.text)
			}
		})
	}
	w.clock.advance(3598 * time.Second)
	w.must(http.StatusOK, "contoso", "GET", "/users", nil)
	w.clock.advance(time.Second)
	w.refused(http.StatusUnauthorized, "InvalidAuthenticationToken", "contoso", "GET", "/users", nil)
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rs256(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func selfSigned(t *testing.T, key *rsa.PrivateKey) []*x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{certificate}
}

func TestPublishedKeysVerifyTokens(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(w.CAPEM()) {
		t.Fatal("CAPEM holds no certificate")
	}
	w.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer w.client.CloseIdleConnections()

	configuration := w.send("GET", w.URL()+"/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration", nil, nil)
	keys, _ := w.send("GET", configuration.body["jwks_uri"].(string), nil, nil).body["keys"].([]any)
	if len(keys) != 1 {
		t.Fatalf("the keys are %v", keys)
	}
	coordinate := func(name string) []byte {
		data, err := base64.RawURLEncoding.DecodeString(keys[0].(map[string]any)[name].(string))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, coordinate("x")...), coordinate("y")...))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(w.token("contoso"))
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Verify(key); err != nil || token.Header.KeyID != keys[0].(map[string]any)["kid"] {
		t.Errorf("the token of key %s does not fit %v: %v", token.Header.KeyID, keys[0], err)
	}
}

func TestCredentialsInTheHeader(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	ask := func(secret string) reply {
		basic := base64.StdEncoding.EncodeToString([]byte(w.App().ID + ":" + secret))
		return w.send("POST", w.URL()+"/contoso.onmicrosoft.com/oauth2/v2.0/token", http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Basic " + basic},
		}, []byte("grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"))
	}
	if r := ask(w.App().Secret); r.status != http.StatusOK {
		t.Errorf("got %d %s", r.status, r.text)
	}
	checkOAuth(t, ask("guess"), http.StatusUnauthorized, "invalid_client", 7000215)
}
