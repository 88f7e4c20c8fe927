package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const (
	// maxDepth bounds the nesting of a value, and so the stack a peer can make us use.
	maxDepth = 32
	// maxEmptyItems bounds an array whose elements take no bytes: without it 16 bytes could announce 4 billion nulls, and
	// with one every three bytes of a message even a few hundred each would take gigabytes. Clients give the elements of
	// an array a width.
	maxEmptyItems = 16
)

var (
	errShort = errors.New("amqp: value ends early")
	errDepth = fmt.Errorf("amqp: value nested deeper than %d", maxDepth)
)

// Decode reads the value at the head of b and returns what follows it. Binary values alias b.
func Decode(b []byte) (value any, rest []byte, err error) { return decode(b, 0) }

func decode(b []byte, depth int) (any, []byte, error) {
	if depth > maxDepth {
		return nil, nil, errDepth
	}
	if len(b) == 0 {
		return nil, nil, errShort
	}
	if b[0] != describedCode {
		return decodeAs(b[0], b[1:], depth)
	}
	descriptor, b, err := decode(b[1:], depth+1)
	if err != nil {
		return nil, nil, err
	}
	value, b, err := decode(b, depth+1)
	if err != nil {
		return nil, nil, err
	}
	return Described{descriptor, value}, b, nil
}

// decodeAs reads a value whose constructor is known.
func decodeAs(code byte, b []byte, depth int) (any, []byte, error) {
	body, rest, err := split(code, b)
	if err != nil {
		return nil, nil, err
	}
	var value any
	switch code {
	case 0xa0, 0xb0:
		value = body
	case 0xa1, 0xb1:
		value = string(body)
	case 0xa3, 0xb3:
		value = Symbol(body)
	case 0xc0, 0xd0:
		value, err = decodeList(code, body, depth)
	case 0xc1, 0xd1:
		value, err = decodeMap(code, body, depth)
	case 0xe0, 0xf0:
		value, err = decodeArray(code, body, depth)
	default:
		value, err = decodeFixed(code, body)
	}
	return value, rest, err
}

// split cuts the content of a value of the given constructor off b. The high half of a constructor is its width
// (part 1, figure 1.3): 0x4 to 0x9 are 0 to 16 bytes, from 0xa on a size of one or four bytes comes first.
func split(code byte, b []byte) (body, rest []byte, err error) {
	var size uint64
	switch code >> 4 {
	case 0x4:
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		size = 1 << (code>>4 - 5)
	case 0xa, 0xc, 0xe:
		if len(b) < 1 {
			return nil, nil, errShort
		}
		size, b = uint64(b[0]), b[1:]
	case 0xb, 0xd, 0xf:
		if len(b) < 4 {
			return nil, nil, errShort
		}
		size, b = uint64(binary.BigEndian.Uint32(b)), b[4:]
	default:
		return nil, nil, unknownConstructor(code)
	}
	if size > uint64(len(b)) {
		return nil, nil, errShort
	}
	return b[:size:size], b[size:], nil
}

func decodeFixed(code byte, p []byte) (any, error) {
	be := binary.BigEndian
	switch code {
	case 0x40:
		return nil, nil
	case 0x41:
		return true, nil
	case 0x42:
		return false, nil
	case 0x43:
		return uint32(0), nil
	case 0x44:
		return uint64(0), nil
	case 0x45:
		return List{}, nil
	case 0x50:
		return p[0], nil
	case 0x51:
		return int8(p[0]), nil
	case 0x52:
		return uint32(p[0]), nil
	case 0x53:
		return uint64(p[0]), nil
	case 0x54:
		return int32(int8(p[0])), nil
	case 0x55:
		return int64(int8(p[0])), nil
	case 0x56:
		return p[0] != 0, nil
	case 0x60:
		return be.Uint16(p), nil
	case 0x61:
		return int16(be.Uint16(p)), nil
	case 0x70:
		return be.Uint32(p), nil
	case 0x71:
		return int32(be.Uint32(p)), nil
	case 0x72:
		return math.Float32frombits(be.Uint32(p)), nil
	case 0x73:
		return Char(be.Uint32(p)), nil
	case 0x80:
		return be.Uint64(p), nil
	case 0x81:
		return int64(be.Uint64(p)), nil
	}
	return decodeWide(code, p)
}

func decodeWide(code byte, p []byte) (any, error) {
	be := binary.BigEndian
	switch code {
	case 0x82:
		return math.Float64frombits(be.Uint64(p)), nil
	case 0x83:
		return Timestamp(be.Uint64(p)), nil
	case 0x74:
		return Decimal32(p), nil
	case 0x84:
		return Decimal64(p), nil
	case 0x94:
		return Decimal128(p), nil
	case 0x98:
		return UUID(p), nil
	}
	return nil, unknownConstructor(code)
}

// count reads the number of elements of a compound value, as wide as its size was.
func count(code byte, p []byte) (n int, rest []byte, err error) {
	if code>>4&1 == 0 { // 0xc0, 0xc1, 0xe0
		if len(p) < 1 {
			return 0, nil, errShort
		}
		return int(p[0]), p[1:], nil
	}
	if len(p) < 4 {
		return 0, nil, errShort
	}
	return int(binary.BigEndian.Uint32(p)), p[4:], nil
}

func decodeList(code byte, p []byte, depth int) (List, error) {
	n, p, err := count(code, p)
	if err != nil {
		return nil, err
	}
	if n > len(p) { // every element takes at least its constructor
		return nil, errShort
	}
	items := make(List, n)
	for i := range items {
		if items[i], p, err = decode(p, depth+1); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func decodeMap(code byte, p []byte, depth int) (Map, error) {
	items, err := decodeList(code, p, depth)
	if err != nil {
		return nil, err
	}
	if len(items)%2 != 0 {
		return nil, errors.New("amqp: map with a key that has no value")
	}
	m := make(Map, len(items)/2)
	for i := range m {
		m[i] = Entry{items[2*i], items[2*i+1]}
	}
	return m, nil
}

func decodeArray(code byte, p []byte, depth int) (Array, error) {
	var a Array
	n, p, err := count(code, p)
	if err != nil {
		return a, err
	}
	if len(p) > 0 && p[0] == describedCode {
		if a.Descriptor, p, err = decode(p[1:], depth+1); err != nil {
			return a, err
		}
	}
	if len(p) == 0 {
		return a, errShort
	}
	element := p[0]
	if element == describedCode { // a descriptor of a descriptor, which nobody needs and Array cannot hold
		return a, unknownConstructor(element)
	}
	p = p[1:]
	a.Code = wide(element)
	limit := len(p)
	if element>>4 == 0x4 { // no bytes each
		limit = maxEmptyItems
	}
	if n > limit {
		return a, errShort
	}
	if depth >= maxDepth {
		return a, errDepth
	}
	a.Items = make([]any, n)
	for i := range a.Items {
		if a.Items[i], p, err = decodeAs(element, p, depth+1); err != nil {
			return a, err
		}
	}
	return a, nil
}

func unknownConstructor(code byte) error { return fmt.Errorf("amqp: unknown constructor 0x%02x", code) }
