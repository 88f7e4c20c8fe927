// Package store keeps queues in one SQLite file, so that what a broker acknowledged outlives it.
//
// It decides when something is on disk. One goroutine writes: it takes what all queues changed since it last looked,
// writes it in one transaction, syncs, and then tells everybody who waits for a part of it (group commit). The more
// there is to do, the more shares one sync.
//
// What a Commit reports as written survives kill -9 and a power failure (write-ahead log, synchronous=FULL). A
// transaction that was torn by one of them never happened.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo
)

// File is the name of the file in a store's directory. SQLite puts its log beside it.
const File = "broker.db"

// Store is an open file. Its methods are safe for concurrent use.
type Store struct {
	path string
	db   *sql.DB
	tx   *writer

	mu      sync.Mutex
	open    *group // what comes next
	writing *group // what is on its way to the disk, nil if nothing is
	failure error  // of the last write; nil once one succeeds
	closed  bool

	work    chan struct{} // holds a token when there is something to write
	stopped chan struct{}
}

// Open opens the store in a directory, which it makes (mode 0700, the file 0600) if it is not there. Only one process
// can have it open; another gets an error, as does a file that is damaged or that a newer version wrote.
func Open(dir string) (*Store, error) {
	s, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the broker's store in %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(dir, File))
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(filepath.Dir(path))); err != nil { // the directory may be new, too
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &Store{path: path, db: db, work: make(chan struct{}, 1), stopped: make(chan struct{})}
	s.open = &group{store: s}
	if s.tx, err = begin(context.Background(), db); err != nil {
		return nil, errors.Join(inUse(err), db.Close())
	}
	go s.write()
	return s, nil
}

// inUse explains the error that SQLite gives to the second who wants a file for himself alone.
func inUse(err error) error {
	if strings.Contains(err.Error(), "SQLITE_BUSY") {
		return fmt.Errorf("another process has it open; stop that one first, or use another directory (%w)", err)
	}
	return err
}

// create makes an empty file that only its owner can read. SQLite gives its log the same mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(path)))
}

// syncDir makes the name of a new file outlive a power failure.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // cannot, and need not
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// dsn is the URI of a file. The lock is exclusive: nobody else may change what the broker has in memory.
func dsn(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	u := url.URL{Scheme: "file", Path: path, OmitHost: true}
	return u.String() + "?_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=busy_timeout(1000)&_pragma=wal_autocheckpoint(4000)"
}

// Close writes what is left, and closes the file. What cannot be written is lost, and the error says so; nobody was told
// that it was kept.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		<-s.stopped
		return nil
	}
	s.wake()
	<-s.stopped
	return errors.Join(s.Failure(), s.tx.close(), s.db.Close())
}

// Failure is why the store could not write at its last attempt, nil if it could. It tries again by itself.
func (s *Store) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Limit makes the file full at a number of pages, or at those it has if they are more; with 0 it is as full as the disk.
// Tests fill a disk so.
func (s *Store) Limit(pages int) error {
	if pages == 0 {
		pages = math.MaxUint32 - 1 // the most SQLite can have
	}
	_, err := s.tx.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return err
}

func (s *Store) wake() {
	select {
	case s.work <- struct{}{}:
	default: // it will look anyway
	}
}

// nanos is how a time is stored: nanoseconds since 1970, and 0 for the zero time. What that cannot express, as clients who
// mean "never" use it, becomes the first or last moment it can: the years 1677 and 2262.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.After(lastMoment):
		return math.MaxInt64
	case t.Before(firstMoment):
		return math.MinInt64
	}
	return t.UnixNano()
}

var firstMoment, lastMoment = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
