package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

// schema is version 1. The key of a message holds the id of its queue, whether it is a dead letter, and its sequence
// number, so that the messages of a queue lie side by side in their order, and new ones are appended.
const schema = `
CREATE TABLE queues (
	id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
	description TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	last_sequence INTEGER NOT NULL DEFAULT 0,
	last_dead_letter INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE messages (
	key INTEGER PRIMARY KEY,
	state INTEGER NOT NULL,
	delivery_count INTEGER NOT NULL,
	enqueued_sequence INTEGER NOT NULL,
	enqueued_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	scheduled_for INTEGER NOT NULL,
	dead_letter_source TEXT,
	properties BLOB,
	content BLOB NOT NULL
) STRICT;
CREATE TABLE seen (
	queue INTEGER NOT NULL,
	at INTEGER NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (queue, at, id)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1`

const schemaVersion = 1

const (
	sequenceBits = 40
	deadBit      = 1 << sequenceBits
	maxQueueID   = 1<<(63-sequenceBits-1) - 1
)

// row is the key of a message in the table.
func row(queueID int64, key queue.Key) int64 {
	k := queueID<<(sequenceBits+1) | key.SequenceNumber
	if key.DeadLetter {
		k |= deadBit
	}
	return k
}

// rowsOf is the first and the last key that messages of a queue can have.
func rowsOf(queueID int64) (first, last int64) {
	return queueID << (sequenceBits + 1), (queueID+1)<<(sequenceBits+1) - 1
}

// Queue is a queue as it was kept. Description belongs to the caller.
type Queue struct {
	ID                   int64
	Description          json.RawMessage
	CreatedAt, UpdatedAt time.Time
	queue.Saved
}

// Load reads everything, and refuses a file that is damaged. It is called once, before the first Submit. Parse makes a
// message of its content as Append of amqp.Message wrote it.
func (s *Store) Load(parse func(content []byte) (queue.Message, error)) ([]Queue, error) {
	ctx := context.Background()
	if err := s.check(ctx); err != nil {
		return nil, fmt.Errorf("check the broker's store %s: %w", s.path, err)
	}
	queues, err := s.load(ctx, parse)
	if err != nil {
		return nil, fmt.Errorf("read the broker's store %s: %w", s.path, err)
	}
	return queues, nil
}

// check looks at every page. A damaged one may otherwise read as one with fewer messages, or with no queue.
func (s *Store) check(ctx context.Context) error {
	var verdict string
	if err := s.tx.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("the file is damaged, restore it from a backup or move it away to start without it: %s",
			strings.TrimPrefix(verdict, "*** in database main ***\n"))
	}
	return nil
}

func (s *Store) load(ctx context.Context, parse func([]byte) (queue.Message, error)) ([]Queue, error) {
	rows, err := s.tx.conn.QueryContext(ctx, `SELECT id, description, created_at, updated_at, last_sequence, last_dead_letter FROM queues ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var queues []Queue
	for rows.Next() {
		var q Queue
		var description string
		var created, updated int64
		if err := rows.Scan(&q.ID, &description, &created, &updated, &q.Last.Queue, &q.Last.DeadLetters); err != nil {
			return nil, err
		}
		q.Description, q.CreatedAt, q.UpdatedAt = json.RawMessage(description), fromNanos(created), fromNanos(updated)
		queues = append(queues, q)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range queues {
		q := &queues[i]
		if q.Messages, err = s.loadMessages(ctx, q.ID, parse); err != nil {
			return nil, fmt.Errorf("messages of queue %d: %w", q.ID, err)
		}
		if q.Seen, err = s.loadSeen(ctx, q.ID); err != nil {
			return nil, fmt.Errorf("history of queue %d: %w", q.ID, err)
		}
		s.tx.last[q.ID] = q.Last
	}
	return queues, nil
}

func (s *Store) loadMessages(ctx context.Context, queueID int64, parse func([]byte) (queue.Message, error)) ([]queue.Stored, error) {
	first, last := rowsOf(queueID)
	rows, err := s.tx.conn.QueryContext(ctx, `SELECT key, state, delivery_count, enqueued_sequence, enqueued_at, expires_at, scheduled_for,
		coalesce(dead_letter_source, ''), properties, content FROM messages WHERE key BETWEEN ? AND ? ORDER BY key`, first, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var messages []queue.Stored
	for rows.Next() {
		m, err := loadMessage(rows, parse)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, rows.Err()
}

func loadMessage(rows *sql.Rows, parse func([]byte) (queue.Message, error)) (queue.Stored, error) {
	var m queue.Message
	var key, enqueued, expires, scheduled int64
	var properties, content []byte
	if err := rows.Scan(&key, &m.State, &m.DeliveryCount, &m.EnqueuedSequenceNumber, &enqueued, &expires, &scheduled,
		&m.DeadLetterSource, &properties, &content); err != nil {
		return queue.Stored{}, err
	}
	m.SequenceNumber = key & (deadBit - 1)
	m.EnqueuedAt, m.ExpiresAt, m.ScheduledFor = fromNanos(enqueued), fromNanos(expires), fromNanos(scheduled)
	stored := queue.Stored{DeadLetter: key&deadBit != 0}
	sent, err := parse(content)
	if err == nil {
		m.Properties, err = parseProperties(properties)
	}
	if err != nil {
		return stored, fmt.Errorf("sequence number %d (dead letter: %v): %w", m.SequenceNumber, stored.DeadLetter, err)
	}
	m.ID, m.Content, m.Size, m.TTL = sent.ID, sent.Content, sent.Size, sent.TTL
	stored.Message = m
	return stored, nil
}

func parseProperties(encoded []byte) (map[string]any, error) {
	if encoded == nil {
		return nil, nil
	}
	v, _, err := amqp.Decode(encoded)
	if err != nil {
		return nil, err
	}
	list, ok := v.(amqp.Map)
	if !ok {
		return nil, errors.New("the properties are no map")
	}
	properties := make(map[string]any, len(list))
	for _, e := range list {
		name, _ := e.Key.(string)
		properties[name] = e.Value
	}
	return properties, nil
}

func (s *Store) loadSeen(ctx context.Context, queueID int64) ([]queue.Seen, error) {
	rows, err := s.tx.conn.QueryContext(ctx, `SELECT at, id FROM seen WHERE queue = ? ORDER BY at`, queueID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var seen []queue.Seen
	for rows.Next() {
		var at int64
		var one queue.Seen
		if err := rows.Scan(&at, &one.ID); err != nil {
			return nil, err
		}
		one.At = fromNanos(at)
		seen = append(seen, one)
	}
	return seen, rows.Err()
}
