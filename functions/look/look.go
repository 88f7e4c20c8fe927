// Package look has users looked at because an administrator asks for it: some at once, or everybody.
package look

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenantsync/tenantsync/functions/internal/jsonhttp"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Route is its address below /api/.
const Route = "look"

// MaxUsers bounds the users of one request: a principal name takes a read of Graph.
const MaxUsers = 50

const (
	maxBody = 64 << 10
	// patience is under what hosts and clients wait for an answer.
	patience = 25 * time.Second
)

// Users finds users.
type Users interface {
	// UserID is the object id of the user with this principal name, or of this object id; provisioning.ErrNotFound: there is nobody.
	UserID(ctx context.Context, tenantID, name string) (string, error)
}

// Census has everybody on a route looked at soon.
type Census interface {
	Ask(ctx context.Context, route tenant.Route) error
}

// Bus takes changes.
type Bus interface {
	Send(ctx context.Context, queue string, changes []change.Change) error
}

// Handler answers POST of a Request with an Answer once the changes are on the bus; what they lead to stands in the journal. 400 is a mistake in
// the request, 404 a user who is not there, and 502 Graph or the bus failing, 500 the store: then nobody is looked at.
type Handler struct {
	Topology *tenant.Topology
	Users    Users
	Census   Census
	Bus      Bus
	Now      func() time.Time
	Log      *slog.Logger
}

// Request names the users to look at.
type Request struct {
	Route string   `json:"route"`
	Users []string `json:"users,omitempty"` // object ids in the source, or principal names
	// All, in place of Users, is everybody in the source and everybody who has an external user. That is bulk work, and begins when the timer
	// renew runs next.
	All bool `json:"all,omitempty"`
}

// Answer says who is looked at. It is empty when everybody is.
type Answer struct {
	Users []string `json:"users"` // object ids in the source, each once
	// Traces are what the journal names all that follows by, for each of Users.
	Traces []string `json:"traces"`
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		jsonhttp.RefuseMethod(w, http.MethodPost)
		return
	}
	route, asked, err := h.read(w, r)
	if err != nil {
		jsonhttp.Refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	log := h.Log.With("route", route.Name, "users", asked.Users, "all", asked.All)
	told, status, err := h.look(ctx, route, asked)
	if err != nil {
		log.ErrorContext(ctx, "look: nobody is looked at", "error", err)
		jsonhttp.Refuse(w, status, "nobody is looked at: "+err.Error())
		return
	}
	log.InfoContext(ctx, "look")
	jsonhttp.Answer(w, http.StatusOK, told)
}

// look returns the status of its error.
func (h *Handler) look(ctx context.Context, route tenant.Route, asked Request) (told Answer, status int, err error) {
	if asked.All {
		if err := h.Census.Ask(ctx, route); err != nil {
			return told, http.StatusInternalServerError, fmt.Errorf("store the request: %w", err)
		}
		return Answer{Users: []string{}, Traces: []string{}}, 0, nil
	}
	users, err := h.find(ctx, route, asked.Users)
	switch {
	case errors.Is(err, provisioning.ErrNotFound):
		return told, http.StatusNotFound, err
	case err != nil:
		return told, http.StatusBadGateway, err
	}
	changes, told := h.changes(route, users)
	return told, http.StatusBadGateway, h.Bus.Send(ctx, change.QueueChanges, changes)
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) (route tenant.Route, asked Request, err error) {
	if err := jsonhttp.Read(w, r, maxBody, &asked); err != nil {
		return route, asked, fmt.Errorf("the body is no request: %w; known fields are route, users and all", err)
	}
	route, known := h.Topology.Route(asked.Route)
	switch n := len(asked.Users); {
	case !known:
		return route, asked, fmt.Errorf("there is no route %q in the configuration", asked.Route)
	case asked.All == (n > 0):
		return route, asked, errors.New(`name users, by object id or principal name, or write "all": true`)
	case n > MaxUsers:
		return route, asked, fmt.Errorf("%d users; name at most %d", n, MaxUsers)
	}
	return route, asked, nil
}

// find returns the object ids of users, each once.
func (h *Handler) find(ctx context.Context, route tenant.Route, names []string) (ids []string, err error) {
	seen := map[string]bool{}
	for _, name := range names {
		id, err := h.Users.UserID(ctx, route.Source.ID, name)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (h *Handler) changes(route tenant.Route, users []string) ([]change.Change, Answer) {
	now := h.Now()
	told := Answer{Users: users}
	changes := make([]change.Change, len(users))
	for i, user := range users {
		changes[i] = change.Change{
			Route: route.Name, User: user, Cause: change.CauseAsked, Key: change.Key("look", route.Name, user, now.Format(time.RFC3339Nano)), ArrivedAt: now,
			Deleted: true, // a claim to verify: whoever is asked about may be gone for good, and nobody else may ever say so
		}
		told.Traces = append(told.Traces, changes[i].Trace())
	}
	return changes, told
}
