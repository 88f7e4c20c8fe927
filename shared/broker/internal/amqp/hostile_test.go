package amqp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

func TestDecodeRefusesWhatWouldExhaustTheServer(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                              {},
		"an unknown constructor":               {0x46},
		"a list that announces 4 billion":      {0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff},
		"an array of 17 nulls":                 {0xe0, 2, 17, 0x40},
		"an array described twice":             {0xe0, 5, 0, 0, 0x40, 0, 0x40},
		"an array of 17 nulls before padding":  append([]byte{0xe0, 34, 17, 0x40}, make([]byte, 32)...),
		"an array of 4 billion nulls":          {0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40},
		"a map with an odd number of elements": {0xc1, 2, 1, 0x40},
		"a deep nest of descriptors":           bytes.Repeat([]byte{0}, 100_000),
		"a deep nest of lists":                 nest(100),
	} {
		t.Run(name, func(t *testing.T) {
			if v, _, err := amqp.Decode(b); err == nil {
				t.Fatalf("decoded %#v, want an error", v)
			}
		})
	}
}

// nest is a list in a list in a list …
func nest(depth int) []byte {
	b := []byte{0x45}
	for range depth {
		b = append([]byte{0xc0, byte(len(b) + 1), 1}, b...)
	}
	return b
}

// expensive are values that take as much memory as possible for their bytes.
var expensive = map[string][]byte{
	"a list of nulls":                      listOf(0x40),
	"a list of empty lists":                listOf(0x45),
	"a list of small ulongs":               listOf(0x53, 1),
	"a list of empty strings":              listOf(0xa1, 0),
	"a list of empty binaries":             listOf(0xa0, 0),
	"a list of lists":                      listOf(0xc0, 2, 1, 0x40),
	"a list of maps":                       listOf(0xc1, 3, 2, 0x40, 0x40),
	"a list of empty maps":                 listOf(0xc1, 1, 0),
	"a list of described nulls":            listOf(0x00, 0x40, 0x40),
	"a list of empty arrays":               listOf(0xe0, 2, 0, 0x40),
	"a list of arrays of the most nulls":   listOf(0xe0, 2, 8, 0x40),
	"a list of arrays of the most lists":   listOf(0xe0, 2, 8, 0x45),
	"a list of arrays of empty binaries":   listOf(append([]byte{0xe0, 255, 253, 0xa0}, make([]byte, 253)...)...),
	"an array of empty binaries":           arrayOf(0xa0, 0),
	"an array of lists":                    arrayOf(0xc0, 2, 1, 0x40),
	"an array of small ulongs":             arrayOf(0x53, 1),
	"a list of the deepest lists possible": listOf(nest(28)...),
}

// listOf is a list of about 60 kB that repeats one item.
func listOf(item ...byte) []byte {
	n := 60_000 / len(item)
	return append(compound(0xd0, n*len(item), n), bytes.Repeat(item, n)...)
}

// arrayOf is an array of about 60 kB that repeats one item.
func arrayOf(code byte, item ...byte) []byte {
	n := 60_000 / len(item)
	return append(append(compound(0xf0, n*len(item)+1, n), code), bytes.Repeat(item, n)...)
}

// compound is the head of a list or array.
func compound(code byte, size, n int) []byte {
	size += 4
	return []byte{code, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func TestDecodingTakesASmallMultipleOfTheBytes(t *testing.T) {
	const atMost = 50
	for name, b := range expensive {
		t.Run(name, func(t *testing.T) {
			var v any
			spent := allocated(func() {
				var err error
				if v, _, err = amqp.Decode(b); err != nil {
					t.Fatal(err)
				}
			})
			runtime.KeepAlive(v)
			t.Logf("%.1f bytes for each", float64(spent)/float64(len(b)))
			if spent > atMost*uint64(len(b)) {
				t.Errorf("%d bytes decode into %d", len(b), spent)
			}
		})
	}
}

func TestWhatIsNotDecodedTakesNoMemory(t *testing.T) {
	for name, b := range expensive {
		t.Run(name, func(t *testing.T) {
			for name, message := range map[string][]byte{
				"body":        append([]byte{0, 0x53, 0x77}, b...),
				"annotations": slices.Concat([]byte{0, 0x53, 0x72}, compound(0xd1, len(b)+3, 2), []byte{0xa3, 1, 'x'}, b),
			} {
				if spent := allocated(func() { parse(t, message) }); spent > 1024 {
					t.Errorf("parsing %d bytes of %s takes %d", len(message), name, spent)
				}
			}
		})
	}
}

func TestRefusingTakesNoMemory(t *testing.T) {
	for name, b := range map[string][]byte{
		"a list that announces 4 billion elements":        {0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40},
		"a map that announces 4 billion elements":         {0xd1, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xfe, 0x40},
		"an array that announces 4 billion elements":      {0xf0, 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0x50, 0},
		"a binary that announces 4 GiB":                   {0xb0, 0xff, 0xff, 0xff, 0xff, 0},
		"a list of many elements of which the last fails": append(listOf(0x45)[:60_000], 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			if spent := allocated(func() {
				if v, _, err := amqp.Decode(b); err == nil {
					t.Fatalf("decoded %v", v)
				}
			}); spent > 1024 {
				t.Errorf("refusing took %d bytes", spent)
			}
		})
	}
}

func TestAFrameTakesNoMoreMemoryThanWasAgreed(t *testing.T) {
	const agreed = 64 << 10
	for name, c := range map[string]struct {
		declared byte // the second byte of the size
		want     error
		atMost   uint64
	}{
		"a frame of 16 MiB":                         {0xff, amqp.ErrFraming, 1024},
		"the largest frame, of which nothing comes": {0x01, io.EOF, agreed + 1024},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			spent := allocated(func() {
				_, err = amqp.ReadFrame(bytes.NewReader([]byte{0, c.declared, 0, 0, 2, 0, 0, 0}), agreed)
			})
			if !errors.Is(err, c.want) || spent > c.atMost {
				t.Errorf("error %v, %d bytes, want %v and at most %d", err, spent, c.want, c.atMost)
			}
		})
	}
}

// allocated is how many bytes f allocates each time. The least of some runs counts, because the rest of the process allocates meanwhile.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// Every field of every performative is given a decimal, which none of them is.
func TestNoFieldTakesAValueOfAWrongType(t *testing.T) {
	anything := map[string]bool{ // what is not ours to judge, or is read leniently: an error is an error, however it reads
		"*amqp.Attach 5": true, "*amqp.Attach 6": true, "*amqp.Disposition 4": true,
		"*amqp.Detach 2": true, "*amqp.End 0": true, "*amqp.Close 0": true,
	}
	for _, p := range performatives {
		v, _, err := amqp.Decode(amqp.AppendFrame(nil, amqp.FrameAMQP, 0, p, nil)[8:])
		if err != nil {
			t.Fatal(err)
		}
		d := v.(amqp.Described)
		fields := d.Value.(amqp.List)
		for i, field := range fields {
			name := fmt.Sprintf("%T %d", p, i)
			if field == nil && !anything[name] {
				continue // we read no such field, or it is left out here
			}
			wrong := slices.Clone(fields)
			wrong[i] = amqp.Decimal32{}
			_, _, err := amqp.DecodePerformative(amqp.AppendDescribed(nil, d.Descriptor.(uint64), wrong))
			if (err == nil) != anything[name] {
				t.Errorf("%s: error %v", name, err)
			}
			if _, err := amqp.ParseState(wrong[i]); err == nil {
				t.Error("a decimal is no delivery state")
			}
		}
	}
}

func FuzzPerformative(f *testing.F) {
	for _, p := range performatives {
		f.Add(amqp.AppendFrame(nil, amqp.FrameAMQP, 0, p, nil)[8:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := amqp.DecodePerformative(b)
		if err != nil {
			return
		}
		switch p := p.(type) { // whatever it is, asking for its parts must not panic
		case *amqp.Attach:
			_, _ = p.SourceAddress(), p.TargetAddress()
		case *amqp.Disposition:
			_, _ = amqp.ParseState(p.State)
		}
	})
}
