package amqp

import (
	"errors"
	"fmt"
)

// Descriptors of the sections of a message (part 3, 3.2).
const (
	sectionHeader                = 0x70
	sectionDeliveryAnnotations   = 0x71
	sectionAnnotations           = 0x72
	sectionProperties            = 0x73
	sectionApplicationProperties = 0x74
	sectionData                  = 0x75
	sectionValue                 = 0x77
)

// Message is an encoded message taken apart as far as a broker needs. Sections that a broker passes on stay the bytes
// the sender wrote. A Message is not changed after it was parsed, so copies may share it.
type Message struct {
	Durable, Priority   any
	TTL                 *uint32 // milliseconds
	DeliveryAnnotations Map
	Annotations         Map
	Properties          List // its fields by position, see PropertyMessageID and the following
	Body                []byte
	Value               any // what an amqp-value body holds

	properties            []byte
	applicationProperties []byte
}

// Positions in Properties.
const (
	PropertyMessageID     = 0
	PropertyReplyTo       = 4
	PropertyCorrelationID = 5
)

// Property is the field of the properties section at a position, or nil.
func (m *Message) Property(position int) any {
	if position >= len(m.Properties) {
		return nil
	}
	return m.Properties[position]
}

// ParseMessage reads an encoded message. The message aliases b.
func ParseMessage(b []byte) (*Message, error) {
	m := &Message{}
	for len(b) > 0 {
		s, rest, err := nextSection(b)
		if err != nil {
			return nil, err
		}
		if err := m.take(s); err != nil {
			return nil, fmt.Errorf("amqp: section 0x%02x: %w", s.descriptor, err)
		}
		b = rest
	}
	return m, nil
}

func (m *Message) take(s section) (err error) {
	switch s.descriptor {
	case sectionHeader:
		list, err := as[List](s.value)
		if err != nil {
			return err
		}
		r := fieldReader{list: list}
		m.Durable, m.Priority, m.TTL = field[any](&r, 0, nil), field[any](&r, 1, nil), optional[uint32](&r, 2)
		return r.err
	case sectionDeliveryAnnotations:
		m.DeliveryAnnotations, err = as[Map](s.value)
	case sectionAnnotations:
		m.Annotations, err = as[Map](s.value)
	case sectionProperties:
		m.Properties, err = as[List](s.value)
		m.properties = s.raw
	case sectionApplicationProperties:
		_, err = as[Map](s.value)
		m.applicationProperties = s.raw
	case sectionValue:
		m.Value = s.value
		m.Body = append(m.Body, s.raw...)
	default:
		m.Body = append(m.Body, s.raw...)
	}
	return err
}

// WithMessageID is the message with its message-id set.
func (m *Message) WithMessageID(id string) *Message {
	named := *m
	named.Properties = append(List{}, m.Properties...)
	if len(named.Properties) == 0 {
		named.Properties = List{nil}
	}
	named.Properties[PropertyMessageID] = id
	named.properties = AppendDescribed(nil, sectionProperties, named.Properties)
	return &named
}

// ApplicationProperties decodes the section of that name.
func (m *Message) ApplicationProperties() Map {
	if m.applicationProperties == nil {
		return nil
	}
	v, _, _ := Decode(m.applicationProperties) // cannot fail: ParseMessage decoded it before
	properties, _ := v.(Described).Value.(Map)
	return properties
}

// Rendering is a message as one receiver gets it: the parsed message under a broker's own header and annotations.
type Rendering struct {
	*Message
	DeliveryCount       uint32 // failed deliveries
	DeliveryAnnotations Map
	Annotations         Map
	// Overlay, unless empty, is merged over the sender's application properties.
	Overlay Map
}

// Append writes the rendering in the order of part 3, 3.2.
func (r Rendering) Append(b []byte) []byte {
	b = AppendDescribed(b, sectionHeader, List{r.Durable, r.Priority, orNil(r.TTL), nil, r.DeliveryCount})
	if len(r.DeliveryAnnotations) > 0 {
		b = AppendDescribed(b, sectionDeliveryAnnotations, r.DeliveryAnnotations)
	}
	if len(r.Annotations) > 0 {
		b = AppendDescribed(b, sectionAnnotations, r.Annotations)
	}
	b = append(b, r.properties...)
	if len(r.Overlay) == 0 {
		b = append(b, r.applicationProperties...)
	} else {
		merged := r.ApplicationProperties()
		for _, e := range r.Overlay {
			merged = merged.With(e.Key, e.Value)
		}
		b = AppendDescribed(b, sectionApplicationProperties, merged)
	}
	return append(b, r.Body...)
}

// AppendReply writes the answer to a request: a correlation id, application properties and an amqp-value body.
func AppendReply(b []byte, correlationID any, properties Map, value any) []byte {
	b = AppendDescribed(b, sectionProperties, List{nil, nil, nil, nil, nil, correlationID})
	b = AppendDescribed(b, sectionApplicationProperties, properties)
	return AppendDescribed(b, sectionValue, value)
}

// SplitBatch returns the encoded messages of a batch: each data section of the body holds one.
func SplitBatch(b []byte) ([][]byte, error) {
	var messages [][]byte
	for len(b) > 0 {
		s, rest, err := nextSection(b)
		if err != nil {
			return nil, err
		}
		if s.descriptor == sectionData {
			data, err := as[[]byte](s.value)
			if err != nil {
				return nil, err
			}
			messages = append(messages, data)
		}
		b = rest
	}
	return messages, nil
}

// section is one section of an encoded message: raw is all of it, value what its descriptor describes.
type section struct {
	descriptor uint64
	raw        []byte
	value      any
}

var errSection = errors.New("amqp: message section without a numeric descriptor")

func nextSection(b []byte) (s section, rest []byte, err error) {
	v, rest, err := Decode(b)
	if err != nil {
		return s, nil, err
	}
	d, _ := v.(Described)
	descriptor, ok := d.Descriptor.(uint64)
	if !ok {
		return s, nil, errSection
	}
	n := len(b) - len(rest)
	return section{descriptor, b[:n:n], d.Value}, rest, nil
}

// as is v as a T. Null reads as the zero T.
func as[T any](v any) (T, error) {
	t, ok := v.(T)
	if !ok && v != nil {
		return t, fmt.Errorf("amqp: value is %T, want %T", v, t)
	}
	return t, nil
}
