package cli

import (
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	statusfunction "github.com/tenantsync/tenantsync/functions/status"
	"github.com/tenantsync/tenantsync/shared/status"
)

func (p Program) statusCommand() *cobra.Command {
	r := &remote{getenv: p.Getenv}
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how a running tenantsync is doing",
		Long: `Show what is watched and until when, who is held, what waits on the bus, how long changes take, and when the timers last succeeded.
The exit code is 1 if somebody has to look at something.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var report status.Report
			if err := r.call(c.Context(), http.MethodGet, statusfunction.Route, nil, &report); err != nil {
				return err
			}
			if asJSON {
				if err := p.writeJSON(report); err != nil {
					return err
				}
			} else if err := showStatus(p.Stdout, report); err != nil {
				return err
			}
			if n := len(report.Problems); n > 0 {
				return fmt.Errorf("%s to look at", counted(n, "problem"))
			}
			return nil
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func showStatus(to io.Writer, p status.Report) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tWATCHED FOR")
	for _, s := range p.Sources {
		fmt.Fprintf(table, "%s\t%s\n", s.Name, remaining(s.ExpiresAt.Sub(p.At)))
	}
	fmt.Fprintln(table, "\nROUTE\tPEOPLE\tHELD\tCHANGES IN 24 H\tFROM EVENT (HALF, 99 %)\tFROM ARRIVAL (HALF, 99 %)")
	for _, r := range p.Routes {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\n", r.Name, r.Linked, r.Held, r.FromArrival.N, spread(r.FromEvent), spread(r.FromArrival))
	}
	fmt.Fprintln(table, "\nQUEUE\tWAITING\tLATER\tDEAD LETTERS")
	for _, q := range p.Queues {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", q.Name, q.Active, q.Scheduled, q.DeadLettered)
	}
	fmt.Fprintln(table, "\nTIMER\tLAST SUCCESS")
	for _, t := range p.Timers {
		when := "never"
		if !t.At.IsZero() {
			when = p.At.Sub(t.At).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(table, "%s\t%s\n", t.Name, when)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, problem := range p.Problems {
		fmt.Fprintf(to, "\n%s\n", problem)
	}
	return nil
}

// remaining is a time to come, in days while there are many.
func remaining(d time.Duration) string {
	switch {
	case d <= 0:
		return "not watched"
	case d > 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.Round(time.Minute).String()
}

func spread(l status.Latency) string {
	if l.N == 0 {
		return "-"
	}
	return rounded(l.P50) + ", " + rounded(l.P99)
}

// rounded is a duration with as many digits as a person reads.
func rounded(d time.Duration) string {
	for _, unit := range []time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond} {
		if d >= 10*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Millisecond / 10).String()
}
