package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/standalone"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Options of a demonstration.
type Options struct {
	Output Output
	// Keep leaves everything running after the story until ctx ends; Kept is then told where.
	Keep bool
	// Hostile plays it in bad weather; see WorldOptions.
	Hostile bool
	Kept    func(w *World) error
	Log     *slog.Logger
}

// ErrWrong: after a chapter the target did not become as it must be.
var ErrWrong = errors.New("the target tenant is not as it must be")

// Run plays the story in a world of its own and compares the target after each chapter. nil means that everything is right.
func Run(ctx context.Context, o Options) (err error) {
	world, err := Open(WorldOptions{Hostile: o.Hostile, Log: o.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	dir, err := os.MkdirTemp("", "tenantsync-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer os.RemoveAll(dir)

	watch := newWatcher(o.Output)
	stop, err := start(ctx, world, dir, watch, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	s := newStory(world, watch)
	err = s.tell(ctx)
	if err == nil || errors.Is(err, ErrWrong) {
		watch.result(s.people, s.wrong)
	}
	if err != nil {
		return err
	}
	if o.Keep {
		if err := o.Kept(world); err != nil {
			return err
		}
		<-ctx.Done()
	}
	return nil
}

// start runs all functions in this process, as `tenantsync serve` does, and returns once the sources are watched.
func start(ctx context.Context, world *World, dir string, watch *watcher, log *slog.Logger) (stop func() error, err error) {
	c, err := world.config(dir)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	c.PublicURL, c.DataDir = "http://"+ln.Addr().String(), dir
	program, err := app.New(ctx, c, app.Options{Transport: world.Graph.Client().Transport, Log: log,
		Journal: func(j provisioning.Journal) provisioning.Journal { return journal{j, watch} }})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	host := &standalone.Host{Functions: program.Functions, Receiver: program.Bus, Log: log}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- host.Run(running, ln) }()
	stop = func() error {
		cancel()
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		return errors.Join(<-ended, program.Close(closing))
	}
	if err := watched(ctx, program, c.Topology.Sources(), world.patience); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// config reads the world's configuration the way a user's is read.
func (w *World) config(dir string) (*config.Config, error) {
	path := filepath.Join(dir, "tenantsync.yaml")
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write the demo's configuration: %w", err)
	}
	if err := errors.Join(w.WriteConfig(file), file.Close()); err != nil {
		return nil, fmt.Errorf("write the demo's configuration: %w", err)
	}
	env := map[string]string{}
	for _, s := range w.Settings() {
		env[s.Name] = s.Value
	}
	c, err := config.Load(path, func(name string) string { return env[name] })
	if err != nil {
		return nil, err
	}
	return c, c.KeepSecrets(filepath.Join(dir, "keys"))
}

// watched waits until every source has its subscription.
func watched(ctx context.Context, program *app.App, sources []tenant.Tenant, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, source := range sources {
		for {
			held, err := program.Store.Subscriptions(ctx, source.ID)
			if err != nil {
				return fmt.Errorf("wait for the subscription of %s: %w", source.Name, err)
			}
			if len(held) > 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for the subscription of %s: %w", source.Name, ctx.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}
