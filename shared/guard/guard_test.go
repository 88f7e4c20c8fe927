package guard_test

import (
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/guard"
)

func TestTheLargerOfTheTwoLimitsHolds(t *testing.T) {
	for _, c := range []struct {
		limits         guard.Limits
		people, allows int
	}{
		{guard.Default(), 0, 20},
		{guard.Default(), 400, 20},
		{guard.Default(), 401, 20},
		{guard.Default(), 1000, 50},
		{guard.Limits{Percent: 10, Window: time.Hour}, 9, 0},
		{guard.Limits{Percent: 10, Window: time.Hour}, 10, 1},
		{guard.Limits{Removals: 3, Window: time.Hour}, 1000, 3},
	} {
		if got := c.limits.Allowed(c.people); got != c.allows {
			t.Errorf("%+v allow %d of %d, want %d", c.limits, got, c.people, c.allows)
		}
	}
	if guard.Default().Off() || !(guard.Limits{Removals: 3}).Off() {
		t.Error("a window decides whether the guard is on")
	}
}
