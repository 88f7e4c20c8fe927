package login

import (
	"net/http"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/jwt"
)

// configuration answers GET /{tenant}/v2.0/.well-known/openid-configuration. Client libraries read the endpoints there and
// insist that the issuer lives on the host they asked.
func (a *Authority) configuration(w http.ResponseWriter, r *http.Request) {
	t, err := a.tenant(r.PathValue("tenant"))
	if err != nil {
		a.fail(w, err)
		return
	}
	base := "https://" + r.Host + "/" + t.ID
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{jwt.ES256},
	})
}

// keys answers GET /{tenant}/discovery/v2.0/keys with the key that tokens are signed with.
func (a *Authority) keys(w http.ResponseWriter, r *http.Request) {
	if _, err := a.tenant(r.PathValue("tenant")); err != nil {
		a.fail(w, err)
		return
	}
	key, err := jwt.PublicJWK(&a.key.PublicKey, a.keyID)
	if err != nil {
		a.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": []jwt.JWK{key}})
}
