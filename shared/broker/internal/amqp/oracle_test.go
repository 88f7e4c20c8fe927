package amqp_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	goamqp "github.com/Azure/go-amqp"
	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// The independent oracle is go-amqp, the library under azservicebus: what one side encodes, the other must read as the
// same, and where they disagree on what to take, a row of differences must say who is right and why.

// difference is a disagreement between the oracle and us on what is a message.
type difference struct {
	name    string
	weTake  bool   // and the oracle refuses; otherwise the other way round
	says    string // in the error of who refuses
	why     string
	example []byte
}

var differences = []difference{
	{"a string that is not UTF-8", false, "not UTF-8", "part 1, 1.6.20",
		body(0xa1, 1, 0xff)},
	{"a symbol that is not ASCII", false, "not ASCII", "part 1, 1.6.21",
		body(0xa3, 2, 0xc3, 0xbc)},
	{"a boolean that is neither 0 nor 1", false, "neither 0 nor 1", "part 1, 1.6.2",
		body(0x56, 2)},
	{"a list longer than its elements", false, "longer than its elements", "part 1, 1.6.22: the oracle ignores the size",
		slices.Concat(section(0x73, 0xc0, 4, 1, 0x40), section(0x77, 0x40))},
	{"an element longer than its list", false, "ends early", "part 1, 1.6.22: the oracle ignores the size",
		section(0x73, 0xc0, 2, 1, 0xa1, 1, 'x')},
	{"a map with a key that has no value", false, "no value", "part 1, 1.6.23: the oracle reads behind the map",
		section(0x74, 0xc1, 3, 1, 0xa1, 0, 0x40)},
	{"a deep nest", false, "nested deeper", "a limit of ours, for the stack",
		append(body(), nest(40)...)},
	{"a map key that is described", false, "described or compound", "a limit of ours: with a list in it, the oracle panics",
		body(0xc1, 6, 2, 0x00, 0x53, 0xff, 0x40, 0x40)},
	{"sections out of order", false, "after section", "part 3, 3.2",
		slices.Concat(section(0x77, 0x40), section(0x73, 0x45))},
	{"a body of two kinds", false, "after section", "part 3, 3.2",
		slices.Concat(section(0x75, 0xa0, 0), section(0x77, 0x40))},
	{"a descriptor that is a section's only in its last byte", false, "after section", "part 3, 3.2",
		[]byte{0, 0x80, 0, 0, 0, 1, 0, 0, 0, 0x77, 0x40}},
	{"a section that holds null", false, "not of the right type", "part 3, 3.2: a section is not optional inside",
		section(0x75, 0x40)},
	{"a time to live that is a ulong", false, "field 2", "part 3, 3.2.1 and 2.8.4: milliseconds are a uint",
		section(0x70, 0xc0, 5, 3, 0x40, 0x40, 0x53, 1)},
	{"a content type that is a string", false, "field 6", "part 3, 3.2.4: it is a symbol",
		section(0x73, 0xc0, 10, 7, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0xa1, 1, 'x')},
	{"a message id that is an int", false, "field 0", "part 3, 3.2.11 to 3.2.14: it is a ulong, uuid, binary or string",
		section(0x73, 0xc0, 3, 1, 0x54, 1)},
	{"an application property named by a symbol", false, "key", "part 3, 3.2.5: keys are strings",
		section(0x74, 0xc1, 5, 2, 0xa3, 1, 'x', 0x40)},
	{"an annotation named by an int", false, "key", "part 3, 3.2.10: keys are symbols or ulongs",
		section(0x72, 0xc1, 4, 2, 0x54, 1, 0x40)},

	{"a char", true, "char not implemented", "part 1, 1.6.16",
		body(0x73, 0, 0, 0, 'x')},
	{"a decimal", true, "not implemented", "part 1, 1.6.13 to 1.6.15",
		body(0x74, 0, 0, 0, 0)},
	{"an array of lists", true, "array decoding not implemented", "part 1, 1.6.24",
		body(0xe0, 5, 1, 0xc0, 2, 1, 0x40)},
	{"an array of empty strings", true, "invalid length", "part 1, 1.6.24: the oracle believes a string takes two bytes",
		body(0xe0, 4, 2, 0xa1, 0, 0)},
	{"an array of elements without a width", true, "exceeds body length", "part 1, 1.6.24: we take a few",
		body(0xe0, 2, 2, 0x44)},
	{"a binary map key", true, "invalid map key", "part 1, 1.6.23",
		body(0xc1, 4, 2, 0xa0, 0, 0x40)},
	{"more than 65536 elements", true, "exceeds maximum", "a limit of the oracle; ours is the size of the message",
		append(body(0xd0, 0, 1, 0, 5, 0, 1, 0, 1), bytes.Repeat([]byte{0x40}, 65537)...)},
	{"a value with the descriptor of a performative", true, "", "part 1, 1.5: the oracle reads a type of its own",
		body(0x00, 0x53, 0x1d, 0x40)},
}

// section and body are encoded sections.
func section(descriptor byte, value ...byte) []byte {
	return append([]byte{0, 0x53, descriptor}, value...)
}
func body(value ...byte) []byte { return section(0x77, value...) }

// declared tells whether a row of differences says what err says. The row without words is for values that the oracle
// reads as types of its own.
func declared(weTake bool, err error, encoded []byte) bool {
	return slices.ContainsFunc(differences, func(d difference) bool {
		if d.weTake != weTake {
			return false
		}
		if d.says == "" {
			return ownType(encoded)
		}
		return strings.Contains(err.Error(), d.says)
	})
}

func TestEveryDeclaredDifferenceIsOne(t *testing.T) {
	for _, d := range differences {
		t.Run(d.name, func(t *testing.T) {
			_, ours := amqp.ParseMessage(d.example)
			theirs := new(goamqp.Message).UnmarshalBinary(d.example)
			refused, taken := ours, theirs
			if d.weTake {
				refused, taken = theirs, ours
			}
			if taken != nil || refused == nil || !strings.Contains(refused.Error(), d.says) {
				t.Errorf("we say %v, the oracle says %v", ours, theirs)
			}
		})
	}
}

// FuzzOracle: what both take is the same message for both; what one refuses is a declared difference; what we take does
// not make the oracle panic, comes out byte for byte, and decodes and encodes without a loss.
func FuzzOracle(f *testing.F) {
	for _, d := range differences {
		f.Add(d.example)
	}
	for i := range 20 {
		if b, err := messages().Example(i).MarshalBinary(); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ours := amqp.ParseMessage(b)
		if ours != nil {
			if theirs, err := unmarshal(b); err == nil && !declared(false, ours, b) {
				t.Fatalf("we say %v, the oracle takes it: %+v", ours, theirs)
			}
			return
		}
		passesOn(t, m, b)
		theirs := new(goamqp.Message)
		if err := theirs.UnmarshalBinary(b); err != nil { // a panic is a failure, too
			if !declared(true, err, b) {
				t.Fatalf("we take it, the oracle says %v", err)
			}
			return
		}
		if got, want := sections(t, b), textOf(theirs); got != want && !ownType(b) {
			t.Fatalf("we read\n%s\nthe oracle reads\n%s", got, want)
		}
	})
}

// unmarshal makes an error of a panic: what we refuse may panic the oracle.
func unmarshal(b []byte) (m *goamqp.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	m = new(goamqp.Message)
	return m, m.UnmarshalBinary(b)
}

// passesOn checks that a message comes out of us as it came in, and that no value of it is lost when it is decoded.
func passesOn(t *testing.T, m *amqp.Message, b []byte) {
	if got := m.Append(nil); !bytes.Equal(got, b) || m.Size() != len(b) {
		t.Fatalf("appended %x, want %x", got, b)
	}
	var bare []byte // what is behind the header
	for rest := b; len(rest) > 0; {
		v, after, err := amqp.Decode(rest)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := amqp.Decode(amqp.Append(nil, v))
		if err != nil || text(again) != text(v) {
			t.Fatalf("encoded and decoded again, %s is %s, %v", text(v), text(again), err)
		}
		if v.(amqp.Described).Descriptor != uint64(0x70) {
			bare = append(bare, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	rendered := amqp.Rendering{Message: m, DeliveryCount: 3}.Append(nil)
	header, after, err := amqp.Decode(rendered)
	if err != nil || !bytes.Equal(after, bare) {
		t.Fatalf("behind the header a receiver gets\n%x, %v, want\n%x", after, err, bare)
	}
	if fields := header.(amqp.Described).Value.(amqp.List); fields[4] != uint32(3) {
		t.Fatalf("header %v, want a delivery count of 3", fields)
	}
}

func TestTheOracleReadsFromUsWhatItWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := messages().Draw(t, "message")
		encoded, err := sent.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		m, err := amqp.ParseMessage(encoded)
		if err != nil {
			t.Fatalf("%v: %.64x", err, encoded)
		}
		var want, got goamqp.Message
		if err := want.UnmarshalBinary(encoded); err != nil {
			t.Skip("the oracle does not read itself: ", err)
		}
		rendered := amqp.Rendering{
			Message: m, DeliveryCount: 7,
			Annotations:           amqp.Map{{Key: amqp.Symbol("over"), Value: int64(-1)}},
			ApplicationProperties: amqp.Map{{Key: "over", Value: "us"}},
		}.Append(nil)
		if err := got.UnmarshalBinary(rendered); err != nil {
			t.Fatalf("%v: %x", err, rendered)
		}
		if want.Header == nil {
			want.Header = &goamqp.MessageHeader{Priority: 4}
		}
		want.Header.DeliveryCount, want.Header.FirstAcquirer = 7, false
		want.Annotations = with(want.Annotations, "over", int64(-1))
		want.ApplicationProperties = with(want.ApplicationProperties, "over", "us")
		if got, want := textOf(&got), textOf(&want); got != want {
			t.Errorf("the oracle reads\n%s\nwant\n%s", got, want)
		}
	})
}

func with[M ~map[K]any, K comparable](m M, key K, value any) M {
	out := M{key: value}
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

func TestTheOracleReadsWhatWeEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := values(3).Draw(t, "value")
		var got goamqp.Message
		if err := got.UnmarshalBinary(amqp.AppendDescribed(nil, 0x77, want)); err != nil {
			t.Fatalf("%#v: %v", want, err)
		}
		if got, want := text(got.Value), text(want); got != want {
			t.Errorf("the oracle reads %s, want %s", got, want)
		}
	})
}

// ownType tells whether a value in a message has a descriptor below 256, for which the oracle has types of its own.
func ownType(b []byte) bool {
	for len(b) > 0 {
		v, rest, err := amqp.Decode(b)
		if err != nil {
			return false
		}
		if d, ok := v.(amqp.Described); ok && holdsOwnType(d.Value) {
			return true
		}
		b = rest
	}
	return false
}

func holdsOwnType(v any) bool {
	switch v := v.(type) {
	case amqp.Described:
		code, isCode := v.Descriptor.(uint64)
		return isCode && code < 256 || holdsOwnType(v.Descriptor) || holdsOwnType(v.Value)
	case amqp.List:
		return slices.ContainsFunc(v, holdsOwnType)
	case amqp.Array:
		return slices.ContainsFunc(v.Items, holdsOwnType)
	case amqp.Map:
		return slices.ContainsFunc(v, func(e amqp.Entry) bool { return holdsOwnType(e.Value) })
	}
	return false
}
