package census_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/census"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

var from, to = tenant.Tenant{ID: "from"}, tenant.Tenant{ID: "to"}

// town has two people, and on its first route links to one of them and to two who are not there. External users carry the keys of three, one of
// whom is neither there nor linked.
type town struct {
	sent              []string // "user on route to queue"
	keys              []string
	listing, carrying error
}

func (w *town) UserIDs(_ context.Context, tenantID string, each func([]string) error) error {
	if tenantID != "t" {
		return errors.New("another tenant")
	}
	return errors.Join(each([]string{"u1"}), each([]string{"u2"}), w.listing)
}

func (w *town) Linked(_ context.Context, route string, each func(provisioning.Link) error) error {
	if route != "r1" {
		return nil
	}
	for user, state := range map[string]provisioning.LinkState{"u1": provisioning.LinkActive, "gone": provisioning.LinkActive, "removed": provisioning.LinkRemoved} {
		if err := each(provisioning.Link{Key: provisioning.LinkKey{Route: route, User: user}, State: state}); err != nil {
			return err
		}
	}
	return nil
}

func (w *town) Carried(_ context.Context, targetID, sourceID string, each func([]string) error) error {
	if targetID != "to" || sourceID != "from" {
		return errors.New("between other tenants")
	}
	return errors.Join(each([]string{"u1", "gone"}), each([]string{"orphan"}), w.carrying)
}

func (w *town) Send(_ context.Context, queue string, changes []change.Change) error {
	for _, c := range changes {
		w.sent = append(w.sent, c.User+" on "+c.Route+" to "+queue)
		w.keys = append(w.keys, c.MessageID())
		if c.Deleted != (c.User == "gone" || c.User == "orphan") || c.Cause != change.CauseCatchUp {
			return errors.New("wrong change of " + c.User)
		}
	}
	return nil
}

func take(t *testing.T, w *town, occasion string) error {
	t.Helper()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	taker := &census.Taker{Users: w, Externals: w, Links: w, Bus: w, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	return taker.Take(t.Context(), "t", []tenant.Route{{Name: "r1", Source: from, Target: to}, {Name: "r2", Source: from, Target: to}}, occasion)
}

func TestEverybodyIsLookedAtInBulkAndWhoMayHaveLeftWithTheLiveChanges(t *testing.T) {
	w := &town{}
	if err := take(t, w, "new"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.sent)
	want := "gone on r1 to changes, gone on r2 to changes, orphan on r1 to changes, orphan on r2 to changes, u1 on r1 to backfill, u1 on r2 to backfill, u2 on r1 to backfill, u2 on r2 to backfill"
	if got := strings.Join(w.sent, ", "); got != want {
		t.Errorf("looked at %s\nwant %s", got, want)
	}
	first := len(w.keys)
	if err := take(t, w, "another"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.keys)
	if distinct := slices.Compact(w.keys); len(distinct) != 2*first {
		t.Errorf("two censuses make %d messages, want %d: duplicate detection would drop the others", len(distinct), 2*first)
	}
}

func TestAListThatBreaksOffSaysOfNobodyThatHeIsGone(t *testing.T) {
	broken := errors.New("throttled")
	for _, w := range []*town{{listing: broken}, {carrying: broken}} {
		if err := take(t, w, "new"); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		for _, sent := range w.sent {
			if strings.HasPrefix(sent, "gone") {
				t.Errorf("%s although the list broke off", sent)
			}
		}
	}
}
