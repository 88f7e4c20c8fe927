package amqp_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// samples has every AMQP type, with the values at which encodings change.
var samples = []any{
	nil, true, false,
	uint8(0), uint8(255), int8(-128), uint16(65535), int16(-32768),
	uint32(0), uint32(255), uint32(256), uint32(math.MaxUint32), int32(0), int32(-1), int32(math.MinInt32),
	uint64(0), uint64(255), uint64(256), uint64(math.MaxUint64), int64(-1), int64(math.MinInt64),
	float32(1.5), math.Pi, math.Inf(-1),
	amqp.Char('é'), amqp.Timestamp(1764025680123), amqp.UUID{1, 2, 3, 15: 16},
	amqp.Decimal32{1, 2, 3, 4}, amqp.Decimal64{7: 9}, amqp.Decimal128{15: 7},
	[]byte{}, []byte("binary"), bytes.Repeat([]byte{7}, 300),
	"", "text", strings.Repeat("ü", 200), amqp.Symbol("symbol"), amqp.Symbol(strings.Repeat("s", 256)),
	amqp.List{}, amqp.List{int32(1), "two", nil, amqp.List{uint8(3)}},
	amqp.Map{}, amqp.Map{{Key: "a", Value: int64(1)}, {Key: amqp.Symbol("b"), Value: nil}, {Key: int32(3), Value: amqp.Map{}}},
	amqp.Array{Code: 0x98, Items: []any{amqp.UUID{1}, amqp.UUID{2}}},
	amqp.Array{Code: 0x83, Items: []any{amqp.Timestamp(1), amqp.Timestamp(-1)}},
	amqp.Array{Code: 0xb1, Items: []any{"a", strings.Repeat("b", 300)}},
	amqp.Array{Code: 0x81, Items: []any{}},
	amqp.Array{Code: 0x54, Items: []any{int32(-1), int32(127)}},
	amqp.Array{Code: 0x56, Items: []any{true, false}},
	amqp.Array{Code: 0xd0, Items: []any{amqp.List{uint32(1)}, amqp.List{}}},
	amqp.Array{Code: 0xb3, Descriptor: uint64(5), Items: []any{amqp.Symbol("x")}},
	amqp.Described{Descriptor: amqp.Symbol("d"), Value: amqp.Described{Descriptor: uint64(300), Value: "v"}},
}

func TestEveryValueSurvivesEncodingAndDecoding(t *testing.T) {
	for _, want := range samples {
		got, rest, err := amqp.Decode(append(amqp.Append(nil, want), 0xff))
		if err != nil || len(rest) != 1 {
			t.Errorf("%T %v: decode: %v, %d bytes left", want, want, err, len(rest))
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("decoded %#v, want %#v", got, want)
		}
	}
}

func TestATruncatedValueIsAnError(t *testing.T) {
	for _, v := range samples {
		b := amqp.Append(nil, v)
		for n := range b {
			if got, rest, err := amqp.Decode(b[:n]); err == nil && len(rest) == 0 && n > 0 && reflect.DeepEqual(got, v) {
				t.Errorf("%#v: %d of %d bytes decode to the same value", v, n, len(b))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range samples {
		f.Add(amqp.Append(nil, v))
	}
	f.Add([]byte{0xe0, 4, 2, 0x52, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := amqp.Decode(b)
		if err != nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatalf("decoding took %d of %d bytes", len(b)-len(rest), len(b))
		}
		first := amqp.Append(nil, v)
		again, rest, err := amqp.Decode(first)
		if err != nil || len(rest) != 0 {
			t.Fatalf("own encoding of %#v: %v, %d bytes left", v, err, len(rest))
		}
		if second := amqp.Append(nil, again); !bytes.Equal(first, second) {
			t.Fatalf("encodings differ:\n%x\n%x", first, second)
		}
	})
}
