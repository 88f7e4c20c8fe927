package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	guardfunction "github.com/tenantsync/tenantsync/functions/guard"
	"github.com/tenantsync/tenantsync/shared/guard"
)

func (p Program) guardCommand() *cobra.Command {
	r := &remote{getenv: p.Getenv}
	c := &cobra.Command{
		Use:   "guard",
		Short: "Show removals that are held back, and decide about them",
		Long: `The guard holds removals and blocks back when more people would leave a target in a while than the route allows.
Held departures wait until somebody decides, or until the rules no longer ask for them; everything else goes on.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	r.flags(c)
	c.AddCommand(p.guardListCommand(r),
		p.guardDecideCommand(r, "approve", "Let people leave: each happens at once if the rules still ask for it"),
		p.guardDecideCommand(r, "reject", "Keep people: they stay held until somebody approves, or they are back"))
	return c
}

func (p Program) guardListCommand(r *remote) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [ROUTE]",
		Short: "Show who is held, since when and why",
		Args:  wordsBetween(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			path := guardfunction.Route
			if len(args) > 0 {
				path += "?route=" + url.QueryEscape(args[0])
			}
			var answer struct {
				Held []guard.Held `json:"held"`
			}
			if err := r.call(c.Context(), http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return p.writeJSON(answer)
			}
			return showHeld(p.Stdout, answer.Held)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func showHeld(to io.Writer, held []guard.Held) error {
	if len(held) == 0 {
		_, err := fmt.Fprintln(to, "nobody is held")
		return err
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SINCE\tROUTE\tUSER\tEXTERNAL USER\tWHY")
	for _, h := range held {
		why := h.Reason
		switch {
		case h.Rejected:
			why += " (rejected)"
		case h.Approved:
			why += " (approved, and not carried out yet)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.Since.UTC().Format(time.RFC3339), h.Route, h.User, h.External, why)
	}
	return table.Flush()
}

func (p Program) guardDecideCommand(r *remote, decision, short string) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   decision + " ROUTE [USER…]",
		Short: short,
		Long:  short + ".\nUSER is the object id in the source, as list shows it.",
		Args:  wordsBetween(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			route, users := args[0], args[1:]
			if all == (len(users) > 0) {
				return usage{errors.New("name users, or give --all; tenantsync guard list shows who is held")}
			}
			var answer struct {
				Decided []string `json:"decided"`
			}
			body := guardfunction.Decision{Route: route, Users: users, All: all, Decision: decision}
			if err := r.call(c.Context(), http.MethodPost, guardfunction.Route, body, &answer); err != nil {
				return err
			}
			return p.showDecided(decision, users, answer.Decided)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all of the route; approve leaves out those that were rejected")
	return c
}

// showDecided says whose departures were decided, and is an error when some of those named were not held.
func (p Program) showDecided(decision string, asked, decided []string) error {
	for _, user := range decided {
		fmt.Fprintf(p.Stdout, "%s: %s\n", decision, user)
	}
	if missing := len(asked) - len(decided); len(asked) > 0 && missing > 0 {
		return fmt.Errorf("%d of %d are not held on this route; tenantsync guard list shows who is", missing, len(asked))
	}
	_, err := fmt.Fprintf(p.Stdout, "%d decided\n", len(decided))
	return err
}

// wordsBetween bounds the number of words after a command; most -1 is no bound.
func wordsBetween(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		check := cobra.MinimumNArgs(least)
		if most >= 0 {
			check = cobra.RangeArgs(least, most)
		}
		if err := check(c, args); err != nil {
			return usage{fmt.Errorf("%w; write %s", err, c.UseLine())}
		}
		return nil
	}
}
