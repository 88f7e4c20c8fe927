// Package storetest is the conformance suite that every store passes: what the ports promise, checked from outside.
//
// A store's own test calls each function with a way to open it. Times come back in UTC, exact to the microsecond at least.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

// Cursors remember how far some work has come.
type Cursors interface {
	Cursor(ctx context.Context, name string) (string, error)
	SaveCursor(ctx context.Context, name, value string) error
}

// Journal is a journal that can be read: entries newest first; an empty route or user means all, limit 0 no limit.
type Journal struct {
	provisioning.Journal
	Entries func(ctx context.Context, route, user string, limit int) ([]provisioning.Entry, error)
}

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

var keys atomic.Int64

// newKey names a link that no other test has touched.
func newKey() provisioning.LinkKey {
	return provisioning.LinkKey{Route: "fabrikam-us→contoso", User: fmt.Sprintf("user-%d", keys.Add(1))}
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func equal[T any](t tb, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func ok(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isError(t tb, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// TestCursors checks Cursors.
func TestCursors(t *testing.T, open func(t *testing.T) Cursors) {
	s, ctx := open(t), t.Context()
	value, err := s.Cursor(ctx, "sweep/fabrikam-us")
	ok(t, err)
	equal(t, value, "") // unknown
	ok(t, s.SaveCursor(ctx, "sweep/fabrikam-us", "first"))
	ok(t, s.SaveCursor(ctx, "sweep/fabrikam-us", "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=ö"))
	ok(t, s.SaveCursor(ctx, "sweep/contoso", "other"))
	value, err = s.Cursor(ctx, "sweep/fabrikam-us")
	ok(t, err)
	equal(t, value, "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=ö")
}

// TestSubscriptions checks subscription.Store.
func TestSubscriptions(t *testing.T, open func(t *testing.T) subscription.Store) {
	s, ctx := open(t), t.Context()
	a := subscription.Held{ID: "a", TenantID: "t1", NotificationURL: "https://example.com/n", ExpiresAt: start, Fingerprint: "f"}
	b := subscription.Held{ID: "b", TenantID: "t1", NotificationURL: "https://example.com/n"} // adopted: no fingerprint, no end known
	c := subscription.Held{ID: "c", TenantID: "t2", ExpiresAt: start}
	for _, h := range []subscription.Held{b, a, c} {
		ok(t, s.SaveSubscription(ctx, h))
	}
	got, err := s.Subscription(ctx, "a")
	ok(t, err)
	equal(t, got, a)
	a.ExpiresAt = start.Add(time.Hour)
	ok(t, s.SaveSubscription(ctx, a)) // renewed: it replaces what was there
	all, err := s.Subscriptions(ctx, "t1")
	ok(t, err)
	equal(t, all, []subscription.Held{a, b})

	ok(t, s.ForgetSubscription(ctx, "a"))
	ok(t, s.ForgetSubscription(ctx, "a")) // twice is once
	_, err = s.Subscription(ctx, "a")
	isError(t, err, subscription.ErrNotFound)
	all, err = s.Subscriptions(ctx, "unknown")
	ok(t, err)
	equal(t, len(all), 0)
}

// TestJournal checks Journal.
func TestJournal(t *testing.T, open func(t *testing.T) Journal) {
	j, ctx := open(t), t.Context()
	entry := func(minute int, route, user string) provisioning.Entry {
		return provisioning.Entry{
			At: start.Add(time.Duration(minute) * time.Minute), Route: route, User: user, Action: "update",
			Operations: []string{"update department"}, Reason: "department differs", Outcome: "done", Cause: "notification",
			ArrivedAt: start,
		}
	}
	e1, e2, e3, e4 := entry(1, "r1", "u1"), entry(2, "r2", "u1"), entry(3, "r1", "u2"), entry(3, "r1", "u1")
	for _, e := range []provisioning.Entry{e2, e1, e3, e4} {
		ok(t, j.Append(ctx, e))
	}
	for _, test := range []struct {
		name, route, user string
		limit             int
		want              []provisioning.Entry
	}{
		{"all, newest first", "", "", 0, []provisioning.Entry{e4, e3, e2, e1}},
		{"the newest two", "", "", 2, []provisioning.Entry{e4, e3}},
		{"of a route", "r1", "", 0, []provisioning.Entry{e4, e3, e1}},
		{"of a user", "", "u1", 0, []provisioning.Entry{e4, e2, e1}},
		{"of a user on a route", "r1", "u1", 1, []provisioning.Entry{e4}},
		{"of nobody", "r2", "u2", 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := j.Entries(ctx, test.route, test.user, test.limit)
			ok(t, err)
			equal(t, got, test.want)
		})
	}
}
