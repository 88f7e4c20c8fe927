package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tenantsync/tenantsync/shared/forecast"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// forecastOf is what would happen on a route, as it is shown.
type forecastOf struct {
	Route string `json:"route"`
	// Paused says why nothing of this happens until somebody mends it.
	Paused  string           `json:"paused,omitempty"`
	Summary forecast.Summary `json:"summary"`
	Users   []foreseen       `json:"users"`
}

// foreseen is what would become of one user.
type foreseen struct {
	User       string                         `json:"user"`
	Name       string                         `json:"name,omitempty"`
	External   string                         `json:"external,omitempty"`
	Action     string                         `json:"action"`
	Reason     string                         `json:"reason"`
	Operations []string                       `json:"operations,omitempty"`
	Changes    []provisioning.AttributeChange `json:"changes,omitempty"`
	Drift      []string                       `json:"drift,omitempty"`
	Again      time.Time                      `json:"again,omitzero"`
	Code       string                         `json:"code,omitempty"`

	ties []provisioning.Operation // those without attributes
}

func (f *forecastOf) add(v forecast.Verdict) {
	d := v.Decision
	one := foreseen{User: v.User, Name: v.Name, External: d.External, Action: v.Action(), Reason: d.Reason, Changes: d.Changes(), Drift: d.Drift, Again: d.Again, Code: v.Code}
	if v.Err != nil {
		one.Reason = v.Err.Error()
	}
	for _, op := range d.Operations {
		one.Operations = append(one.Operations, op.String())
		if op.Kind == provisioning.OpManager || op.Kind == provisioning.OpGrant || op.Kind == provisioning.OpRevoke {
			one.ties = append(one.ties, op)
		}
	}
	f.Users = append(f.Users, one)
}

// shownAtOnce is how many users with the same action and reason are shown without --all.
const shownAtOnce = 20

func (p Program) showForecast(f forecastOf, o planOptions) error {
	slices.SortStableFunc(f.Users, func(a, b foreseen) int { return cmp.Compare(forecast.Rank(a.Action), forecast.Rank(b.Action)) })
	if o.json {
		return p.writeJSON(f)
	}
	paint := painter{}
	paint.colored, _ = p.colored()
	var text strings.Builder
	f.summarize(&text)
	shown := map[string]int{}
	hidden := 0
	for _, u := range f.Users {
		if shown[u.Action]++; shown[u.Action] > shownAtOnce && !o.all {
			hidden++
			continue
		}
		u.describe(&text, paint)
	}
	if hidden > 0 {
		fmt.Fprintf(&text, "\n%d more; --all shows everybody\n", hidden)
	}
	_, err := fmt.Fprintln(p.Stdout, text.String())
	return err
}

// summarize writes a line for each action and reason.
func (f *forecastOf) summarize(to io.Writer) {
	fmt.Fprintf(to, "%s: %s\n", f.Route, counted(f.Summary.Users, "user"))
	if f.Paused != "" {
		fmt.Fprintf(to, "  %s\n", f.Paused)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, c := range f.Summary.Counts {
		fmt.Fprintf(table, "  %s\t%7d\t%s\n", c.Action, c.Users, c.Reason)
	}
	_ = table.Flush()
	if s := f.Summary; s.Guarded && s.Leaving > s.Allowed {
		fmt.Fprintf(to, "  the guard lets %d of %d leave at once; the others would be held until somebody decides (tenantsync guard list)\n", s.Allowed, s.Leaving)
	}
}

// describe writes what would become of one user, attribute by attribute.
func (u foreseen) describe(to io.Writer, paint painter) {
	who := u.User
	if u.Name != "" {
		who = u.Name + " (" + u.User + ")"
	}
	fmt.Fprintf(to, "\n%s  %s\n    %s\n", paint.action(u.Action), who, u.Reason)
	for _, c := range u.Changes {
		switch before, after := shownValue(c.Before), shownValue(c.After); {
		case before == "":
			fmt.Fprintf(to, "    %s\n", paint.green("+ "+c.Name+": "+after))
		case after == "":
			fmt.Fprintf(to, "    %s\n", paint.red("- "+c.Name+": "+before))
		default:
			fmt.Fprintf(to, "    %s\n", paint.yellow("~ "+c.Name+": "+before+" → "+after))
		}
	}
	for _, op := range u.ties {
		switch {
		case op.Kind == provisioning.OpGrant:
			fmt.Fprintf(to, "    %s\n", paint.green("+ "+op.Grant.String()))
		case op.Kind == provisioning.OpRevoke:
			fmt.Fprintf(to, "    %s\n", paint.red("- "+op.Grant.String()))
		case op.Manager == "":
			fmt.Fprintf(to, "    %s\n", paint.red("- manager"))
		default:
			fmt.Fprintf(to, "    %s\n", paint.yellow("~ manager: "+op.Manager))
		}
	}
	if len(u.Drift) > 0 {
		fmt.Fprintf(to, "    differs and is left alone: %s\n", strings.Join(u.Drift, ", "))
	}
	if !u.Again.IsZero() {
		fmt.Fprintf(to, "    decided again on %s\n", u.Again.UTC().Format(time.RFC3339))
	}
}

// shownValue is a value as JSON, or nothing for none.
func shownValue(value any) string {
	if value == nil {
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// painter colours, if somebody wants colours.
type painter struct{ colored bool }

func (p painter) green(s string) string  { return p.paint("32", s) }
func (p painter) red(s string) string    { return p.paint("31", s) }
func (p painter) yellow(s string) string { return p.paint("33", s) }

func (p painter) paint(code, s string) string {
	if !p.colored {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// action colours the name of an action by what it does to people.
func (p painter) action(name string) string {
	switch name {
	case "remove", "disable", forecast.Refused, forecast.Unclear:
		return p.red(name)
	case "create", "restore", "enable":
		return p.green(name)
	case "update":
		return p.yellow(name)
	}
	return name
}
