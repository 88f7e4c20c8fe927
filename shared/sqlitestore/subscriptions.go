package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tenantsync/tenantsync/shared/subscription"
)

var _ subscription.Store = (*Store)(nil)

const selectSubscription = "SELECT id, tenant_id, notification_url, expires_at, fingerprint FROM subscriptions"

// Subscription is subscription.Store.
func (s *Store) Subscription(ctx context.Context, id string) (subscription.Held, error) {
	held, err := scanSubscription(s.read.QueryRowContext(ctx, selectSubscription+" WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		err = subscription.ErrNotFound
	}
	if err != nil {
		return subscription.Held{}, fmt.Errorf("read subscription %s: %w", id, err)
	}
	return held, nil
}

// Subscriptions is subscription.Store; they come ordered by id.
func (s *Store) Subscriptions(ctx context.Context, tenantID string) ([]subscription.Held, error) {
	rows, err := s.read.QueryContext(ctx, selectSubscription+" WHERE tenant_id = ? ORDER BY id", tenantID)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	defer rows.Close()
	var all []subscription.Held
	for rows.Next() {
		held, err := scanSubscription(rows)
		if err != nil {
			return nil, fmt.Errorf("list subscriptions: %w", err)
		}
		all = append(all, held)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return all, nil
}

// SaveSubscription is subscription.Store. It replaces what was known of the id.
func (s *Store) SaveSubscription(ctx context.Context, h subscription.Held) error {
	if h.ID == "" || h.TenantID == "" {
		return errors.New("save subscription: it needs an id and a tenant")
	}
	_, err := s.write.ExecContext(ctx, `INSERT OR REPLACE INTO subscriptions
		(id, tenant_id, notification_url, expires_at, fingerprint) VALUES (?, ?, ?, ?, ?)`,
		h.ID, h.TenantID, h.NotificationURL, nanos(h.ExpiresAt), h.Fingerprint)
	if err != nil {
		return fmt.Errorf("save subscription %s: %w", h.ID, err)
	}
	return nil
}

// ForgetSubscription is subscription.Store. Forgetting what is not known is no error.
func (s *Store) ForgetSubscription(ctx context.Context, id string) error {
	if _, err := s.write.ExecContext(ctx, "DELETE FROM subscriptions WHERE id = ?", id); err != nil {
		return fmt.Errorf("forget subscription %s: %w", id, err)
	}
	return nil
}

func scanSubscription(row interface{ Scan(...any) error }) (subscription.Held, error) {
	var held subscription.Held
	var expires int64
	err := row.Scan(&held.ID, &held.TenantID, &held.NotificationURL, &expires, &held.Fingerprint)
	held.ExpiresAt = fromNanos(expires)
	return held, err
}
