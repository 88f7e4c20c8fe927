package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// command runs the program to its end, with nothing in its environment.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := start(t, nil, args...)
	code = p.exitCode(t)
	return p.stdout.String(), p.stderr.String(), code
}

// heldBy asks a running service, by the command line, whose departures it holds.
func heldBy(t *testing.T, s *service) (users []string) {
	t.Helper()
	stdout, stderr, code := command(t, "guard", "list", "--url", "http://"+s.listen, "--data", s.data, "--json")
	var answer struct {
		Held []struct{ User, Reason string }
	}
	if err := json.Unmarshal([]byte(stdout), &answer); code != 0 || err != nil {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	for _, h := range answer.Held {
		if h.Reason != "the source user is not in scope: user.department != \"Closed\"" {
			t.Errorf("held because %s", h.Reason)
		}
		users = append(users, h.User)
	}
	slices.Sort(users)
	return users
}

// Everybody falls out of the scope at once, as after a mistake in the directory. As many as the limit allows are gone; the others stay until
// somebody decides about each of them, and all other work goes on meanwhile.
func TestAMassLossOfScopeWaitsForSomebodyToDecide(t *testing.T) {
	t.Parallel()
	const allowed, people = 2, 6
	s := simulate(t)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "tenantsync.yaml")
	rules := fmt.Sprintf("    scope: {when: 'user.department != \"Closed\"'}\n    guard: {removals: %d, percent: 0, window: 1h}\n", allowed)
	text = bytes.ReplaceAll(text, []byte("    target: contoso\n"), []byte("    target: contoso\n"+rules))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	service := serve(t, s.environ(), config, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	crew := crowd(29, people, usDomain)
	ids := make([]string, people)
	for i, person := range crew {
		if ids[i], err = source.join(person); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, patience, func() string { return unequal(target, crew) })
	for _, id := range ids {
		if err := source.change(id, map[string]any{"department": "Closed"}); err != nil {
			t.Fatal(err)
		}
	}
	var held []string
	count := func(want int) func() string {
		return func() string {
			there, err := target.external()
			if held = heldBy(t, service); err != nil || len(held) != want {
				return fmt.Sprintf("%d are held and %d there, %v; want %d held", len(held), len(there), err, want)
			}
			return ""
		}
	}
	eventually(t, patience, count(people-allowed))
	newcomer := crowd(31, 1, usDomain)[0]
	if _, err := source.join(newcomer); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() string {
		if there, err := target.external(); err != nil || len(there) != people-allowed+1 {
			return fmt.Sprintf("%d are there, %v; want those who are held and the newcomer", len(there), err)
		}
		return ""
	})

	decide := func(want int, args ...string) {
		t.Helper()
		args = append([]string{"guard"}, append(args, "--url", "http://"+service.listen, "--data", service.data)...)
		if stdout, stderr, code := command(t, args...); code != 0 || !strings.HasSuffix(stdout, fmt.Sprintf("%d decided\n", want)) {
			t.Fatalf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
	}
	const route = "fabrikam-us→contoso"
	decide(1, "reject", route, held[0])
	decide(1, "approve", route, held[1])
	eventually(t, patience, count(people-allowed-1))
	if err := source.change(held[2], map[string]any{"department": "Sales"}); err != nil { // who is back is not held any more
		t.Fatal(err)
	}
	rejected := held[0]
	eventually(t, patience, count(people-allowed-2))
	decide(people-allowed-3, "approve", route, "--all")
	eventually(t, patience, count(1))
	if held[0] != rejected {
		t.Errorf("%s is held, want %s, whose departure was rejected", held[0], rejected)
	}
	eventually(t, patience, func() string {
		if there, err := target.external(); err != nil || len(there) != 3 {
			return fmt.Sprintf("%d are there, %v; want who was rejected, who is back and the newcomer", len(there), err)
		}
		return ""
	})
}
