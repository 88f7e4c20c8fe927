// Package sqlitestore keeps links and their leases, subscriptions, cursors and the journal in one SQLite file.
//
// It decides how the promises of the ports hold on a disk: every call is one transaction, a write begins with the
// write lock (BEGIN IMMEDIATE) so that what it read is still true when it writes, and several processes may have the
// file open at a time.
//
// What a call acknowledged survives the death of the process, kill -9 included, for it is in the write-ahead log by then.
// The log is synced at checkpoints only (synchronous=NORMAL): a power failure may take the last transactions
// with it, never the consistency of the file.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo
)

// readers bounds the connections that only read; WAL lets them go on while somebody writes.
const readers = 4

// Store is one open file. It is safe for concurrent use, and so are several Stores on one file.
type Store struct {
	// write has one connection: goroutines of this process queue for it in order instead of meeting in SQLite's busy loop.
	write *sql.DB
	read  *sql.DB
}

// Open opens the file at path, makes it (mode 0600, in a directory that exists) when it is not there, and brings its
// schema up to date. A file that a newer tenantsync wrote is refused.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", dsn(path, "_txlock=immediate"))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := sql.Open("sqlite", dsn(path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &Store{write: write, read: read}, nil
}

// Close closes the file. The last one to close it folds the write-ahead log into it.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close())
}

// creating keeps a second Open of this process away from the file while the first has it open by its own descriptor:
// closing any descriptor of a file drops all POSIX locks the process holds on it, SQLite's included.
var creating sync.Mutex

// create makes an empty file that only its owner can read. SQLite gives its log the same mode.
func create(path string) error {
	creating.Lock()
	defer creating.Unlock()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn is the URI of a file, which may hold characters that mean something in a URI.
func dsn(path, extra string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	u := url.URL{Scheme: "file", Path: path, OmitHost: true}
	return u.String() + "?_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&" + extra
}

// inTx runs f in one transaction, which holds the write lock from its beginning. An error of f undoes it all.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		tx.Rollback() // the first error says more
		return err
	}
	return tx.Commit()
}

// nanos is how a time is stored: nanoseconds since 1970, and 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
