// Package guard shows the departures that the guard holds, and lets an administrator decide about them.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenantsync/tenantsync/functions/internal/jsonhttp"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Route is its address below /api/.
const Route = "guard"

const (
	maxBody  = 1 << 20
	sendTime = 30 * time.Second
)

// Store keeps the departures that are held.
type Store interface {
	// Held lists those of a route, the oldest first; "" is all routes.
	Held(ctx context.Context, route string) ([]guard.Held, error)
	// Decide approves or rejects those of users, or of all, and returns whose they are.
	Decide(ctx context.Context, route string, users []string, approve bool) ([]string, error)
}

// Bus takes the changes that carry out what was approved.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Handler answers GET, with ?route= or without, with {"held": [guard.Held…]}, and POST of a Decision with {"decided": ["<object id>"…]}: those
// of the users who were held. What is approved is looked at anew at once: it happens if the rules still ask for it. 502 says that the bus
// failed: the decision stands, and the same request can be made again.
type Handler struct {
	Topology *tenant.Topology
	Store    Store
	Bus      Bus
	Now      func() time.Time
	Log      *slog.Logger
}

// Decision is what an administrator says about departures that are held.
type Decision struct {
	Route string   `json:"route"`
	Users []string `json:"users,omitempty"` // object ids in the source
	// All, in place of Users, is all of the route; approving all leaves out those that were rejected.
	All      bool   `json:"all,omitempty"`
	Decision string `json:"decision"` // approve or reject
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		h.list(w, r)
	case http.MethodPost:
		h.decide(w, r)
	default:
		jsonhttp.RefuseMethod(w, http.MethodGet, http.MethodPost)
	}
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) {
	held, err := h.Store.Held(r.Context(), r.URL.Query().Get("route"))
	if err != nil {
		h.Log.ErrorContext(r.Context(), "guard: the list cannot be read", "error", err)
		jsonhttp.Refuse(w, http.StatusInternalServerError, "the list cannot be read; the log says why")
		return
	}
	if held == nil {
		held = []guard.Held{}
	}
	jsonhttp.Answer(w, http.StatusOK, map[string]any{"held": held})
}

func (h *Handler) decide(w http.ResponseWriter, r *http.Request) {
	d, err := h.read(w, r)
	if err != nil {
		jsonhttp.Refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	approve := d.Decision == "approve"
	decided, err := h.Store.Decide(r.Context(), d.Route, d.Users, approve)
	log := h.Log.With("route", d.Route, "decision", d.Decision, "users", decided)
	if err != nil {
		log.ErrorContext(r.Context(), "guard: the decision cannot be stored", "error", err)
		jsonhttp.Refuse(w, http.StatusInternalServerError, "the decision cannot be stored; the log says why")
		return
	}
	if approve && len(decided) > 0 {
		// Whoever asked may have gone, and the decision stands.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), sendTime)
		defer cancel()
		if err := h.Bus.Send(ctx, change.QueueChanges, h.changes(d.Route, decided)); err != nil {
			log.ErrorContext(r.Context(), "guard: the bus failed", "error", err)
			jsonhttp.Refuse(w, http.StatusBadGateway, "the bus failed; the decision stands, make the same request again")
			return
		}
	}
	log.InfoContext(r.Context(), "guard")
	if decided == nil {
		decided = []string{}
	}
	jsonhttp.Answer(w, http.StatusOK, map[string]any{"decided": decided})
}

// changes are looks at the users whose departure was approved.
func (h *Handler) changes(route string, users []string) []change.Change {
	now := h.Now()
	changes := make([]change.Change, len(users))
	for i, user := range users {
		changes[i] = change.Change{
			Route: route, User: user, Cause: change.CauseApproved, Key: change.Key("guard", route, user, now.Format(time.RFC3339Nano)), ArrivedAt: now,
			Deleted: true, // a claim to verify: some are gone for good by now, and nobody else says so
		}
	}
	return changes
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) (d Decision, err error) {
	if err := jsonhttp.Read(w, r, maxBody, &d); err != nil {
		return d, fmt.Errorf("the body is no decision: %w; known fields are route, users, all and decision", err)
	}
	switch _, known := h.Topology.Route(d.Route); {
	case !known:
		return d, fmt.Errorf("there is no route %q in the configuration", d.Route)
	case d.Decision != "approve" && d.Decision != "reject":
		return d, fmt.Errorf("the decision is %q; write approve or reject", d.Decision)
	case d.All == (len(d.Users) > 0):
		return d, errors.New("name users, or write \"all\": true")
	}
	return d, nil
}
