package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var _ provisioning.Journal = (*Store)(nil)

// EntryFilter chooses entries of the journal. An empty field chooses all; Limit 0 means no limit.
type EntryFilter struct {
	Route string
	User  string // object id in the source
	Limit int
}

// Append is provisioning.Journal.
func (s *Store) Append(ctx context.Context, e provisioning.Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	_, err = s.write.ExecContext(ctx, "INSERT INTO journal (at, route, user, entry) VALUES (?, ?, ?, ?)",
		nanos(e.At), e.Route, e.User, string(text))
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	return nil
}

// Entries returns what the filter chooses, newest first; of two entries of one time, the one appended later comes first.
func (s *Store) Entries(ctx context.Context, f EntryFilter) ([]provisioning.Entry, error) {
	entries, err := s.entries(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return entries, nil
}

func (s *Store) entries(ctx context.Context, f EntryFilter) ([]provisioning.Entry, error) {
	query, args := "SELECT entry FROM journal WHERE true", []any{}
	if f.Route != "" {
		query, args = query+" AND route = ?", append(args, f.Route)
	}
	if f.User != "" {
		query, args = query+" AND user = ?", append(args, f.User)
	}
	query += " ORDER BY at DESC, id DESC"
	if f.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, f.Limit)
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []provisioning.Entry
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		var e provisioning.Entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// Recent hands out the entries of a route since a time, in no order.
func (s *Store) Recent(ctx context.Context, route string, since time.Time, each func(provisioning.Entry)) error {
	rows, err := s.read.QueryContext(ctx, "SELECT entry FROM journal WHERE at >= ? AND route = ?", nanos(since), route)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	texts, err := texts(rows)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	for _, text := range texts {
		var e provisioning.Entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		each(e)
	}
	return nil
}
