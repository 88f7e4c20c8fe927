// Package app puts the program together: adapters, domain and functions, from one configuration. Nothing here opens a
// connection; the first request, timer or message does.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/functions/backfill"
	"github.com/tenantsync/tenantsync/functions/guard"
	"github.com/tenantsync/tenantsync/functions/lifecycle"
	"github.com/tenantsync/tenantsync/functions/look"
	"github.com/tenantsync/tenantsync/functions/notify"
	"github.com/tenantsync/tenantsync/functions/provision"
	"github.com/tenantsync/tenantsync/functions/renew"
	"github.com/tenantsync/tenantsync/functions/replay"
	statusfunction "github.com/tenantsync/tenantsync/functions/status"
	sweepfunction "github.com/tenantsync/tenantsync/functions/sweep"
	"github.com/tenantsync/tenantsync/shared/census"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/servicebus"
	"github.com/tenantsync/tenantsync/shared/sqlitestore"
	"github.com/tenantsync/tenantsync/shared/status"
	"github.com/tenantsync/tenantsync/shared/subscription"
	"github.com/tenantsync/tenantsync/shared/sweep"
	"github.com/tenantsync/tenantsync/shared/tenant"
	"github.com/tenantsync/tenantsync/shared/trust"
)

// Options are what a configuration file cannot say. All may be zero.
type Options struct {
	// Transport carries requests to Graph and the login service; nil is the system's.
	Transport http.RoundTripper
	// Forgetful: the bus holds nothing from before this process began.
	Forgetful bool
	// Journal wraps the journal, so that somebody can watch.
	Journal func(provisioning.Journal) provisioning.Journal
	// TrustEvery is how often it is checked that a route may run; zero: each hour, and every five minutes while it may not.
	TrustEvery time.Duration
	// SecondLook is how soon a look that must not be fooled by a slow replica comes; zero: provisioning.DefaultSecondLook.
	SecondLook time.Duration
	// Now is the clock of rules, leases and messages; nil: time.Now. Tokens, and the bus with what it holds, keep their own.
	Now func() time.Time
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// App is the program, put together.
type App struct {
	Functions []functions.Function
	Bus       *servicebus.Bus
	Store     *sqlitestore.Store
}

// New builds the program. c must name a bus, a public URL, a data folder and a clientState key.
func New(ctx context.Context, c *config.Config, o Options) (*App, error) {
	o = o.withDefaults()
	if err := complete(c); err != nil {
		return nil, err
	}
	directory, err := openGraph(c, o)
	if err != nil {
		return nil, err
	}
	bus, err := servicebus.Open(servicebus.Options{ConnectionString: c.Bus.ConnectionString, Namespace: c.Bus.Namespace,
		ManagedIdentityClientID: c.Bus.ManagedIdentityClientID, Logger: o.Log})
	if err != nil {
		setting := config.EnvBus
		if c.Bus.Namespace != "" {
			setting = config.EnvBusNamespace
		}
		return nil, config.Mistake{File: "environment", Text: setting + ": " + err.Error()}
	}
	store, err := openStore(ctx, c.DataDir)
	if err != nil {
		return nil, errors.Join(err, bus.Close(ctx))
	}
	fingerprints, err := c.Fingerprints()
	if err == nil && o.Forgetful {
		err = store.ForgetBus(ctx, renew.Presence)
	}
	if err != nil {
		return nil, errors.Join(err, bus.Close(ctx), store.Close())
	}
	all := handlers(c, o, fingerprints, directory, bus, store)
	reporter := &status.Reporter{Topology: c.Topology, Store: store, Queues: bus, QueueNames: change.Queues(), Timers: map[string]time.Duration{}, Now: o.Now}
	all.Status = &statusfunction.Handler{Reporter: reporter, Log: o.Log}
	table := functions.Table(all)
	for _, f := range table {
		if f.Timer != nil {
			reporter.Timers[f.Name] = f.Timer.Every
			f.Timer.Run = reporter.Watched(f.Name, f.Timer.Run)
		}
	}
	return &App{Functions: table, Bus: bus, Store: store}, nil
}

// storeFile holds links, leases and the journal, in the data folder.
const storeFile = "tenantsync.db"

func openStore(ctx context.Context, folder string) (*sqlitestore.Store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	return sqlitestore.Open(ctx, filepath.Join(folder, storeFile))
}

// complete refuses what a host must have settled before.
func complete(c *config.Config) error {
	missing := []error{c.CheckPublicURL()}
	for _, m := range []struct {
		absent bool
		text   string
	}{
		{!c.Bus.Configured(), "no Service Bus: set " + config.EnvBus + " or " + config.EnvBusNamespace},
		{c.DataDir == "", "no folder for links and journal: set " + config.EnvDataDir},
		{len(c.ClientStateKey) < 32, "no key for clientState: set " + config.EnvClientStateKey + " to at least 32 random characters"},
		{len(c.PreviousClientStateKey) > 0 && len(c.PreviousClientStateKey) < 32, config.EnvClientStateBefore + " is shorter than 32 characters: no key was ever that short"},
	} {
		if m.absent {
			missing = append(missing, config.Mistake{File: "environment", Text: m.text})
		}
	}
	return errors.Join(missing...)
}

func openGraph(c *config.Config, o Options) (*graph.Graph, error) {
	options := graph.Options{AuthorityHost: c.Graph.AuthorityHost, Endpoint: c.Graph.Endpoint, ClientID: c.Graph.ClientID,
		Credential: graph.Credential{ClientSecret: c.Graph.ClientSecret}, Reads: reads(c.Rules), Transport: o.Transport, Logger: o.Log}
	if c.Graph.ManagedIdentityClientID != "" {
		assertion, err := graph.ManagedIdentityAssertion(c.Graph.ManagedIdentityClientID)
		if err != nil {
			return nil, err
		}
		options.Credential = graph.Credential{Assertion: assertion}
	}
	return graph.New(options)
}

// reads are the attributes that the rules of any route look at.
func reads(rules map[string]*provisioning.Rules) (all graph.Reads) {
	for _, r := range rules {
		source, manager, external := r.Reads()
		all.ManagerLink = all.ManagerLink || r.Manager != ""
		all.Source, all.Manager, all.External = append(all.Source, source...), append(all.Manager, manager...), append(all.External, external...)
	}
	return all
}

func handlers(c *config.Config, o Options, fingerprints map[string]string, directory *graph.Graph, bus *servicebus.Bus, store *sqlitestore.Store) functions.Handlers {
	var journal provisioning.Journal = logged{store, o.Log}
	if o.Journal != nil {
		journal = o.Journal(journal)
	}
	keys := [][]byte{c.ClientStateKey}
	if len(c.PreviousClientStateKey) > 0 {
		keys = append(keys, c.PreviousClientStateKey)
	}
	sources := c.Topology.Sources()
	gate := &trust.Gate{Policies: directory, Every: o.TrustEvery, Now: o.Now, Log: o.Log}
	everybody := &census.Taker{Users: directory, Externals: directory, Links: store, Bus: bus, Now: o.Now, Log: o.Log}
	sweeper := &sweep.Sweeper{Topology: c.Topology, Tracker: directory, Store: store, Bus: bus, Census: everybody, Groups: map[string][]string{}, MemberTracker: directory, Now: o.Now, Log: o.Log}
	for name, rules := range c.Rules {
		sweeper.Groups[name] = rules.Scope.Groups
	}
	live := &provision.Handler{Topology: c.Topology, Bus: bus, Now: o.Now, Jitter: rand.Float64, Log: o.Log,
		Reconciler: &provisioning.Reconciler{Directories: directory, Links: store, Journal: journal, Rules: c.Rules, Guard: store, Bus: bus, Trust: gate,
			Now: o.Now, SecondLook: o.SecondLook}}
	door := notify.NewGate(store, ids(sources), keys...)
	renewer := &subscription.Renewer{Service: directory, Store: store, Sources: sources, Key: c.ClientStateKey,
		NotificationURL: c.PublicURL + "/api/" + notify.Route, LifecycleURL: c.PublicURL + "/api/" + lifecycle.Route, Now: o.Now, Log: o.Log}
	renewals := &renew.Handler{Topology: c.Topology, Store: store, Census: everybody, Sweeps: sweeper, Rules: fingerprints,
		Renewer: checked{renewer, gate, c}, Now: o.Now, Log: o.Log}
	return functions.Handlers{
		Notify:    &notify.Handler{Topology: c.Topology, Gate: door, Bus: bus, Now: o.Now, Log: o.Log},
		Lifecycle: &lifecycle.Handler{Gate: door, Renewer: renewer, Renew: renewals, Sweep: sweeper, Log: o.Log},
		Provision: live,
		Backfill:  &backfill.Handler{Provision: live},
		Renew:     renewals,
		Sweep:     &sweepfunction.Handler{Sweeper: sweeper},
		Replay:    &replay.Handler{Bus: bus, Log: o.Log},
		Guard:     &guard.Handler{Topology: c.Topology, Store: store, Bus: bus, Now: o.Now, Log: o.Log},
		Look:      &look.Handler{Topology: c.Topology, Users: directory, Census: renewals, Bus: bus, Now: o.Now, Log: o.Log},
	}
}

func ids(tenants []tenant.Tenant) []string {
	out := make([]string, len(tenants))
	for i, t := range tenants {
		out[i] = t.ID
	}
	return out
}

// Close ends connections; call it once no host feeds the functions any more.
func (a *App) Close(ctx context.Context) error {
	return errors.Join(a.Bus.Close(ctx), a.Store.Close())
}
