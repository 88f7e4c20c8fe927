package main_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// planned asks the command line what would happen, as JSON.
func planned(t *testing.T, s *simulation, args ...string) (route struct {
	Summary struct {
		Users  int
		Counts []struct {
			Action, Reason string
			Users          int
		}
	}
	Users []struct {
		User, Name, Action, Reason string
		Changes                    []struct{ Name string }
	}
}) {
	t.Helper()
	p := start(t, s.environ(), append([]string{"plan", "--config", s.config, "--route", "fabrikam-us→contoso", "--json"}, args...)...)
	if code := p.exitCode(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &route); err != nil {
		t.Fatalf("%v in %s", err, p.stdout.String())
	}
	return route
}

func (s *simulation) counts(t *testing.T, args ...string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, c := range planned(t, s, args...).Summary.Counts {
		counts[c.Action] += c.Users
	}
	return counts
}

func TestAPlanSaysWhatServeThenDoes(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	people := crowd(37, 12, usDomain)
	ids := make([]string, len(people))
	for i, person := range people {
		var err error
		if ids[i], err = source.join(person); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.counts(t); got["create"] != len(people) {
		t.Fatalf("before serve runs: %v, want %d to be created", got, len(people))
	}
	if users, err := target.external(); err != nil || len(users) > 0 {
		t.Fatalf("planning made %d external users, %v", len(users), err)
	}
	service := s.serve(t)
	eventually(t, patience, func() string { return unequal(target, people) })
	service.interrupt(t)
	if got := s.counts(t, "--data", service.data); got["none"] != len(people) {
		t.Fatalf("when all is done: %v, want nothing", got)
	}

	// While serve does not run one leaves, one moves and one is disabled.
	for _, change := range []func() error{
		func() error { return source.leave(ids[0]) },
		func() error { return source.change(ids[1], map[string]any{"department": "Night Shift"}) },
		func() error { return source.change(ids[2], map[string]any{"accountEnabled": false}) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	got := s.counts(t, "--data", service.data)
	if got["remove"] != 1 || got["update"] != 1 || got["disable"] != 1 || got["none"] != len(people)-3 {
		t.Errorf("after three changes: %v", got)
	}
	one := planned(t, s, "--data", service.data, "--user", people[1]["userPrincipalName"].(string))
	if len(one.Users) != 1 || one.Users[0].User != ids[1] || len(one.Users[0].Changes) != 1 || one.Users[0].Changes[0].Name != "department" {
		t.Errorf("of her alone: %+v", one.Users)
	}

	text := start(t, s.environ(), "plan", "--config", s.config, "--data", service.data)
	if code := text.exitCode(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, want := range []string{
		"fabrikam-us→contoso: 12 users\n", "remove", "the source user is deleted", `~ department: "` + people[1]["department"].(string) + `" → "Night Shift"`,
		"~ accountEnabled: true → false",
	} {
		if !strings.Contains(text.stdout.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.stdout.String())
		}
	}
	again := serve(t, s.environ(), s.config, service.data, "127.0.0.1:0")
	eventually(t, patience, func() string {
		if got := s.counts(t, "--data", again.data); got["none"] != len(people) {
			return "not as planned yet"
		}
		return ""
	})
}
