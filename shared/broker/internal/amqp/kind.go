package amqp

import "fmt"

// kind is an AMQP type, or a set of them.
type kind uint32

const (
	kindNull kind = 1 << iota
	kindBool
	kindUbyte
	kindUint
	kindUlong
	kindLong
	kindTimestamp
	kindUUID
	kindBinary
	kindString
	kindSymbol
	kindOther // numbers no section asks for by name
	kindList
	kindMap
	kindArray

	// simple are the types that hold no other values.
	simple = kindList - 1
)

// kindOf is the type a constructor stands for, 0 if there is none.
func kindOf(code byte) kind {
	switch code {
	case 0x40:
		return kindNull
	case 0x41, 0x42, 0x56:
		return kindBool
	case 0x50:
		return kindUbyte
	case 0x43, 0x52, 0x70:
		return kindUint
	case 0x44, 0x53, 0x80:
		return kindUlong
	case 0x55, 0x81:
		return kindLong
	case 0x83:
		return kindTimestamp
	case 0x98:
		return kindUUID
	case 0xa0, 0xb0:
		return kindBinary
	case 0xa1, 0xb1:
		return kindString
	case 0xa3, 0xb3:
		return kindSymbol
	case 0x51, 0x54, 0x60, 0x61, 0x71, 0x72, 0x73, 0x74, 0x82, 0x84, 0x94:
		return kindOther
	case 0x45, 0xc0, 0xd0:
		return kindList
	case 0xc1, 0xd1:
		return kindMap
	case 0xe0, 0xf0:
		return kindArray
	}
	return 0
}

const messageID = kindUlong | kindUUID | kindBinary | kindString

// What the sections of a message may hold (part 3, 3.2).
var (
	headerFields = []kind{
		kindBool,  // durable
		kindUbyte, // priority
		kindUint,  // ttl
		kindBool,  // first-acquirer
		kindUint,  // delivery-count
	}
	propertiesFields = []kind{
		messageID,     // message-id
		kindBinary,    // user-id
		kindString,    // to
		kindString,    // subject
		kindString,    // reply-to
		messageID,     // correlation-id
		kindSymbol,    // content-type
		kindSymbol,    // content-encoding
		kindTimestamp, // absolute-expiry-time
		kindTimestamp, // creation-time
		kindString,    // group-id
		kindUint,      // group-sequence
		kindString,    // reply-to-group-id
	}
)

const (
	// annotationKeys are wider than the standard, which names symbol and ulong: clients write longs, too, and some strings.
	annotationKeys = kindSymbol | kindString | kindUlong | kindLong
	propertyKeys   = kindString
)

// checkSection checks what a section holds. The value was scanned.
func checkSection(descriptor uint64, value []byte) error {
	switch descriptor {
	case sectionHeader:
		return checkFields(value, headerFields)
	case sectionProperties:
		return checkFields(value, propertiesFields)
	case sectionDeliveryAnnotations, sectionAnnotations, sectionFooter:
		return checkKeys(value, annotationKeys)
	case sectionApplicationProperties:
		return checkKeys(value, propertyKeys)
	case sectionData:
		return checkKind(value, kindBinary)
	case sectionSequence:
		return checkKind(value, kindList)
	}
	return nil
}

func checkKind(value []byte, want kind) error {
	if kindOf(value[0])&want == 0 {
		return fmt.Errorf("constructor 0x%02x is not of the right type", value[0])
	}
	return nil
}

// checkFields checks the types of the fields of a list. Each may be null.
func checkFields(value []byte, fields []kind) error {
	if err := checkKind(value, kindList); err != nil {
		return err
	}
	n, items := elements(value)
	if n > len(fields) {
		return fmt.Errorf("%d fields, at most %d are defined", n, len(fields))
	}
	for i := range n {
		var field []byte
		field, items = cut(items)
		if err := checkKind(field, fields[i]|kindNull); err != nil {
			return fmt.Errorf("field %d: %w", i, err)
		}
	}
	return nil
}

// checkKeys checks the types of the keys of a map.
func checkKeys(value []byte, keys kind) error {
	if err := checkKind(value, kindMap); err != nil {
		return err
	}
	n, items := elements(value)
	for range n / 2 {
		var key []byte
		key, items = cut(items)
		_, items = cut(items)
		if err := checkKind(key, keys); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	return nil
}
