package subscription

import (
	"context"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// handshake asks an endpoint whether it wants notifications.
type handshake struct {
	client  *http.Client
	timeout time.Duration
}

// validate posts a token to the endpoint, which must answer 200 with the decoded token as text/plain.
func (h handshake) validate(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if reason := h.try(ctx, endpoint, newToken()); reason != "" {
		return fault.New(http.StatusBadRequest, "InvalidRequest", "Subscription validation request failed. "+
			"Notification endpoint must respond with 200 OK to validation request. (%s)", reason)
	}
	return nil
}

// newToken returns an opaque token that does not survive an endpoint which hands it back undecoded, or decodes it twice.
func newToken() string {
	return "Validation: Testing client application reachability for subscription Request-Id: " + uuid.NewString() +
		" <a+b&c=%20d>"
}

// try returns why the endpoint fails, or nothing.
func (h handshake) try(ctx context.Context, endpoint, token string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, withToken(endpoint, token), http.NoBody)
	if err != nil {
		return "not a URL"
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := h.client.Do(req)
	switch {
	case ctx.Err() != nil:
		return "no answer in time"
	case err != nil:
		return "no connection"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return "no complete answer"
	case resp.StatusCode != http.StatusOK:
		return fmt.Sprintf("the status was %d", resp.StatusCode)
	case mediaType != "text/plain":
		return "the content type was not text/plain"
	// The documents advise endpoints to escape HTML, so an escaped token counts as well.
	case string(body) != token && html.UnescapeString(string(body)) != token:
		return "the body was not the decoded validation token"
	}
	return ""
}

// withToken adds the token to the query of the endpoint, which is kept.
func withToken(endpoint, token string) string {
	separator := "?"
	if strings.Contains(endpoint, "?") {
		separator = "&"
	}
	return endpoint + separator + "validationToken=" + url.QueryEscape(token)
}
