package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// promised is how soon a change in a source must show in the target.
const promised = 2 * time.Second

// story is the main job: somebody joins, changes, is disabled and enabled, leaves and comes back, and after each the
// target follows within a time. Nothing is called but Graph.
func story(t *testing.T, s *simulation, within time.Duration) {
	t.Helper()
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	person := newcomer(entrasim.People(7, 1)[0], usDomain)
	var id, external string
	one := func(is func(u user) bool) func([]user) bool {
		return func(users []user) bool { return len(users) == 1 && is(users[0]) }
	}
	for _, chapter := range []struct {
		name  string
		play  func() error
		right func([]user) bool
	}{
		{"joins", func() (err error) { id, err = source.join(person); return err }, one(func(u user) bool {
			external = u.ID
			return u.CreationType == "Invitation" && u.UserType == "Member" && u.AccountEnabled && u.Department == person["department"]
		})},
		{"moves to another department", func() error { return source.change(id, map[string]any{"department": "Night Shift"}) },
			one(func(u user) bool { return u.ID == external && u.Department == "Night Shift" })},
		{"is disabled", func() error { return source.change(id, map[string]any{"accountEnabled": false}) },
			one(func(u user) bool { return u.ID == external && !u.AccountEnabled })},
		{"is enabled again", func() error { return source.change(id, map[string]any{"accountEnabled": true}) },
			one(func(u user) bool { return u.ID == external && u.AccountEnabled })},
		{"leaves", func() error { return source.leave(id) }, func(users []user) bool { return len(users) == 0 }},
		{"comes back as the same object", func() error { return source.restore(id) },
			one(func(u user) bool { return u.ID == external && u.Department == "Night Shift" })},
	} {
		if err := chapter.play(); err != nil {
			t.Fatalf("somebody %s: %v", chapter.name, err)
		}
		took := eventually(t, within, func() string {
			users, err := target.withMail(fmt.Sprint(person["mail"]))
			switch {
			case err != nil:
				return err.Error()
			case !chapter.right(users):
				return fmt.Sprintf("somebody %s, and the target shows %+v", chapter.name, users)
			}
			return ""
		})
		t.Logf("somebody %s: right after %s", chapter.name, took.Round(time.Millisecond))
	}
}

// unequal compares the external users of the target with the people who must be there: each of them once, with what they
// are in the source, and nobody else. Nothing is wrong when the answer is empty.
func unequal(target *directory, people []map[string]any) (wrong string) {
	users, err := target.external()
	if err != nil {
		return err.Error()
	}
	want := map[user]int{}
	for _, p := range people {
		want[user{DisplayName: p["displayName"].(string), Mail: p["mail"].(string), Department: p["department"].(string),
			UserType: "Member", CreationType: "Invitation", AccountEnabled: true}]++
	}
	extra := 0
	for _, u := range users {
		u.ID = ""
		if want[u]--; want[u] < 0 {
			extra++
		}
	}
	lacking := 0
	for _, n := range want {
		lacking += max(n, 0)
	}
	if lacking > 0 || extra > 0 {
		return fmt.Sprintf("of %d external users that must be there %d are not, and there are %d others", len(people), lacking, extra)
	}
	return ""
}

// crowd makes people who have not joined yet.
func crowd(seed uint64, n int, domain string) (people []map[string]any) {
	for _, p := range entrasim.People(seed, n) {
		people = append(people, newcomer(p, domain))
	}
	return people
}

func TestAChangeInASourceShowsInTheTargetWithinTwoSeconds(t *testing.T) {
	s := simulate(t)
	s.serve(t)
	story(t, s, promised)
}

func TestWhoJoinedBeforeTheirTenantWasWatchedArrives(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	people := crowd(11, 10, usDomain)
	join := func(_ int, person map[string]any) error { _, err := source.join(person); return err }
	if err := all(people[:5], join); err != nil { // long before
		t.Fatal(err)
	}
	s.serve(t)
	if err := all(people[5:], join); err != nil { // while serve is about to subscribe
		t.Fatal(err)
	}
	took := eventually(t, patience, func() string { return unequal(target, people) })
	t.Logf("all %d are there after %s", len(people), took.Round(time.Millisecond))
}

func TestWhoIsDisabledBeforeComingOverIsNotInvited(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	source, target := s.directory(t, "fabrikam-mexico"), s.directory(t, "contoso")
	people := crowd(13, 2, mexicoDomain)
	people[0]["accountEnabled"] = false
	for _, person := range people { // in this order: who is seen second is there first
		if _, err := source.join(person); err != nil {
			t.Fatal(err)
		}
	}
	s.serve(t)
	eventually(t, patience, func() string { return unequal(target, people[1:]) })
}

func TestServeKilledInABurstAndStartedAgainEndsRight(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	first := s.serve(t)
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	people := crowd(17, 40, usDomain)
	joined := burst(t, source, target, people)
	first.kill()
	before, err := target.external()
	if err != nil {
		t.Fatal(err)
	}
	if len(before) == len(people) {
		t.Error("the burst was over before the kill; it has to be longer for this test to show anything")
	}
	again := serve(t, s.environ(), s.config, first.data, first.listen)
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	took := eventually(t, patience, func() string { return unequal(target, people) })
	t.Logf("killed with %d of %d there; all were there %s after the new start", len(before), len(people), took.Round(time.Millisecond))
	if code := again.interrupt(t); code != 0 {
		t.Errorf("interrupted, serve ended with %d", code)
	}
}

// replay asks for dead letters to be worked on again.
func replay(t *testing.T, url, key string, request map[string]any) (status int, report replayed) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url+"/api/replay", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-functions-key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, report
}

type replayed struct {
	Replayed int
	ByReason map[string]int
}

// adminKey is the key for replay.
func (s *service) adminKey(t *testing.T) string {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(s.data, "keys", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(secret))
}

// lacksDeadLetters compares the dead letters that wait, by reason, with those that must. Nothing is wrong when the answer
// is empty.
func (s *service) lacksDeadLetters(t *testing.T, want map[string]int) (wrong string) {
	t.Helper()
	status, report := replay(t, "http://"+s.listen, s.adminKey(t), map[string]any{"dryRun": true})
	if status != http.StatusOK || !maps.Equal(report.ByReason, want) {
		return fmt.Sprintf("status %d, dead letters %v; want %v", status, report.ByReason, want)
	}
	return ""
}

func TestDeadLettersWaitWithTheirReasonUntilTheyAreReplayed(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	service := s.serve(t)
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	key := service.adminKey(t)
	waiting := func(want map[string]int) func() string {
		return func() string { return service.lacksDeadLetters(t, want) }
	}

	// One has an address that cannot be invited; the address of the other belongs to a user of the target's own.
	people := crowd(19, 2, usDomain)
	mended := people[0]["mail"]
	people[0]["mail"] = "somebody+else@" + usDomain
	resident := newcomer(entrasim.People(23, 1)[0], "contoso.com")
	resident["mail"] = people[1]["mail"]
	residentID, err := target.join(resident)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := source.join(people[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.join(people[1]); err != nil {
		t.Fatal(err)
	}
	both := map[string]int{"address refused": 1, "address in use": 1}
	eventually(t, patience, waiting(both))

	for _, wrong := range []string{"", key + "x"} {
		if status, _ := replay(t, service.url, wrong, map[string]any{}); status != http.StatusUnauthorized {
			t.Errorf("a replay with the key %q is answered with %d, want 401", wrong, status)
		}
	}

	// The address becomes free in the target. Nothing tells tenantsync, but the replay finds it so.
	if err := target.leave(residentID); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, waiting(both))
	if _, report := replay(t, service.url, key, map[string]any{}); report.Replayed != 2 {
		t.Errorf("%d dead letters were replayed, want both", report.Replayed)
	}
	eventually(t, patience, func() string { return unequal(target, people[1:]) })
	eventually(t, patience, waiting(map[string]int{"address refused": 1}))

	// The source mends the other: it comes by itself, and replaying its letter once more changes nothing.
	people[0]["mail"] = mended
	if err := source.change(refused, map[string]any{"mail": mended}); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() string { return unequal(target, people) })
	if _, report := replay(t, service.url, key, map[string]any{"reason": "address refused", "user": refused}); report.Replayed != 1 {
		t.Errorf("%d dead letters were replayed, want one", report.Replayed)
	}
	eventually(t, patience, waiting(map[string]int{}))
	if wrong := unequal(target, people); wrong != "" {
		t.Error(wrong)
	}
}
