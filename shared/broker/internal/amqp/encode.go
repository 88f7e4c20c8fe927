package amqp

import (
	"encoding/binary"
	"math"
	"reflect"
)

// Append writes v in its shortest scalar form. It panics on a Go type that is no AMQP type: that is a mistake in the
// program, never in the input.
func Append(b []byte, v any) []byte {
	if d, ok := v.(Described); ok {
		return Append(Append(append(b, describedCode), d.Descriptor), d.Value)
	}
	code := constructor(v)
	return appendBody(append(b, code), code, v)
}

// AppendDescribed writes v behind a numeric descriptor, the form of every performative and section.
func AppendDescribed(b []byte, descriptor uint64, v any) []byte {
	return Append(b, Described{descriptor, v})
}

// constructor picks the code under which Append writes v.
func constructor(v any) byte {
	switch v := v.(type) {
	case nil:
		return 0x40
	case bool:
		if v {
			return 0x41
		}
		return 0x42
	case uint8:
		return 0x50
	case int8:
		return 0x51
	case uint16:
		return 0x60
	case int16:
		return 0x61
	case uint32:
		return shortest(uint64(v), 0x43, 0x52, 0x70)
	case uint64:
		return shortest(v, 0x44, 0x53, 0x80)
	case int32:
		return 0x71
	case int64:
		return 0x81
	case float32:
		return 0x72
	case float64:
		return 0x82
	case Char:
		return 0x73
	case Timestamp:
		return 0x83
	case Decimal32:
		return 0x74
	case Decimal64:
		return 0x84
	case Decimal128:
		return 0x94
	case UUID:
		return 0x98
	}
	return variableConstructor(v)
}

func variableConstructor(v any) byte {
	switch v := v.(type) {
	case []byte:
		return sized(0xa0, len(v))
	case string:
		return sized(0xa1, len(v))
	case Symbol:
		return sized(0xa3, len(v))
	case List:
		if len(v) == 0 {
			return 0x45
		}
		return 0xd0
	case Map:
		return 0xd1
	case Array:
		return 0xf0
	}
	panic(notAMQP(v))
}

func shortest(v uint64, zero, small, full byte) byte {
	switch {
	case v == 0:
		return zero
	case v <= math.MaxUint8:
		return small
	}
	return full
}

func sized(code byte, size int) byte {
	if size > math.MaxUint8 {
		return code + 0x10
	}
	return code
}

// wide is the 4-byte form of a variable width constructor, and any other constructor itself.
func wide(code byte) byte {
	switch code >> 4 {
	case 0xa, 0xc, 0xe:
		return code + 0x10
	}
	return code
}

// appendBody writes what follows the constructor code of v.
func appendBody(b []byte, code byte, v any) []byte {
	be := binary.BigEndian
	switch code >> 4 {
	case 0x4:
		return b
	case 0x5:
		return append(b, byte(bits(v)))
	case 0x6:
		return be.AppendUint16(b, uint16(bits(v)))
	case 0x7:
		return be.AppendUint32(b, uint32(bits(v)))
	case 0x8:
		return be.AppendUint64(b, bits(v))
	case 0x9:
		return appendOctets(b, v)
	case 0xa:
		start := len(b)
		b = appendOctets(append(b, 0), v)
		b[start] = byte(len(b) - start - 1)
		return b
	case 0xb:
		start := len(b)
		b = appendOctets(append(b, 0, 0, 0, 0), v)
		be.PutUint32(b[start:], uint32(len(b)-start-4))
		return b
	}
	return appendCompound(b, v)
}

// bits is a number of at most 64 bits as AMQP writes it.
func bits(v any) uint64 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
		return 0
	case uint8:
		return uint64(v)
	case int8:
		return uint64(v)
	case uint16:
		return uint64(v)
	case int16:
		return uint64(v)
	case uint32:
		return uint64(v)
	case int32:
		return uint64(v)
	case uint64:
		return v
	case int64:
		return uint64(v)
	case Char:
		return uint64(v)
	case Timestamp:
		return uint64(v)
	case float32:
		return uint64(math.Float32bits(v))
	case float64:
		return math.Float64bits(v)
	case Decimal32:
		return uint64(binary.BigEndian.Uint32(v[:]))
	case Decimal64:
		return binary.BigEndian.Uint64(v[:])
	}
	panic(notAMQP(v))
}

func appendOctets(b []byte, v any) []byte {
	switch v := v.(type) {
	case []byte:
		return append(b, v...)
	case string:
		return append(b, v...)
	case Symbol:
		return append(b, v...)
	case UUID:
		return append(b, v[:]...)
	case Decimal128:
		return append(b, v[:]...)
	}
	panic(notAMQP(v))
}

// appendCompound writes what follows the constructor of a list, map or array: sizes of four bytes and its elements.
func appendCompound(b []byte, v any) []byte {
	b, start := begin(b)
	n := 0
	switch v := v.(type) {
	case List:
		n = len(v)
		for _, item := range v {
			b = Append(b, item)
		}
	case Map:
		n = 2 * len(v)
		for _, e := range v {
			b = Append(Append(b, e.Key), e.Value)
		}
	case Array:
		n = len(v.Items)
		if v.Descriptor != nil {
			b = Append(append(b, describedCode), v.Descriptor)
		}
		b = append(b, v.Code)
		for _, item := range v.Items {
			b = appendBody(b, v.Code, item)
		}
	default:
		panic(notAMQP(v))
	}
	end(b, start, n)
	return b
}

// begin leaves room for the size and the count of a compound value, of four bytes each, which end fills in.
func begin(b []byte) (room []byte, start int) {
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	return b, len(b)
}

func end(b []byte, start, n int) {
	binary.BigEndian.PutUint32(b[start-8:], uint32(len(b)-start+4))
	binary.BigEndian.PutUint32(b[start-4:], uint32(n))
}

// notAMQP is what Append panics with. It does not keep v, so that callers can make values on their stack.
func notAMQP(v any) string {
	return "amqp: " + reflect.TypeOf(v).String() + " does not fit its AMQP type"
}
