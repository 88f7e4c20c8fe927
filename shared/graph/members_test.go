package graph_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/sweep"
)

func TestMembersOfGroupsAreTrackedFromACursorOn(t *testing.T) {
	s := simulate(t, entrasim.Options{})
	ana, ben, cleo := s.hire(t, "ana", nil), s.hire(t, "ben", nil), s.hire(t, "cleo", nil)
	inner, outer, other := s.group(t, "inner"), s.group(t, "outer"), s.group(t, "other")
	s.join(t, inner, ana)
	s.join(t, outer, inner)
	s.join(t, outer, ben)
	all, err := s.graph.Nested(t.Context(), s.source, []string{outer, userID})
	want := []string{inner, outer, userID}
	if slices.Sort(want); err != nil || !slices.Equal(all, want) {
		t.Fatalf("nested are %v, %v; want %v", all, err, want)
	}
	cursor, err := s.graph.LatestMembers(t.Context(), s.source, all)
	if err != nil {
		t.Fatal(err)
	}
	since := func() (members []sweep.Member) {
		t.Helper()
		cursor, err = s.graph.MemberChanges(t.Context(), s.source, cursor, func(page []sweep.Member) error {
			members = append(members, page...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return members
	}
	check := func(what string, want ...sweep.Member) {
		t.Helper()
		got := since()
		for _, m := range want {
			if !slices.Contains(got, m) {
				t.Errorf("%s: told is %v, want %v", what, got, want)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: told is %v, want %v", what, got, want)
		}
	}
	check("nothing happens")
	s.join(t, outer, cleo)
	s.join(t, other, cleo) // nobody follows this group
	check("somebody comes", sweep.Member{ID: cleo})
	s.request(t, http.MethodDelete, "/groups/"+inner+"/members/"+ana+"/$ref", nil)
	check("somebody goes from a group inside", sweep.Member{ID: ana})
	s.join(t, outer, other)
	check("a group comes", sweep.Member{ID: other, Group: true})
	s.request(t, http.MethodDelete, "/groups/"+inner, nil)
	if got := since(); !slices.Contains(got, sweep.Member{ID: inner, Group: true}) {
		t.Errorf("a group is deleted, and told is %v", got)
	}
}
