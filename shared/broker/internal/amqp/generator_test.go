package amqp_test

import (
	"time"

	goamqp "github.com/Azure/go-amqp"
	"pgregory.net/rapid"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// messages generates messages of the oracle, with every section and every type it writes.
func messages() *rapid.Generator[*goamqp.Message] {
	return rapid.Custom(func(t *rapid.T) *goamqp.Message {
		m := &goamqp.Message{
			Header:                maybe(t, "header", headers()),
			DeliveryAnnotations:   maybe(t, "delivery annotations", annotations()),
			Annotations:           maybe(t, "annotations", annotations()),
			Properties:            maybe(t, "properties", properties()),
			ApplicationProperties: maybe(t, "application properties", rapid.MapOfN(rapid.String(), theirValues(0), 0, 4)),
			Footer:                maybe(t, "footer", annotations()),
		}
		switch rapid.IntRange(0, 3).Draw(t, "body") {
		case 1:
			m.Data = rapid.SliceOfN(octets(), 1, 3).Draw(t, "data")
		case 2:
			m.Sequence = rapid.SliceOfN(rapid.SliceOfN(theirValues(2), 0, 4), 1, 3).Draw(t, "sequence")
		case 3:
			if m.Value = theirValues(3).Draw(t, "value"); m.Value == nil {
				m.Value = goamqp.Null{}
			}
		}
		return m
	})
}

// maybe draws a value or leaves it out.
func maybe[T any](t *rapid.T, name string, g *rapid.Generator[T]) (value T) {
	if rapid.Bool().Draw(t, "has "+name) {
		value = g.Draw(t, name)
	}
	return value
}

func maybePointer[T any](t *rapid.T, name string, g *rapid.Generator[T]) *T {
	return rapid.Ptr(g, true).Draw(t, name)
}

func headers() *rapid.Generator[*goamqp.MessageHeader] {
	return rapid.Custom(func(t *rapid.T) *goamqp.MessageHeader {
		return &goamqp.MessageHeader{
			Durable:       rapid.Bool().Draw(t, "durable"),
			Priority:      rapid.Byte().Draw(t, "priority"),
			TTL:           time.Duration(rapid.Uint32().Draw(t, "ttl")) * time.Millisecond,
			FirstAcquirer: rapid.Bool().Draw(t, "first acquirer"),
			DeliveryCount: rapid.Uint32().Draw(t, "delivery count"),
		}
	})
}

func properties() *rapid.Generator[*goamqp.MessageProperties] {
	return rapid.Custom(func(t *rapid.T) *goamqp.MessageProperties {
		return &goamqp.MessageProperties{
			MessageID:          ids().Draw(t, "message id"),
			UserID:             maybe(t, "user id", octets()),
			To:                 maybePointer(t, "to", rapid.String()),
			Subject:            maybePointer(t, "subject", rapid.String()),
			ReplyTo:            maybePointer(t, "reply to", rapid.String()),
			CorrelationID:      ids().Draw(t, "correlation id"),
			ContentType:        maybePointer(t, "content type", ascii()),
			ContentEncoding:    maybePointer(t, "content encoding", ascii()),
			AbsoluteExpiryTime: maybePointer(t, "expiry", times()),
			CreationTime:       maybePointer(t, "creation", times()),
			GroupID:            maybePointer(t, "group id", rapid.String()),
			GroupSequence:      maybePointer(t, "group sequence", rapid.Uint32()),
			ReplyToGroupID:     maybePointer(t, "reply to group id", rapid.String()),
		}
	})
}

func ids() *rapid.Generator[any] {
	return rapid.OneOf(rapid.Just[any](nil), rapid.String().AsAny(), rapid.Uint64().AsAny(), octets().AsAny(), theirUUIDs().AsAny())
}

func annotations() *rapid.Generator[goamqp.Annotations] {
	keys := rapid.OneOf(ascii().AsAny(), rapid.Int64().AsAny())
	return rapid.Map(rapid.MapOfN(keys, theirValues(2), 0, 4), func(m map[any]any) goamqp.Annotations { return m })
}

func octets() *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), 0, 300) }
func ascii() *rapid.Generator[string]  { return rapid.StringMatching(`[ -~]{0,300}`) }

func times() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(-1<<53, 1<<53), time.UnixMilli)
}

func theirUUIDs() *rapid.Generator[goamqp.UUID] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) goamqp.UUID { return goamqp.UUID(b) })
}

// theirValues generates Go values of every type the oracle encodes, nested at most depth deep.
func theirValues(depth int) *rapid.Generator[any] {
	simple := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(),
		rapid.Uint8().AsAny(), rapid.Uint16().AsAny(), rapid.Uint32().AsAny(), rapid.Uint64().AsAny(),
		rapid.Int8().AsAny(), rapid.Int16().AsAny(), rapid.Int32().AsAny(), rapid.Int64().AsAny(),
		rapid.Float32().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(), octets().AsAny(), times().AsAny(),
		theirUUIDs().AsAny(), rapid.Map(ascii(), func(s string) any { return goamqp.Symbol(s) }),
	)
	if depth == 0 {
		return simple
	}
	inner := theirValues(depth - 1)
	return rapid.OneOf(simple,
		someOf(inner),
		rapid.MapOfN(rapid.String(), inner, 0, 4).AsAny(),
		rapid.MapOfN(rapid.OneOf(rapid.Int32().AsAny(), rapid.String().AsAny()), inner, 0, 4).AsAny(),
		someOf(rapid.Int8()), someOf(rapid.Int16()), someOf(rapid.Int32()), someOf(rapid.Int64()),
		someOf(rapid.Uint16()), someOf(rapid.Uint32()), someOf(rapid.Uint64()),
		someOf(rapid.Float32()), someOf(rapid.Float64()), someOf(rapid.Bool()), someOf(rapid.String()),
		someOf(rapid.Map(ascii(), func(s string) goamqp.Symbol { return goamqp.Symbol(s) })),
		someOf(octets()), someOf(times()), someOf(theirUUIDs()),
		someOf(rapid.MapOfN(rapid.String().AsAny(), inner, 0, 2)),
	)
}

func someOf[T any](g *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.SliceOfN(g, 0, 5).AsAny()
}

// values generates our values of every type the oracle decodes.
func values(depth int) *rapid.Generator[any] {
	simple := []*rapid.Generator[any]{rapid.Just[any](nil)}
	for _, code := range arrayCodes {
		simple = append(simple, arrayItems[code])
	}
	if depth == 0 {
		return rapid.OneOf(simple...)
	}
	inner := values(depth - 1)
	return rapid.OneOf(append(simple,
		rapid.Map(rapid.SliceOfN(inner, 0, 5), func(items []any) any { return amqp.List(items) }),
		rapid.Custom(func(t *rapid.T) any {
			var m amqp.Map
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				key := rapid.OneOf(rapid.String().AsAny(), rapid.Int32().AsAny()).Draw(t, "key")
				m = append(m, amqp.Entry{Key: key, Value: inner.Draw(t, "value")})
			}
			return m
		}),
		rapid.Custom(func(t *rapid.T) any {
			code := rapid.SampledFrom(arrayCodes).Draw(t, "constructor")
			return amqp.Array{Code: code, Items: rapid.SliceOfN(arrayItems[code], 0, 5).Draw(t, "items")}
		}),
		rapid.Custom(func(t *rapid.T) any {
			return amqp.Described{
				Descriptor: rapid.Uint64Min(256).Draw(t, "descriptor"),
				Value:      inner.Draw(t, "described"),
			}
		}),
	)...)
}

var arrayCodes = []byte{0x50, 0x51, 0x56, 0x60, 0x61, 0x70, 0x71, 0x72, 0x80, 0x81, 0x82, 0x83, 0x98, 0xb0, 0xb1, 0xb3}

// arrayItems generates the elements of an array by its constructor.
var arrayItems = map[byte]*rapid.Generator[any]{
	0x50: rapid.Uint8().AsAny(), 0x51: rapid.Int8().AsAny(), 0x56: rapid.Bool().AsAny(),
	0x60: rapid.Uint16().AsAny(), 0x61: rapid.Int16().AsAny(), 0x70: rapid.Uint32().AsAny(), 0x71: rapid.Int32().AsAny(),
	0x72: rapid.Float32().AsAny(), 0x80: rapid.Uint64().AsAny(), 0x81: rapid.Int64().AsAny(), 0x82: rapid.Float64().AsAny(),
	0x83: rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(ms int64) any { return amqp.Timestamp(ms) }),
	0x98: rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) any { return amqp.UUID(b) }),
	0xb0: octets().AsAny(), 0xb1: rapid.String().AsAny(),
	0xb3: rapid.Map(ascii(), func(s string) any { return amqp.Symbol(s) }),
}
