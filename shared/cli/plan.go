package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/forecast"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

type planOptions struct {
	config, data string
	routes       []string
	users        []string
	workers      int
	json, all    bool
}

func (p Program) planCommand() *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what would happen to whom, and why, without writing anything",
		Long: `Look at every user of the routes, in both tenants, and show what tenantsync would do: a summary by action and reason,
then each change with the values before and after. Nothing is written.

With --data, the folder that serve runs with, links are known, and with them who has left the source meanwhile. Without it links are
found by the link key that external users carry.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.plan(c.Context(), o) },
	}
	c.Flags().StringVar(&o.config, "config", p.configFile("."), "configuration `file`")
	c.Flags().StringVar(&o.data, "data", p.Getenv(config.EnvDataDir), "data `folder` of the running tenantsync")
	c.Flags().StringSliceVar(&o.routes, "route", nil, "only this `route`; may be given several times")
	c.Flags().StringSliceVar(&o.users, "user", nil, "only this `user`: object id in the source, or user principal name; may be given several times")
	c.Flags().IntVar(&o.workers, "workers", 16, "how many users are looked at at the same time")
	c.Flags().BoolVar(&o.json, "json", false, "write JSON")
	c.Flags().BoolVar(&o.all, "all", false, "show everybody, also those to whom nothing would happen")
	return c
}

// plan shows the forecast of each route. It fails if somebody's could not be made.
func (p Program) plan(ctx context.Context, o planOptions) (err error) {
	if o.workers < 1 {
		return usage{fmt.Errorf("--workers is %d; write 1 or more", o.workers)}
	}
	c, err := config.Load(o.config, p.Getenv)
	if err != nil {
		return err
	}
	c.DataDir = o.data
	routes, err := chosen(c.Topology, o.routes)
	if err != nil {
		return err
	}
	planner, err := app.NewPlanner(ctx, c, app.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, planner.Close()) }()
	planner.Workers = o.workers
	unclear := 0
	for _, route := range routes {
		verdicts, err := p.foresee(ctx, planner, route, o.users)
		if err != nil {
			return fmt.Errorf("%s: %w", route.Name, err)
		}
		shown := forecastOf{Route: route.Name, Summary: forecast.Summarize(verdicts, c.Rules[route.Name].Guard)}
		if paused := planner.Paused(ctx, route); paused != nil {
			shown.Paused = paused.Error()
		}
		for _, v := range verdicts {
			if v.Action() == forecast.Unclear {
				unclear++
			}
			if o.all || v.Action() != "none" || len(v.Decision.Drift) > 0 || len(o.users) > 0 {
				shown.add(v)
			}
		}
		if err := p.showForecast(shown, o); err != nil {
			return err
		}
	}
	if unclear > 0 {
		return fmt.Errorf("what happens to %d could not be told; run it again", unclear)
	}
	return nil
}

// chosen are the routes with these names; none are all.
func chosen(topology *tenant.Topology, names []string) ([]tenant.Route, error) {
	if len(names) == 0 {
		return topology.Routes(), nil
	}
	var routes []tenant.Route
	for _, name := range names {
		route, ok := topology.Route(name)
		if !ok {
			var known []string
			for _, r := range topology.Routes() {
				known = append(known, r.Name)
			}
			return nil, usage{fmt.Errorf("there is no route %q in the configuration; there are: %s", name, strings.Join(known, ", "))}
		}
		if !slices.ContainsFunc(routes, func(r tenant.Route) bool { return r.Name == route.Name }) {
			routes = append(routes, route)
		}
	}
	return routes, nil
}

// foresee looks at the named users of a route, or at all of them, and shows how far it is.
func (p Program) foresee(ctx context.Context, planner *app.Planner, route tenant.Route, names []string) ([]forecast.Verdict, error) {
	users := []string{}
	for _, name := range names {
		id, err := planner.UserID(ctx, route.Source.ID, name)
		if err != nil {
			return nil, err
		}
		users = append(users, id)
	}
	if len(names) == 0 {
		var err error
		if users, err = planner.List(ctx, route); err != nil {
			return nil, err
		}
	}
	bar := p.progressBar(route.Name, len(users))
	planner.Progress = func(done, _ int) { _ = bar.Set(done) }
	verdicts, err := planner.Run(ctx, route, users)
	_ = bar.Finish()
	return verdicts, err
}

// progressBar is shown to a person who waits, and to nobody else.
func (p Program) progressBar(name string, users int) *progressbar.ProgressBar {
	return progressbar.NewOptions(users,
		progressbar.OptionSetWriter(p.Stderr),
		progressbar.OptionSetVisibility(p.watched()),
		progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
	)
}
