package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/sweep"
)

func (w *world) Nested(_ context.Context, _ string, groups []string) ([]string, error) {
	all := slices.Clone(groups)
	for _, g := range groups {
		all = append(all, w.inside[g]...)
	}
	slices.Sort(all)
	return slices.Compact(all), w.call("nested")
}

// LatestMembers gives a cursor that names each group and how far its story has come.
func (w *world) LatestMembers(_ context.Context, _ string, groups []string) (string, error) {
	if len(groups) > sweep.GroupsAtOnce {
		return "", errors.New("too many groups")
	}
	var at []string
	for _, g := range groups {
		at = append(at, fmt.Sprintf("%s@%d", g, len(w.members[g])))
	}
	return strings.Join(at, " "), w.call("latest members")
}

func (w *world) MemberChanges(_ context.Context, _, cursor string, each func([]sweep.Member) error) (string, error) {
	if err := w.call("member changes"); err != nil {
		return "", err
	}
	if w.expired {
		return "", fmt.Errorf("410: %w", sweep.ErrExpired)
	}
	var next []string
	for _, one := range strings.Fields(cursor) {
		group, at, _ := strings.Cut(one, "@")
		var from int
		if _, err := fmt.Sscan(at, &from); err != nil {
			return "", err
		}
		if err := each(w.members[group][from:]); err != nil {
			return "", err
		}
		next = append(next, fmt.Sprintf("%s@%d", group, len(w.members[group])))
	}
	return strings.Join(next, " "), nil
}

// joins and leaves are told in the same way.
func (w *world) moves(group string, users ...string) {
	for _, u := range users {
		w.members[group] = append(w.members[group], sweep.Member{ID: u})
	}
}

// newGroups is a world in which one route from us has two groups in its scope, in the first of which is a third; the other route has none.
func newGroups(t *testing.T) (*world, *sweep.Sweeper) {
	t.Helper()
	w, s := newWorld(t)
	s.Groups = map[string][]string{"us→contoso": {"sales", "board"}}
	w.inside["sales"] = []string{"traders"}
	run(t, s)
	return w, s
}

func TestWhoComesIntoAGroupOfAScopeOrGoesIsLookedAt(t *testing.T) {
	w, s := newGroups(t)
	w.moves("board", "u1")
	w.moves("traders", "u2") // in a group that is in one
	w.moves("elsewhere", "u3")
	run(t, s)
	if got, want := w.lookedAt(), "u1 on us→contoso, u2 on us→contoso"; got != want || len(w.censuses) > 0 {
		t.Errorf("looked at %s and %v, want %s", got, w.censuses, want)
	}
	run(t, s)
	if got := w.lookedAt(); got != "" {
		t.Errorf("nothing happened, and looked at %s", got)
	}
}

func TestWhenAGroupComesOrGoesEverybodyOnTheRouteIsLookedAt(t *testing.T) {
	w, s := newGroups(t)
	w.inside["board"] = []string{"advisers"}
	w.members["board"] = append(w.members["board"], sweep.Member{ID: "advisers", Group: true})
	run(t, s)
	if len(w.censuses) > 0 {
		t.Errorf("censuses %v at once, when a slow replica may not show the group yet", w.censuses)
	}
	run(t, s)
	if len(w.censuses) != 1 || !strings.HasPrefix(w.censuses[0], usID+", 1 routes, ") {
		t.Fatalf("censuses %v", w.censuses)
	}
	w.moves("advisers", "u4")
	run(t, s)
	if got, want := w.lookedAt(), "u4 on us→contoso"; got != want {
		t.Errorf("of the group that came, looked at %s, want %s", got, want)
	}
}

func TestOtherGroupsOrAnExpiredCursorHaveEverybodyOnTheRouteLookedAt(t *testing.T) {
	for name, spoil := range map[string]func(*world, *sweep.Sweeper){
		"other groups": func(_ *world, s *sweep.Sweeper) { s.Groups["us→contoso"] = []string{"sales"} },
		"expired":      func(w *world, _ *sweep.Sweeper) { w.expired = true },
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newGroups(t)
			spoil(w, s)
			w.failing["changes of "+usID] = errors.New("not now") // of the users; the groups do not wait for it
			w.failing["census"] = errors.New("throttled")
			if err := s.Run(t.Context()); !errors.Is(err, w.failing["census"]) {
				t.Fatalf("error %v", err)
			}
			w.failing = map[string]error{}
			w.expired = false
			taken := len(w.censuses)
			spoil(w, s)
			run(t, s)
			if len(w.censuses) == taken {
				t.Error("a census that failed is not taken again")
			}
		})
	}
}

func TestMoreGroupsThanACursorFollowsHaveSeveral(t *testing.T) {
	w, s := newWorld(t)
	var groups []string
	for i := range sweep.GroupsAtOnce + 1 {
		groups = append(groups, fmt.Sprintf("g%03d", i))
	}
	s.Groups = map[string][]string{"us→contoso": groups}
	run(t, s)
	w.moves(groups[0], "u1")
	w.moves(groups[sweep.GroupsAtOnce], "u2")
	run(t, s)
	if got, want := w.lookedAt(), "u1 on us→contoso, u2 on us→contoso"; got != want {
		t.Errorf("looked at %s, want %s", got, want)
	}
}

func TestSweepsOfGroupsGoOnFromWhereTheyBegan(t *testing.T) {
	w, s := newWorld(t)
	s.Groups = map[string][]string{"us→contoso": {"sales"}}
	if err := s.Begin(t.Context(), usID); err != nil {
		t.Fatal(err)
	}
	w.moves("sales", "u1")
	if err := s.Begin(t.Context(), usID); err != nil {
		t.Fatal(err)
	}
	run(t, s)
	if got, want := w.lookedAt(), "u1 on us→contoso"; got != want {
		t.Errorf("looked at %s, want %s", got, want)
	}
}

func TestAGroupSweepThatFailsGoesOnFromWhereItWas(t *testing.T) {
	for _, failing := range []string{"member changes", "send", "save"} {
		w, s := newGroups(t)
		w.moves("board", "u1")
		w.failing[failing] = errors.New("it is away")
		if err := s.Run(t.Context()); err == nil {
			t.Errorf("%s fails, and the sweep does not", failing)
		}
		w.lookedAt()
		delete(w.failing, failing)
		run(t, s)
		if got, want := w.lookedAt(), "u1 on us→contoso"; got != want {
			t.Errorf("after %s failed, looked at %s, want %s", failing, got, want)
		}
	}
}

func TestGroupsThatAreNewWaitUntilItIsKnownWhereTheUsersAre(t *testing.T) {
	w, s := newGroups(t)
	delete(w.cursors, "sweep-groups/"+usID) // as if the scope had just got its groups
	w.failing["cursor sweep/"+usID] = errors.New("it is away")
	if err := s.Run(t.Context()); !errors.Is(err, w.failing["cursor sweep/"+usID]) {
		t.Fatalf("error %v", err)
	}
	w.failing = map[string]error{}
	taken := len(w.censuses)
	run(t, s)
	if len(w.censuses) != taken+1 {
		t.Errorf("%d times everybody is looked at, want once: nobody knows who came and went until now", len(w.censuses)-taken)
	}
}

func TestGroupsThatCannotBeReadKeepNoOtherRouteFromBeginning(t *testing.T) {
	w, s := newWorld(t)
	s.Groups = map[string][]string{"us→contoso": {"sales"}}
	w.failing["nested"] = errors.New("permission denied")
	if err := s.Begin(t.Context(), usID); err != nil {
		t.Fatalf("nothing begins: %v", err)
	}
	delete(w.failing, "nested")
	run(t, s)
	if len(w.censuses) != 1 || !strings.HasPrefix(w.censuses[0], usID+", 1 routes, ") {
		t.Errorf("who came and went until then is not looked at: censuses %v", w.censuses)
	}
}
