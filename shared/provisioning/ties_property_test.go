package provisioning_test

import (
	"slices"
	"testing"

	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"pgregory.net/rapid"
)

// What there is to be granted.
var (
	sales   = provisioning.Grant{Group: "sales"}
	traders = provisioning.Grant{Group: "traders"}
	ledger  = provisioning.Grant{App: "ledger", Role: provisioning.DefaultRole}
	auditor = provisioning.Grant{App: "ledger", Role: "auditor"}
	all     = []provisioning.Grant{sales, traders, ledger, auditor}
)

func some(t *rapid.T, label string) []provisioning.Grant {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, len(all), rapid.ID).Draw(t, label)
}

// drawTies adds managers, access and rules about them to a situation.
func drawTies(t *rapid.T, s *situation) {
	rules := *s.Rules
	rules.Manager = rapid.SampledFrom([]provisioning.Policy{"", provisioning.Enforce, provisioning.Once, provisioning.Report}).Draw(t, "manager policy")
	for _, g := range some(t, "rules") {
		r := provisioning.AccessRule{Grant: g}
		if rapid.Bool().Draw(t, "conditional") {
			r.When = expression(`user.department == "Sales"`, mapping.Flag)
		}
		rules.Access = append(rules.Access, r)
	}
	s.Rules = &rules
	s.Grants, s.Link.Granted, s.Link.Revoked = some(t, "grants"), some(t, "granted"), some(t, "revoked")
	external := rapid.SampledFrom([]string{"", "boss-1", "boss-2"})
	if s.Source != nil && rapid.Bool().Draw(t, "has a manager") {
		s.Source.Manager = "manager"
		s.Manager = external.Draw(t, "the manager's external user")
	}
	if s.Known != nil && !s.Known.Deleted {
		s.Known.Manager = external.Draw(t, "manager there")
	}
	s.Link.Manager = rapid.SampledFrom([]string{"", "manager", "another"}).Draw(t, "manager before")
	s.Link.ManagerAs = external.Draw(t, "manager written before")
	s.ManagerAway = s.Source != nil && s.Source.Manager == "" && s.Link.Manager != "" && rapid.Bool().Draw(t, "the manager is away")
}

func TestPlanOfTiesRevokesOnlyWhatWasGranted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSituation(t)
		s.Rules, s.Now = drawRules(t), today
		drawTies(t, &s)
		d, err := provisioning.Plan(s)
		if err != nil {
			if len(d.Operations) > 0 {
				t.Fatalf("a refusal (%v) comes with operations %v", err, d.Operations)
			}
			return
		}
		then, objects := applied(s, d)
		for _, g := range s.Grants {
			if !ours(s.Link, g) && !slices.Contains(then.Grants, g) {
				t.Fatalf("%v was revoked, which somebody else granted", g)
			}
		}
		for _, g := range then.Link.Granted {
			if !ours(s.Link, g) && slices.Contains(s.Grants, g) {
				t.Fatalf("%v is taken for ours, which somebody else granted", g)
			}
		}
		external, there := objects[then.Link.External]
		if d.Ties == nil || !there || external.Deleted || !s.Source.Enabled() {
			return
		}
		checkAccess(t, s, then)
		if s.Rules.Manager == provisioning.Enforce && external.Manager != s.Manager {
			t.Fatalf("the manager is %q, want %q", external.Manager, s.Manager)
		}
		if s.ManagerAway && s.Rules.Manager == provisioning.Enforce && then.Link.Manager != s.Link.Manager {
			t.Fatalf("the manager %q, who is only away, is forgotten for %q", s.Link.Manager, then.Link.Manager)
		}
		again, err := provisioning.Plan(then)
		if err != nil || again.Action != provisioning.ActionNone || len(again.Operations) > 0 {
			t.Fatalf("planned again after %q %v: %q %v, %v", d.Action, d.Operations, again.Action, again.Operations, err)
		}
	})
}

// ours: we granted it.
func ours(l provisioning.Link, g provisioning.Grant) bool {
	return slices.Contains(l.Granted, g) || slices.Contains(l.Revoked, g)
}

// checkAccess: who is here has what the rules want, and of what we granted nothing else.
func checkAccess(t *rapid.T, before, then situation) {
	for _, rule := range before.Rules.Access {
		wanted := rule.When == nil || before.Source.Attributes["department"] == "Sales"
		if has := slices.Contains(then.Grants, rule.Grant); wanted && !has {
			t.Fatalf("%v is wanted and not there", rule.Grant)
		}
		if !wanted && ours(before.Link, rule.Grant) && slices.Contains(then.Grants, rule.Grant) {
			t.Fatalf("%v is not wanted any more and there", rule.Grant)
		}
	}
	for _, g := range then.Link.Granted {
		if !slices.Contains(then.Grants, g) {
			t.Fatalf("%v counts as granted and is not there", g)
		}
	}
}
