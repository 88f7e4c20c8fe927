package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/queue"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// openAt opens a store and reads what is in it.
func openAt(t testing.TB, dir string) (*Store, []Queue) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	queues, err := s.Load(parse)
	if err != nil {
		t.Fatal(err)
	}
	return s, queues
}

// withQueue is a new store with one queue.
func withQueue(t testing.TB) (s *Store, dir string, id int64) {
	t.Helper()
	dir = t.TempDir()
	s, _ = openAt(t, dir)
	id, err := s.Create([]byte(`{}`), epoch)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir, id
}

// reopen closes a store, and loads the only queue it had.
func reopen(t testing.TB, s *Store, dir string) Queue {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, queues := openAt(t, dir)
	if len(queues) != 1 {
		t.Fatalf("there are %d queues, want 1", len(queues))
	}
	return queues[0]
}

// crash copies a store's files as they are at this moment, which is what a power failure leaves of them.
func crash(t testing.TB, dir string) (next string) {
	t.Helper()
	next = filepath.Join(t.TempDir(), "disk")
	if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return next
}

// content is a message with one data section and, so that parse finds it, an id.
func content(t testing.TB, id string, size int) *amqp.Message {
	t.Helper()
	data := binary.BigEndian.AppendUint32([]byte{0x00, 0x53, 0x75, 0xb0}, uint32(size)) // data as vbin32
	m, err := amqp.ParseMessage(append(data, make([]byte, size)...))
	if err != nil {
		t.Fatal(err)
	}
	return m.WithMessageID(id)
}

// parse reads the messages that content makes.
func parse(encoded []byte) (queue.Message, error) {
	m, err := amqp.ParseMessage(encoded)
	if err != nil {
		return queue.Message{}, err
	}
	id, _ := m.Property(amqp.PropertyMessageID).(string)
	return queue.Message{ID: id, Content: m, Size: m.Size()}, nil
}

// put is the change that a message with a sequence number makes.
func put(t testing.TB, sequence int64) queue.Changes { return putSized(t, sequence, 10) }

func putSized(t testing.TB, sequence int64, size int) queue.Changes {
	t.Helper()
	id := fmt.Sprint("message ", sequence)
	c := content(t, id, size)
	return queue.Changes{
		Put: []queue.Stored{{Message: queue.Message{
			ID: id, Content: c, Size: c.Size(), SequenceNumber: sequence, EnqueuedSequenceNumber: sequence, EnqueuedAt: epoch,
		}}},
		Last: queue.Last{Queue: sequence},
	}
}

func gone(sequence, last int64) queue.Changes {
	return queue.Changes{Gone: []queue.Key{{SequenceNumber: sequence}}, Last: queue.Last{Queue: last}}
}

// sequences are the sequence numbers of what was loaded.
func sequences(q Queue) (list []int64) {
	for _, m := range q.Messages {
		list = append(list, m.SequenceNumber)
	}
	return list
}

func wantSequences(t testing.TB, q Queue, want ...int64) {
	t.Helper()
	if got := sequences(q); !slices.Equal(got, want) {
		t.Errorf("messages %v are there, want %v", got, want)
	}
}

// busy keeps the writer at work, so that what is handed in meanwhile becomes one group, until free is called.
func busy(s *Store) (free func()) {
	entered, end := make(chan struct{}), make(chan struct{})
	s.submit(step{special: func(*writer) error {
		close(entered)
		<-end
		return nil
	}}, false)
	<-entered
	return func() { close(end) }
}

// refuse hands in a step that fails the group it is in.
func refuse(s *Store) Commit {
	return s.submit(step{special: func(*writer) error { return errRefused }}, false)
}

var errRefused = fmt.Errorf("refused by the test")

// The write-ahead log, see https://sqlite.org/fileformat2.html#the_write_ahead_log.
const (
	logHeader   = 32
	frameHeader = 24
	pageSize    = 4096
	frameSize   = frameHeader + pageSize
)

// commits are the offsets in a log at which its transactions end.
func commits(t testing.TB, dir string) (ends []int) {
	t.Helper()
	log, err := os.ReadFile(logOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	for at := logHeader; at+frameSize <= len(log); at += frameSize {
		if pages := binary.BigEndian.Uint32(log[at+4:]); pages != 0 { // only the last frame of a transaction has it
			ends = append(ends, at+frameSize)
		}
	}
	return ends
}

func logOf(dir string) string { return filepath.Join(dir, File+"-wal") }
