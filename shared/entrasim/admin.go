package entrasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Advance moves the simulated clock forward.
func (s *Server) Advance(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("the clock cannot be moved by %s; it only goes forward", d)
	}
	s.skew.Add(int64(d))
	return nil
}

// adminUsage is what GET / answers.
const adminUsage = `The simulated tenants behind the scenes. All bodies are JSON; {tenant} is a name or an id.

GET  /tenants                        the tenants, with the number of users and groups
GET  /tenants/{tenant}               everything in a tenant: users, deleted users, groups with members, assignments, subscriptions
POST /tenants/{tenant}/people        {"count": 100, "seed": 1}  adds people, managers and groups
POST /tenants/{tenant}/lifecycle     {"event": "reauthorizationRequired"}  or subscriptionRemoved, missed
POST /tenants/{tenant}/reset-delta   makes all tokens of change tracking worthless
GET  /weather                        what goes wrong, and how often
PUT  /weather                        {"throttle": 0.1, "lag": 0.2, "lagFor": "3s"}  replaces it; {} is calm
GET  /clock                          the simulated time
POST /clock                          {"advance": "24h"}  moves it forward
GET  /requests?limit=100             the latest requests to Graph and what became of them
GET  /traffic                        what became of notifications, by host
`

// Admin is a handler to look behind the scenes and to change the world, apart from Graph. It asks nobody who he is: serve it on loopback
// only. It refuses requests for other hosts, which a web page could make a browser send.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, adminUsage) })
	for pattern, handle := range map[string]func(*http.Request) (any, error){
		"GET /tenants":                       s.adminTenants,
		"GET /tenants/{tenant}":              func(r *http.Request) (any, error) { return s.State(r.PathValue("tenant")) },
		"POST /tenants/{tenant}/people":      s.adminPeople,
		"POST /tenants/{tenant}/lifecycle":   s.adminLifecycle,
		"POST /tenants/{tenant}/reset-delta": func(r *http.Request) (any, error) { return struct{}{}, s.ResetDelta(r.PathValue("tenant")) },
		"GET /weather":                       func(*http.Request) (any, error) { return s.forecast.Weather(), nil },
		"PUT /weather":                       s.adminWeather,
		"GET /clock":                         func(*http.Request) (any, error) { return s.adminNow(), nil },
		"POST /clock":                        s.adminClock,
		"GET /requests":                      s.adminRequests,
		"GET /traffic":                       func(*http.Request) (any, error) { return s.Traffic(), nil },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := handle(r)
			writeAdmin(w, answer, err)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprintf("there is no %s %s; GET / tells what there is", r.Method, r.URL.Path), http.StatusNotFound)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
			http.Error(w, "the Host header has to name a loopback address", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// writeAdmin writes an answer, or an error of whoever asked.
func writeAdmin(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"error": err.Error()}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer) // whoever asked is gone
}

// readAdmin reads a body whose every property is known.
func readAdmin(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is not what belongs here (%w); GET / shows it", err)
	}
	return nil
}

func (s *Server) adminTenants(*http.Request) (any, error) {
	type tenant struct {
		Name   string `json:"name"`
		ID     string `json:"id"`
		Users  int    `json:"users"`
		Groups int    `json:"groups"`
	}
	var list []tenant
	for _, t := range s.options.Tenants {
		list = append(list, tenant{t.Name, t.ID, s.directories[t.ID].Size(), len(s.Groups(t.ID))})
	}
	return list, nil
}

func (s *Server) adminPeople(r *http.Request) (any, error) {
	body := struct {
		Count int    `json:"count"`
		Seed  uint64 `json:"seed"`
	}{}
	if err := readAdmin(r, &body); err != nil {
		return nil, err
	}
	if body.Count > maxPeople {
		return nil, fmt.Errorf("%d people are too many at once; add at most %d", body.Count, maxPeople)
	}
	return struct{}{}, s.Populate(r.PathValue("tenant"), body.Seed, body.Count)
}

// maxPeople bounds what one request adds.
const maxPeople = 100_000

func (s *Server) adminLifecycle(r *http.Request) (any, error) {
	body := struct {
		Event string `json:"event"`
	}{}
	if err := readAdmin(r, &body); err != nil {
		return nil, err
	}
	sent, err := s.Lifecycle(r.PathValue("tenant"), body.Event)
	return map[string]int{"sent": sent}, err
}

func (s *Server) adminWeather(r *http.Request) (any, error) {
	var w Weather
	if err := readAdmin(r, &w); err != nil {
		return nil, err
	}
	if err := w.Check(); err != nil {
		return nil, err
	}
	s.SetWeather(w)
	return w, nil
}

func (s *Server) adminNow() any { return map[string]time.Time{"now": s.options.Now().UTC()} }

func (s *Server) adminClock(r *http.Request) (any, error) {
	body := struct {
		Advance string `json:"advance"`
	}{}
	if err := readAdmin(r, &body); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(body.Advance)
	if err != nil {
		return nil, errors.New("advance is no duration; write one such as 24h")
	}
	if err := s.Advance(d); err != nil {
		return nil, err
	}
	return s.adminNow(), nil
}

func (s *Server) adminRequests(r *http.Request) (any, error) {
	n := 100
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			return nil, fmt.Errorf("limit is %q; write a number from 1 to %d", text, remembered)
		}
	}
	list, served := s.Requests(n)
	return map[string]any{"served": served, "requests": list}, nil
}
