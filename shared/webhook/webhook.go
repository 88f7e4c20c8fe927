// Package webhook answers what Microsoft Graph posts to the addresses of a subscription: the validation handshake, and lists of items.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/tenantsync/tenantsync/shared/subscription"
)

// MaxBody bounds a POST, in bytes. A thousand notifications are about 700 kB.
const MaxBody = 4 << 20

// Serve answers a request. accept gets the items of a list and returns the HTTP status.
func Serve(w http.ResponseWriter, r *http.Request, accept func(ctx context.Context, items []json.RawMessage) int) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Graph posts here; use POST", http.StatusMethodNotAllowed)
		return
	}
	if query := r.URL.Query(); query.Has("validationToken") {
		// Decoded by Query, sent as plain text, so that nothing in it is ever taken for markup.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, query.Get("validationToken"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "the body is larger than 4 MiB", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body could not be read to its end", http.StatusBadRequest)
		return
	}
	items, err := subscription.DecodeEnvelope(body)
	if err != nil {
		http.Error(w, `this is not {"value":[…]} as Graph posts it`, http.StatusBadRequest)
		return
	}
	w.WriteHeader(accept(r.Context(), items))
}
