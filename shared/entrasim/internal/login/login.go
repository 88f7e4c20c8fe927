// Package login is the token endpoint of Microsoft Entra ID for one application in several tenants. It decides who gets an
// access token (client credentials by secret or signed assertion, in a tenant where the application is consented) and,
// later, whether a token still speaks for its bearer.
package login

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/jwt"
)

// GraphResource is the audience of the tokens.
const GraphResource = "https://graph.microsoft.com"

// tokenLifetime is what Entra gives by default, less a second.
const tokenLifetime = 3599 * time.Second

// Tenant is a tenant in which tokens can be asked for.
type Tenant struct {
	ID        string
	Domains   []string
	Consented bool     // the application has a service principal here
	Roles     []string // application roles granted to it
}

// Federated is a federated identity credential: whoever presents a token of this issuer, subject and audience, signed
// with this key, is the application.
type Federated struct {
	Issuer, Subject, Audience string
	Key                       crypto.PublicKey
}

// App is the application and how it proves itself.
type App struct {
	ID           string
	Secret       string             // empty: no secret is accepted
	Certificates []crypto.PublicKey // keys for client assertions the application signs itself
	Federated    []Federated
}

// Caller is what an access token says.
type Caller struct {
	TenantID string
	AppID    string
	Roles    []string
}

// Authority issues and reads tokens. Safe for concurrent use.
type Authority struct {
	app     App
	tenants []Tenant
	now     func() time.Time
	logger  *slog.Logger
	key     *ecdsa.PrivateKey
	keyID   string
	mux     *http.ServeMux
}

// New returns an authority with a signing key of its own. Requests it does not know go to unknown.
func New(app App, tenants []Tenant, now func() time.Time, logger *slog.Logger, unknown http.Handler) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	a := &Authority{app: app, tenants: tenants, now: now, logger: logger, key: key, keyID: uuid.NewString(), mux: http.NewServeMux()}
	a.mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", a.token)
	a.mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", a.configuration)
	a.mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", a.keys)
	a.mux.Handle("/", unknown)
	return a, nil
}

func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// accessClaims are those of a v1 access token, the kind Graph gets.
type accessClaims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	AppID     string   `json:"appid"`
	IDType    string   `json:"idtyp"`
	ObjectID  string   `json:"oid"`
	Roles     []string `json:"roles,omitempty"`
	Subject   string   `json:"sub"`
	TenantID  string   `json:"tid"`
	UniqueID  string   `json:"uti"`
	Version   string   `json:"ver"`
}

// issue signs a token for the application in the tenant.
func (a *Authority) issue(t *Tenant, audience string) (string, error) {
	now := a.now()
	principal := uuid.NewSHA1(uuid.NameSpaceURL, []byte(t.ID+"/"+a.app.ID)).String()
	return jwt.Sign(a.key, a.keyID, accessClaims{
		Audience:  audience,
		Issuer:    issuerOf(t.ID),
		IssuedAt:  now.Unix(),
		NotBefore: now.Unix(),
		Expires:   now.Add(tokenLifetime).Unix(),
		AppID:     a.app.ID,
		IDType:    "app",
		ObjectID:  principal,
		Roles:     t.Roles,
		Subject:   principal,
		TenantID:  t.ID,
		UniqueID:  uuid.NewString(),
		Version:   "1.0",
	})
}

func issuerOf(tenantID string) string { return "https://sts.windows.net/" + tenantID + "/" }

// TokenError is a reason why Verify refuses a token: the message Graph answers with.
type TokenError string

func (e TokenError) Error() string { return string(e) }

// Reasons why Verify refuses a token.
const (
	ErrEmpty     TokenError = "Access token is empty."
	ErrMalformed TokenError = "CompactToken parsing failed with error code: 80049217"
	ErrSignature TokenError = "Access token validation failure. Invalid signature."
	ErrExpired   TokenError = "Lifetime validation failed, the token is expired."
)

// Verify reads a token this authority issued. It fails with a TokenError.
func (a *Authority) Verify(compact string) (Caller, error) {
	if compact == "" {
		return Caller{}, ErrEmpty
	}
	token, err := jwt.Parse(compact)
	if err != nil {
		return Caller{}, ErrMalformed
	}
	if token.Verify(&a.key.PublicKey) != nil {
		return Caller{}, ErrSignature
	}
	var claims accessClaims
	if err := json.Unmarshal(token.Claims, &claims); err != nil {
		return Caller{}, ErrMalformed
	}
	if a.now().Unix() >= claims.Expires {
		return Caller{}, ErrExpired
	}
	return Caller{TenantID: claims.TenantID, AppID: claims.AppID, Roles: claims.Roles}, nil
}

// tenant finds a tenant by id or verified domain.
func (a *Authority) tenant(name string) (*Tenant, error) {
	for i := range a.tenants {
		t := &a.tenants[i]
		if strings.EqualFold(t.ID, name) ||
			slices.ContainsFunc(t.Domains, func(domain string) bool { return strings.EqualFold(domain, name) }) {
			return t, nil
		}
	}
	return nil, refuse(http.StatusBadRequest, "invalid_request", 90002, "Tenant '%s' not found. Check to make sure you "+
		"have the correct tenant ID and are signing into the correct cloud.", name)
}
