package main_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/demo"
	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/standalone"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// clientStateKey is what the clientState of every subscription in process is derived from, and adminKey what opens keyed functions.
const (
	clientStateKey = "a key that has more than 32 characters"
	adminKey       = "the key of the administrator"
)

// distant makes Graph as far away as it really is, so that work on a user overlaps with what happens to the user meanwhile.
type distant struct{ near http.RoundTripper }

func (d distant) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(rand.N(20 * time.Millisecond))
	return d.near.RoundTrip(r)
}

// house is the whole program in this process, as `tenantsync serve` puts it together, in a simulated world whose tenants and
// weather a test can choose.
type house struct {
	graph   *entrasim.Server
	bus     *broker.Server
	program *app.App
	config  *config.Config // of the program
	url     string
	tenants []tenant.Tenant
	sources []tenant.Tenant // as the routes say
	options app.Options
	way     func(near http.RoundTripper) http.RoundTripper // of the program's requests
	journal chronicle
	data    string // of the program; "": another folder each time it runs
}

// blueprint is what a house is built from. The zero blueprint is the organization of the demo in calm weather.
type blueprint struct {
	tenants    []entrasim.Tenant
	extensions []string // directory extensions of users, besides the one for the link key
	weather    entrasim.Notify
	seed       uint64
	options    app.Options      // the transport and the journal are the house's
	now        func() time.Time // of the tenants; nil: time.Now
}

// administration is what the application may do everywhere in a house, so that its token also serves those who look after the tenants.
var administration = append([]string{
	"Policy.ReadWrite.CrossTenantAccess", "Group.ReadWrite.All", "GroupMember.ReadWrite.All", "Directory.Read.All", "AppRoleAssignment.ReadWrite.All",
	"User-LifeCycleInfo.ReadWrite.All",
}, entrasim.DefaultRoles...)

// build makes the world of a house. Its program does not run yet, so that a test can furnish the tenants.
func build(t testing.TB, p blueprint) *house {
	t.Helper()
	if p.tenants == nil {
		p.tenants = []entrasim.Tenant{{Name: demo.Mexico.Name, ID: demo.Mexico.ID, Domain: mexicoDomain},
			{Name: demo.US.Name, ID: demo.US.ID, Domain: usDomain}, {Name: demo.Contoso.Name, ID: demo.Contoso.ID}}
	}
	h := &house{options: p.options, way: func(near http.RoundTripper) http.RoundTripper { return distant{near} }}
	for i := range p.tenants {
		p.tenants[i].Roles = administration
	}
	var err error
	h.graph, err = entrasim.New(entrasim.Options{
		Tenants:    p.tenants,
		App:        entrasim.App{ExtensionProperties: append(p.extensions, "tenantsyncSource"), HomeTenant: p.tenants[len(p.tenants)-1].Name},
		AutoRedeem: true, Notify: p.weather, Seed: p.seed, Now: p.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.graph.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.graph.Close() })
	for _, made := range h.graph.Tenants() {
		h.tenants = append(h.tenants, tenant.Tenant{Name: made.Name, ID: made.ID})
	}
	h.bus = openBus(t, "127.0.0.1:0")
	return h
}

// open starts a house of two sources and a target, with the rules that a route has by default. It ends with the test.
func open(t *testing.T, weather entrasim.Notify, seed uint64) *house {
	t.Helper()
	return openWith(t, blueprint{weather: weather, seed: seed})
}

// openWith is open with another blueprint.
func openWith(t *testing.T, p blueprint) *house {
	t.Helper()
	h := build(t, p)
	h.serve(t, fmt.Sprintf("- {source: %s, target: %[3]s}\n- {source: %[2]s, target: %[3]s}\n", demo.Mexico.Name, demo.US.Name, demo.Contoso.Name))
	return h
}

// serve starts the program with these routes, in YAML, and returns once their sources are watched.
func (h *house) serve(t *testing.T, routes string) (stop func()) {
	t.Helper()
	stop = h.run(t, routes)
	eventually(t, patience, func() string {
		for _, source := range h.sources {
			if held, err := h.program.Store.Subscriptions(t.Context(), source.ID); err != nil || len(held) == 0 {
				return fmt.Sprintf("%s is not watched yet (%v)", source.Name, err)
			}
		}
		return ""
	})
	return stop
}

// openBus starts a bus whose key is always the same, so that another can take its place.
func openBus(t testing.TB, addr string) *broker.Server {
	t.Helper()
	bus, err := broker.New(broker.Options{
		Queues: []broker.QueueConfig{
			{Name: change.QueueChanges, LockDuration: standalone.LockDuration, DuplicateDetectionWindow: time.Minute},
			{Name: change.QueueBackfill, LockDuration: standalone.LockDuration, DuplicateDetectionWindow: time.Minute},
		},
		Keys: map[string]broker.Key{"test": {Secret: "secret", Listen: true, Send: true, Manage: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Listen(addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	return bus
}

// run starts the program and its host, until stop or the end of the test.
func (h *house) run(t *testing.T, routes string) (stop func()) {
	t.Helper()
	address := "127.0.0.1:0"
	if h.url != "" {
		address = strings.TrimPrefix(h.url, "http://") // as before
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + listener.Addr().String()
	h.config = h.configure(t, routes)
	h.sources = h.config.Topology.Sources()
	h.options.Transport = h.way(h.graph.Client().Transport)
	h.options.Journal = h.journal.behind
	h.program, err = app.New(t.Context(), h.config, h.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	host := &standalone.Host{Functions: h.program.Functions, Receiver: h.program.Bus, AdminKey: adminKey, Log: slog.New(slog.DiscardHandler)}
	go func() { ended <- host.Run(ctx, listener) }()
	program := h.program
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the host ended with: %v", err)
		}
		closing, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		if err := program.Close(closing); err != nil {
			t.Errorf("close the program: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// configure loads a configuration as a user's is loaded.
func (h *house) configure(t testing.TB, routes string) *config.Config {
	t.Helper()
	var text strings.Builder
	text.WriteString("tenants:\n")
	for _, tn := range h.tenants {
		fmt.Fprintf(&text, "- {name: %s, id: %s}\n", tn.Name, tn.ID)
	}
	text.WriteString("routes:\n" + routes)
	dir := h.data
	if dir == "" {
		dir = t.TempDir()
	}
	file := filepath.Join(dir, "tenantsync.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		config.EnvAuthorityHost: h.graph.URL(), config.EnvGraphEndpoint: h.graph.URL(),
		config.EnvClientID: h.graph.App().ID, config.EnvClientSecret: h.graph.App().Secret,
		config.EnvBus: h.bus.ConnectionString("test"), config.EnvPublicURL: h.url,
		config.EnvDataDir: dir, config.EnvClientStateKey: clientStateKey,
	}
	c, err := config.Load(file, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// directory signs in to a tenant of the house.
func (h *house) directory(t testing.TB, of tenant.Tenant) *directory {
	t.Helper()
	d, err := signIn(h.graph.Client(), h.graph.URL(), h.graph.URL(), of.Name, h.graph.App().ID, h.graph.App().Secret)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// calm is how long everything must have been right to be believed: notifications that are held back for another order are
// out by then.
const calm = 200 * time.Millisecond

// soon bounds the wait for the work itself. It is under the time after which a second look would heal what a first one
// missed, so that a miss is seen here.
const soon = 20 * time.Second

// settles waits until everything is right and stays so.
func (h *house) settles(t *testing.T) time.Duration { t.Helper(); return settled(t, h.wrong) }

// settled waits until nothing is wrong and that stays so, and returns how long it took.
func settled(t *testing.T, look func() (wrong string)) time.Duration {
	t.Helper()
	var since time.Time
	return eventually(t, soon, func() string {
		wrong := look()
		switch {
		case wrong != "":
			since = time.Time{}
			return wrong
		case since.IsZero():
			since = time.Now()
		}
		if time.Since(since) < calm {
			return "everything is right, but not for long"
		}
		return ""
	}) - calm
}

// extension is the name in Graph of a directory extension.
func (h *house) extension(name string) string {
	return "extension_" + strings.ReplaceAll(h.graph.App().ID, "-", "") + "_" + name
}

// followed are the properties by which a person is recognized in the target.
var followed = []string{"displayName", "department", "jobTitle", "mail", "accountEnabled"}

// busy tells whether a change waits on the bus or is a dead letter. Scheduled ones are only second looks.
func (h *house) busy() string {
	for _, queue := range change.Queues() {
		counts, err := h.bus.Counts(queue)
		switch {
		case err != nil:
			return err.Error()
		case counts.Active > 0 || counts.DeadLettered > 0:
			return fmt.Sprintf("the bus still holds %+v of %s", counts, queue)
		}
	}
	return ""
}

// wrong compares the target with the sources: whoever is in a source has one external user, equal in what is followed;
// nobody else has one; and nobody ever had two, not even one that is deleted by now. Nothing is right while the bus is busy.
func (h *house) wrong() string {
	if busy := h.busy(); busy != "" {
		return busy
	}
	keyOf := func(u map[string]any) any { return u[h.extension("tenantsyncSource")] }
	ever, live := map[any]int{}, map[any]map[string]any{}
	for _, u := range h.graph.DeletedUsers(demo.Contoso.ID) {
		ever[keyOf(u)]++
	}
	for _, u := range h.graph.Users(demo.Contoso.ID) {
		if u["creationType"] == "Invitation" {
			ever[keyOf(u)]++
			live[keyOf(u)] = u
		}
	}
	for key, n := range ever {
		if n > 1 {
			return fmt.Sprintf("%d external users were made for %v", n, key)
		}
	}
	for _, source := range h.sources {
		for _, u := range h.graph.Users(source.ID) {
			key := source.ID + "/" + fmt.Sprint(u["id"])
			if live[key] == nil {
				return "there is no external user of " + key
			}
			for _, name := range followed {
				if !reflect.DeepEqual(u[name], live[key][name]) {
					return fmt.Sprintf("%s of %s is %v, want %v", name, key, live[key][name], u[name])
				}
			}
			delete(live, key)
		}
	}
	if len(live) > 0 {
		return fmt.Sprintf("%d external users belong to nobody", len(live))
	}
	return ""
}
