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
