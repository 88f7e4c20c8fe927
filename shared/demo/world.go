// Package demo plays the main job for a person to watch, and checks the end of it: simulated tenants, a bus, and
// people who join, change, leave and come back.
package demo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/standalone"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// The organization: two sources feed one target. The ids are fixed, so that a world can be started again.
var (
	Mexico  = tenant.Tenant{Name: "fabrikam-mexico", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f01"}
	US      = tenant.Tenant{Name: "fabrikam-us", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f02"}
	Contoso = tenant.Tenant{Name: "contoso", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f03"}
)

// domains are the verified domains that people get their addresses from.
var domains = map[tenant.Tenant]string{Mexico: "mx.fabrikam.com", US: "us.fabrikam.com", Contoso: "contoso.com"}

const (
	appID         = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
	appObjectID   = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5e"
	linkExtension = "tenantsyncSource"
)

// linkProperty is the Graph name of the extension that carries the link key.
var linkProperty = "extension_" + strings.ReplaceAll(appID, "-", "") + "_" + linkExtension

// WorldOptions say where the simulators listen; empty means a free port on loopback.
type WorldOptions struct {
	GraphAddr string
	BusAddr   string
	// AdminAddr is where what is behind the scenes can be seen and changed; it must be loopback. Empty: nowhere.
	AdminAddr string
	// Speed lets documented times pass so many times faster; 0: 1.
	Speed float64
	// Seed is what ids and the weather follow from.
	Seed uint64
	// Hostile makes Graph refuse, fail and cut off requests, with small pages and notifications that come twice and in any order.
	Hostile bool
	Log     *slog.Logger
}

// World is the organization's simulated tenants and a bus.
type World struct {
	Graph *entrasim.Server
	bus   *standalone.Bus
	admin *http.Server // nil: there is none
	// AdminURL is where it listens; empty if it does not.
	AdminURL string
	secret   string
	// patience is how long a chapter of the story may take to become true.
	patience time.Duration
}

// Open starts the world.
func Open(o WorldOptions) (*World, error) {
	w := &World{secret: rand.Text(), patience: patience}
	options := entrasim.Options{
		Tenants:    tenants(Mexico, US, Contoso),
		App:        entrasim.App{ID: appID, ObjectID: appObjectID, Secret: w.secret, ExtensionProperties: []string{linkExtension}, HomeTenant: Contoso.ID},
		AutoRedeem: true,
		Speed:      o.Speed,
		Seed:       o.Seed,
		Logger:     o.Log,
	}
	if o.Hostile {
		options = options.Hostile()
		w.patience = hostilePatience
	}
	var err error
	if w.Graph, err = entrasim.New(options); err != nil {
		return nil, fmt.Errorf("make the simulated tenants: %w", err)
	}
	if err := w.Graph.Listen(loopback(o.GraphAddr)); err != nil {
		return nil, fmt.Errorf("start the simulated tenants: %w", errors.Join(err, w.Graph.Close()))
	}
	w.bus, err = standalone.EmbeddedBus("", loopback(o.BusAddr), o.Log)
	if err != nil {
		return nil, errors.Join(err, w.Graph.Close())
	}
	if o.AdminAddr != "" {
		if err := w.openAdmin(o.AdminAddr); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// openAdmin listens for those who look behind the scenes. Nobody asks who they are, so it is for this machine only.
func (w *World) openAdmin(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("the admin address %q is not on loopback; write one such as 127.0.0.1:8080", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for the admin API: %w", err)
	}
	w.admin = &http.Server{Handler: w.Graph.Admin(), ReadHeaderTimeout: 10 * time.Second}
	w.AdminURL = "http://" + l.Addr().String()
	go func() { _ = w.admin.Serve(l) }() // until Close
	return nil
}

func tenants(of ...tenant.Tenant) (out []entrasim.Tenant) {
	for _, t := range of {
		out = append(out, entrasim.Tenant{Name: t.Name, ID: t.ID, Domain: domains[t]})
	}
	return out
}

func loopback(addr string) string {
	if addr == "" {
		return "127.0.0.1:0"
	}
	return addr
}

// Close ends all servers.
func (w *World) Close() error {
	var err error
	if w.admin != nil {
		err = w.admin.Close()
	}
	return errors.Join(err, w.bus.Close(), w.Graph.Close())
}

// busy tells whether a change waits on the bus or is worked on.
func (w *World) busy() (bool, error) {
	for _, queue := range change.Queues() {
		if counts, err := w.bus.Counts(queue); err != nil || counts.Active > 0 {
			return true, err
		}
	}
	return false, nil
}

// WriteConfig writes the tenantsync.yaml of the organization.
func (w *World) WriteConfig(out io.Writer) error {
	var b strings.Builder
	b.WriteString("# Two sources feed one target.\ntenants:\n")
	for _, t := range []tenant.Tenant{Mexico, US, Contoso} {
		fmt.Fprintf(&b, "  - name: %s\n    id: %s\n", t.Name, t.ID)
	}
	b.WriteString("routes:\n")
	for _, source := range []tenant.Tenant{Mexico, US} {
		fmt.Fprintf(&b, "  - source: %s\n    target: %s\n", source.Name, Contoso.Name)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Setting is one environment variable.
type Setting struct{ Name, Value string }

// Settings are what a program needs in its environment to work in this world.
func (w *World) Settings() []Setting {
	return []Setting{
		{config.EnvAuthorityHost, w.Graph.URL()},
		{config.EnvGraphEndpoint, w.Graph.URL()},
		{config.EnvClientID, appID},
		{config.EnvClientSecret, w.secret},
		{config.EnvBus, w.bus.Connection},
	}
}

// ClientSettings are what any other client of the simulated Graph needs.
func (w *World) ClientSettings() []Setting {
	return []Setting{
		{"SIM_GRAPH_URL", w.Graph.URL()},
		{"SIM_TOKEN_URL", w.Graph.URL()},
		{"SIM_CLIENT_ID", appID},
		{"SIM_CLIENT_SECRET", w.secret},
		{"SIM_ADMIN_URL", w.AdminURL},
	}
}
