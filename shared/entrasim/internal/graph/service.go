// Package graph is the HTTP face of the simulator: the part of Microsoft Graph v1.0 that a program needs to keep users of
// several tenants in step. It decides whether a request is known, who sends it and whether that application may; what the
// request does is up to the directory and the subscriptions.
package graph

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/limit"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/login"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/policy"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/subscription"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/weather"
)

// Prefix is the first segment of every path.
const Prefix = "v1.0"

// Application is the application object, which lives in its home tenant.
type Application struct {
	ID           string // client id
	ObjectID     string
	DisplayName  string
	HomeTenantID string
}

// Config describes a service. Every field is needed unless it says otherwise.
type Config struct {
	Directories   map[string]*directory.Directory // by tenant id
	Policies      map[string]*policy.Policies     // by tenant id
	Extensions    *directory.Extensions
	Application   Application
	Subscriptions *subscription.Registry
	// Verify reads an access token; its error is the message of the 401.
	Verify func(token string) (login.Caller, error)
	// Forecast says which requests go wrong.
	Forecast *weather.Forecast
	// Observe is told of every request when its fate is known; nil: nobody is. It must not block.
	Observe func(Request)
	// Meter holds applications to the documented limits; nil: there are none.
	Meter *limit.Meter
	// PageSize bounds a page of a list; 0 = 100, or up to 999 with $top.
	PageSize int
	Now      func() time.Time
	Logger   *slog.Logger
}

// Service answers Graph requests.
type Service struct{ Config }

// New returns a service.
func New(c Config) *Service { return &Service{c} }

// call is one request on its way through the service.
type call struct {
	*http.Request
	id       string // request-id
	clientID string // client-request-id
	params   map[string]string
	caller   login.Caller
	dir      *directory.Directory // of the caller's tenant, to be written to
	view     directory.View       // of the same, to be read
	lag      time.Duration        // of view, as far as the directory looks back
	lost     bool                 // is the state of a token of change tracking
	header   http.Header          // of the answer, besides its own; nil at first
}

// answer is what a handler has to say. A nil body is 204's; a string is text.
type answer struct {
	status int
	body   any
	header http.Header // may be nil
}

func ok(body any) answer      { return answer{status: http.StatusOK, body: body} }
func created(body any) answer { return answer{status: http.StatusCreated, body: body} }

// noContent is the answer of most writes.
var noContent = answer{status: http.StatusNoContent}

// Unknown answers a request that is none of the simulator's: loudly, so that nobody takes silence for an answer.
func (s *Service) Unknown(w http.ResponseWriter, r *http.Request) {
	c := newCall(r)
	s.write(w, c, s.refusal(c, unknown(r)))
}

func newCall(r *http.Request) *call {
	c := &call{Request: r, id: uuid.NewString(), clientID: r.Header.Get("client-request-id")}
	if c.clientID == "" {
		c.clientID = c.id
	}
	return c
}

// handle is the one place where a request passes before it is handled: known, authenticated, permitted.
func (s *Service) handle(c *call) (answer, error) {
	route, params := match(c.Method, c.URL.EscapedPath())
	if route == nil {
		return answer{}, unknown(c.Request)
	}
	c.params = params
	if err := c.strict(route); err != nil {
		return answer{}, err
	}
	caller, err := s.Verify(bearer(c.Request))
	if err != nil {
		return answer{}, fault.New(http.StatusUnauthorized, "InvalidAuthenticationToken", "%v", err).With("WWW-Authenticate", `Bearer realm=""`)
	}
	c.caller, c.dir = caller, s.Directories[caller.TenantID]
	if c.Method != http.MethodGet { // a write is answered by who wrote
		c.lag = 0
	}
	c.view = c.dir.View(c.lag)
	if !route.needs.heldBy(caller) {
		return answer{}, fault.Denied()
	}
	if err := s.charge(c, route); err != nil {
		return answer{}, err
	}
	return route.handle(s, c)
}

func unknown(r *http.Request) error { return fault.NotModelled("%s %s", r.Method, r.URL.Path) }

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// refusal is the answer to a request that failed. A request the simulator cannot play is an error of whoever relies on it, so
// it is logged as one.
func (s *Service) refusal(c *call, err error) answer {
	f := new(fault.Fault)
	if !errors.As(err, &f) {
		s.Logger.Error("request failed", "method", c.Method, "path", redact(c.URL.Path), "request", c.id, "error", err)
		f = fault.New(http.StatusInternalServerError, "generalException", "An internal error has occurred.")
	}
	if f.Status == http.StatusNotImplemented {
		s.Logger.Error("request not modelled", "method", c.Method, "path", redact(c.URL.Path), "request", c.id)
	}
	return answer{f.Status, s.envelope(c, f), f.Header}
}

// redact hides the segments of a path that name a person.
func redact(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if strings.Contains(segment, "@") {
			segments[i] = "…"
		}
	}
	return strings.Join(segments, "/")
}
