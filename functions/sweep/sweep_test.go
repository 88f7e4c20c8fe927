package sweep_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenantsync/tenantsync/functions/sweep"
)

type sweeper struct{ err error }

func (s sweeper) Run(context.Context) error { return s.err }

func TestASweepThatFailsIsAFailureOfTheTimer(t *testing.T) {
	away := errors.New("it is away")
	if err := (&sweep.Handler{Sweeper: sweeper{away}}).Run(t.Context()); !errors.Is(err, away) {
		t.Errorf("error %v, want %v", err, away)
	}
}
