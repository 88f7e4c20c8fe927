package main_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/demo"
)

// line is what the tests here read of a line of the log.
type line struct{ Msg, Route, User, Action, Outcome, Because string }

// lines are those of a log that are like the one given, in what that says.
func (r *recorder) lines(t *testing.T, like line) (found []line) {
	t.Helper()
	for text := range strings.Lines(r.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		same := func(want, got string) bool { return want == "" || want == got }
		if strings.Contains(l.Msg, like.Msg) && same(like.Route, l.Route) && same(like.User, l.User) && same(like.Outcome, l.Outcome) {
			found = append(found, l)
		}
	}
	return found
}

// The target takes its trust in one of two sources back, and gives it again. Meanwhile that route stands still, whatever happens in its
// source, and the other one runs.
func TestARouteWhoseTargetDoesNotTrustItsSourceWaitsAndLosesNothing(t *testing.T) {
	t.Parallel()
	const every = 300 * time.Millisecond
	log := &recorder{}
	h := openWith(t, blueprint{seed: 31, options: app.Options{
		TrustEvery: every, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}})
	us, mexico, contoso := h.directory(t, demo.US), h.directory(t, demo.Mexico), h.directory(t, demo.Contoso)
	const stopped = "fabrikam-us→contoso"
	redeem := func(yes bool) {
		t.Helper()
		err := contoso.call(http.MethodPatch, "/policies/crossTenantAccessPolicy/partners/"+demo.US.ID,
			map[string]any{"automaticUserConsentSettings": map[string]any{"inboundAllowed": yes}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	join := func(d *directory, person map[string]any) string {
		t.Helper()
		id, err := d.join(person)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	there := func(person map[string]any) []user {
		t.Helper()
		found, err := contoso.withMail(person["mail"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	people := crowd(31, 3, usDomain)
	mover, leaver := join(us, people[0]), join(us, people[1])
	h.settles(t)
	redeem(false)
	asked := time.Now()
	eventually(t, soon, func() string { // the last verdict holds until then
		if wait := every - time.Since(asked); wait > 0 {
			return fmt.Sprintf("policies are read again in %s", wait)
		}
		return ""
	})
	joiner := join(us, people[2])
	if err := us.change(mover, map[string]any{"department": "Elsewhere"}); err != nil {
		t.Fatal(err)
	}
	if err := us.leave(leaver); err != nil {
		t.Fatal(err)
	}
	neighbour := crowd(32, 1, mexicoDomain)[0]
	join(mexico, neighbour)

	eventually(t, soon, func() string {
		for _, user := range []string{joiner, mover, leaver} {
			if looks := log.lines(t, line{Msg: "provision", User: user, Route: stopped, Outcome: "later"}); len(looks) < 3 {
				return fmt.Sprintf("%s came %d times to the route that is paused", user, len(looks))
			}
		}
		if len(there(neighbour)) != 1 {
			return "the other route does not run"
		}
		return ""
	})
	if found := there(people[2]); len(found) > 0 {
		t.Errorf("the joiner is there: %+v", found)
	}
	if found := there(people[0]); len(found) != 1 || found[0].Department == "Elsewhere" {
		t.Errorf("the mover is %+v, want it as before", found)
	}
	if found := there(people[1]); len(found) != 1 {
		t.Errorf("the leaver is %+v, want it as before", found)
	}

	redeem(true)
	h.settles(t)
	if found := there(people[2]); len(found) != 1 {
		t.Errorf("the joiner is %+v, want one external user", found)
	}
	pauses := log.lines(t, line{Msg: "a route is paused"})
	if len(pauses) != 1 || pauses[0].Route != stopped || !strings.Contains(pauses[0].Because, "PATCH /v1.0/policies/crossTenantAccessPolicy/partners/"+demo.US.ID) {
		t.Errorf("pauses are logged as %+v, want one that says what to mend", pauses)
	}
	if again := log.lines(t, line{Msg: "a route runs again"}); len(again) != 1 || again[0].Route != stopped {
		t.Errorf("runs are logged as %+v, want one", again)
	}
	if entries := log.lines(t, line{Msg: "journal", User: joiner, Outcome: "later"}); len(entries) != 1 || !strings.Contains(entries[0].Because, "not redeemed automatically") {
		t.Errorf("the journal says of the joiner %+v, want once that it waits, and why", entries)
	}
}
