package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/forecast"
	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// foreseenBy is the forecast of a route of five, and of as many joiners as wanted besides.
func foreseenBy(joiners int) forecastOf {
	op := func(kind provisioning.OperationKind, g provisioning.Grant, manager string) provisioning.Operation {
		return provisioning.Operation{Kind: kind, Grant: g, Manager: manager}
	}
	preview := func(user string, d provisioning.Decision) provisioning.Preview {
		return provisioning.Preview{User: user, Name: user + "@us.fabrikam.com", Decision: d, Linked: true}
	}
	verdicts := []forecast.Verdict{
		{Preview: preview("u1", provisioning.Decision{Action: provisioning.ActionUpdate, Reason: "these attributes differ: department, jobTitle, mobilePhone",
			Operations: []provisioning.Operation{
				{Kind: provisioning.OpUpdate, Before: provisioning.Attributes{"department": "Sales", "mobilePhone": "1"},
					Attributes: provisioning.Attributes{"department": "Research", "jobTitle": "Chemist", "mobilePhone": nil}},
				op(provisioning.OpRevoke, provisioning.Grant{Group: "g1"}, ""), op(provisioning.OpManager, provisioning.Grant{}, "e9"),
				op(provisioning.OpGrant, provisioning.Grant{App: "a1", Role: "r1"}, ""),
			}})},
		{Preview: provisioning.Preview{User: "u2", Decision: provisioning.Decision{Action: provisioning.ActionRemove, Reason: "the source user is deleted"}, Linked: true}},
		{Preview: preview("u3", provisioning.Decision{Action: provisioning.ActionDisable, Reason: "the source user was disabled", Drift: []string{"city"},
			Again: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Operations: []provisioning.Operation{op(provisioning.OpManager, provisioning.Grant{}, "")}})},
		{Preview: preview("u4", provisioning.Decision{}), Err: errors.New("two have the address"), Refused: true, Code: "ambiguous match"},
		{Preview: preview("u5", provisioning.Decision{}), Err: errors.New("no answer"), Code: "timeout"},
	}
	for i := range joiners {
		verdicts = append(verdicts, forecast.Verdict{Preview: preview(fmt.Sprintf("j%d", i), provisioning.Decision{Action: provisioning.ActionCreate, Reason: "the source user joined"})})
	}
	f := forecastOf{Route: "fabrikam-us→contoso", Summary: forecast.Summarize(verdicts, guard.Limits{Removals: 1, Window: time.Hour})}
	for _, v := range verdicts {
		f.add(v)
	}
	return f
}

func shownForecast(t *testing.T, f forecastOf, o planOptions) string {
	t.Helper()
	var out bytes.Buffer
	if err := (Program{Getenv: environment{}.get, Stdout: &out, Stderr: &out}).showForecast(f, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAForecastIsASummaryAndThenWhatHappensToEach(t *testing.T) {
	const want = `fabrikam-us→contoso: 5 users
  remove         1  the source user is deleted
  disable        1  the source user was disabled
  update         1  these attributes differ
  refused        1  ambiguous match
  unclear        1  timeout
  the guard lets 1 of 2 leave at once; the others would be held until somebody decides (tenantsync guard list)

remove  u2
    the source user is deleted

disable  u3@us.fabrikam.com (u3)
    the source user was disabled
    - manager
    differs and is left alone: city
    decided again on 2026-05-01T00:00:00Z

update  u1@us.fabrikam.com (u1)
    these attributes differ: department, jobTitle, mobilePhone
    ~ department: "Sales" → "Research"
    + jobTitle: "Chemist"
    - mobilePhone: "1"
    - group g1
    ~ manager: e9
    + app a1 role r1

refused  u4@us.fabrikam.com (u4)
    two have the address

unclear  u5@us.fabrikam.com (u5)
    no answer
`
	if got := strings.TrimSuffix(shownForecast(t, foreseenBy(0), planOptions{}), "\n"); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

func TestAForecastOfManyShowsSomeOfThemUnlessAllAreAskedFor(t *testing.T) {
	f := foreseenBy(30)
	some := shownForecast(t, f, planOptions{})
	if strings.Count(some, "\ncreate ") != shownAtOnce || !strings.Contains(some, "\n10 more; --all shows everybody\n") || !strings.Contains(some, "  create        30  the source user joined\n") {
		t.Errorf("it says\n%s", some)
	}
	if all := shownForecast(t, f, planOptions{all: true}); strings.Count(all, "\ncreate ") != 30 || strings.Contains(all, "more;") {
		t.Errorf("all are\n%s", all)
	}
}

func TestAForecastOfAPausedRouteSaysSoFirst(t *testing.T) {
	f := foreseenBy(0)
	f.Paused = "the route is paused: the target does not trust the source"
	if got := shownForecast(t, f, planOptions{}); !strings.HasPrefix(got, "fabrikam-us→contoso: 5 users\n  the route is paused: the target does not trust the source\n") {
		t.Errorf("it says\n%s", got)
	}
}

func TestAForecastForMachinesHasEveryField(t *testing.T) {
	var got struct {
		Route   string
		Summary struct{ Users, Leaving, Allowed int }
		Users   []struct {
			User, Name, Action, Reason, Code string
			Operations, Drift                []string
			Changes                          []struct {
				Name          string
				Before, After any
			}
		}
	}
	if err := json.Unmarshal([]byte(shownForecast(t, foreseenBy(0), planOptions{json: true})), &got); err != nil {
		t.Fatal(err)
	}
	if got.Summary.Users != 5 || got.Summary.Leaving != 2 || got.Summary.Allowed != 1 || len(got.Users) != 5 {
		t.Errorf("%+v", got)
	}
	mover := got.Users[2]
	if mover.User != "u1" || len(mover.Changes) != 3 || mover.Changes[0].Before != "Sales" || mover.Changes[0].After != "Research" || len(mover.Operations) != 4 {
		t.Errorf("%+v", mover)
	}
	if refused := got.Users[3]; refused.Action != forecast.Refused || refused.Code != "ambiguous match" || refused.Reason != "two have the address" {
		t.Errorf("%+v", refused)
	}
}

func TestAPlanOfARouteThatIsNotThereNamesThoseThatAre(t *testing.T) {
	path := write(t, goodConfig)
	e := environment{"TENANTSYNC_CLIENT_ID": "00000000-0000-0000-0000-000000000009", "TENANTSYNC_CLIENT_SECRET": "s"}
	code, _, stderr := run(t, e, "plan", "--config", path, "--route", "nowhere")
	if code != exitInvalid || !strings.Contains(stderr, `there is no route "nowhere" in the configuration; there are: fabrikam-us→contoso`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	code, _, stderr = run(t, e, "plan", "--config", path, "--data", t.TempDir())
	if code != exitInvalid || !strings.Contains(stderr, "there is no store in this folder") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr = run(t, e, "plan", "--config", path, "--workers", "0"); code != exitInvalid || !strings.Contains(stderr, "--workers is 0") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
