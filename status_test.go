package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/status"
)

// looked asks a running service how it is doing.
func looked(t *testing.T, s *service) (report status.Report, code int) {
	t.Helper()
	stdout, stderr, code := command(t, "status", "--url", "http://"+s.listen, "--data", s.data, "--json")
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	return report, code
}

func TestStatusTellsMonitoringWhenSomebodyHasToLook(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	service := s.serve(t)
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	eventually(t, patience, func() string { // everything is watched
		report, code := looked(t, service)
		return map[bool]string{false: fmt.Sprintf("exit %d: %q", code, report.Problems)}[code == 0]
	})
	people := crowd(61, 5, usDomain)
	for _, person := range people {
		if _, err := source.join(person); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, patience, func() string { return unequal(target, people) })
	eventually(t, patience, func() string {
		report, code := looked(t, service)
		if code != 0 || len(report.Problems) > 0 {
			return fmt.Sprintf("exit %d: %q", code, report.Problems)
		}
		for _, r := range report.Routes {
			if r.Name == "fabrikam-us→contoso" && (r.Linked != len(people) || r.FromArrival.N != len(people) || r.FromArrival.P99 <= 0 || r.FromEvent.N == 0) {
				return fmt.Sprintf("of the route it says %+v", r)
			}
		}
		if len(report.Sources) != 2 || len(report.Queues) != 2 || len(report.Timers) != 2 {
			return fmt.Sprintf("it says %+v", report)
		}
		return ""
	})
	refused := newcomer(entrasim.People(67, 1)[0], usDomain)
	refused["mail"] = "somebody+else@" + usDomain
	if _, err := source.join(refused); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() string {
		report, code := looked(t, service)
		if code != 1 || len(report.Problems) != 1 || !strings.HasPrefix(report.Problems[0], "dead letters of queue changes: 1;") {
			return fmt.Sprintf("exit %d: %q", code, report.Problems)
		}
		return ""
	})
	stdout, stderr, code := command(t, "status", "--url", "http://"+service.listen, "--data", service.data)
	if code != 1 || !strings.Contains(stdout, "fabrikam-us→contoso") || stderr != "tenantsync: 1 problem to look at\n" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	t.Log("\n" + stdout)
}
