package entrasim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
)

// span is how many people have the same manager.
const span = 8

// Populate adds n people to a tenant, named by id or name: enabled members with every usual attribute, each but the first with a manager,
// and a security group for each department with its people. Who they are follows from the seed and is the same in every run; the names
// are in several scripts. Populating a tenant twice with the same seed is refused.
func (s *Server) Populate(tenant string, seed uint64, n int) error {
	t, err := s.options.tenant(tenant)
	if err != nil {
		return err
	}
	if n < 1 {
		return fmt.Errorf("%d people cannot be added to tenant %s; give a number from 1 on", n, t.Name)
	}
	d, domain := s.directories[t.ID], t.domains()[len(t.domains())-1]
	departments := map[string][]string{} // ids of people
	ids := make([]string, n)
	for i, p := range crowd(seed, n) {
		e, err := d.Create(p.user(domain))
		if err != nil {
			return fmt.Errorf("add person %d of %d to tenant %s: %w", i+1, n, t.Name, err)
		}
		ids[i] = e.ID()
		departments[p.Department] = append(departments[p.Department], e.ID())
		if i == 0 {
			continue
		}
		if err := d.SetManager(ids[i], ids[(i-1)/span]); err != nil {
			return fmt.Errorf("set the manager of person %d in tenant %s: %w", i+1, t.Name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(departments)) {
		group := map[string]any{
			"displayName": fmt.Sprintf("%s (%d)", name, seed), "mailNickname": fmt.Sprintf("%s-%d", strings.ReplaceAll(nickname(name), " ", "-"), seed),
			"mailEnabled": false, "securityEnabled": true,
		}
		g, err := d.CreateGroup(group, nil, directory.Rights{})
		for _, id := range departments[name] {
			if err == nil {
				err = d.AddMember(g.ID(), id, directory.Rights{})
			}
		}
		if err != nil {
			return fmt.Errorf("add the group %s to tenant %s: %w", name, t.Name, err)
		}
	}
	return nil
}

// user is the body of a POST /users that makes a person an account in a domain.
func (p Person) user(domain string) map[string]any {
	address := p.MailNickname + "@" + domain
	return map[string]any{
		"accountEnabled": true, "displayName": p.DisplayName, "givenName": p.GivenName, "surname": p.Surname, "mailNickname": p.MailNickname,
		"userPrincipalName": address, "mail": address, "jobTitle": p.JobTitle, "department": p.Department, "city": p.City, "country": p.Country,
		"usageLocation": p.Country, "officeLocation": p.Office, "mobilePhone": p.Mobile, "employeeId": p.EmployeeID, "companyName": p.Company,
		"passwordProfile": map[string]any{"password": "Correct-Horse-9"},
	}
}
