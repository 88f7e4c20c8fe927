package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Cursor returns what was last saved under the name, or "" when nothing was.
func (s *Store) Cursor(ctx context.Context, name string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, "SELECT value FROM cursors WHERE name = ?", name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read cursor %s: %w", name, err)
	}
	return value, nil
}

// SaveCursor remembers how far the work of that name has come.
func (s *Store) SaveCursor(ctx context.Context, name, value string) error {
	_, err := s.write.ExecContext(ctx, "INSERT OR REPLACE INTO cursors (name, value) VALUES (?, ?)", name, value)
	if err != nil {
		return fmt.Errorf("save cursor %s: %w", name, err)
	}
	return nil
}

// ForgetBus forgets what only a bus that is lost could have known: the dead letters on it, and that tenants were served, by the beginning of
// the names of those cursors. It is written before anything else happens, so that no crash can make it unknown.
func (s *Store) ForgetBus(ctx context.Context, presence string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM cursors WHERE substr(name, 1, length(?1)) = ?1", presence); err != nil {
			return fmt.Errorf("forget what the bus knew: %w", err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE links SET dead = '' WHERE dead <> ''"); err != nil {
			return fmt.Errorf("forget what the bus knew: %w", err)
		}
		return nil
	})
}
