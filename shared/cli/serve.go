package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/azfn"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/standalone"
)

// closing bounds how long connections may take to end.
const closing = 5 * time.Second

type serveOptions struct {
	config, data, listen, publicURL string
}

func (p Program) serveCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve --config FILE --data DIR",
		Short: "Run everything in this one process",
		Long: `Run every function in this process: receive notifications, renew subscriptions, provision.

Tenants and routes come from the configuration file; the application, its credential and the bus from the environment.
Without a bus (ServiceBusConnection), an embedded one is started, which keeps its messages in DIR/bus.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.serve(c.Context(), o) },
	}
	p.configFlag(c, &o.config)
	c.Flags().StringVar(&o.data, "data", "", "`folder` for links, journal, keys and the embedded bus; made when missing")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:7071", "`address` to listen on")
	c.Flags().StringVar(&o.publicURL, "public-url", "", "`URL` under which Graph reaches this process; default http:// and the address")
	return c
}

func (p Program) serve(ctx context.Context, o serveOptions) (err error) {
	c, err := config.Load(o.config, p.Getenv)
	if err != nil {
		return err
	}
	if o.data != "" {
		c.DataDir = o.data
	}
	if c.DataDir == "" {
		return usage{errors.New("there is no folder for links and journal; give --data DIR")}
	}
	if err := c.KeepSecrets(filepath.Join(c.DataDir, "keys")); err != nil {
		return err
	}
	log := p.logger()
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; another process may have the port, choose one with --listen", o.listen, err)
	}
	if o.publicURL != "" {
		c.PublicURL = strings.TrimRight(o.publicURL, "/")
	}
	if c.PublicURL == "" {
		c.PublicURL = "http://" + ln.Addr().String()
	}
	if err := c.CheckPublicURL(); err != nil {
		return errors.Join(err, ln.Close())
	}
	options := app.Options{Log: log}
	if !c.Bus.Configured() {
		folder := filepath.Join(c.DataDir, "bus")
		bus, openErr := standalone.EmbeddedBus(folder, "127.0.0.1:0", log)
		if openErr != nil {
			return errors.Join(openErr, ln.Close())
		}
		defer func() { err = errors.Join(err, bus.Close()) }()
		c.Bus.ConnectionString, options.Forgetful = bus.Connection, bus.Fresh
		log.InfoContext(ctx, "no Service Bus is configured: the embedded bus keeps messages", "folder", folder, "fresh", bus.Fresh)
	}
	program, err := app.New(ctx, c, options)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	log.InfoContext(ctx, "serving", "listen", ln.Addr().String(), "publicURL", c.PublicURL, "routes", len(c.Topology.Routes()))
	host := &standalone.Host{Functions: program.Functions, Receiver: program.Bus, AdminKey: c.AdminKey, Log: log}
	err = host.Run(ctx, ln)
	return errors.Join(err, end(ctx, program, log))
}

func end(ctx context.Context, program *app.App, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	err := program.Close(ctx)
	log.InfoContext(ctx, "stopped")
	return err
}

// configFile is the configuration's path when the command line names none.
func (p Program) configFile(folder string) string {
	if path := p.Getenv(config.EnvConfigFile); path != "" {
		return path
	}
	return filepath.Join(folder, "tenantsync.yaml")
}

// Handler serves the Functions host on a port and returns the exit code. It never returns 0: the host does not start
// a handler again that ended with 0.
func (p Program) Handler(ctx context.Context, port string) int {
	err := p.handle(ctx, port)
	if code := p.exit(err); code != exitOK {
		return code
	}
	return exitFailed
}

func (p Program) handle(ctx context.Context, port string) error {
	c, err := config.Load(p.configFile(p.Getenv("FUNCTIONS_APP_ROOT_PATH")), p.Getenv)
	if err != nil {
		return err
	}
	// First of all, for the host waits for this and for nothing else.
	ln, err := azfn.Listen(ctx, port)
	if err != nil {
		return err
	}
	log := p.logger()
	program, err := app.New(ctx, c, app.Options{Log: log})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	handler, err := azfn.Handler(program.Functions, log)
	if err != nil {
		return errors.Join(err, ln.Close(), end(ctx, program, log))
	}
	log.InfoContext(ctx, "serving the Functions host", "publicURL", c.PublicURL, "routes", len(c.Topology.Routes()))
	return errors.Join(azfn.Serve(ctx, ln, handler), end(ctx, program, log))
}
