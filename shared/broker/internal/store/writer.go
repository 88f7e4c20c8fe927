package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// writer is the one connection, with its statements. Only the goroutine that writes uses it after Load.
type writer struct {
	conn                                 *sql.Conn
	put, remove, remember, forget, count *sql.Stmt
	statements                           []*sql.Stmt          // all of them
	last                                 map[int64]queue.Last // as written, by queue
	pending                              map[int64]queue.Last // to write at the end of the transaction
	buffer                               []byte
}

func begin(ctx context.Context, db *sql.DB) (w *writer, err error) {
	w = &writer{last: map[int64]queue.Last{}, pending: map[int64]queue.Last{}}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	if err := w.migrate(ctx); err != nil {
		return nil, errors.Join(err, w.conn.Close())
	}
	for statement, text := range map[**sql.Stmt]string{
		&w.put: `INSERT OR REPLACE INTO messages (key, state, delivery_count, enqueued_sequence, enqueued_at, expires_at, scheduled_for,
			dead_letter_source, properties, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		&w.remove:   `DELETE FROM messages WHERE key = ?`,
		&w.remember: `INSERT OR IGNORE INTO seen (queue, at, id) VALUES (?, ?, ?)`,
		&w.forget:   `DELETE FROM seen WHERE queue = ? AND at <= ?`,
		&w.count:    `UPDATE queues SET last_sequence = ?, last_dead_letter = ? WHERE id = ?`,
	} {
		if *statement, err = w.conn.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(err, w.close())
		}
		w.statements = append(w.statements, *statement)
	}
	return w, nil
}

// migrate makes the tables of a new file.
func (w *writer) migrate(ctx context.Context) error {
	var version int
	if err := w.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case schemaVersion:
		return nil
	case 0:
		_, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE;"+schema+";COMMIT")
		return err
	}
	return fmt.Errorf("its schema has version %d, this program knows version %d: use the program that wrote it", version, schemaVersion)
}

// close lets go of the file: SQLite keeps it as long as there is a statement.
func (w *writer) close() error {
	var errs []error
	for _, statement := range w.statements {
		errs = append(errs, statement.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// write writes steps in one transaction, which is on disk when it returns nil. After an error nothing of it is there.
func (w *writer) write(steps []step) error {
	if len(steps) == 0 {
		return nil
	}
	ctx := context.Background()
	_, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		err = w.apply(steps)
	}
	if err == nil {
		_, err = w.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// The first error says more. If this fails, too, BEGIN will, and it is tried again.
		_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
		clear(w.pending)
		return fmt.Errorf("write to the broker's store: %w", err)
	}
	for id, last := range w.pending {
		w.last[id] = last
	}
	clear(w.pending)
	return nil
}

func (w *writer) apply(steps []step) error {
	for i := range steps {
		s := &steps[i]
		if s.special != nil {
			if err := s.special(w); err != nil {
				return err
			}
			continue
		}
		if err := w.applyChanges(s.queue, &s.changes); err != nil {
			return err
		}
	}
	for id, last := range w.pending {
		if last == w.last[id] {
			continue
		}
		if _, err := w.count.Exec(last.Queue, last.DeadLetters, id); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) applyChanges(id int64, c *queue.Changes) error {
	for _, key := range c.Gone {
		if _, err := w.remove.Exec(row(id, key)); err != nil {
			return err
		}
	}
	for i := range c.Put {
		if err := w.putMessage(id, &c.Put[i]); err != nil {
			return err
		}
	}
	for _, seen := range c.Seen {
		if _, err := w.remember.Exec(id, nanos(seen.At), seen.ID); err != nil {
			return err
		}
	}
	if !c.Forgotten.IsZero() {
		if _, err := w.forget.Exec(id, nanos(c.Forgotten)); err != nil {
			return err
		}
	}
	w.pending[id] = c.Last
	return nil
}

func (w *writer) putMessage(id int64, s *queue.Stored) error {
	var source, properties any
	if s.DeadLetterSource != "" {
		source = s.DeadLetterSource
	}
	if len(s.Properties) > 0 {
		properties = amqp.Append(nil, propertyMap(s.Properties))
	}
	w.buffer = s.Content.Append(w.buffer[:0])
	_, err := w.put.Exec(row(id, queue.Key{DeadLetter: s.DeadLetter, SequenceNumber: s.SequenceNumber}),
		int64(s.State), s.DeliveryCount, s.EnqueuedSequenceNumber, nanos(s.EnqueuedAt), nanos(s.ExpiresAt), nanos(s.ScheduledFor),
		source, properties, w.buffer)
	return err
}

func propertyMap(properties map[string]any) amqp.Map {
	m := make(amqp.Map, 0, len(properties))
	for name, value := range properties {
		m = append(m, amqp.Entry{Key: name, Value: value})
	}
	return m
}

// Create keeps a new queue, and returns its id once it is on disk.
func (s *Store) Create(description json.RawMessage, at time.Time) (id int64, err error) {
	err = s.do(func(w *writer) error {
		result, err := w.conn.ExecContext(context.Background(),
			`INSERT INTO queues (description, created_at, updated_at) VALUES (?, ?, ?)`, string(description), nanos(at), nanos(at))
		if err != nil {
			return err
		}
		if id, err = result.LastInsertId(); err == nil && id > maxQueueID {
			err = errors.New("there are too many queues")
		}
		return err
	})
	return id, err
}

// Update keeps another description of a queue, and returns once it is on disk.
func (s *Store) Update(id int64, description json.RawMessage, at time.Time) error {
	return s.do(func(w *writer) error {
		_, err := w.conn.ExecContext(context.Background(), `UPDATE queues SET description = ?, updated_at = ? WHERE id = ?`,
			string(description), nanos(at), id)
		return err
	})
}

// Delete removes a queue with everything in it, and returns once that is on disk. Nothing of the queue may be handed in
// afterwards.
func (s *Store) Delete(id int64) error {
	first, last := rowsOf(id)
	return s.do(func(w *writer) error {
		ctx := context.Background()
		_, err := w.conn.ExecContext(ctx, `DELETE FROM queues WHERE id = ?`, id)
		if err == nil {
			_, err = w.conn.ExecContext(ctx, `DELETE FROM messages WHERE key BETWEEN ? AND ?`, first, last)
		}
		if err == nil {
			_, err = w.conn.ExecContext(ctx, `DELETE FROM seen WHERE queue = ?`, id)
		}
		delete(w.last, id)
		return err
	})
}

// do runs something in the next transaction, and waits for it.
func (s *Store) do(f func(*writer) error) error {
	return s.submit(step{special: f}, false).Wait()
}
