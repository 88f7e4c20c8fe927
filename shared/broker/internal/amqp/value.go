// Package amqp is the part of AMQP 1.0 that knows no connection: values, frames, performatives and the sections of a
// message, decoded and encoded without losing a type.
//
// It decides what bytes mean and nothing else. Every AMQP type has a Go type of its own, so that a value that is
// decoded and encoded again is the same value for the peer (an int never comes back as a long). Section and page
// numbers in comments refer to the OASIS standard "AMQP Version 1.0", part 1 (types), part 2 (transport) and part 3
// (messaging).
//
// # What a peer can cost
//
// Everything that is read is checked by a scanner first, which looks at each byte once and allocates nothing:
//   - A frame takes the memory it declares, before its bytes arrive, but never more than was agreed (ReadFrame).
//   - A message that is parsed, refused, kept, changed or rendered takes its bytes and a few dozen more: its sections
//     stay encoded.
//   - A value that is decoded takes up to 50 bytes for each of its own. Performatives are decoded, and of messages the
//     sections that somebody asks for; bodies only of requests.
//   - Values nest at most 32 deep, an array has at most 8 elements that take no bytes, and the keys of maps are simple.
package amqp

import (
	"slices"
	"time"
)

// The AMQP types that need a Go type of their own. The others are nil (null), bool, uint8 (ubyte), uint16 (ushort),
// uint32 (uint), uint64 (ulong), int8 (byte), int16 (short), int32 (int), int64 (long), float32 (float), float64
// (double), []byte (binary) and string.
type (
	// Symbol is an ASCII name from a constrained domain.
	Symbol string
	// UUID is in RFC 4122 byte order.
	UUID [16]byte
	// Char is one UTF-32BE code point.
	Char uint32
	// Timestamp counts milliseconds since the Unix epoch.
	Timestamp int64
	// Decimal32, Decimal64 and Decimal128 are carried, never computed with.
	Decimal32  [4]byte
	Decimal64  [8]byte
	Decimal128 [16]byte

	// Described is a value with a descriptor that says how to read it.
	Described struct{ Descriptor, Value any }
	// List is a sequence of values of any type.
	List []any
	// Map keeps the order of its entries, and keys of any type.
	Map []Entry
	// Entry is one pair of a Map.
	Entry struct{ Key, Value any }
	// Array is a sequence of values that share one constructor.
	Array struct {
		Code       byte // constructor of the elements; of a variable width type always the 4-byte form
		Descriptor any  // not nil if the elements are described
		Items      []any
	}
)

// TimestampOf is t in AMQP's milliseconds.
func TimestampOf(t time.Time) Timestamp { return Timestamp(t.UnixMilli()) }

// Time is t in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Name is the key if it is a string or a symbol, otherwise "".
func (e Entry) Name() string {
	name, _ := keyName(e.Key)
	return name
}

// Get returns the value whose key is the string or symbol key, or nil.
func (m Map) Get(key string) any {
	for _, e := range m {
		if k, ok := keyName(e.Key); ok && k == key {
			return e.Value
		}
	}
	return nil
}

// With returns a map in which key has value. It replaces an entry whose key reads the same, as string or as symbol,
// and never changes m itself.
func (m Map) With(key, value any) Map {
	name, named := keyName(key)
	out := make(Map, 0, len(m)+1)
	for _, e := range m {
		if k, ok := keyName(e.Key); named && ok && k == name {
			continue
		}
		out = append(out, e)
	}
	return append(out, Entry{key, value})
}

// Without returns a map without the entries whose keys read like one of the names, as string or as symbol, and never
// changes m itself.
func (m Map) Without(names ...Symbol) Map {
	out := make(Map, 0, len(m))
	for _, e := range m {
		if k, ok := keyName(e.Key); !ok || !slices.Contains(names, Symbol(k)) {
			out = append(out, e)
		}
	}
	return out
}

func keyName(key any) (string, bool) {
	switch k := key.(type) {
	case string:
		return k, true
	case Symbol:
		return string(k), true
	}
	return "", false
}
