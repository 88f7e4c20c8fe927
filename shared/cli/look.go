package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	lookfunction "github.com/tenantsync/tenantsync/functions/look"
)

func (p Program) lookCommand() *cobra.Command {
	r := &remote{getenv: p.Getenv}
	c := &cobra.Command{
		Use:   "look ROUTE USER…",
		Short: "Have users looked at now: provision on demand",
		Long: fmt.Sprintf(`Have users looked at now, and what the rules say done at once, as if Graph had notified of them. The guard holds as always.
USER is an object id in the source, or a user principal name; who is deleted has the former only. At most %d.
What came of it stands in the log and the journal, under the trace that is written beside the user. tenantsync plan --user shows it before.`, lookfunction.MaxUsers),
		Args: wordsBetween(2, -1),
		RunE: func(c *cobra.Command, args []string) error {
			var answer lookfunction.Answer
			body := lookfunction.Request{Route: args[0], Users: args[1:]}
			if err := r.call(c.Context(), http.MethodPost, lookfunction.Route, body, &answer); err != nil {
				return err
			}
			for i, user := range answer.Users {
				fmt.Fprintf(p.Stdout, "look: %s, trace %s\n", user, answer.Traces[i])
			}
			return nil
		},
	}
	r.flags(c)
	return c
}
