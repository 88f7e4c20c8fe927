package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/demo"
)

func (p Program) demoCommand() *cobra.Command {
	var o demo.Options
	var asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch two simulated tenants feed a third, and check the result",
		Long: `Play a story in three simulated tenants: people join, change, leave and come back in two of them, and everything
follows in the third, through the real SDKs, an embedded Service Bus and all functions in this process. At the end every
external user is compared with what must be there; the exit code is 0 only if all agree.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.demo(c.Context(), o, asJSON) },
	}
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave everything running after the story, until interrupted")
	c.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per line")
	c.Flags().BoolVar(&o.Hostile, "hostile", false, "in bad weather: Graph throttles, fails, cuts off, and notifies twice and in any order")
	return c
}

func (p Program) demo(ctx context.Context, o demo.Options, asJSON bool) error {
	color, live := p.colored()
	if live && !asJSON {
		fmt.Fprint(p.Stdout, picture)
	}
	var kept string // folder of what other clients need, once there is one
	defer func() { os.RemoveAll(kept) }()
	o.Output = demo.Output{To: p.Stdout, JSON: asJSON, Color: color, Live: live}
	o.Log = slog.New(slog.DiscardHandler)
	o.Kept = func(w *demo.World) error {
		var err error
		if kept, err = os.MkdirTemp("", "tenantsync-kept-"); err != nil {
			return fmt.Errorf("make a folder for --keep: %w", err)
		}
		if err := writeWorld(w, kept); err != nil {
			return err
		}
		fmt.Fprintf(p.Stderr, "\nstill running; for other clients of the simulated Microsoft Graph: . %s (Ctrl-C ends it)\n", filepath.Join(kept, envFile))
		return nil
	}
	return demo.Run(ctx, o)
}

const picture = `
  fabrikam-mexico ──┐
                    ├──▶ contoso
  fabrikam-us ──────┘

  Graph notification → Service Bus → provisioning, all in this process
`
