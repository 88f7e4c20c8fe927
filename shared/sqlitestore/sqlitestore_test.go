package sqlitestore_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/sqlitestore"
	"github.com/tenantsync/tenantsync/shared/storetest"
	"github.com/tenantsync/tenantsync/shared/subscription"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "tenantsync.db") }

func TestConformance(t *testing.T) {
	t.Run("links", func(t *testing.T) {
		storetest.TestLinks(t, func(t *testing.T) (a, b storetest.Links) {
			path := file(t)
			return open(t, path), open(t, path)
		})
	})
	t.Run("guard", func(t *testing.T) {
		storetest.TestGuard(t, func(t *testing.T) (a, b storetest.Guard) {
			path := file(t)
			return open(t, path), open(t, path)
		})
	})
	t.Run("subscriptions", func(t *testing.T) {
		storetest.TestSubscriptions(t, func(t *testing.T) subscription.Store { return open(t, file(t)) })
	})
	t.Run("cursors", func(t *testing.T) {
		storetest.TestCursors(t, func(t *testing.T) storetest.Cursors { return open(t, file(t)) })
	})
	t.Run("journal", func(t *testing.T) {
		storetest.TestJournal(t, func(t *testing.T) storetest.Journal {
			s := open(t, file(t))
			return storetest.Journal{Journal: s, Entries: func(ctx context.Context, route, user string, limit int) ([]provisioning.Entry, error) {
				return s.Entries(ctx, sqlitestore.EntryFilter{Route: route, User: user, Limit: limit})
			}}
		})
	})
}

func TestTheFileIsForItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes")
	}
	path := file(t)
	s := open(t, path)
	if err := s.SaveCursor(t.Context(), "c", "v"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", info.Name(), info.Mode().Perm())
		}
	}
}

func TestAnyPathCanBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%41.db")
	s := open(t, path)
	if err := s.SaveCursor(t.Context(), "c", "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSaysWhyItCannot(t *testing.T) {
	if _, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "missing", "x.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	text := file(t)
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlitestore.Open(t.Context(), text); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("a file of something else: %v", err)
	}
	newer := file(t)
	db, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlitestore.Open(t.Context(), newer); err == nil || !strings.Contains(err.Error(), "a newer tenantsync wrote it") {
		t.Errorf("a file of the future: %v", err)
	}
}

func TestManyOpenANewFileAtOnce(t *testing.T) {
	path := file(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := sqlitestore.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.SaveCursor(t.Context(), fmt.Sprint(i), "v"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestLinkedMayCallTheStore(t *testing.T) {
	s, ctx := open(t, file(t)), t.Context()
	saveLinks(t, s, "r", 3)
	err := s.Linked(ctx, "r", func(l provisioning.Link) error {
		lease, link, err := s.Acquire(ctx, l.Key, "again", start.Add(time.Hour), start.Add(2*time.Hour))
		if err != nil {
			return err
		}
		link.State = provisioning.LinkRemoved
		return s.Save(ctx, lease, link)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func saveLinks(t *testing.T, s *sqlitestore.Store, route string, n int) {
	t.Helper()
	for i := range n {
		key := provisioning.LinkKey{Route: route, User: fmt.Sprint(i)}
		lease, link, err := s.Acquire(t.Context(), key, "m", start, start.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		link.State = provisioning.LinkActive
		if err := s.Save(t.Context(), lease, link); err != nil {
			t.Fatal(err)
		}
	}
}

// childFile names the file that this test binary, started again, writes to until it is killed.
const childFile = "SQLITESTORE_CHILD_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled saves link after link and prints the user of each once Save has returned.
func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := sqlitestore.Open(ctx, path)
	for i := 0; err == nil; i++ {
		key := provisioning.LinkKey{Route: "r", User: fmt.Sprintf("%06d", i)}
		var lease provisioning.Lease
		var link provisioning.Link
		if lease, link, err = s.Acquire(ctx, key, "m", start, start.Add(time.Minute)); err == nil {
			link.State = provisioning.LinkActive
			if err = s.Save(ctx, lease, link); err == nil {
				fmt.Println(key.User)
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := file(t)
	child := exec.CommandContext(t.Context(), exe)
	child.Env = append(child.Environ(), childFile+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acknowledged[lines.Text()] = true
		if len(acknowledged) == 200 { // while it writes on
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child was not killed")
	}
	if len(acknowledged) < 200 {
		t.Fatalf("the child saved only %d links", len(acknowledged))
	}
	s := open(t, path)
	err = s.Linked(t.Context(), "r", func(l provisioning.Link) error {
		delete(acknowledged, l.Key.User)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged links are gone", len(acknowledged))
	}
	if _, _, err := s.Acquire(t.Context(), provisioning.LinkKey{Route: "r", User: "000000"}, "m2", start, start.Add(time.Minute)); !errors.Is(err, provisioning.ErrLeaseHeld) {
		t.Errorf("the lease of the dead holder does not count any more: %v", err)
	}
}

// BenchmarkRun is what one message costs: Acquire, Save, Release.
func BenchmarkRun(b *testing.B) {
	run := func(b *testing.B, s *sqlitestore.Store, i int64) {
		ctx, until := context.Background(), start.Add(time.Minute)
		key := provisioning.LinkKey{Route: "r", User: fmt.Sprint(i % 10_000)}
		lease, link, err := s.Acquire(ctx, key, fmt.Sprint(i), start, until)
		if err == nil {
			link.State = provisioning.LinkActive
			err = s.Save(ctx, lease, link)
		}
		if err == nil {
			_, _, err = s.Release(ctx, lease, until)
		}
		if err != nil {
			b.Error(err)
		}
	}
	b.Run("alone", func(b *testing.B) {
		s := open(b, file(b))
		for i := int64(0); b.Loop(); i++ {
			run(b, s, i)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		s := open(b, file(b))
		var i atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				run(b, s, i.Add(1))
			}
		})
	})
}

func TestWithTheBusOnlyWhatItKnewIsForgotten(t *testing.T) {
	s, key := open(t, file(t)), provisioning.LinkKey{Route: "r", User: "u"}
	lease, _, err := s.Acquire(t.Context(), key, "m", start, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), lease, provisioning.Link{Key: key, State: provisioning.LinkActive, External: "e", Dead: "update/refused/1"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"served/t1", "served/t2", "served", "sweep/t1"} {
		if err := s.SaveCursor(t.Context(), name, "value"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ForgetBus(t.Context(), "served/"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"served/t1": "", "served/t2": "", "served": "value", "sweep/t1": "value"} {
		if got, err := s.Cursor(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if link, _, err := s.Find(t.Context(), key); err != nil || link.Dead != "" || link.External != "e" {
		t.Errorf("the link is %+v, %v", link, err)
	}
}
