package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// migrations bring a file from version i to i+1; the version stands in the file as user_version.
// They are never edited, only added to. Times are integers, see nanos.
var migrations = []string{
	`
CREATE TABLE links (
	route        TEXT NOT NULL,
	user         TEXT NOT NULL,
	state        TEXT NOT NULL DEFAULT '', -- '': a lease was taken, nothing was saved yet
	external     TEXT NOT NULL DEFAULT '',
	inviting     TEXT NOT NULL DEFAULT '', -- address of an invitation whose answer is not known yet
	blocked      INTEGER NOT NULL DEFAULT 0,
	updated_at   INTEGER NOT NULL DEFAULT 0,
	lease_token  TEXT NOT NULL DEFAULT '', -- '': nobody holds it
	lease_holder TEXT NOT NULL DEFAULT '',
	lease_until  INTEGER NOT NULL DEFAULT 0,
	dirty        INTEGER NOT NULL DEFAULT 0, -- somebody met the lease; its holder looks again
	PRIMARY KEY (route, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
	id               TEXT PRIMARY KEY NOT NULL,
	tenant_id        TEXT NOT NULL,
	notification_url TEXT NOT NULL,
	expires_at       INTEGER NOT NULL,
	fingerprint      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_by_tenant ON subscriptions (tenant_id);

CREATE TABLE cursors (
	name  TEXT PRIMARY KEY NOT NULL,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
	id    INTEGER PRIMARY KEY,
	at    INTEGER NOT NULL,
	route TEXT NOT NULL,
	user  TEXT NOT NULL,
	entry TEXT NOT NULL -- JSON
) STRICT;
CREATE INDEX journal_by_time ON journal (at);
CREATE INDEX journal_by_user ON journal (user, at);
`,
	`ALTER TABLE links ADD COLUMN left_at INTEGER NOT NULL DEFAULT 0; -- since when the source user is leaving`,
	`
ALTER TABLE links ADD COLUMN departed_at INTEGER NOT NULL DEFAULT 0; -- when a removal or block was last admitted
ALTER TABLE links ADD COLUMN departed_as TEXT NOT NULL DEFAULT ''; -- as what (guard.go)
ALTER TABLE links ADD COLUMN held_at INTEGER NOT NULL DEFAULT 0; -- since when one is held; 0: none is
ALTER TABLE links ADD COLUMN held_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN verdict TEXT NOT NULL DEFAULT ''; -- of a person about the one that is held
CREATE INDEX links_by_departure ON links (route, departed_at, departed_as);
CREATE INDEX links_by_state ON links (route, state, departed_at);
CREATE INDEX links_held ON links (held_at) WHERE held_at > 0;
`,
	`
ALTER TABLE links ADD COLUMN manager TEXT NOT NULL DEFAULT ''; -- source user
ALTER TABLE links ADD COLUMN manager_as TEXT NOT NULL DEFAULT ''; -- external user that was written as the manager
ALTER TABLE links ADD COLUMN granted TEXT NOT NULL DEFAULT ''; -- JSON list
ALTER TABLE links ADD COLUMN revoked TEXT NOT NULL DEFAULT ''; -- JSON list
ALTER TABLE links ADD COLUMN dead TEXT NOT NULL DEFAULT ''; -- reason of the dead letter that the last look made
CREATE INDEX links_by_manager ON links (route, manager);
`,
}

// walTries bounds the wait for the switch to WAL: of two processes that open a new file at once, SQLite may turn one
// away without waiting for its busy timeout.
const walTries = 100

func migrate(ctx context.Context, db *sql.DB) error {
	if err := useWAL(ctx, db); err != nil {
		return fmt.Errorf("switch to a write-ahead log: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("a newer tenantsync wrote it (schema %d, this one knows %d): use that one, or another file", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
			return fmt.Errorf("bring schema to version %d: %w", version+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}

func useWAL(ctx context.Context, db *sql.DB) error {
	var err error
	for range walTries {
		var mode string
		err = db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if err == nil && mode != "wal" {
			return fmt.Errorf("the file system allows only %q", mode)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return err
}
