// Package cli is the command line, and the entry of the custom handler: it reads the environment, starts what was asked
// for, and turns the end of it into an exit code.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tenantsync/tenantsync/shared/config"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitInvalid = 2 // something in the configuration or the command line has to be mended
)

// Program is the command line with its surroundings.
type Program struct {
	Getenv         func(string) string
	Stdout, Stderr io.Writer
}

// usage marks an error of the command line itself.
type usage struct{ error }

// Run executes one command and returns the exit code.
func (p Program) Run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:   "tenantsync",
		Short: "People who join, change or leave a source tenant appear, change and disappear in every target tenant",
		Long: `tenantsync keeps the external users of target Entra tenants in step with the people of source tenants, from
Microsoft Graph change notifications, through Service Bus.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		root.Version = info.Main.Version
	}
	root.SetArgs(args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	root.AddCommand(p.demoCommand(), p.simCommand(), p.brokerCommand(), p.serveCommand(), p.configCommand(), p.planCommand(), p.statusCommand(), p.guardCommand(),
		p.lookCommand())
	return p.exit(root.ExecuteContext(ctx))
}

// noArgs refuses words that are neither commands nor flags.
func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usage{err}
	}
	return nil
}

// exit prints an error and finds its code.
func (p Program) exit(err error) int {
	if err == nil {
		return exitOK
	}
	var invalid config.Invalid
	var mistake config.Mistake
	var wrongUse usage
	switch {
	case errors.As(err, &invalid), errors.As(err, &mistake):
		fmt.Fprintln(p.Stderr, err)
		return exitInvalid
	case errors.As(err, &wrongUse):
		fmt.Fprintf(p.Stderr, "tenantsync: %v; see tenantsync --help\n", err)
		return exitInvalid
	}
	fmt.Fprintln(p.Stderr, "tenantsync:", err)
	return exitFailed
}

// writeJSON writes v for machines and people alike.
func (p Program) writeJSON(v any) error {
	out := json.NewEncoder(p.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// logger writes JSON lines to standard output: the Functions host takes standard error for failures.
func (p Program) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(p.Stdout, nil))
}

// watched reports whether a person sees standard error.
func (p Program) watched() bool {
	file, ok := p.Stderr.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colored reports whether standard output is a terminal that wants colours, and live whether a person watches at all.
func (p Program) colored() (colored, live bool) {
	file, ok := p.Stdout.(*os.File)
	live = ok && term.IsTerminal(int(file.Fd()))
	return live && p.Getenv("NO_COLOR") == "" && p.Getenv("TERM") != "dumb", live
}
