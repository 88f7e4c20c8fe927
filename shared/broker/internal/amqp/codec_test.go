package amqp_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	goamqp "github.com/Azure/go-amqp"

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

// The independent oracle: go-amqp, the library under azservicebus.
func TestGoAMQPReadsTheSameMessage(t *testing.T) {
	want := &goamqp.Message{
		Header: &goamqp.MessageHeader{Durable: true, Priority: 4},
		Properties: &goamqp.MessageProperties{
			MessageID: "id-1", CorrelationID: uint64(7), ReplyTo: new("reply"), Subject: new("subject"),
		},
		ApplicationProperties: map[string]any{
			"long": int64(-1), "int": int32(2), "ubyte": uint8(3), "text": "x", "binary": []byte{1}, "float": float32(1), "uuid": goamqp.UUID{1},
		},
		Annotations: goamqp.Annotations{"x-opt-partition-key": "p"},
		Value:       map[any]any{"list": []any{int32(1), "two"}, "symbol": goamqp.Symbol("s")},
	}
	encoded, err := want.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := amqp.ParseMessage(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if id := parsed.Property(amqp.PropertyMessageID); id != "id-1" {
		t.Errorf("message id %v, want id-1", id)
	}
	rendered := amqp.Rendering{
		Message:       parsed,
		DeliveryCount: 3,
		Annotations:   parsed.Annotations.With(amqp.Symbol("x-opt-sequence-number"), int64(42)),
		Overlay:       amqp.Map{{Key: "DeadLetterReason", Value: "because"}, {Key: "text", Value: "changed"}},
	}.Append(nil)

	var got goamqp.Message
	if err := got.UnmarshalBinary(rendered); err != nil {
		t.Fatal(err)
	}
	want.Header.DeliveryCount = 3
	want.Annotations["x-opt-sequence-number"] = int64(42)
	want.ApplicationProperties["DeadLetterReason"] = "because"
	want.ApplicationProperties["text"] = "changed"
	if !reflect.DeepEqual(got.Header, want.Header) || !reflect.DeepEqual(got.Properties, want.Properties) ||
		!reflect.DeepEqual(got.Annotations, want.Annotations) ||
		!reflect.DeepEqual(got.ApplicationProperties, want.ApplicationProperties) {
		t.Errorf("go-amqp read\n%+v %+v %v %v\nwant\n%+v %+v %v %v", got.Header, got.Properties, got.Annotations,
			got.ApplicationProperties, want.Header, want.Properties, want.Annotations, want.ApplicationProperties)
	}
	if value, ok := got.Value.(map[string]any); ok {
		if !reflect.DeepEqual(value["list"], []any{int32(1), "two"}) {
			t.Errorf("body %v", value)
		}
	} else if value, ok := got.Value.(map[any]any); !ok || !reflect.DeepEqual(value["list"], []any{int32(1), "two"}) {
		t.Errorf("body %#v", got.Value)
	}
}

func TestAMessageWithoutAnIDGetsOneAndKeepsItsOtherProperties(t *testing.T) {
	encoded, err := (&goamqp.Message{
		Properties: &goamqp.MessageProperties{Subject: new("subject")},
		Data:       [][]byte{[]byte("body")},
	}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := amqp.ParseMessage(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var got goamqp.Message
	if err := got.UnmarshalBinary(amqp.Rendering{Message: parsed.WithMessageID("made")}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if got.Properties.MessageID != "made" || *got.Properties.Subject != "subject" || string(got.GetData()) != "body" {
		t.Errorf("got %+v %q", got.Properties, got.GetData())
	}
	if parsed.Property(amqp.PropertyMessageID) != nil {
		t.Error("the parsed message itself changed")
	}
}

func FuzzParseMessage(f *testing.F) {
	b, err := (&goamqp.Message{
		Header:                &goamqp.MessageHeader{TTL: 1e9},
		Properties:            &goamqp.MessageProperties{MessageID: "1"},
		ApplicationProperties: map[string]any{"k": "v"},
		Data:                  [][]byte{[]byte("x")},
	}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := amqp.ParseMessage(b)
		if err != nil {
			return
		}
		rendered := amqp.Rendering{Message: m.WithMessageID("id"), Overlay: amqp.Map{{Key: "k", Value: "v"}}}.Append(nil)
		again, err := amqp.ParseMessage(rendered)
		if err != nil {
			t.Fatalf("own rendering: %v", err)
		}
		if again.Property(amqp.PropertyMessageID) != "id" || again.ApplicationProperties().Get("k") != "v" {
			t.Fatalf("rendering lost the id or the overlay: %+v", again)
		}
	})
}
