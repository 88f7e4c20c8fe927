package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// burst writes transactions of three messages each, of which the first are large enough to take pages of their own, and
// returns the files as a power failure leaves them.
func burst(t *testing.T, transactions int) (dir string, id int64) {
	t.Helper()
	s, dir, id := withQueue(t)
	for i := range int64(transactions) {
		free := busy(s)
		s.Submit(id, putSized(t, 3*i+1, 6000))
		s.Submit(id, putSized(t, 3*i+2, 100))
		last := s.Submit(id, putSized(t, 3*i+3, 100))
		free()
		if err := last.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return crash(t, dir), id
}

// damaged is a copy of a directory whose log was changed.
func damaged(t *testing.T, dir string, change func(log []byte) []byte) (next string) {
	t.Helper()
	next = crash(t, dir)
	log, err := os.ReadFile(logOf(next))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logOf(next), change(slices.Clone(log)), 0o600); err != nil {
		t.Fatal(err)
	}
	return next
}

// wantTransactions checks that the messages of the first n transactions of a burst are there, and no others.
func wantTransactions(t *testing.T, dir string, n int) {
	t.Helper()
	s, queues := openAt(t, dir)
	defer s.Close()
	var want []int64
	for i := range int64(3 * n) {
		want = append(want, i+1)
	}
	if len(queues) == 0 {
		if n >= 0 {
			t.Errorf("the queue is gone, want %d transactions of messages", n)
		}
		return
	}
	wantSequences(t, queues[0], want...)
	if last := queues[0].Last.Queue; last != int64(3*n) {
		t.Errorf("the last sequence number is %d, want %d", last, 3*n)
	}
}

func TestATornLogLosesTheTornTransactionOnly(t *testing.T) {
	t.Parallel()
	dir, _ := burst(t, 6)
	ends := commits(t, dir)
	if len(ends) != 8 { // the schema, the queue, and the burst
		t.Fatalf("%d transactions are in the log, want 8", len(ends))
	}
	complete := func(offset int) (transactions int) { // before offset; -1 is not even the queue
		n, _ := slices.BinarySearch(ends, offset+1)
		return max(n-2, -1)
	}
	random := rand.New(rand.NewPCG(1, 2))
	offsets := map[int]bool{0: true, 1: true, logHeader - 1: true, logHeader: true, logHeader + 1: true}
	for _, end := range ends {
		for _, around := range []int{-frameSize, -pageSize - 1, -pageSize, -pageSize / 2, -1, 0, 1, frameHeader} {
			offsets[min(end+around, ends[len(ends)-1])] = true
		}
	}
	for range 20 {
		offsets[random.IntN(ends[len(ends)-1])] = true
	}
	t.Run("cut off", func(t *testing.T) {
		for offset := range offsets {
			wantTransactions(t, damaged(t, dir, func(log []byte) []byte { return log[:offset] }), complete(offset))
			if t.Failed() {
				t.Fatalf("the log was cut at %d of %v", offset, ends)
			}
		}
	})
	t.Run("a bit flipped", func(t *testing.T) {
		for offset := range offsets {
			if offset == ends[len(ends)-1] {
				continue // behind the log
			}
			want := complete(offset)
			if offset < logHeader { // the log starts with it
				want = -1
			}
			wantTransactions(t, damaged(t, dir, func(log []byte) []byte { log[offset] ^= 0x10; return log }), want)
			if t.Failed() {
				t.Fatalf("the byte at %d of %v was changed", offset, ends)
			}
		}
	})
	t.Run("garbage behind it", func(t *testing.T) {
		for _, tail := range [][]byte{{0}, make([]byte, 3*frameSize), bytes.Repeat([]byte("half a page "), 1000)} {
			wantTransactions(t, damaged(t, dir, func(log []byte) []byte { return append(log, tail...) }), 6)
		}
	})
	t.Run("frames of the disk before", func(t *testing.T) { // a file grows before what is in it arrives
		wantTransactions(t, damaged(t, dir, func(log []byte) []byte { return append(log, log[logHeader:ends[3]]...) }), 6)
	})
}

func TestATornStoreGoesOn(t *testing.T) {
	dir, id := burst(t, 2)
	ends := commits(t, dir)
	next := damaged(t, dir, func(log []byte) []byte { return log[:ends[len(ends)-1]-1] })
	s, _ := openAt(t, next)
	if err := s.Submit(id, put(t, 100)).Wait(); err != nil {
		t.Fatal(err)
	}
	_, queues := openAt(t, crash(t, next))
	wantSequences(t, queues[0], 1, 2, 3, 100)
}

// Once all of a log is in the main file, it is written from its beginning again, over what it had before.
func TestALogThatBeganAnewMayBeTorn(t *testing.T) {
	t.Parallel()
	s, dir, id := withQueue(t)
	const large = 16 << 20 // more than the 4000 pages after which the log is copied
	for _, c := range []func() Commit{
		func() Commit { return s.Submit(id, putSized(t, 1, large)) },
		func() Commit { return s.Submit(id, put(t, 2)) },
		func() Commit { return s.Submit(id, put(t, 3)) },
	} {
		if err := c().Wait(); err != nil {
			t.Fatal(err)
		}
	}
	dir = crash(t, dir)
	main, err := os.Stat(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if main.Size() < large {
		t.Fatalf("the main file has %d bytes: the log was not copied", main.Size())
	}
	log, err := os.ReadFile(logOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	salt := log[16:24] // of the frames that count; those behind them have another
	end := logHeader
	for end+frameSize <= len(log) && bytes.Equal(log[end+8:end+16], salt) {
		end += frameSize
	}
	for cut, want := range map[int][]int64{end: {1, 2, 3}, end - 1: {1, 2}, end - frameSize: {1, 2}, logHeader: {1}, 3: {1}} {
		s, queues := openAt(t, damaged(t, dir, func(log []byte) []byte { return log[:cut] }))
		wantSequences(t, queues[0], want...)
		_ = s.Close()
	}
	s, queues := openAt(t, damaged(t, dir, func(log []byte) []byte { log[end-1] ^= 1; return log }))
	wantSequences(t, queues[0], 1, 2)
	_ = s.Close()
}

func TestADamagedMainFileIsAnErrorThatSaysWhich(t *testing.T) {
	s, dir, id := withQueue(t)
	const messages = 50
	for i := range int64(messages) {
		s.Submit(id, putSized(t, i+1, 2000))
	}
	if err := s.Close(); err != nil { // all is in the main file now
		t.Fatal(err)
	}
	main, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"its header is gone":        func(b []byte) []byte { clear(b[:100]); return b },
		"its first page is gone":    func(b []byte) []byte { clear(b[:pageSize]); return b },
		"it is half as long":        func(b []byte) []byte { return b[:len(b)/2/pageSize*pageSize] },
		"it lacks its last page":    func(b []byte) []byte { return b[:len(b)-pageSize] },
		"it ends within a page":     func(b []byte) []byte { return b[:len(b)-pageSize/2] },
		"a page is zero":            func(b []byte) []byte { clear(b[len(b)-pageSize:]); return b },
		"a page has text":           func(b []byte) []byte { copy(b[len(b)-pageSize:], strings.Repeat("text", pageSize/4)); return b },
		"a page is that of another": func(b []byte) []byte { copy(b[len(b)-pageSize:], b[pageSize:2*pageSize]); return b },
		"a page has fewer messages": func(b []byte) []byte { b[len(b)-pageSize+4]--; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, File), damage(slices.Clone(main)), 0o600); err != nil {
				t.Fatal(err)
			}
			err := readable(dir, messages)
			if err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("not an error that says where: %v", err)
			}
		})
	}
}

// A page whose header lies can be read without an error, and then has fewer messages, or no queue, than it had.
func TestNoDamagedPageHidesMessages(t *testing.T) {
	t.Parallel()
	s, dir, id := withQueue(t)
	const messages = 50
	for i := range int64(messages) {
		s.Submit(id, putSized(t, i+1, 200))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	main, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	fields := []int{0, 1, 3, 4, 5, 8, 9, 10} // type, first free block, number of cells, where they start, the first cells
	for page := 0; page < len(main); page += pageSize {
		for _, field := range fields {
			changed := slices.Clone(main)
			at := page + field
			if page == 0 {
				at += 100 // behind the header of the file
			}
			changed[at]--
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, File), changed, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := readable(dir, messages); err != nil && !strings.Contains(err.Error(), dir) {
				t.Errorf("with byte %d of page %d changed: %v", field, page/pageSize+1, err)
			}
		}
	}
}

// readable opens a directory, whose store has one queue with a number of messages, unless it is damaged.
func readable(dir string, messages int) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	queues, err := s.Load(parse)
	if err == nil && (len(queues) != 1 || len(queues[0].Messages) != messages) {
		return fmt.Errorf("opened without some of its messages")
	}
	return err
}
