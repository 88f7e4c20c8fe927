package login

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// skew is how far the clocks of issuer and authority may differ.
const skew = 5 * time.Minute

// assertionClaims are those a client assertion is judged by.
type assertionClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
}

// audience is one string or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func (a audience) holds(want string) bool {
	for _, have := range a {
		if strings.EqualFold(have, want) {
			return true
		}
	}
	return false
}

// checkAssertion accepts a token the application signed itself, or one of a federated issuer.
func (a *Authority) checkAssertion(r *http.Request, t *Tenant, assertion string) error {
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return refuse(http.StatusUnauthorized, "invalid_client", 50027, "The 'client_assertion_type' must be '%s'.", assertionType)
	}
	token, err := jwt.Parse(assertion)
	if err != nil {
		return malformed()
	}
	var claims assertionClaims
	if err := json.Unmarshal(token.Claims, &claims); err != nil {
		return malformed()
	}
	if now := a.now(); claims.Expires == 0 || now.After(time.Unix(claims.Expires, 0).Add(skew)) ||
		now.Before(time.Unix(claims.NotBefore, 0).Add(-skew)) {
		return refuse(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range.")
	}
	if strings.EqualFold(claims.Issuer, a.app.ID) {
		return a.checkOwnAssertion(r, t, token, claims)
	}
	return a.checkFederated(token, claims)
}

// checkOwnAssertion wants issuer and subject to be the application, the audience to be this endpoint, and the signature of a
// registered key.
func (a *Authority) checkOwnAssertion(r *http.Request, t *Tenant, token *jwt.Token, claims assertionClaims) error {
	if !strings.EqualFold(claims.Subject, a.app.ID) {
		return refuse(http.StatusUnauthorized, "invalid_client", 700021,
			"Client assertion application identifier doesn't match 'client_id' parameter.")
	}
	base := "https://" + r.Host + "/"
	if requested := base + r.PathValue("tenant"); !claims.Audience.holds(requested+"/oauth2/v2.0/token") &&
		!claims.Audience.holds(base+t.ID+"/oauth2/v2.0/token") {
		return refuse(http.StatusUnauthorized, "invalid_client", 700023,
			"Client assertion audience claim does not match Realm issuer. The token endpoint is expected.")
	}
	for _, key := range a.app.Certificates {
		if token.Verify(key) == nil {
			return nil
		}
	}
	return badSignature()
}

// checkFederated looks for the credential that names exactly this issuer, subject and audience.
func (a *Authority) checkFederated(token *jwt.Token, claims assertionClaims) error {
	code, what, value := 700211, "issuer", claims.Issuer
	for _, f := range a.app.Federated {
		switch {
		case f.Issuer != claims.Issuer:
			continue
		case f.Subject != claims.Subject:
			code, what, value = 700213, "subject", claims.Subject
			continue
		case !claims.Audience.holds(f.Audience):
			code, what, value = 700212, "audience", strings.Join(claims.Audience, ",")
			continue
		case token.Verify(f.Key) != nil:
			return badSignature()
		}
		return nil
	}
	return refuse(http.StatusUnauthorized, "invalid_client", code,
		"No matching federated identity record found for presented assertion %s '%s'.", what, value)
}

func malformed() error {
	return refuse(http.StatusUnauthorized, "invalid_client", 50027, "JWT token is invalid or malformed.")
}

func badSignature() error {
	return refuse(http.StatusUnauthorized, "invalid_client", 700027, "The signature of the client assertion is invalid.")
}
