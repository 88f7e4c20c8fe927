package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Renewer keeps the subscriptions of all sources as Plan wants them.
type Renewer struct {
	Service         Service
	Store           Store
	Sources         []tenant.Tenant
	NotificationURL string
	LifecycleURL    string
	// Key is what the clientState of every tenant is derived from.
	Key []byte
	Now func() time.Time
	Log *slog.Logger
}

// Run does what is due and returns the subscriptions that stand afterwards. A tenant that fails does not hold up the
// others; its error is in the joined error, and the next run tries again.
func (r *Renewer) Run(ctx context.Context) ([]Held, error) {
	var standing []Held
	var failures []error
	for _, source := range r.Sources {
		held, err := r.tenant(ctx, source)
		if err != nil {
			failures = append(failures, fmt.Errorf("subscription of %s (%s): %w", source.Name, source.ID, err))
			continue
		}
		standing = append(standing, held)
	}
	return standing, errors.Join(failures...)
}

func (r *Renewer) tenant(ctx context.Context, source tenant.Tenant) (Held, error) {
	have, err := r.have(ctx, source.ID)
	if err != nil {
		return Held{}, err
	}
	step := Plan([]Wanted{r.wanted(source.ID)}, have, r.Now())[0]
	return r.do(ctx, source, step)
}

func (r *Renewer) wanted(tenantID string) Wanted {
	return Wanted{TenantID: tenantID, NotificationURL: r.NotificationURL, LifecycleURL: r.LifecycleURL, Secret: Secret(r.Key, tenantID)}
}

// settled is how long after a renewal Graph must not be asked to reauthorize: doing both within it ends in an error.
const settled = 10 * time.Minute

// Reauthorize renews the subscription of a tenant before that is due, for Graph says that it soon delivers nothing more. A renewal
// authorizes, too (reference of subscription-reauthorize).
func (r *Renewer) Reauthorize(ctx context.Context, tenantID string) error {
	i := slices.IndexFunc(r.Sources, func(t tenant.Tenant) bool { return t.ID == tenantID })
	if i < 0 {
		return nil
	}
	have, err := r.have(ctx, tenantID)
	if err != nil {
		return err
	}
	step := Plan([]Wanted{r.wanted(tenantID)}, have, r.Now())[0]
	if step.Kind == Keep {
		if step.Held.ExpiresAt.Sub(r.Now()) > Life-settled {
			return nil
		}
		step.Kind, step.Reason, step.ExpiresAt = Renew, "it has to be authorized again", r.Now().Add(Life)
	}
	_, err = r.do(ctx, r.Sources[i], step)
	return err
}

func (r *Renewer) do(ctx context.Context, source tenant.Tenant, step Step) (Held, error) {
	held, err := r.apply(ctx, step)
	if err != nil {
		return Held{}, fmt.Errorf("%s, because %s: %w", step.Kind, step.Reason, err)
	}
	level := slog.LevelInfo
	switch step.Kind {
	case Keep:
		level = slog.LevelDebug
	case Recreate:
		level = slog.LevelWarn
	}
	r.Log.Log(ctx, level, "subscription", "tenant", source.ID, "step", step.Kind, "reason", step.Reason,
		"subscription", held.ID, "expires", held.ExpiresAt)
	return held, nil
}

// have is what Graph holds, completed with what only we know. What Graph does not hold any more is forgotten.
func (r *Renewer) have(ctx context.Context, tenantID string) ([]Held, error) {
	have, err := r.Service.List(ctx, tenantID)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	remembered, err := r.Store.Subscriptions(ctx, tenantID)
	if err != nil {
		return nil, fmt.Errorf("read what is remembered: %w", err)
	}
	fingerprints := map[string]string{}
	for _, h := range remembered {
		fingerprints[h.ID] = h.Fingerprint
	}
	for i := range have {
		have[i].Fingerprint = fingerprints[have[i].ID]
		delete(fingerprints, have[i].ID)
	}
	for id := range fingerprints {
		if err := r.Store.ForgetSubscription(ctx, id); err != nil {
			return nil, fmt.Errorf("forget %s: %w", id, err)
		}
	}
	return have, nil
}

func (r *Renewer) apply(ctx context.Context, s Step) (Held, error) {
	switch s.Kind {
	case Keep:
		return s.Held, nil
	case Renew:
		renewed, err := r.Service.Renew(ctx, s.Wanted.TenantID, s.Held.ID, s.ExpiresAt)
		if errors.Is(err, ErrNotFound) {
			return r.create(ctx, s)
		}
		if err != nil {
			return Held{}, err
		}
		s.Held.ExpiresAt = renewed.ExpiresAt
		return s.Held, r.save(ctx, s.Held)
	case Recreate:
		// Graph allows one of a kind, so the old one goes first. The gap is closed by looking at everybody afterwards.
		if err := r.Service.Delete(ctx, s.Wanted.TenantID, s.Held.ID); err != nil {
			return Held{}, err
		}
		if err := r.Store.ForgetSubscription(ctx, s.Held.ID); err != nil {
			return Held{}, err
		}
	}
	return r.create(ctx, s)
}

func (r *Renewer) create(ctx context.Context, s Step) (Held, error) {
	held, err := r.Service.Create(ctx, s.Wanted, s.ExpiresAt)
	if err != nil {
		return Held{}, err
	}
	held.Fingerprint = s.Wanted.Fingerprint()
	return held, r.save(ctx, held)
}

func (r *Renewer) save(ctx context.Context, h Held) error {
	if err := r.Store.SaveSubscription(ctx, h); err != nil {
		return fmt.Errorf("save %s: %w", h.ID, err)
	}
	return nil
}
