package login

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// refusal is an error of the token endpoint.
type refusal struct {
	status  int
	oauth   string // the error of RFC 6749
	code    int    // of Entra, after AADSTS
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("AADSTS%d: %s", r.code, r.message) }

func refuse(status int, oauth string, code int, format string, args ...any) error {
	return &refusal{status: status, oauth: oauth, code: code, message: fmt.Sprintf(format, args...)}
}

// maxForm bounds the body of a token request.
const maxForm = 64 << 10

// token answers POST /{tenant}/oauth2/v2.0/token.
func (a *Authority) token(w http.ResponseWriter, r *http.Request) {
	tenant, err := a.tenant(r.PathValue("tenant"))
	if err != nil {
		a.fail(w, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		a.fail(w, refuse(http.StatusBadRequest, "invalid_request", 900144, "The request body must be form-encoded."))
		return
	}
	audience, err := a.grant(r, tenant)
	if err != nil {
		a.fail(w, err)
		return
	}
	access, err := a.issue(tenant, audience)
	if err != nil {
		a.fail(w, err)
		return
	}
	seconds := int(tokenLifetime.Seconds())
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": access,
	})
}

// grant decides whether the request deserves a token, and for which resource.
func (a *Authority) grant(r *http.Request, t *Tenant) (audience string, err error) {
	for _, name := range []string{"grant_type", "scope"} {
		if r.PostForm.Get(name) == "" {
			return "", refuse(http.StatusBadRequest, "invalid_request", 900144,
				"The request body must contain the following parameter: '%s'.", name)
		}
	}
	if grantType := r.PostForm.Get("grant_type"); grantType != "client_credentials" {
		return "", refuse(http.StatusBadRequest, "unsupported_grant_type", 70003,
			"The app requested an unsupported grant type '%s'.", grantType)
	}
	clientID, secret := credentials(r)
	switch {
	case clientID == "":
		return "", refuse(http.StatusBadRequest, "invalid_request", 900144,
			"The request body must contain the following parameter: 'client_id'.")
	case !strings.EqualFold(clientID, a.app.ID) || !t.Consented:
		return "", refuse(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '%s' was not "+
			"found in the directory '%s'. This can happen if the application has not been installed by the administrator "+
			"of the tenant or consented to by any user in the tenant.", clientID, t.ID)
	}
	if audience, err = resource(r.PostForm.Get("scope"), r.Host); err != nil {
		return "", err
	}
	return audience, a.authenticate(r, t, secret)
}

// credentials are in the body or, as RFC 6749 prefers, in the Authorization header.
func credentials(r *http.Request) (clientID, secret string) {
	if user, password, ok := r.BasicAuth(); ok {
		clientID, errID := url.QueryUnescape(user)
		secret, errSecret := url.QueryUnescape(password)
		if errID == nil && errSecret == nil {
			return clientID, secret
		}
	}
	return r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
}

func (a *Authority) authenticate(r *http.Request, t *Tenant, secret string) error {
	if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
		return a.checkAssertion(r, t, assertion)
	}
	if secret == "" {
		return refuse(http.StatusUnauthorized, "invalid_client", 7000216,
			"'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
	}
	if a.app.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(a.app.Secret)) != 1 {
		return refuse(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret "+
			"being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", a.app.ID)
	}
	return nil
}

// resource is the audience of a scope: Graph by its address or id, or this server by its own address, which plays Graph.
// The scopes of OpenID Connect, which client libraries add, mean nothing here.
func resource(scope, host string) (string, error) {
	var name string
	for part := range strings.FieldsSeq(scope) {
		if slices.Contains([]string{"openid", "offline_access", "profile"}, part) {
			continue
		}
		base, ok := strings.CutSuffix(part, "/.default")
		if !ok || name != "" {
			return "", refuse(http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope %s is not valid. "+
				"Client credential flows must have a scope value with /.default suffixed to the resource identifier "+
				"(application ID URI).", scope)
		}
		name = strings.TrimSuffix(base, "/")
	}
	switch name {
	case GraphResource, "00000003-0000-0000-c000-000000000000", "https://" + host:
		return GraphResource, nil
	}
	return "", refuse(http.StatusBadRequest, "invalid_resource", 500011,
		"The resource principal named %s was not found in the tenant.", name)
}

// fail answers with the OAuth error of Entra.
func (a *Authority) fail(w http.ResponseWriter, err error) {
	refused := new(refusal)
	if !errors.As(err, &refused) {
		a.logger.Error("token not issued", "error", err)
		refused = &refusal{http.StatusInternalServerError, "server_error", 90033, "A transient error has occurred. Please try again."}
	}
	trace, correlation := uuid.NewString(), uuid.NewString()
	timestamp := a.now().UTC().Format("2006-01-02 15:04:05Z")
	writeJSON(w, refused.status, map[string]any{
		"error": refused.oauth,
		"error_description": fmt.Sprintf("%v Trace ID: %s Correlation ID: %s Timestamp: %s",
			refused, trace, correlation, timestamp),
		"error_codes":    []int{refused.code},
		"timestamp":      timestamp,
		"trace_id":       trace,
		"correlation_id": correlation,
		"error_uri":      fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", refused.code),
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
