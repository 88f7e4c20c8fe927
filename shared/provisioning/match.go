package provisioning

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
)

// match finds the external user of a source user that should have one: by the link, else by the link key it
// carries, else by address. nil: there is none. Two candidates are never guessed between.
func match(s Situation) (*External, error) {
	if ext, err := ours(s); ext != nil || err != nil {
		return ext, err
	}
	var candidates []External
	for _, e := range distinct(s.ByMail) {
		if !e.Deleted {
			candidates = append(candidates, e)
		}
	}
	switch {
	case len(candidates) == 0:
		return nil, nil
	case len(candidates) > 1:
		return nil, ambiguous(s, "have its address", candidates)
	}
	e := candidates[0]
	switch {
	case !e.Invited:
		return nil, outcome.Fail("address in use", fmt.Errorf(
			"user %s of the target's own has the address of source user %s; give one of them another address, then replay", e.ID, s.User))
	case e.SourceKey != "" && e.SourceKey != sourceKey(s):
		// Most often the two swap: one leaves and its successor gets the address. So wait for the other to go.
		return nil, outcome.RetryAfter(time.Minute, "address in use", fmt.Errorf(
			"external user %s has the address of source user %s but belongs to %s; it is free once that one has left", e.ID, s.User, e.SourceKey))
	}
	return &e, nil
}

// ours finds the external user that is surely this person's: the one the link names, one that carries the link key, or
// one that we invited without learning its id.
// A live one goes before removed ones; among removed ones there must be only one.
func ours(s Situation) (*External, error) {
	if s.Known != nil {
		return s.Known, stillOurs(s)
	}
	var live, removed []External
	for _, e := range distinct(s.ByKey) {
		switch {
		case !e.Invited:
			return nil, outcome.Fail("key misused", fmt.Errorf(
				"user %s of the target's own carries the link key of source user %s; clear that extension value, then replay", e.ID, s.User))
		case e.Deleted:
			removed = append(removed, e)
		default:
			live = append(live, e)
		}
	}
	for _, group := range []struct {
		what  string
		found []External
	}{{"carry its link key", live}, {"carry its link key", removed}, {"have the address it was invited by", begun(s)}} {
		switch {
		case len(group.found) > 1:
			return nil, ambiguous(s, group.what, group.found)
		case len(group.found) == 1:
			return &group.found[0], nil
		}
	}
	return nil, nil
}

// begun finds what an invitation of ours made whose answer was lost: nobody has put a key on it yet.
func begun(s Situation) []External {
	return slices.DeleteFunc(distinct(s.ByInvitation), func(e External) bool {
		return e.Deleted || !e.Invited || e.SourceKey != "" && e.SourceKey != sourceKey(s)
	})
}

// stillOurs refuses what the link names when it has become something else: converted to a user of the target's own, or
// taken over for another person.
func stillOurs(s Situation) error {
	switch e := s.Known; {
	case !e.Invited:
		return outcome.Fail("not external any more", fmt.Errorf(
			"user %s, linked to source user %s, is a user of the target's own now; it is not touched", e.ID, s.User))
	case e.SourceKey != "" && e.SourceKey != sourceKey(s):
		return outcome.Fail("key misused", fmt.Errorf(
			"external user %s, linked to source user %s, carries the link key %s; clear that extension value if it is wrong, then replay",
			e.ID, s.User, e.SourceKey))
	}
	return nil
}

// distinct drops what a search answered twice, as a list that changes between two pages may.
func distinct(found []External) []External {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(found), func(e External) bool {
		again := seen[e.ID]
		seen[e.ID] = true
		return again
	})
}

func ambiguous(s Situation, what string, found []External) error {
	ids := make([]string, len(found))
	for i, e := range found {
		ids[i] = e.ID
	}
	return outcome.Fail("ambiguous match", fmt.Errorf(
		"%d users of the target %s (source user %s): %s; delete or change all but one, then replay",
		len(found), what, s.User, strings.Join(ids, ", ")))
}
