package provisioning_test

import (
	"maps"
	"reflect"
	"testing"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
	"pgregory.net/rapid"
)

// maybe draws one of the values, or none.
func maybe(t *rapid.T, label string, into attributes, name string, values ...any) {
	if v := rapid.SampledFrom(append(values, nil)).Draw(t, label+" "+name); v != nil {
		into[name] = v
	}
}

func drawAttributes(t *rapid.T, label string) attributes {
	a := attributes{"accountEnabled": rapid.Bool().Draw(t, label+" enabled")}
	maybe(t, label, a, "mail", address, "ana.new@fabrikam.example", "")
	maybe(t, label, a, "displayName", "Ana", "Ana María", "")
	maybe(t, label, a, "department", "Sales", "Research", "")
	maybe(t, label, a, "usageLocation", "MX", "US")
	maybe(t, label, a, "businessPhones", []string{"+1 555 0100"}, []string{"+1 555 0199"}, []string{})
	return a
}

func drawUser(t *rapid.T) *provisioning.User {
	return &provisioning.User{
		ID: userID, PrincipalName: "ana.upn@fabrikam.example",
		UserType:   rapid.SampledFrom([]string{provisioning.Member, provisioning.Member, "", provisioning.Guest}).Draw(t, "source type"),
		Invited:    rapid.IntRange(0, 5).Draw(t, "source invited") == 0,
		Attributes: drawAttributes(t, "source"),
	}
}

func drawExternal(t *rapid.T, label string, keys ...string) provisioning.External {
	e := provisioning.External{
		ID:         rapid.SampledFrom([]string{"target-1", "target-2", "target-3"}).Draw(t, label+" id"),
		Invited:    rapid.IntRange(0, 5).Draw(t, label+" own") > 0,
		Deleted:    rapid.IntRange(0, 2).Draw(t, label+" deleted") == 0,
		SourceKey:  rapid.SampledFrom(keys).Draw(t, label+" key"),
		Attributes: drawAttributes(t, label),
	}
	maybe(t, label, e.Attributes, "userType", provisioning.Member, provisioning.Guest)
	maybe(t, label, e.Attributes, "showInAddressList", true, false)
	e.UserType, _ = e.Attributes["userType"].(string)
	return e
}

// drawSituation draws any situation that a look at two tenants can give: one object is the same wherever it is found.
func drawSituation(t *rapid.T) situation {
	s := situation{Route: provisioningtest.Route, User: userID, Link: provisioning.Link{
		Key:     provisioningtest.Key(userID),
		State:   rapid.SampledFrom([]provisioning.LinkState{"", provisioning.LinkActive, provisioning.LinkRemoved}).Draw(t, "link state"),
		Blocked: rapid.Bool().Draw(t, "link blocked"),
	}}
	if rapid.IntRange(0, 2).Draw(t, "gone") == 0 {
		s.Gone = rapid.SampledFrom([]provisioning.Gone{provisioning.SoftDeleted, provisioning.Purged}).Draw(t, "how")
	} else {
		s.Source = drawUser(t)
	}
	all := map[string]provisioning.External{}
	same := func(e provisioning.External) provisioning.External {
		if first, ok := all[e.ID]; ok {
			return first
		}
		all[e.ID] = e
		return e
	}
	if rapid.Bool().Draw(t, "known") {
		e := same(drawExternal(t, "known", ownKey, ownKey, "", foreignKey))
		s.Known, s.Link.External = &e, e.ID
		return s
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "by key") {
		s.ByKey = append(s.ByKey, same(drawExternal(t, "by key", ownKey)))
	}
	if len(s.ByKey) > 0 || !present(s) {
		return s // then nobody looks for the address
	}
	for range rapid.IntRange(0, 2).Draw(t, "by mail") {
		s.ByMail = append(s.ByMail, same(drawExternal(t, "by mail", "", "", ownKey, foreignKey)))
	}
	return s
}

// present: the source user is there and of the kind that comes over.
func present(s situation) bool {
	return s.Source != nil && !s.Source.Invited && s.Source.UserType != provisioning.Guest
}

// mine are the live external users of her: the one the link names, and all that carry her key.
func mine(link provisioning.Link, all map[string]provisioning.External) (n int) {
	for _, e := range all {
		if !e.Deleted && e.Invited && (e.SourceKey == ownKey || e.ID == link.External && e.SourceKey == "") {
			n++
		}
	}
	return n
}

func TestPlanOfAnySituation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSituation(t)
		before := objects(s)
		d, err := provisioning.Plan(s)
		if err != nil {
			if len(d.Operations) > 0 {
				t.Fatalf("a refusal (%v) comes with operations %v", err, d.Operations)
			}
			return
		}
		then, all := applied(s, d)
		checkUntouched(t, d, then.Link, before, all)

		had, has := mine(s.Link, before), mine(then.Link, all)
		switch {
		case has > 1:
			t.Fatalf("she has %d external users", has)
		case present(s) && has < had:
			t.Fatalf("%q removed the external user of a source user who is here", d.Action)
		case present(s) && s.Source.Enabled() && has != 1:
			t.Fatalf("%q leaves a source user who is here with %d external users", d.Action, has)
		case !present(s) && has != 0:
			t.Fatalf("%q leaves an external user without source user", d.Action)
		}

		again, err := provisioning.Plan(then)
		if err != nil {
			t.Fatalf("planned again after %q: %v", d.Action, err)
		}
		if again.Action != provisioning.ActionNone || len(again.Operations) > 0 {
			t.Fatalf("planned again after %q %v: %q %v", d.Action, d.Operations, again.Action, again.Operations)
		}
		if again.State != then.Link.State || again.Blocked != then.Link.Blocked {
			t.Fatalf("planned again, the link moves from %q %t to %q %t", then.Link.State, then.Link.Blocked, again.State, again.Blocked)
		}
	})
}

// checkUntouched: only one invited object changes, none of another person, and that one is linked or carries the link key then.
func checkUntouched(t *rapid.T, d provisioning.Decision, then provisioning.Link, before, all map[string]provisioning.External) {
	changed := 0
	for id, e := range all {
		was, existed := before[id]
		if existed && reflect.DeepEqual(was, e) {
			continue
		}
		changed++
		if existed && !was.Invited {
			t.Fatalf("%q touches user %s of the target's own", d.Action, id)
		}
		if existed && was.SourceKey == foreignKey {
			t.Fatalf("%q touches %s, the external user of somebody else", d.Action, id)
		}
		if !e.Deleted && e.SourceKey != ownKey && then.External != id {
			t.Fatalf("%q touches %s, which carries no link key then and is not linked", d.Action, id)
		}
	}
	if changed > 1 {
		t.Fatalf("%q changes %d objects", d.Action, changed)
	}
	if unknown := len(all) - len(before); d.Action != provisioning.ActionCreate && unknown != 0 {
		t.Fatalf("%q changes an object that was not looked at: %v", d.Action, maps.Clone(all))
	}
}

func TestPlanDoesNotChangeItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSituation(t)
		copied := s
		if s.Source != nil {
			u := *s.Source
			u.Attributes = maps.Clone(u.Attributes)
			copied.Source = &u
		}
		if s.Known != nil {
			e := *s.Known
			e.Attributes = maps.Clone(e.Attributes)
			copied.Known = &e
		}
		copied.ByKey, copied.ByMail = clones(s.ByKey), clones(s.ByMail)
		_, _ = provisioning.Plan(s)
		if !reflect.DeepEqual(s, copied) {
			t.Fatalf("planning changed the situation\nfrom %+v\nto   %+v", copied, s)
		}
	})
}

func clones(found []provisioning.External) (out []provisioning.External) {
	for _, e := range found {
		e.Attributes = maps.Clone(e.Attributes)
		out = append(out, e)
	}
	return out
}
