package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// Whoever was away finds everything out: what Graph gave up on to notify of, and what it does not even remember.
func TestAnOutageEndsWithEverythingRight(t *testing.T) {
	for _, tt := range []struct {
		name    string
		outage  time.Duration
		forgets bool // the subscription and the cursor of change tracking are gone, and who left at the beginning is gone for good
	}{
		{"5 hours, and Graph has given up", 5 * time.Hour, false},
		{"40 days, and Graph has forgotten", 40 * 24 * time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &clock{}
			c.forward(-tt.outage)
			h := build(t, blueprint{options: app.Options{Now: c.now, SecondLook: time.Second}, now: c.now})
			h.data = t.TempDir()
			routes := fmt.Sprintf("- {source: %s, target: %s}\n", us.Name, contoso.Name)
			stop := h.serve(t, routes)
			h.tracked(t)
			w := settle(t, h)
			early, late, moves, blocked := w.hire(t, us, nil), w.hire(t, us, nil), w.hire(t, us, nil), w.hire(t, us, nil)
			for _, p := range []person{early, late, moves, blocked} {
				p.arrives(t, contoso)
			}
			eventually(t, soon, h.busy)
			stop()

			early.leave(t)
			moves.change(t, edits{"department": "Sales"})
			blocked.change(t, edits{"accountEnabled": false})
			c.forward(tt.outage)
			w = settle(t, h) // with tokens that have not expired
			if gone := !slices.ContainsFunc(h.graph.DeletedUsers(us.ID), func(u map[string]any) bool { return u["id"] == early.id }); gone != tt.forgets {
				t.Errorf("gone for good: %t, want %t", gone, tt.forgets)
			}
			var watched struct{ Value []any }
			if err := w.offices[us.Name].call(http.MethodGet, "/subscriptions", nil, &watched); err != nil || (len(watched.Value) == 0) != tt.forgets {
				t.Errorf("%d subscriptions stand, %v; want none: %t", len(watched.Value), err, tt.forgets)
			}
			late.town = w
			late.leave(t)
			joins := w.hireAs(t, us, newcomer(entrasim.People(53, 1)[0], usDomain))

			began := time.Now()
			h.serve(t, routes)
			h.settles(t)
			joins.arrives(t, contoso)
			t.Logf("right %s after the start", time.Since(began).Round(time.Millisecond))
		})
	}
}
