package deadletter_test

import (
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/deadletter"
)

func TestFilterMatch(t *testing.T) {
	letter := deadletter.Letter{
		Change: change.Change{Route: "fabrikam-us→contoso", User: "u1"}, Reason: "ambiguous match",
		Description: "2 users of the target have its address",
	}
	for _, c := range []struct {
		name   string
		filter deadletter.Filter
		want   bool
	}{
		{"no filter chooses all", deadletter.Filter{}, true},
		{"the route", deadletter.Filter{Route: "fabrikam-us→contoso"}, true},
		{"another route", deadletter.Filter{Route: "fabrikam-mexico→contoso"}, false},
		{"a part of the route", deadletter.Filter{Route: "fabrikam-us"}, false},
		{"the user", deadletter.Filter{User: "u1"}, true},
		{"another user", deadletter.Filter{User: "u2"}, false},
		{"the reason", deadletter.Filter{Reason: "ambiguous match"}, true},
		{"another reason", deadletter.Filter{Reason: "address refused"}, false},
		{"all three", deadletter.Filter{Route: "fabrikam-us→contoso", User: "u1", Reason: "ambiguous match"}, true},
		{"one of three differs", deadletter.Filter{Route: "fabrikam-us→contoso", User: "u2", Reason: "ambiguous match"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.filter.Match(letter); got != c.want {
				t.Errorf("match %t, want %t", got, c.want)
			}
		})
	}
}

func TestRequestCheck(t *testing.T) {
	for _, c := range []struct {
		name    string
		request deadletter.Request
		problem string // empty: none
	}{
		{"the default", deadletter.Request{Queue: "changes", Max: deadletter.DefaultReplay}, ""},
		{"one", deadletter.Request{Queue: "changes", Max: 1}, ""},
		{"the most", deadletter.Request{Queue: "changes", Max: deadletter.MaxReplay}, ""},
		{"a dry run", deadletter.Request{Queue: "changes", Max: 1, DryRun: true}, ""},
		{"no queue", deadletter.Request{Max: 1}, "no queue"},
		{"none at all", deadletter.Request{Queue: "changes"}, "write 1 to 10000"},
		{"less than none", deadletter.Request{Queue: "changes", Max: -1}, "write 1 to 10000"},
		{"one more than the most", deadletter.Request{Queue: "changes", Max: deadletter.MaxReplay + 1}, "write 1 to 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.request.Check()
			switch {
			case c.problem == "" && err != nil:
				t.Error(err)
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("error %v, want one that says %q", err, c.problem)
			}
		})
	}
}
