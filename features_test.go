package main_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// The feature table of Microsoft's cross-tenant synchronization has 31 rows. Each of them is shown here by what tenantsync does in its place,
// or stands among those that are not, with the reason. A row may be shown in several parts.
const tableRows = 31

// row is one row of the table, or a part of it.
type row struct {
	number int
	says   string
	// show proves it in a world whose other rows are shown at the same time.
	show func(t *testing.T, w *town)
}

// show runs rows in one world.
func show(t *testing.T, w *town, rows []row) {
	for _, r := range rows {
		t.Run(fmt.Sprintf("%d %s", r.number, r.says), func(t *testing.T) {
			t.Parallel()
			r.show(t, w)
		})
	}
}

// notShown are the rows that no test here shows, and why.
var notShown = map[int]string{
	5:  "photos, custom security attributes, contacts, devices, rooms: an external user is a user object; Graph gives an application none of the others for it",
	24: "quarantine: there is none; a user that fails waits or becomes a dead letter alone (23, and TestBadInputHoldsUpNobodyElse)",
	26: "config rollback: the configuration is a file; an older one is put in its place as any other",
	28: "cross-cloud: one configuration knows one cloud, that of the authority and the endpoint in its environment",
	30: "External ID and B2C tenants: nothing is known of them; they are neither refused nor tested",
	31: "licence: none is asked for by the program; those of Microsoft are not visible to it",
}

func TestEveryRowOfTheFeatureTableIsShownOrHasAReason(t *testing.T) {
	shown := map[int]int{}
	for _, r := range slices.Concat(scopeRows, mappingRows, lifecycleRows, operationRows) {
		shown[r.number]++
	}
	for number := 1; number <= tableRows; number++ {
		reason, has := notShown[number]
		switch {
		case has && shown[number] > 0:
			t.Errorf("row %d is shown %d times and has a reason not to be", number, shown[number])
		case has:
			t.Logf("row %d is not shown: %s", number, reason)
		case shown[number] == 0:
			t.Errorf("row %d is neither shown nor explained", number)
		}
		delete(shown, number)
	}
	if len(shown) > 0 {
		t.Errorf("these rows are not in the table: %v", shown)
	}
}

// Tenants of the worlds that the rows are shown in. Domains are those of the people who come from there.
var (
	us        = tenant.Tenant{Name: "fabrikam-us", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f02"}
	mexico    = tenant.Tenant{Name: "fabrikam-mexico", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f01"}
	contoso   = tenant.Tenant{Name: "contoso", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f03"}
	woodgrove = tenant.Tenant{Name: "woodgrove", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f04"}
	adatum    = tenant.Tenant{Name: "adatum", ID: "6d5a4c1e-0f0b-4f6a-9a53-0a1d3c5e7f05"}
)

// simulated are tenants as the simulator takes them.
func simulated(tenants ...tenant.Tenant) (out []entrasim.Tenant) {
	domains := map[string]string{us.Name: usDomain, mexico.Name: mexicoDomain}
	for _, tn := range tenants {
		domain := domains[tn.Name]
		if domain == "" {
			domain = tn.Name + ".com"
		}
		out = append(out, entrasim.Tenant{Name: tn.Name, ID: tn.ID, Domain: domain, Apps: []entrasim.EnterpriseApp{
			{Name: "Payroll", Roles: []string{"Reader", "Approver"}}, {Name: "Wiki"},
		}})
	}
	return out
}
