package amqp

import "slices"

// Rendering is a message as one receiver gets it: what the sender wrote under a broker's own header, and with maps put
// over the sender's. An entry replaces those of the same name, be it a string or a symbol. What nothing is put over stays
// the bytes the sender wrote.
type Rendering struct {
	*Message
	DeliveryCount         uint32 // failed deliveries
	DeliveryAnnotations   Map
	Annotations           Map
	ApplicationProperties Map
}

// Append writes the rendering in the order of part 3, 3.2.
func (r Rendering) Append(b []byte) []byte {
	b = appendHeader(b, r.section(sectionHeader), r.DeliveryCount)
	b = appendOver(b, sectionDeliveryAnnotations, r.section(sectionDeliveryAnnotations), r.DeliveryAnnotations)
	b = appendOver(b, sectionAnnotations, r.section(sectionAnnotations), r.Annotations)
	b = append(b, r.section(sectionProperties)...)
	b = appendOver(b, sectionApplicationProperties, r.section(sectionApplicationProperties), r.ApplicationProperties)
	return append(b, r.body()...)
}

// appendHeader writes a header that keeps the durability, priority and time to live of another.
func appendHeader(b, header []byte, deliveryCount uint32) []byte {
	const kept, fields = 3, 5
	n, items := elements(content(header))
	b, start := begin(append(b, describedCode, 0x53, sectionHeader, 0xd0))
	for i := range kept {
		if i >= n {
			b = append(b, 0x40)
			continue
		}
		var field []byte
		field, items = cut(items)
		b = append(b, field...)
	}
	b = append(b, 0x40) // first-acquirer: not known
	b = Append(b, deliveryCount)
	end(b, start, fields)
	return b
}

// appendOver writes a section with over put over its map.
func appendOver(b []byte, descriptor byte, section []byte, over Map) []byte {
	if len(over) == 0 {
		return append(b, section...)
	}
	n, items := elements(content(section))
	b, start := begin(append(b, describedCode, 0x53, descriptor, 0xd1))
	entries := len(over)
	for range n / 2 {
		key, rest := cut(items)
		_, rest = cut(rest)
		if name, named := text(key); !named || !over.names(name) {
			b = append(b, items[:len(items)-len(rest)]...)
			entries++
		}
		items = rest
	}
	for _, e := range over {
		b = Append(Append(b, e.Key), e.Value)
	}
	end(b, start, 2*entries)
	return b
}

// names tells whether an entry's key reads like name.
func (m Map) names(name []byte) bool {
	for _, e := range m {
		if k, ok := keyName(e.Key); ok && k == string(name) {
			return true
		}
	}
	return false
}

// WithMessageID is the message with its message-id set.
func (m *Message) WithMessageID(id string) *Message {
	n, items := elements(content(m.section(sectionProperties)))
	if n > 0 {
		_, items = cut(items)
	}
	b, start := begin(append(make([]byte, 0, stackSize), describedCode, 0x53, sectionProperties, 0xd0))
	b = append(Append(b, id), items...)
	end(b, start, max(n, 1))
	return m.with(sectionProperties, b)
}

// WithDeliveryAnnotations is the message with other delivery annotations.
func (m *Message) WithDeliveryAnnotations(annotations Map) *Message {
	return m.with(sectionDeliveryAnnotations, appendOver(nil, sectionDeliveryAnnotations, nil, annotations))
}

// WithAnnotations is the message with other message annotations.
func (m *Message) WithAnnotations(annotations Map) *Message {
	return m.with(sectionAnnotations, appendOver(nil, sectionAnnotations, nil, annotations))
}

// stackSize is enough for most properties sections, which so are put together without an allocation.
const stackSize = 256

// with is a copy of the message with another section, which is encoded.
func (m *Message) with(descriptor int, section []byte) *Message {
	i := descriptor - sectionHeader
	stop := m.ends[i]
	start := stop - uint32(len(m.section(descriptor)))
	changed := &Message{slices.Concat(m.encoded[:start], section, m.encoded[stop:]), m.ends}
	for ; i < sectionsBeforeBody; i++ {
		changed.ends[i] += start + uint32(len(section)) - stop
	}
	return changed
}

// AppendReply writes the answer to a request: a correlation id, application properties and an amqp-value body.
func AppendReply(b []byte, correlationID any, properties Map, value any) []byte {
	b = AppendDescribed(b, sectionProperties, List{nil, nil, nil, nil, nil, correlationID})
	b = AppendDescribed(b, sectionApplicationProperties, properties)
	return AppendDescribed(b, sectionValue, value)
}
