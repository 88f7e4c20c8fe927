package provisioning_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"pgregory.net/rapid"
)

// today is the present of the tables.
var today = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

const month = 30 * 24 * time.Hour

type rule = func(*provisioning.Rules)

// rules are the default ones after edits.
func rules(edits ...rule) *provisioning.Rules {
	r := provisioning.DefaultRules()
	for _, edit := range edits {
		edit(r)
	}
	return r
}

// under puts a situation under rules, today.
func under(s situation, edits ...rule) situation {
	s.Rules, s.Now = rules(edits...), today
	return s
}

func expression(text string, kind mapping.Kind) *mapping.Expression {
	e, err := mapping.Compile(text, kind)
	if err != nil {
		panic(err)
	}
	return e
}

func when(text string) rule {
	return func(r *provisioning.Rules) { r.Scope.When = expression(text, mapping.Flag) }
}

func groups(ids ...string) rule {
	return func(r *provisioning.Rules) { r.Scope.Groups = ids }
}

func excluding(names ...string) rule {
	return func(r *provisioning.Rules) { r.Scope.Exclude = byName(names) }
}

func including(names ...string) rule {
	return func(r *provisioning.Rules) { r.Scope.Include = byName(names) }
}

func byName(names []string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

// mapped edits the rule of an attribute.
func mapped(name string, edit func(*provisioning.AttributeRule)) rule {
	return func(r *provisioning.Rules) {
		i := slices.IndexFunc(r.Attributes, func(a provisioning.AttributeRule) bool { return a.Attribute.Name == name })
		if i < 0 {
			a, _ := mapping.AttributeOf(name)
			r.Attributes = append(r.Attributes, provisioning.AttributeRule{Attribute: a, Copy: true, Policy: provisioning.Enforce})
			i = len(r.Attributes) - 1
		}
		edit(&r.Attributes[i])
	}
}

func computed(name, text string) rule {
	return mapped(name, func(a *provisioning.AttributeRule) {
		a.Copy, a.Constant, a.Expression = false, nil, expression(text, a.Attribute.Kind)
	})
}

func policy(name string, p provisioning.Policy) rule {
	return mapped(name, func(a *provisioning.AttributeRule) { a.Policy = p })
}

func leaving(deleted, outOfScope, disabled provisioning.Leave) rule {
	return func(r *provisioning.Rules) {
		r.Leave = provisioning.LeaveRules{Deleted: deleted, OutOfScope: outOfScope, Disabled: disabled}
	}
}

var (
	keep       = provisioning.Leave{Action: provisioning.LeaveKeep}
	disable    = provisioning.Leave{Action: provisioning.LeaveDisable}
	remove     = provisioning.Leave{Action: provisioning.LeaveRemove}
	afterMonth = provisioning.Leave{Action: provisioning.LeaveDisable, RemoveAfter: month}
)

func TestScope(t *testing.T) {
	guest := func(u *provisioning.User) { u.UserType = provisioning.Guest }
	in := func(ids ...string) func(*provisioning.User) { return func(u *provisioning.User) { u.Groups = ids } }
	for _, c := range []struct {
		name string
		user func(*provisioning.User)
		rule []rule
		in   bool
	}{
		{"everybody comes over", nil, nil, true},
		{"who fits an expression", nil, []rule{when(`user.department == "Sales"`)}, true},
		{"who does not fit an expression", nil, []rule{when(`user.department == "Board"`)}, false},
		{"by a list", nil, []rule{when(`user.businessPhones.exists(p, p.startsWith("+1"))`)}, true},
		{"by a date", having("createdDateTime", today.Add(-time.Hour)), []rule{when(`user.createdDateTime < now`)}, true},
		{"by the manager", having("manager", mapping.Values{"department": "Board"}), []rule{when(`user.manager.department == "Board"`)}, true},
		{"who has no manager", nil, []rule{when(`user.manager.department == "Board"`)}, false},
		{"who is in a group", in("g1"), []rule{groups("g1", "g2")}, true},
		{"who is in no group", nil, []rule{groups("g1", "g2")}, false},
		{"who is in a group and does not fit", in("g1"), []rule{groups("g1"), when(`user.department == "Board"`)}, false},
		{"who is excluded by object id", nil, []rule{excluding(userID)}, false},
		{"who is excluded by principal name, in any case", func(u *provisioning.User) { u.PrincipalName = "ANA@Fabrikam.example" }, []rule{excluding("ana@fabrikam.example")}, false},
		{"who is included although nothing else fits", nil, []rule{including(userID), groups("g1"), when(`false`)}, true},
		{"who is included and excluded", nil, []rule{including(userID), excluding(userID)}, false},
		{"a guest of the source", guest, nil, false},
		{"a guest where guests come over", guest, []rule{func(r *provisioning.Rules) { r.Scope.Guests = true }}, true},
		{"a guest who is included", guest, []rule{including(userID)}, true},
		{"an external user, even included", func(u *provisioning.User) { u.Invited = true }, []rule{including(userID), func(r *provisioning.Rules) { r.Scope.Guests = true }}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			edits := []func(*provisioning.User){}
			if c.user != nil {
				edits = append(edits, c.user)
			}
			d, err := provisioning.Plan(under(joined(edits...), c.rule...))
			if err != nil {
				t.Fatal(err)
			}
			if created := d.Action == provisioning.ActionCreate; created != c.in {
				t.Errorf("a newcomer: %q (%s)", d.Action, d.Reason)
			}
			d, err = provisioning.Plan(under(linked(joined(edits...), twin()), c.rule...))
			if err != nil {
				t.Fatal(err)
			}
			if removed := d.Action == provisioning.ActionRemove; removed == c.in {
				t.Errorf("one who is there: %q (%s)", d.Action, d.Reason)
			}
			if !c.in && d.Reason == "" {
				t.Error("the removal gives no reason")
			}
		})
	}
}

func TestAScopeThatCannotBeToldRemovesNobodyAndDisablesWhoIsDisabled(t *testing.T) {
	unclear := when(`user.employeeLeaveDateTime > now`)
	d, err := provisioning.Plan(under(linked(joined(), twin()), unclear))
	if kind, code := outcomeOf(err); kind != outcome.Terminal || code != "scope unclear" || len(d.Operations) > 0 {
		t.Errorf("outcome %v %q with %v, want terminal \"scope unclear\"", kind, code, d.Operations)
	}
	if err != nil && !strings.Contains(err.Error(), "employeeLeaveDateTime has no value") {
		t.Errorf("the reason does not say why: %v", err)
	}
	d, err = provisioning.Plan(under(linked(joined(having("accountEnabled", false)), twin()), unclear))
	if err != nil || d.Action != provisioning.ActionDisable {
		t.Errorf("a disabled user: %q, %v", d.Action, err)
	}
}

func TestAttributesAreMapped(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, c := range []struct {
		name  string
		given situation
		rule  []rule
		want  attributes // of the update; nil: none
		drift []string
	}{
		{"by an expression", linked(joined(), twin()), []rule{computed("jobTitle", `toUpper(user.department)`)}, attributes{"jobTitle": "SALES"}, nil},
		{"by a constant", linked(joined(), twin()), []rule{mapped("companyName", func(a *provisioning.AttributeRule) { a.Copy, a.Constant = false, "Fabrikam" })},
			attributes{"companyName": "Fabrikam"}, nil},
		{"cleared by an empty text", linked(joined(), twin()), []rule{computed("department", `""`)}, attributes{"department": nil}, nil},
		{"not cleared where Graph cannot", linked(joined(), twin()), []rule{computed("displayName", `""`)}, nil, nil},
		{"into an extension attribute", linked(joined(), twin()), []rule{computed("extensionAttribute3", `user.department`)}, attributes{"extensionAttribute3": "Sales"}, nil},
		{"cut to what fits, when asked", linked(joined(having("department", long)), twin(with("department", long[:64]))),
			[]rule{mapped("department", func(a *provisioning.AttributeRule) { a.Truncate = true })}, nil, nil},
		{"once, and then no more", linked(joined(having("department", "Board")), twin()), []rule{policy("department", provisioning.Once)}, nil, nil},
		{"reported, and not written", linked(joined(having("department", "Board")), twin()), []rule{policy("department", provisioning.Report)}, nil, []string{"department"}},
		{"a guest stays one where the type is set once", linked(joined(), twin(with("userType", provisioning.Guest))), []rule{policy("userType", provisioning.Once)}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := provisioning.Plan(under(c.given, c.rule...))
			if err != nil {
				t.Fatal(err)
			}
			var got attributes
			for _, op := range d.Operations {
				got = op.Attributes
			}
			if !reflect.DeepEqual(got, c.want) || !slices.Equal(d.Drift, c.drift) {
				t.Errorf("writes %v, reports %v; want %v, %v", got, d.Drift, c.want, c.drift)
			}
		})
	}
}

func TestWhatIsSetOnceIsSetForANewcomer(t *testing.T) {
	d, err := provisioning.Plan(under(joined(), policy("department", provisioning.Once), policy("jobTitle", provisioning.Report), computed("jobTitle", `"x"`)))
	if err != nil {
		t.Fatal(err)
	}
	got := d.Operations[1].Attributes
	if got["department"] != "Sales" {
		t.Errorf("the department is %v", got["department"])
	}
	if _, written := got["jobTitle"]; written {
		t.Error("what is only reported is written")
	}
}

func TestAValueThatGraphWouldRefuseStopsThisUserAndKeepsNobodyEnabled(t *testing.T) {
	for name, c := range map[string]struct {
		rule rule
		want string
	}{
		"too long":              {computed("employeeId", `"12345678901234567"`), "employeeId has 17 characters"},
		"no country":            {computed("usageLocation", `"Mexico"`), "usageLocation"},
		"an expression's error": {computed("jobTitle", `string(user.employeeHireDate)`), "employeeHireDate has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []situation{joined(), linked(joined(), twin())} {
				d, err := provisioning.Plan(under(s, c.rule))
				if kind, code := outcomeOf(err); kind != outcome.Terminal || code != "mapping refused" || len(d.Operations) > 0 {
					t.Fatalf("outcome %v %q with %v", kind, code, d.Operations)
				}
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("the reason is %v", err)
				}
			}
			d, err := provisioning.Plan(under(linked(joined(having("accountEnabled", false)), twin()), c.rule))
			if err != nil || d.Action != provisioning.ActionDisable || !strings.Contains(d.Reason, c.want) {
				t.Errorf("a disabled user: %q (%s), %v", d.Action, d.Reason, err)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	off := with("accountEnabled", false)
	since := func(s situation, ago time.Duration) situation { s.Link.LeftAt = today.Add(-ago); return s }
	disabledUser := joined(having("accountEnabled", false))
	outOfScope := when(`false`)
	for _, c := range []struct {
		name   string
		given  situation
		rule   []rule
		action provisioning.Action
		left   time.Time
		again  time.Time
	}{
		{"deleted, kept", linked(gone(provisioning.SoftDeleted), twin()), []rule{leaving(keep, remove, disable)}, provisioning.ActionNone, time.Time{}, time.Time{}},
		{"deleted, disabled", linked(gone(provisioning.SoftDeleted), twin()), []rule{leaving(disable, remove, disable)}, provisioning.ActionDisable, today, time.Time{}},
		{"deleted, disabled already", linked(gone(provisioning.SoftDeleted), twin(off)), []rule{leaving(disable, remove, disable)}, provisioning.ActionNone, today, time.Time{}},
		{"deleted, disabled and then removed: today", linked(gone(provisioning.SoftDeleted), twin()), []rule{leaving(afterMonth, remove, disable)},
			provisioning.ActionDisable, today, today.Add(month)},
		{"a week later", since(linked(gone(provisioning.SoftDeleted), twin(off)), 7*24*time.Hour), []rule{leaving(afterMonth, remove, disable)},
			provisioning.ActionNone, today.Add(-7 * 24 * time.Hour), today.Add(month - 7*24*time.Hour)},
		{"a month later", since(linked(gone(provisioning.SoftDeleted), twin(off)), month), []rule{leaving(afterMonth, remove, disable)},
			provisioning.ActionRemove, time.Time{}, time.Time{}},
		{"out of scope, kept", linked(joined(), twin()), []rule{outOfScope, leaving(remove, keep, disable)}, provisioning.ActionNone, time.Time{}, time.Time{}},
		{"out of scope, disabled", linked(joined(), twin()), []rule{outOfScope, leaving(remove, disable, disable)}, provisioning.ActionDisable, today, time.Time{}},
		{"out of scope and kept, but disabled in the source", linked(disabledUser, twin()), []rule{outOfScope, leaving(remove, keep, disable)},
			provisioning.ActionDisable, today, time.Time{}},
		{"disabled first and then out of scope: no leftover", since(linked(disabledUser, twin(off)), time.Hour), []rule{outOfScope}, provisioning.ActionRemove, time.Time{}, time.Time{}},
		{"disabled, removed", linked(disabledUser, twin()), []rule{leaving(remove, remove, remove)}, provisioning.ActionRemove, time.Time{}, time.Time{}},
		{"disabled, kept as it is", linked(disabledUser, twin()), []rule{leaving(remove, remove, keep)}, provisioning.ActionNone, time.Time{}, time.Time{}},
		{"disabled and then removed: today", linked(disabledUser, twin()), []rule{leaving(remove, remove, afterMonth)}, provisioning.ActionDisable, today, today.Add(month)},
		{"a month later still disabled", since(linked(disabledUser, twin(off)), month), []rule{leaving(remove, remove, afterMonth)}, provisioning.ActionRemove, time.Time{}, time.Time{}},
		{"back within the month", blocked(since(linked(joined(), twin(off)), 7*24*time.Hour)), []rule{leaving(remove, remove, afterMonth)}, provisioning.ActionEnable, time.Time{}, time.Time{}},
		{"a local block, respected", linked(joined(), twin(off)), nil, provisioning.ActionNone, time.Time{}, time.Time{}},
		{"a local block, overridden", linked(joined(), twin(off)), []rule{func(r *provisioning.Rules) { r.OverrideBlocks = true }}, provisioning.ActionEnable, time.Time{}, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := under(c.given, c.rule...)
			d, err := provisioning.Plan(s)
			if err != nil {
				t.Fatal(err)
			}
			if d.Action != c.action || !d.LeftAt.Equal(c.left) || !d.Again.Equal(c.again) {
				t.Errorf("%q (%s), left %v, again %v; want %q, %v, %v", d.Action, d.Reason, d.LeftAt, d.Again, c.action, c.left, c.again)
			}
			then, _ := applied(s, d)
			again, err := provisioning.Plan(then)
			if err != nil || len(again.Operations) > 0 || !again.Again.Equal(c.again) {
				t.Errorf("planned again: %q %v, again %v, %v", again.Action, again.Operations, again.Again, err)
			}
		})
	}
}

// drawRules draws rules that can be applied to the people of drawSituation.
func drawRules(t *rapid.T) *provisioning.Rules {
	leave := func(what string) provisioning.Leave {
		return rapid.SampledFrom([]provisioning.Leave{keep, disable, remove, afterMonth}).Draw(t, what)
	}
	r := rules(leaving(leave("deleted"), leave("out of scope"), leave("disabled")))
	r.OverrideBlocks = rapid.Bool().Draw(t, "override blocks")
	for _, edit := range []rule{
		when(`user.department == "Sales"`), when(`user.employeeLeaveDateTime > now`), excluding(userID), computed("department", `toUpper(user.department)`),
		computed("employeeId", `"12345678901234567"`), policy("department", provisioning.Once), policy("displayName", provisioning.Report),
	} {
		if rapid.IntRange(0, 4).Draw(t, "edit") == 0 {
			edit(r)
		}
	}
	return r
}

func TestPlanOfAnySituationUnderAnyRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSituation(t)
		s.Rules, s.Now = drawRules(t), today
		if rapid.Bool().Draw(t, "left before") {
			s.Link.LeftAt = today.Add(-rapid.SampledFrom([]time.Duration{time.Hour, month}).Draw(t, "ago"))
		}
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
		if s.Source != nil && !s.Source.Enabled() && s.Rules.Leave.Disabled.Action != provisioning.LeaveKeep && d.External != "" {
			if e := all[d.External]; e.Invited && !e.Deleted && e.Enabled() {
				t.Fatalf("%q (%s) leaves an external user enabled whose source user is disabled", d.Action, d.Reason)
			}
		}
		again, err := provisioning.Plan(then)
		if err != nil || again.Action != provisioning.ActionNone || len(again.Operations) > 0 {
			t.Fatalf("planned again after %q %v: %q %v, %v", d.Action, d.Operations, again.Action, again.Operations, err)
		}
		if again.State != then.Link.State || again.Blocked != then.Link.Blocked || !again.LeftAt.Equal(then.Link.LeftAt) ||
			!again.Again.Equal(d.Again) && d.Action != provisioning.ActionRestore {
			t.Fatalf("planned again, the link moves from %+v to %+v", then.Link, again)
		}
	})
}

func TestRulesSayWhatTheyRead(t *testing.T) {
	source, manager, external := rules(when(`has(user.manager.city) && user.extensionAttribute3 == ""`), computed("jobTitle", `user.employeeType`)).Reads()
	for _, name := range []string{"department", "employeeType", "manager", mapping.ExtensionAttributes} {
		if !slices.Contains(source, name) {
			t.Errorf("of a source user %s is not read: %v", name, source)
		}
	}
	if !slices.Equal(manager, []string{"city"}) {
		t.Errorf("of a manager %v is read", manager)
	}
	if !slices.Contains(external, "userType") || slices.Contains(external, "manager") {
		t.Errorf("of an external user %v is read", external)
	}
}
