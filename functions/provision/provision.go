// Package provision applies one change to one target tenant and settles its message.
package provision

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// How long a change is tried before it is put aside for a person: age since it arrived, and attempts that failed.
// With the backoff of package outcome it is the age that decides; the attempts bound what goes wrong faster than that.
const (
	MaxAge      = 24 * time.Hour
	MaxAttempts = 60
)

// Reconciler brings one user in line on one route. Its error is an outcome.
type Reconciler interface {
	Reconcile(ctx context.Context, route tenant.Route, c change.Change, holder string) error
}

// Bus settles messages by their lock token and schedules copies.
type Bus interface {
	Complete(ctx context.Context, d change.Delivery) error
	DeadLetter(ctx context.Context, d change.Delivery, reason, description string) error
	Schedule(ctx context.Context, queue string, at time.Time, c change.Change) error
}

// Handler takes one message from its delivery to its settlement.
type Handler struct {
	Topology   *tenant.Topology
	Reconciler Reconciler
	Bus        Bus
	Now        func() time.Time
	// Jitter is a uniform random number in [0, 1).
	Jitter func() float64
	Log    *slog.Logger
}

// Handle works on d and settles it. Its error means that d could not be settled: it comes again, when its lock has run
// out or, on Azure Functions, at once.
func (h *Handler) Handle(ctx context.Context, d change.Delivery) error {
	started := h.Now()
	c, err := change.Decode(d.Body)
	if err != nil {
		return h.settle(ctx, d, c, outcome.Of(outcome.Fail("unreadable message", err)), started)
	}
	route, ok := h.Topology.Route(c.Route)
	if !ok {
		err = outcome.Fail("unknown route", fmt.Errorf("there is no route %q in the configuration any more; add it and replay, or discard", c.Route))
	} else {
		err = h.Reconciler.Reconcile(ctx, route, c, d.MessageID)
	}
	return h.settle(ctx, d, c, h.bounded(c, outcome.Of(err)), started)
}

// bounded turns a retry that has gone on for too long into a dead letter.
func (h *Handler) bounded(c change.Change, o outcome.Outcome) outcome.Outcome {
	if o.Kind != outcome.Retry {
		return o
	}
	age := h.Now().Sub(c.ArrivedAt)
	if c.Attempt+1 < MaxAttempts && age < MaxAge {
		return o
	}
	given := outcome.Of(outcome.Fail(o.Code, fmt.Errorf("given up after %d attempts in %s: %w", c.Attempt+1, age.Round(time.Second), o.Err)))
	given.Then = o.Then
	return given
}

// settle is the one place that turns an outcome into what happens to the message. A copy is scheduled before the
// original completes, so that a crash between the two leaves one message too many, never one too few.
func (h *Handler) settle(ctx context.Context, d change.Delivery, c change.Change, o outcome.Outcome, started time.Time) error {
	var err error
	switch o.Kind {
	case outcome.Done:
		err = h.Bus.Complete(ctx, d)
	case outcome.Later:
		next, delay := c.Later(d.DeliveryCount), spread(o.Delay, h.Jitter())
		switch {
		case o.Planned:
			next, delay = c.Planned(d.DeliveryCount, h.Now().Add(o.Delay)), o.Delay
		case o.Paused:
			next = c.PausedUntil(d.DeliveryCount, h.Now().Add(delay))
		}
		err = h.again(ctx, d, next, delay)
	case outcome.Retry:
		next := c.Retry(d.DeliveryCount)
		err = h.again(ctx, d, next, max(o.Delay, outcome.Backoff(next.Attempt, h.Jitter())))
	case outcome.Terminal:
		if o.Then > 0 {
			at := h.Now().Add(o.Then)
			err = h.Bus.Schedule(ctx, d.Queue, at, c.Planned(d.DeliveryCount, at))
		}
		if err == nil {
			err = h.Bus.DeadLetter(ctx, d, o.Code, o.Err.Error())
		}
	}
	if err != nil {
		err = fmt.Errorf("settle message %s as %s: %w", d.MessageID, o.Kind, err)
	}
	h.log(ctx, d, c, o, err, h.Now().Sub(started))
	return err
}

// log writes the line of a delivery: ids and the outcome, never names or addresses. What was done for the user is the
// journal's to say, so that only a failure is worth a line above debug.
func (h *Handler) log(ctx context.Context, d change.Delivery, c change.Change, o outcome.Outcome, settlement error, took time.Duration) {
	level := slog.LevelDebug
	attrs := []any{"route", c.Route, "user", c.User, "message", d.MessageID, "delivery", d.DeliveryCount,
		"outcome", o.Kind.String(), "ms", took.Milliseconds()}
	if o.Err != nil {
		attrs = append(attrs, "code", o.Code, "attempt", c.Attempt, "error", o.Err)
	}
	switch {
	case settlement != nil:
		level = slog.LevelError
		attrs = append(attrs, "settlement", settlement)
	case o.Kind == outcome.Terminal:
		level = slog.LevelError
	case o.Kind == outcome.Retry:
		level = slog.LevelWarn
	}
	h.Log.Log(ctx, level, "provision", attrs...)
}

// spread adds up to a quarter to a delay, so that those who were told to wait together do not come back together.
func spread(delay time.Duration, jitter float64) time.Duration {
	return delay + time.Duration(jitter*float64(delay)/4)
}

func (h *Handler) again(ctx context.Context, d change.Delivery, next change.Change, delay time.Duration) error {
	if err := h.Bus.Schedule(ctx, d.Queue, h.Now().Add(delay), next); err != nil {
		return fmt.Errorf("schedule its copy: %w", err)
	}
	return h.Bus.Complete(ctx, d)
}
