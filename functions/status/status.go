// Package status shows administrators, and whatever monitors, how the installation is doing.
package status

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/tenantsync/tenantsync/functions/internal/jsonhttp"
	"github.com/tenantsync/tenantsync/shared/status"
)

// Route is its address below /api/.
const Route = "status"

// Reporter makes reports.
type Reporter interface {
	Report(ctx context.Context) (status.Report, error)
}

// Handler answers GET with a status.Report. 500 says that something could not be looked at.
type Handler struct {
	Reporter Reporter
	Log      *slog.Logger
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		jsonhttp.RefuseMethod(w, http.MethodGet)
		return
	}
	report, err := h.Reporter.Report(r.Context())
	if err != nil {
		h.Log.ErrorContext(r.Context(), "status: something cannot be looked at", "error", err)
		jsonhttp.Refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	jsonhttp.Answer(w, http.StatusOK, report)
}
