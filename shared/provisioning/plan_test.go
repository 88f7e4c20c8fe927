package provisioning_test

import (
	"reflect"
	"testing"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

// after is the world when a decision has been carried out: her external user (nil: there is none) and what the link says.
type after struct {
	external *provisioning.External
	state    provisioning.LinkState
	blocked  bool
}

func ending(ext provisioning.External, state provisioning.LinkState) after {
	return after{external: &ext, state: state}
}

func endingBlocked(ext provisioning.External, state provisioning.LinkState) after {
	return after{&ext, state, true}
}

type planCase struct {
	name   string
	given  situation
	action provisioning.Action
	after  after
}

func TestPlan(t *testing.T) {
	for group, cases := range map[string][]planCase{
		"join": joinCases, "move": moveCases, "block": blockCases, "adopt": adoptCases, "leave": leaveCases, "return": returnCases,
	} {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				d, err := provisioning.Plan(c.given)
				if err != nil {
					t.Fatal(err)
				}
				if d.Action != c.action {
					t.Errorf("action %q (%s), want %q", d.Action, d.Reason, c.action)
				}
				if d.Reason == "" {
					t.Error("the decision gives no reason")
				}
				then, all := applied(c.given, d)
				checkAfter(t, c.after, then, all)
				again, err := provisioning.Plan(then)
				if err != nil || again.Action != provisioning.ActionNone || len(again.Operations) > 0 {
					t.Errorf("planned again: %q %v, error %v; want nothing to do", again.Action, again.Operations, err)
				}
			})
		}
	}
}

func checkAfter(t *testing.T, want after, then situation, all map[string]provisioning.External) {
	t.Helper()
	if then.Link.State != want.state || then.Link.Blocked != want.blocked {
		t.Errorf("link is %q, blocked %t; want %q, %t", then.Link.State, then.Link.Blocked, want.state, want.blocked)
	}
	switch {
	case want.external == nil && then.Known != nil:
		t.Errorf("she has the external user %+v; want none", *then.Known)
	case want.external != nil && !reflect.DeepEqual(all[want.external.ID], *want.external):
		t.Errorf("external user\n got %+v\nwant %+v", all[want.external.ID], *want.external)
	case want.external != nil && then.Link.External != want.external.ID:
		t.Errorf("the link names %q, want %q", then.Link.External, want.external.ID)
	}
}

var joinCases = []planCase{
	{
		"a new source user gets an external user with every attribute",
		joined(), provisioning.ActionCreate, ending(twin(named(newID)), provisioning.LinkActive),
	}, {
		"one without mail is invited by the user principal name",
		joined(having("mail", nil)), provisioning.ActionCreate,
		ending(twin(named(newID), with("mail", "ana.upn@fabrikam.example")), provisioning.LinkActive),
	}, {
		"a user type that is not there means a member",
		joined(func(u *provisioning.User) { u.UserType = "" }), provisioning.ActionCreate,
		ending(twin(named(newID)), provisioning.LinkActive),
	}, {
		"one who is disabled does not come over",
		joined(having("accountEnabled", false)), provisioning.ActionNone, after{},
	}, {
		"an external user of the source does not come over, so that chains cannot loop",
		joined(func(u *provisioning.User) { u.Invited = true }), provisioning.ActionNone, after{},
	}, {
		"a guest of the source does not come over",
		joined(func(u *provisioning.User) { u.UserType = provisioning.Guest }), provisioning.ActionNone, after{},
	},
}

var moveCases = []planCase{
	{
		"nothing happens when nothing differs",
		linked(joined(), twin()), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	}, {
		"a changed attribute follows",
		linked(joined(having("department", "Research")), twin()), provisioning.ActionUpdate,
		ending(twin(with("department", "Research")), provisioning.LinkActive),
	}, {
		"a changed list follows",
		linked(joined(having("businessPhones", []string{"+1 555 0199"})), twin()), provisioning.ActionUpdate,
		ending(twin(with("businessPhones", []string{"+1 555 0199"})), provisioning.LinkActive),
	}, {
		"a cleared attribute is cleared",
		linked(joined(having("department", nil)), twin()), provisioning.ActionUpdate,
		ending(twin(with("department", nil)), provisioning.LinkActive),
	}, {
		"an empty text clears as well",
		linked(joined(having("department", "")), twin()), provisioning.ActionUpdate,
		ending(twin(with("department", nil)), provisioning.LinkActive),
	}, {
		"an empty list clears as well",
		linked(joined(having("businessPhones", []string{})), twin()), provisioning.ActionUpdate,
		ending(twin(with("businessPhones", nil)), provisioning.LinkActive),
	}, {
		"an empty text and no value are the same",
		linked(joined(having("jobTitle", "")), twin()), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	}, {
		"an empty list and no value are the same",
		linked(joined(having("businessPhones", nil)), twin(with("businessPhones", []string{}))), provisioning.ActionNone,
		ending(twin(with("businessPhones", []string{})), provisioning.LinkActive),
	}, {
		"a mail address that was taken away stays, for the directory cannot clear it",
		linked(joined(having("mail", nil)), twin()), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	}, {
		"a usage location that was taken away stays, for the directory cannot clear it",
		linked(joined(), twin(with("usageLocation", "MX"))), provisioning.ActionNone,
		ending(twin(with("usageLocation", "MX")), provisioning.LinkActive),
	}, {
		"an edit in the target is put right",
		linked(joined(), twin(with("displayName", "Nobody"))), provisioning.ActionUpdate, ending(twin(), provisioning.LinkActive),
	}, {
		"what the source does not give over is left alone",
		linked(joined(having("faxNumber", "1")), twin(with("faxNumber", "2"))), provisioning.ActionNone,
		ending(twin(with("faxNumber", "2")), provisioning.LinkActive),
	}, {
		"an external user that somebody made a guest becomes a member again",
		linked(joined(), twin(with("userType", provisioning.Guest), func(e *provisioning.External) { e.UserType = provisioning.Guest })),
		provisioning.ActionUpdate, ending(twin(), provisioning.LinkActive),
	}, {
		"an external user that lost its link key gets it again",
		linked(joined(), twin(keyless)), provisioning.ActionUpdate, ending(twin(), provisioning.LinkActive),
	},
}

var blockCases = []planCase{
	{
		"disabled in the source means disabled in the target",
		linked(joined(having("accountEnabled", false)), twin()), provisioning.ActionDisable,
		endingBlocked(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"who was disabled by us is enabled with the source user",
		blocked(linked(joined(), twin(with("accountEnabled", false)))), provisioning.ActionEnable,
		ending(twin(), provisioning.LinkActive),
	}, {
		"a block that an administrator of the target set is respected",
		linked(joined(), twin(with("accountEnabled", false))), provisioning.ActionNone,
		ending(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"a locally blocked external user still follows its source user",
		linked(joined(having("department", "Research")), twin(with("accountEnabled", false))), provisioning.ActionUpdate,
		ending(twin(with("accountEnabled", false), with("department", "Research")), provisioning.LinkActive),
	}, {
		"who is disabled on both sides is not blocked by us",
		linked(joined(having("accountEnabled", false)), twin(with("accountEnabled", false))), provisioning.ActionNone,
		ending(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"who was disabled by us stays so while the source user is disabled",
		blocked(linked(joined(having("accountEnabled", false)), twin(with("accountEnabled", false)))), provisioning.ActionNone,
		endingBlocked(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"enabled by hand in the target, a disabled source user is disabled again",
		blocked(linked(joined(having("accountEnabled", false)), twin())), provisioning.ActionDisable,
		endingBlocked(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"enabled by hand in the target, a block of ours is forgotten with the source user enabled",
		blocked(linked(joined(), twin())), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	}, {
		"disabling takes the other changes along",
		linked(joined(having("accountEnabled", false), having("department", nil)), twin()), provisioning.ActionDisable,
		endingBlocked(twin(with("accountEnabled", false), with("department", nil)), provisioning.LinkActive),
	},
}

var adoptCases = []planCase{
	{
		"one that carries the link key is taken over, so that a lost store heals",
		foundByKey(joined(), twin()), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	}, {
		"one that has the address is taken over and gets the link key",
		foundByMail(joined(), twin(keyless)), provisioning.ActionUpdate, ending(twin(), provisioning.LinkActive),
	}, {
		"a guest that is taken over becomes a member",
		foundByMail(joined(), twin(keyless, with("userType", provisioning.Guest))), provisioning.ActionUpdate,
		ending(twin(), provisioning.LinkActive),
	}, {
		"a guest that an administrator disabled is taken over and stays disabled",
		foundByMail(joined(), twin(keyless, with("accountEnabled", false))), provisioning.ActionUpdate,
		ending(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"an existing guest of a disabled source user is taken over and disabled",
		foundByMail(joined(having("accountEnabled", false)), twin(keyless)), provisioning.ActionDisable,
		endingBlocked(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"the link key decides before the address",
		foundByMail(foundByKey(joined(), twin()), twin(named("target-2"), keyless)), provisioning.ActionNone,
		ending(twin(), provisioning.LinkActive),
	}, {
		"a search by address that sees the link key first is believed",
		foundByMail(joined(), twin()), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	}, {
		"of those that carry the link key, the live one goes before a removed one",
		foundByKey(joined(), twin(deleted, named("target-2")), twin()), provisioning.ActionNone,
		ending(twin(), provisioning.LinkActive),
	}, {
		"one that has the address but is removed is not taken over",
		foundByMail(joined(), twin(keyless, deleted)), provisioning.ActionCreate,
		ending(twin(named(newID)), provisioning.LinkActive),
	}, {
		"one that a search answers twice is one",
		foundByMail(joined(), twin(keyless), twin(keyless)), provisioning.ActionUpdate, ending(twin(), provisioning.LinkActive),
	}, {
		"one that a search by key answers twice is one",
		foundByKey(joined(), twin(), twin()), provisioning.ActionNone, ending(twin(), provisioning.LinkActive),
	},
}

var leaveCases = []planCase{
	{
		"a source user who was deleted loses the external user",
		linked(gone(provisioning.SoftDeleted), twin()), provisioning.ActionRemove, ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"a source user who was deleted for good loses the external user",
		linked(gone(provisioning.Purged), twin()), provisioning.ActionRemove, ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"a source user who became a guest loses the external user",
		linked(joined(func(u *provisioning.User) { u.UserType = provisioning.Guest }), twin()), provisioning.ActionRemove,
		ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"a source user who turns out to be invited loses the external user",
		linked(joined(func(u *provisioning.User) { u.Invited = true }), twin()), provisioning.ActionRemove,
		ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"an external user without a link is found by its key and removed",
		foundByKey(gone(provisioning.SoftDeleted), twin()), provisioning.ActionRemove, ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"one that only has the address is not removed",
		foundByMail(gone(provisioning.SoftDeleted), twin(keyless)), provisioning.ActionNone, after{},
	}, {
		"who never came over has nothing to remove",
		gone(provisioning.SoftDeleted), provisioning.ActionNone, after{},
	}, {
		"what somebody removed already is left so",
		linked(gone(provisioning.SoftDeleted), twin(deleted)), provisioning.ActionNone, ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"a removed one that only the link key tells of is remembered as removed",
		foundByKey(gone(provisioning.SoftDeleted), twin(deleted)), provisioning.ActionNone, ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"what somebody deleted for good counts as removed",
		func() situation { s := linked(gone(provisioning.SoftDeleted), twin()); s.Known = nil; return s }(),
		provisioning.ActionNone, after{state: provisioning.LinkRemoved},
	}, {
		"a block of ours is remembered over the removal",
		blocked(linked(gone(provisioning.SoftDeleted), twin(with("accountEnabled", false)))), provisioning.ActionRemove,
		endingBlocked(twin(deleted, with("accountEnabled", false)), provisioning.LinkRemoved),
	},
}

var returnCases = []planCase{
	{
		"who comes back gets the same external user back",
		removedByUs(joined(), twin(deleted)), provisioning.ActionRestore, ending(twin(), provisioning.LinkActive),
	}, {
		"who comes back changed gets it back up to date",
		removedByUs(joined(having("department", "Research")), twin(deleted)), provisioning.ActionRestore,
		ending(twin(with("department", "Research")), provisioning.LinkActive),
	}, {
		"without a link, the removed one is found by its key",
		foundByKey(joined(), twin(deleted)), provisioning.ActionRestore, ending(twin(), provisioning.LinkActive),
	}, {
		"who comes back disabled stays removed",
		removedByUs(joined(having("accountEnabled", false)), twin(deleted)), provisioning.ActionNone,
		ending(twin(deleted), provisioning.LinkRemoved),
	}, {
		"who was disabled by us before leaving comes back enabled",
		blocked(removedByUs(joined(), twin(deleted, with("accountEnabled", false)))), provisioning.ActionRestore,
		ending(twin(), provisioning.LinkActive),
	}, {
		"who was blocked locally before leaving comes back blocked",
		removedByUs(joined(), twin(deleted, with("accountEnabled", false))), provisioning.ActionRestore,
		ending(twin(with("accountEnabled", false)), provisioning.LinkActive),
	}, {
		"one that somebody removed in the target comes back while the source user is here",
		linked(joined(), twin(deleted)), provisioning.ActionRestore, ending(twin(), provisioning.LinkActive),
	}, {
		"one that is gone for good is invited again",
		func() situation { s := removedByUs(joined(), twin(deleted)); s.Known = nil; return s }(),
		provisioning.ActionCreate, ending(twin(named(newID)), provisioning.LinkActive),
	}, {
		"a block of ours ends with the external user it was set on",
		func() situation { s := blocked(removedByUs(joined(), twin(deleted))); s.Known = nil; return s }(),
		provisioning.ActionCreate, ending(twin(named(newID)), provisioning.LinkActive),
	},
}

func TestPlanWritesOnlyWhatDiffers(t *testing.T) {
	d, err := provisioning.Plan(linked(joined(having("department", "Research"), having("businessPhones", nil)), twin()))
	if err != nil {
		t.Fatal(err)
	}
	want := []provisioning.Operation{{Kind: provisioning.OpUpdate, Attributes: attributes{"department": "Research", "businessPhones": nil},
		Before: attributes{"department": "Sales", "businessPhones": []string{"+1 555 0100"}}}}
	if !reflect.DeepEqual(d.Operations, want) {
		t.Errorf("operations\n got %v\nwant %v", d.Operations, want)
	}
}

func TestSourceKeyDoesNotDependOnCase(t *testing.T) {
	if a, b := provisioning.SourceKey("ABC", "Def"), provisioning.SourceKey("abc", "dEF"); a != b || a != "abc/def" {
		t.Errorf("keys %q and %q, want abc/def", a, b)
	}
}

func TestOperationsNameAttributesButNotTheirValues(t *testing.T) {
	op := provisioning.Operation{Kind: provisioning.OpUpdate, Attributes: attributes{"mail": address, "department": nil}, SourceKey: ownKey}
	if got, want := op.String(), "update department,mail,link key"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	op = provisioning.Operation{Kind: provisioning.OpInvite, Address: address, DisplayName: "Ana"}
	if got := op.String(); got != "invite" {
		t.Errorf("%q, want invite", got)
	}
}

func TestPlanBlocksBeforeItChangesAnythingElse(t *testing.T) {
	s := situation{Route: provisioningtest.Route, User: "u", Link: provisioning.Link{State: provisioning.LinkActive, External: "e"}}
	s.Source = &provisioning.User{ID: "u", UserType: provisioning.Member, PrincipalName: "u@fabrikam.example",
		Attributes: attributes{provisioning.AttrAccountEnabled: false, provisioning.AttrDisplayName: "U", "department": "Sales"}}
	s.Known = &provisioning.External{ID: "e", Invited: true, SourceKey: provisioning.SourceKey(provisioningtest.Route.Source.ID, "u"),
		Attributes: attributes{provisioning.AttrAccountEnabled: true, provisioning.AttrDisplayName: "U"}}
	d, err := provisioning.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Operations) != 2 || d.Operations[0].String() != "update accountEnabled" {
		t.Errorf("operations %v, want the block by itself and first", d.Operations)
	}
}
