package amqp

import (
	"encoding/binary"
	"math"
)

// Decode reads the value at the head of b and returns what follows it. The value does not alias b.
//
// A value may take many times the memory of its bytes (see the package comment), so what is only passed on is never
// decoded.
func Decode(b []byte) (value any, rest []byte, err error) {
	if rest, err = scan(b, 0); err != nil {
		return nil, nil, err
	}
	value, _ = build(b)
	return value, rest, nil
}

// build makes the value at the head of b, which was scanned, and returns what follows it.
func build(b []byte) (value any, rest []byte) {
	if b[0] != describedCode {
		return buildAs(b[0], b[1:])
	}
	descriptor, b := build(b[1:])
	value, rest = build(b)
	return Described{descriptor, value}, rest
}

// buildAs makes a value whose constructor is known.
func buildAs(code byte, b []byte) (value any, rest []byte) {
	body, rest, _ := split(code, b)
	switch code {
	case 0xa0, 0xb0:
		value = append(make([]byte, 0, len(body)), body...)
	case 0xa1, 0xb1:
		value = string(body)
	case 0xa3, 0xb3:
		value = Symbol(body)
	case 0xc0, 0xd0:
		n, items, _ := count(code, body)
		value = buildList(n, items)
	case 0xc1, 0xd1:
		n, items, _ := count(code, body)
		value = buildMap(n/2, items)
	case 0xe0, 0xf0:
		value = buildArray(code, body)
	default:
		value = fixed(code, body)
	}
	return value, rest
}

// emptyList is shared: one byte stands for it, so making one anew for each would multiply the bytes of a peer.
var emptyList any = List{}

// fixed builds a value of a fixed width.
func fixed(code byte, p []byte) any {
	be := binary.BigEndian
	switch code {
	case 0x40:
		return nil
	case 0x41:
		return true
	case 0x42:
		return false
	case 0x43:
		return uint32(0)
	case 0x44:
		return uint64(0)
	case 0x45:
		return emptyList
	case 0x50:
		return p[0]
	case 0x51:
		return int8(p[0])
	case 0x52:
		return uint32(p[0])
	case 0x53:
		return uint64(p[0])
	case 0x54:
		return int32(int8(p[0]))
	case 0x55:
		return int64(int8(p[0]))
	case 0x56:
		return p[0] != 0
	case 0x60:
		return be.Uint16(p)
	case 0x61:
		return int16(be.Uint16(p))
	case 0x70:
		return be.Uint32(p)
	case 0x71:
		return int32(be.Uint32(p))
	case 0x72:
		return math.Float32frombits(be.Uint32(p))
	case 0x73:
		return Char(be.Uint32(p))
	case 0x80:
		return be.Uint64(p)
	case 0x81:
		return int64(be.Uint64(p))
	}
	return wideFixed(code, p)
}

func wideFixed(code byte, p []byte) any {
	be := binary.BigEndian
	switch code {
	case 0x82:
		return math.Float64frombits(be.Uint64(p))
	case 0x83:
		return Timestamp(be.Uint64(p))
	case 0x74:
		return Decimal32(p)
	case 0x84:
		return Decimal64(p)
	case 0x94:
		return Decimal128(p)
	case 0x98:
		return UUID(p)
	}
	return nil // scan refuses any other
}

func buildList(n int, items []byte) List {
	list := make(List, n)
	for i := range list {
		list[i], items = build(items)
	}
	return list
}

func buildMap(n int, items []byte) Map {
	m := make(Map, n)
	for i := range m {
		m[i].Key, items = build(items)
		m[i].Value, items = build(items)
	}
	return m
}

func buildArray(code byte, body []byte) Array {
	var a Array
	n, items, _ := count(code, body)
	if items[0] == describedCode {
		a.Descriptor, items = build(items[1:])
	}
	element, items := items[0], items[1:]
	a.Code = wide(element)
	a.Items = make([]any, n)
	for i := range a.Items {
		a.Items[i], items = buildAs(element, items)
	}
	return a
}
