package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/demo"
)

// maxSpeed is the pace at which a window of ten seconds is a tenth of one.
const maxSpeed = 100

type simOptions struct {
	dir, graph, bus, admin string
	calm                   bool
	speed                  float64
	seed                   uint64
}

func (p Program) simCommand() *cobra.Command {
	var o simOptions
	c := &cobra.Command{
		Use:   "sim --dir DIR",
		Short: "Run simulated tenants and a Service Bus until interrupted",
		Long: `Run the simulated tenants fabrikam-mexico, fabrikam-us and contoso (sign-in and Microsoft Graph over HTTPS) and a
Service Bus compatible queue server, until interrupted. When they are ready, DIR holds

  ca.pem            the certificate authority to trust
  tenantsync.yaml   a configuration for "tenantsync serve"
  sim.env           shell lines with all that "tenantsync serve" and other clients need

The tenants are hostile, as the real ones are on a bad day: of a hundred requests to Graph, two are throttled, two fail and
one loses its connection, before or after it took effect; some are slow; pages have 3 objects; notifications come twice
and in any order; reads may be seconds behind; the documented limits hold. --calm switches that off for all, the header
X-Entrasim-Calm for one request.

--speed 50 lets documented times pass 50 times faster: how long limits last, how long deleted objects and tokens of
change tracking are kept, how long notifications are tried again. Dates, access tokens and subscriptions stay on real time.

The admin API ($SIM_ADMIN_URL, on loopback only) shows the whole world, adds people, changes the weather, moves the clock
and tells what became of every request; "curl $SIM_ADMIN_URL" says how.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.sim(c.Context(), o) },
	}
	c.Flags().StringVar(&o.dir, "dir", "", "`folder` to write to; made when missing")
	c.Flags().StringVar(&o.graph, "graph", "127.0.0.1:0", "`address` of sign-in and Graph")
	c.Flags().StringVar(&o.bus, "bus", "127.0.0.1:0", "`address` of the bus")
	c.Flags().StringVar(&o.admin, "admin", "127.0.0.1:0", "loopback `address` of the admin API")
	c.Flags().Float64Var(&o.speed, "speed", 1, "how many `times` faster documented times pass")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "`number` that ids and the weather follow from")
	c.Flags().BoolVar(&o.calm, "calm", false, "no bad weather: every request is answered, and notifications come once and in order")
	return c
}

func (p Program) sim(ctx context.Context, o simOptions) (err error) {
	if o.dir == "" {
		return usage{errors.New("there is no folder to write to; give --dir DIR")}
	}
	if !(o.speed >= 1 && o.speed <= maxSpeed) {
		return usage{fmt.Errorf("--speed is %v; write a number from 1 to %d", o.speed, maxSpeed)}
	}
	world, err := demo.Open(demo.WorldOptions{GraphAddr: o.graph, BusAddr: o.bus, AdminAddr: o.admin, Hostile: !o.calm, Speed: o.speed, Seed: o.seed, Log: p.logger()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	if err := writeWorld(world, o.dir); err != nil {
		return err
	}
	fmt.Fprintf(p.Stderr, `simulated tenants are ready at %s
  . %s
  tenantsync serve --config %s --data %s
  curl %s
weather (seed %d): %s
`, world.Graph.URL(), filepath.Join(o.dir, envFile), filepath.Join(o.dir, configFile), filepath.Join(o.dir, "data"),
		world.AdminURL, o.seed, world.Graph.Weather())
	<-ctx.Done()
	return nil
}

// What sim writes.
const (
	caFile     = "ca.pem"
	configFile = "tenantsync.yaml"
	envFile    = "sim.env"
)

// writeWorld writes the files; sim.env comes last and whole, so that who waits for it finds the others.
func writeWorld(world *demo.World, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	var yaml, env strings.Builder
	if err := world.WriteConfig(&yaml); err != nil {
		return err
	}
	ca := filepath.Join(dir, caFile)
	fmt.Fprintf(&env, "# Written by tenantsync sim. For serve:\n")
	for _, s := range append(world.Settings(), demo.Setting{Name: "SSL_CERT_FILE", Value: ca}) {
		fmt.Fprintf(&env, "export %s=%s\n", s.Name, quote(s.Value))
	}
	fmt.Fprintf(&env, "# For any other client:\n")
	for _, s := range world.ClientSettings() {
		fmt.Fprintf(&env, "export %s=%s\n", s.Name, quote(s.Value))
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{caFile, world.Graph.CAPEM()}, {configFile, []byte(yaml.String())}, {envFile, []byte(env.String())}} {
		draft := filepath.Join(dir, "."+f.name)
		if err := os.WriteFile(draft, f.text, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if err := os.Rename(draft, filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

// quote makes a word for the shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
