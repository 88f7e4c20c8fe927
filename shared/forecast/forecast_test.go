package forecast_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/forecast"
	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

var route = tenant.Route{Name: "fabrikam-us→contoso", Source: tenant.Tenant{ID: "source"}, Target: tenant.Tenant{ID: "target"}}

// oracle knows what becomes of everybody. Looks at a user fail as often as failing says.
type oracle struct {
	mu      sync.Mutex
	failing map[string]int
	looks   map[string]int
	waits   []time.Duration
}

func (o *oracle) Preview(_ context.Context, r tenant.Route, user string) (provisioning.Preview, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looks[user]++
	p := provisioning.Preview{User: user, Linked: user != "joins", Decision: provisioning.Decision{Action: provisioning.ActionNone, Reason: "everything is as it should be"}}
	switch {
	case r != route:
		return p, outcome.Fail("wrong route", errors.New(r.Name))
	case o.looks[user] <= o.failing[user]:
		return p, outcome.LaterAfter(time.Hour, errors.New("slow down"))
	case user == "refused":
		return p, outcome.Fail("address refused", errors.New("no"))
	case user == "leaves":
		p.Decision = provisioning.Decision{Action: provisioning.ActionRemove, Reason: "the source user is deleted"}
	case user == "joins":
		p.Decision = provisioning.Decision{Action: provisioning.ActionCreate, Reason: "the source user joined"}
	case user == "moves":
		p.Decision = provisioning.Decision{Action: provisioning.ActionUpdate, Reason: "these attributes differ: department"}
	case user == "disabled":
		p.Forced = true
		p.Decision = provisioning.Decision{Action: provisioning.ActionDisable, Reason: "the source user was disabled"}
	case user == "blocked":
		p.Decision = provisioning.Decision{Action: provisioning.ActionDisable, Reason: "the source user is not in scope"}
	}
	return p, nil
}

func (o *oracle) wait(ctx context.Context, d time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waits = append(o.waits, d)
	return ctx.Err()
}

func (o *oracle) UserIDs(_ context.Context, tenantID string, each func([]string) error) error {
	if tenantID != "source" {
		return errors.New("not of " + tenantID)
	}
	return errors.Join(each([]string{"joins", "moves"}), each([]string{"refused"}))
}

func (o *oracle) Linked(_ context.Context, name string, each func(provisioning.Link) error) error {
	for _, user := range []string{"moves", "leaves"} {
		if err := each(provisioning.Link{Key: provisioning.LinkKey{Route: name, User: user}}); err != nil {
			return err
		}
	}
	return nil
}

func newOracle() (*oracle, *forecast.Forecaster) {
	o := &oracle{failing: map[string]int{}, looks: map[string]int{}}
	return o, &forecast.Forecaster{Previewer: o, Users: o, Workers: 4, Wait: o.wait}
}

func TestEverybodyInTheSourceAndEverybodyLinkedIsLookedAtOnce(t *testing.T) {
	_, f := newOracle()
	users, err := f.List(t.Context(), route)
	if want := []string{"joins", "moves", "refused", "leaves"}; err != nil || !slices.Equal(users, want) {
		t.Errorf("%v, %v; want %v", users, err, want)
	}
	elsewhere := route
	elsewhere.Source.ID = "elsewhere"
	if _, err := f.List(t.Context(), elsewhere); err == nil {
		t.Error("a list that fails is taken for everybody")
	}
}

func TestVerdictsComeInTheOrderOfTheUsersAndProgressIsTold(t *testing.T) {
	_, f := newOracle()
	var users, told []string
	for i := range 100 {
		users = append(users, fmt.Sprint(i))
	}
	f.Progress = func(done, all int) { told = append(told, fmt.Sprintf("%d of %d", done, all)) }
	verdicts, err := f.Run(t.Context(), route, users)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range verdicts {
		if v.User != users[i] || v.Action() != "none" {
			t.Fatalf("verdict %d is of %s: %s", i, v.User, v.Action())
		}
	}
	if len(told) != 100 || told[99] != "100 of 100" {
		t.Errorf("told was %v", told)
	}
}

func TestALookThatFailsForNowIsRepeatedAndOneThatIsRefusedIsNot(t *testing.T) {
	o, f := newOracle()
	o.failing["moves"], o.failing["joins"] = 2, 1000
	verdicts, err := f.Run(t.Context(), route, []string{"moves", "refused", "joins"})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, v := range verdicts {
		actions = append(actions, v.Action())
	}
	if want := []string{"update", forecast.Refused, forecast.Unclear}; !slices.Equal(actions, want) {
		t.Errorf("%v, want %v", actions, want)
	}
	if want := map[string]int{"moves": 3, "refused": 1, "joins": 5}; !reflect.DeepEqual(o.looks, want) {
		t.Errorf("looks %v, want %v", o.looks, want)
	}
	for _, d := range o.waits {
		if d > time.Minute {
			t.Errorf("it waits %v", d)
		}
	}
}

func TestARunThatIsInterruptedEnds(t *testing.T) {
	o, f := newOracle()
	ctx, cancel := context.WithCancel(t.Context())
	o.failing["joins"] = 1000
	f.Wait = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if _, err := f.Run(ctx, route, []string{"joins", "moves", "leaves"}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

func TestASummaryCountsActionsAndReasons(t *testing.T) {
	_, f := newOracle()
	verdicts, err := f.Run(t.Context(), route, []string{"joins", "leaves", "moves", "moves", "refused", "blocked", "disabled", "stays", "stays"})
	if err != nil {
		t.Fatal(err)
	}
	want := forecast.Summary{
		Users: 9, Leaving: 2, Allowed: 1, Guarded: true,
		Counts: []forecast.Count{
			{Action: "remove", Reason: "the source user is deleted", Users: 1},
			{Action: "disable", Reason: "the source user is not in scope", Users: 1},
			{Action: "disable", Reason: "the source user was disabled", Users: 1},
			{Action: "create", Reason: "the source user joined", Users: 1},
			{Action: "update", Reason: "these attributes differ", Users: 2},
			{Action: forecast.Refused, Reason: "address refused", Users: 1},
			{Action: "none", Reason: "everything is as it should be", Users: 2},
		},
	}
	if got := forecast.Summarize(verdicts, guard.Limits{Removals: 1, Percent: 10, Window: time.Hour}); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if forecast.Summarize(verdicts, guard.Limits{}).Guarded {
		t.Error("a guard that is off is shown")
	}
}
