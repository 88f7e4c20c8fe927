package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	lookfunction "github.com/tenantsync/tenantsync/functions/look"
)

func (p Program) lookCommand() *cobra.Command {
	r := &remote{getenv: p.Getenv}
	var all bool
	c := &cobra.Command{
		Use:   "look ROUTE [USER…]",
		Short: "Have users looked at now: provision on demand",
		Long: fmt.Sprintf(`Have users looked at now, and what the rules say done at once, as if Graph had notified of them. The guard holds as always.
USER is an object id in the source, or a user principal name; who is deleted has the former only. At most %d.
What came of it stands in the log and the journal, under the trace that is written beside the user. tenantsync plan --user shows it before.

--all has everybody in the source looked at, and everybody who has an external user, within five minutes and behind live changes.
tenantsync status shows how many still wait.`, lookfunction.MaxUsers),
		Args: wordsBetween(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			route, users := args[0], args[1:]
			if all == (len(users) > 0) {
				return usage{errors.New("name users, or give --all")}
			}
			var answer lookfunction.Answer
			body := lookfunction.Request{Route: route, Users: users, All: all}
			if err := r.call(c.Context(), http.MethodPost, lookfunction.Route, body, &answer); err != nil {
				return err
			}
			if all {
				fmt.Fprintf(p.Stdout, "look: everybody on %s, within five minutes\n", route)
			}
			for i, user := range answer.Users {
				fmt.Fprintf(p.Stdout, "look: %s, trace %s\n", user, answer.Traces[i])
			}
			return nil
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&all, "all", false, "everybody on the route")
	return c
}
