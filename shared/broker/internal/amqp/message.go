package amqp

import (
	"errors"
	"fmt"
)

// Descriptors of the sections of a message (part 3, 3.2), in their order.
const (
	sectionHeader                = 0x70
	sectionDeliveryAnnotations   = 0x71
	sectionAnnotations           = 0x72
	sectionProperties            = 0x73
	sectionApplicationProperties = 0x74
	sectionData                  = 0x75
	sectionSequence              = 0x76
	sectionValue                 = 0x77
	sectionFooter                = 0x78
)

// Message is an encoded message and where its sections are. It decodes a section when asked for it, each time anew, so
// that a message in a queue costs little beyond its bytes. It never changes, so copies may share it.
type Message struct {
	encoded []byte
	ends    [sectionsBeforeBody]uint32 // of each section in encoded; of one that is missing, that of the one before
}

const sectionsBeforeBody = sectionData - sectionHeader

// Fields of the properties section by position, for Property.
const (
	PropertyMessageID = 0
	PropertyReplyTo   = 4
)

// ParseMessage checks an encoded message: that its sections are the standard's and in their order, each at most once
// unless it is a part of a body, and that all of them hold what they may, down to the type of every property. Beyond the
// standard it takes a message without a body, which Service Bus clients send. The message keeps b, which must not change.
func ParseMessage(b []byte) (*Message, error) {
	m := &Message{encoded: b}
	previous := uint64(0)
	for rest := b; len(rest) > 0; {
		s, after, err := nextSection(rest)
		if err != nil {
			return nil, err
		}
		if !mayFollow(previous, s.descriptor) {
			return nil, fmt.Errorf("amqp: section 0x%02x after section 0x%02x", s.descriptor, previous)
		}
		if err := checkSection(s.descriptor, s.value); err != nil {
			return nil, fmt.Errorf("amqp: section 0x%02x: %w", s.descriptor, err)
		}
		for i := s.descriptor - sectionHeader; i < sectionsBeforeBody; i++ {
			m.ends[i] = uint32(len(b) - len(after))
		}
		previous, rest = s.descriptor, after
	}
	return m, nil
}

// mayFollow tells whether a section may come after another, 0 being none. The body is one value, or any number of data
// sections or of sequences.
func mayFollow(previous, section uint64) bool {
	if section == previous {
		return section == sectionData || section == sectionSequence
	}
	if sectionData <= previous && section < sectionFooter {
		return false
	}
	return section > previous && sectionHeader <= section && section <= sectionFooter
}

// Append writes the message as it was parsed: ParseMessage of what it writes is the same message.
func (m *Message) Append(b []byte) []byte { return append(b, m.encoded...) }

// Size is how many bytes Append writes.
func (m *Message) Size() int { return len(m.encoded) }

// section is an encoded section before the body, empty if it is missing.
func (m *Message) section(descriptor int) []byte {
	i := descriptor - sectionHeader
	start := uint32(0)
	if i > 0 {
		start = m.ends[i-1]
	}
	return m.encoded[start:m.ends[i]]
}

// body is the encoded body and the footer behind it.
func (m *Message) body() []byte { return m.encoded[m.ends[sectionsBeforeBody-1]:] }

// TTL is the time to live in milliseconds, if one is given.
func (m *Message) TTL() (ttl uint32, given bool) {
	const position = 2
	ttl, given = fieldAt(m.section(sectionHeader), position).(uint32)
	return ttl, given
}

// Property is the field of the properties section at a position, or nil.
func (m *Message) Property(position int) any {
	return fieldAt(m.section(sectionProperties), position)
}

// DeliveryAnnotations decodes the section of that name.
func (m *Message) DeliveryAnnotations() Map { return mapOf(m.section(sectionDeliveryAnnotations)) }

// Annotations decodes the message annotations.
func (m *Message) Annotations() Map { return mapOf(m.section(sectionAnnotations)) }

// ApplicationProperties decodes the section of that name.
func (m *Message) ApplicationProperties() Map { return mapOf(m.section(sectionApplicationProperties)) }

// ApplicationProperty is the value of one application property. Should the name come twice, the last counts, as it does
// for most receivers.
func (m *Message) ApplicationProperty(name string) (value any, given bool) {
	n, items := elements(content(m.section(sectionApplicationProperties)))
	for range n / 2 {
		var key, encoded []byte
		key, items = cut(items)
		encoded, items = cut(items)
		if k, _ := text(key); string(k) == name {
			value, _ = build(encoded)
			given = true
		}
	}
	return value, given
}

// Value decodes what an amqp-value body holds; nil if the body is another.
func (m *Message) Value() any {
	if len(m.body()) == 0 {
		return nil
	}
	v, _ := build(m.body())
	if d := v.(Described); d.Descriptor == uint64(sectionValue) {
		return d.Value
	}
	return nil
}

// content is the value in a section that was scanned, nil if the section is empty.
func content(section []byte) []byte {
	if len(section) == 0 {
		return nil
	}
	_, value := cut(section[1:])
	return value
}

func mapOf(section []byte) Map {
	if n, _ := elements(content(section)); n == 0 {
		return nil
	}
	v, _ := build(content(section))
	return v.(Map)
}

// fieldAt is the field at a position of the list in a section, nil if it is null or missing.
func fieldAt(section []byte, position int) any {
	n, items := elements(content(section))
	if position >= n {
		return nil
	}
	for range position {
		_, items = cut(items)
	}
	v, _ := build(items)
	return v
}

// SplitBatch returns the encoded messages of a batch: each data section of the body holds one. They are copies, so that
// one message does not keep the bytes of the others.
func SplitBatch(b []byte) ([][]byte, error) {
	var messages [][]byte
	for len(b) > 0 {
		s, rest, err := nextSection(b)
		if err != nil {
			return nil, err
		}
		if s.descriptor == sectionData {
			if err := checkSection(sectionData, s.value); err != nil {
				return nil, fmt.Errorf("amqp: batch: %w", err)
			}
			data, _ := build(s.value)
			messages = append(messages, data.([]byte))
		}
		b = rest
	}
	return messages, nil
}

// section is one section of an encoded message, with the encoded value that its descriptor describes.
type section struct {
	descriptor uint64
	value      []byte
}

// nextSection scans a section and returns what follows it.
func nextSection(b []byte) (s section, rest []byte, err error) {
	if rest, err = scan(b, 0); err != nil {
		return s, nil, err
	}
	if b[0] != describedCode || kindOf(b[1])&kindUlong == 0 {
		return s, nil, errors.New("amqp: message section without a numeric descriptor")
	}
	descriptor, value := build(b[1:])
	return section{descriptor.(uint64), value[:len(value)-len(rest)]}, rest, nil
}
