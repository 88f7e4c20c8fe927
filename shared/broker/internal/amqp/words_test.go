package amqp_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// text is a value of either library in words, in which equal values are equal. The oracle does not tell symbols from
// strings, and orders no map.
func text(v any) string {
	switch v := v.(type) {
	case nil, goamqp.Null:
		return "null"
	case string:
		return fmt.Sprintf("%q", v)
	case amqp.Symbol:
		return text(string(v))
	case goamqp.Symbol:
		return text(string(v))
	case float32:
		return fmt.Sprintf("float %x", math.Float32bits(v))
	case float64:
		return fmt.Sprintf("double %x", math.Float64bits(v))
	case []byte:
		return fmt.Sprintf("binary %x", v)
	case time.Time:
		return text(amqp.TimestampOf(v))
	case amqp.Timestamp:
		return fmt.Sprintf("timestamp %d", v)
	case amqp.UUID:
		return fmt.Sprintf("uuid %x", v[:])
	case goamqp.UUID:
		return fmt.Sprintf("uuid %x", v[:])
	case amqp.List:
		return "list" + textOfItems(v)
	case []any:
		return "list" + textOfItems(v)
	case amqp.Array:
		return "array" + textOfItems(v.Items)
	case amqp.Map:
		entries := map[string]string{}
		for _, e := range v {
			entries[text(e.Key)] = text(e.Value)
		}
		return fmt.Sprint(entries)
	case amqp.Described:
		return fmt.Sprintf("(%s is %s)", text(v.Descriptor), text(v.Value))
	}
	return textByReflection(reflect.ValueOf(v))
}

func textOfItems[T any](items []T) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = text(item)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// textByReflection is for the oracle's maps and arrays, and its described type, which it does not export.
func textByReflection(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Map:
		entries := map[string]string{}
		for iter := v.MapRange(); iter.Next(); {
			entries[text(iter.Key().Interface())] = text(iter.Value().Interface())
		}
		return fmt.Sprint(entries)
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = v.Index(i).Interface()
		}
		return "array" + textOfItems(items)
	case reflect.Struct:
		if v.Type().Name() == "DescribedType" {
			return text(amqp.Described{Descriptor: v.Field(0).Interface(), Value: v.Field(1).Interface()})
		}
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return text(v.Elem().Interface())
	}
	return fmt.Sprintf("%s %v", v.Type(), v)
}

// textOf is the oracle's message in words, section by section; a header or map that is missing is an empty one.
func textOf(m *goamqp.Message) string {
	header := m.Header
	if header == nil {
		header = &goamqp.MessageHeader{Priority: 4}
	}
	properties := m.Properties
	if properties == nil {
		properties = &goamqp.MessageProperties{}
	}
	var userID any
	if properties.UserID != nil {
		userID = properties.UserID
	}
	lines := []string{
		text([]any{header.Durable, header.Priority, uint32(header.TTL / time.Millisecond), header.FirstAcquirer, header.DeliveryCount}),
		text(m.DeliveryAnnotations), text(m.Annotations),
		text([]any{
			properties.MessageID, userID, properties.To, properties.Subject, properties.ReplyTo, properties.CorrelationID,
			properties.ContentType, properties.ContentEncoding, properties.AbsoluteExpiryTime, properties.CreationTime,
			properties.GroupID, properties.GroupSequence, properties.ReplyToGroupID,
		}),
		text(m.ApplicationProperties), textOfItems(m.Data), textOfItems(m.Sequence), text(m.Value), text(m.Footer),
	}
	return strings.Join(lines, "\n")
}

// sections is an encoded message as we read it, in the words of textOf.
func sections(t *testing.T, b []byte) string {
	header := amqp.List{false, uint8(4), uint32(0), false, uint32(0)}
	properties := make(amqp.List, 13)
	var value any
	var data, sequence []any
	maps := map[uint64]amqp.Map{}
	for len(b) > 0 {
		v, rest, err := amqp.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		d := v.(amqp.Described)
		switch content := d.Value.(type) {
		case amqp.List:
			switch d.Descriptor {
			case uint64(0x70):
				for i, field := range content {
					if field != nil {
						header[i] = field
					}
				}
			case uint64(0x73):
				copy(properties, content)
			case uint64(0x76):
				sequence = append(sequence, content)
			}
		case amqp.Map:
			maps[d.Descriptor.(uint64)] = content
		case []byte:
			if d.Descriptor == uint64(0x75) {
				data = append(data, content)
			}
		}
		if d.Descriptor == uint64(0x77) {
			value = d.Value
		}
		b = rest
	}
	return strings.Join([]string{
		text(header), text(maps[0x71]), text(maps[0x72]), text(properties), text(maps[0x74]), textOfItems(data),
		textOfItems(sequence), text(value), text(maps[0x78]),
	}, "\n")
}
