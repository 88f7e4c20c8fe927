package provisioning_test

import (
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

func TestPlanRefuses(t *testing.T) {
	other := func(e *provisioning.External) { e.SourceKey = foreignKey }
	for _, c := range []struct {
		name  string
		given situation
		kind  outcome.Kind
		code  string
	}{
		{"to take over a user of the target's own that has the address",
			foundByMail(joined(), twin(keyless, theTargetsOwn)), outcome.Terminal, "address in use"},
		{"to take over one that belongs to somebody else, until that one has left",
			foundByMail(joined(), twin(other)), outcome.Retry, "address in use"},
		{"to guess between two that have the address",
			foundByMail(joined(), twin(keyless), twin(keyless, named("target-2"))), outcome.Terminal, "ambiguous match"},
		{"to guess between two that carry the link key",
			foundByKey(joined(), twin(), twin(named("target-2"))), outcome.Terminal, "ambiguous match"},
		{"to guess between two removed ones that carry the link key",
			foundByKey(joined(), twin(deleted), twin(deleted, named("target-2"))), outcome.Terminal, "ambiguous match"},
		{"to guess which of two that carry the link key is to be removed",
			foundByKey(gone(provisioning.Purged), twin(), twin(named("target-2"))), outcome.Terminal, "ambiguous match"},
		{"to touch a user of the target's own that carries the link key",
			foundByKey(joined(), twin(theTargetsOwn)), outcome.Terminal, "key misused"},
		{"to remove a user of the target's own that carries the link key",
			foundByKey(gone(provisioning.SoftDeleted), twin(theTargetsOwn)), outcome.Terminal, "key misused"},
		{"to touch an external user that the target has made its own",
			linked(joined(having("department", "Research")), twin(theTargetsOwn)), outcome.Terminal, "not external any more"},
		{"to remove an external user that the target has made its own",
			linked(gone(provisioning.SoftDeleted), twin(theTargetsOwn)), outcome.Terminal, "not external any more"},
		{"to touch one that carries the link key of another source user",
			linked(joined(), twin(other)), outcome.Terminal, "key misused"},
		{"to remove one that carries the link key of another source user",
			linked(gone(provisioning.SoftDeleted), twin(other)), outcome.Terminal, "key misused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := provisioning.Plan(c.given)
			if kind, code := outcomeOf(err); kind != c.kind || code != c.code {
				t.Errorf("outcome %v %q (%v), want %v %q", kind, code, err, c.kind, c.code)
			}
			if len(d.Operations) > 0 {
				t.Errorf("it decides on %v all the same", d.Operations)
			}
		})
	}
}

func TestPlanInvitesOnlyAddressesThatGraphTakes(t *testing.T) {
	invite := func(address string) error {
		_, err := provisioning.Plan(joined(having("mail", address)))
		return err
	}
	for _, good := range []string{"ana@fabrikam.example", "a.b-c_d@mail.fabrikam.example", "_ana_@fabrikam.example", "o'brien@fabrikam.example"} {
		if err := invite(good); err != nil {
			t.Errorf("%s is refused: %v", good, err)
		}
	}
	bad := []string{
		"ana", "@fabrikam.example", "ana@", "ana@fabrikam", "a@b@fabrikam.example",
		".ana@fabrikam.example", "ana.@fabrikam.example", "-ana@fabrikam.example", "ana-@fabrikam.example", "a na@fabrikam.example",
	}
	for _, r := range "~!#$%^&*()+=[]{}\\/|;:\"<>?," {
		bad = append(bad, "a"+string(r)+"na@fabrikam.example", "ana@fabri"+string(r)+"kam.example")
	}
	for _, address := range bad {
		err := invite(address)
		if kind, code := outcomeOf(err); kind != outcome.Terminal || code != "address refused" {
			t.Errorf("%s: outcome %v %q, want terminal", address, kind, code)
		} else if strings.Contains(err.Error(), address) {
			t.Errorf("%s: the reason %q gives the address away", address, err)
		}
	}
}

func TestPlanRefusesAUserWithoutAnyAddress(t *testing.T) {
	_, err := provisioning.Plan(joined(having("mail", nil), func(u *provisioning.User) { u.PrincipalName = "" }))
	if kind, code := outcomeOf(err); kind != outcome.Terminal || code != "address refused" {
		t.Errorf("outcome %v %q, want terminal", kind, code)
	}
}
