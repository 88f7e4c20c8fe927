// Package replay puts dead letters back on their queue, on an administrator's word.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/tenantsync/tenantsync/functions/internal/jsonhttp"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
)

// Route is its address below /api/.
const Route = "replay"

const maxBody = 64 << 10

// Bus replays dead letters: each is sent again before the dead one is completed, so that none is ever lost.
type Bus interface {
	Replay(ctx context.Context, r deadletter.Request) (deadletter.Report, error)
}

// Handler answers POST with a JSON object; every field is optional:
//
//	{"route": "fabrikam-us→contoso", "user": "<object id>", "reason": "ambiguous match", "max": 1000, "dryRun": true}
//
// The answer is a deadletter.Report; 400 says what is wrong with the request, 502 that the bus failed half-way: what was
// counted until then was replayed, and the same request can be made again.
type Handler struct {
	Bus Bus
	Log *slog.Logger
}

type request struct {
	Route  string `json:"route"`
	User   string `json:"user"`
	Reason string `json:"reason"`
	Max    *int   `json:"max"`
	DryRun bool   `json:"dryRun"`
}

type failure struct {
	Error  string            `json:"error"`
	Report deadletter.Report `json:"report"`
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		jsonhttp.RefuseMethod(w, http.MethodPost)
		return
	}
	req, err := decode(w, r)
	if err != nil {
		jsonhttp.Refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	report, err := h.replay(r.Context(), req)
	log := h.Log.With("route", req.Filter.Route, "reason", req.Filter.Reason, "dryRun", req.DryRun,
		"replayed", report.Replayed, "skipped", report.Skipped, "unreadable", report.Broken)
	if err != nil {
		log.ErrorContext(r.Context(), "replay: the bus failed half-way", "error", err)
		jsonhttp.Answer(w, http.StatusBadGateway, failure{Error: err.Error(), Report: report})
		return
	}
	log.InfoContext(r.Context(), "replay")
	jsonhttp.Answer(w, http.StatusOK, report)
}

// replay takes the letters of live changes first, and of the bulk work as many as there may still be.
func (h *Handler) replay(ctx context.Context, req deadletter.Request) (all deadletter.Report, err error) {
	most := req.Max
	for _, queue := range change.Queues() {
		req.Queue, req.Max = queue, most-all.Replayed
		if req.Max == 0 {
			break
		}
		report, err := h.Bus.Replay(ctx, req)
		all.Add(report)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func decode(w http.ResponseWriter, r *http.Request) (deadletter.Request, error) {
	var in request
	err := jsonhttp.Read(w, r, maxBody, &in)
	if err != nil && !errors.Is(err, io.EOF) {
		return deadletter.Request{}, fmt.Errorf("the body is not a replay request: %w; known fields are route, user, reason, max and dryRun", err)
	}
	req := deadletter.Request{
		Queue:  change.QueueChanges,
		Filter: deadletter.Filter{Route: in.Route, User: in.User, Reason: in.Reason},
		Max:    deadletter.DefaultReplay,
		DryRun: in.DryRun,
	}
	if in.Max != nil {
		req.Max = *in.Max
	}
	return req, req.Check()
}
