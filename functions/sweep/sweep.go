// Package sweep asks every source regularly what changed, for Graph does not promise to notify of it.
package sweep

import (
	"context"
	"time"
)

// Every is how often it runs; function.json says the same in NCRONTAB.
const Every = 5 * time.Minute

// Sweeper sweeps all sources. A host may call it while a run goes on.
type Sweeper interface {
	Run(ctx context.Context) error
}

// Handler is the timer's work.
type Handler struct{ Sweeper Sweeper }

// Run sweeps. What fails is swept again on the next run.
func (h *Handler) Run(ctx context.Context) error { return h.Sweeper.Run(ctx) }
