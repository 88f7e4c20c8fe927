package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// describedCode introduces a descriptor and the value it describes.
const describedCode = 0x00

const (
	// maxDepth bounds the nesting of a value, and so the stack a peer can make us use.
	maxDepth = 32
	// maxEmptyItems bounds an array whose elements take no bytes: without it 16 bytes could announce 4 billion nulls, and
	// with one every few bytes of a message even a few hundred each would take gigabytes. Clients give the elements of an
	// array a width.
	maxEmptyItems = 8
)

var (
	errShort = errors.New("amqp: value ends early")
	errLong  = errors.New("amqp: compound value is longer than its elements")
	errDepth = fmt.Errorf("amqp: value nested deeper than %d", maxDepth)
)

// scan checks the value at the head of b and returns what follows it. It builds nothing, so it allocates nothing, and
// it looks at every byte once.
//
// It holds values to the standard (part 1, 1.6), with three limits of our own: on the depth, on arrays of elements
// without a width, and on the keys of maps. Keys are simple values: a key that is itself a list or has a descriptor
// helps nobody, and some receivers crash on it.
func scan(b []byte, depth int) (rest []byte, err error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	if len(b) == 0 {
		return nil, errShort
	}
	if b[0] == describedCode {
		if b, err = scan(b[1:], depth+1); err != nil {
			return nil, err
		}
		return scan(b, depth+1)
	}
	body, rest, err := split(b[0], b[1:])
	if err != nil {
		return nil, err
	}
	return rest, check(b[0], body, depth)
}

// split cuts the content of a value of the given constructor off b. The high half of a constructor is its width
// (part 1, figure 1.3): 0x4 to 0x9 are 0 to 16 bytes, from 0xa on a size of one or four bytes comes first.
func split(code byte, b []byte) (body, rest []byte, err error) {
	var size uint64
	switch code >> 4 {
	case 0x4:
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		size = 1 << (code>>4 - 5)
	case 0xa, 0xc, 0xe:
		if len(b) < 1 {
			return nil, nil, errShort
		}
		size, b = uint64(b[0]), b[1:]
	case 0xb, 0xd, 0xf:
		if len(b) < 4 {
			return nil, nil, errShort
		}
		size, b = uint64(binary.BigEndian.Uint32(b)), b[4:]
	default:
		return nil, nil, unknownConstructor(code)
	}
	if size > uint64(len(b)) {
		return nil, nil, errShort
	}
	return b[:size:size], b[size:], nil
}

// check checks the content of a value of the given constructor.
func check(code byte, body []byte, depth int) error {
	switch code {
	case 0x56:
		if body[0] > 1 {
			return errors.New("amqp: boolean that is neither 0 nor 1")
		}
	case 0x73:
		if c := binary.BigEndian.Uint32(body); c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return errors.New("amqp: char that is no Unicode character")
		}
	case 0xa1, 0xb1:
		if !utf8.Valid(body) {
			return errors.New("amqp: string that is not UTF-8")
		}
	case 0xa3, 0xb3:
		for _, c := range body {
			if c > 0x7f {
				return errors.New("amqp: symbol that is not ASCII")
			}
		}
	case 0xc0, 0xd0:
		return checkList(code, body, depth)
	case 0xc1, 0xd1:
		return checkMap(code, body, depth)
	case 0xe0, 0xf0:
		return checkArray(code, body, depth)
	default:
		if kindOf(code) == 0 {
			return unknownConstructor(code)
		}
	}
	return nil
}

// count reads the number of elements of a compound value, as wide as its size was.
func count(code byte, body []byte) (n int, items []byte, err error) {
	if code>>4&1 == 0 { // 0xc0, 0xc1, 0xe0
		if len(body) < 1 {
			return 0, nil, errShort
		}
		return int(body[0]), body[1:], nil
	}
	if len(body) < 4 {
		return 0, nil, errShort
	}
	return int(binary.BigEndian.Uint32(body)), body[4:], nil
}

func checkList(code byte, body []byte, depth int) error {
	n, items, err := count(code, body)
	if err != nil {
		return err
	}
	for range n { // items end before a count that is too high
		if items, err = scan(items, depth+1); err != nil {
			return err
		}
	}
	return atEnd(items)
}

func checkMap(code byte, body []byte, depth int) error {
	n, items, err := count(code, body)
	if err != nil {
		return err
	}
	if n%2 != 0 {
		return errors.New("amqp: map with a key that has no value")
	}
	for i := range n {
		if i%2 == 0 && len(items) > 0 && kindOf(items[0])&simple == 0 {
			return errors.New("amqp: map key that is described or compound")
		}
		if items, err = scan(items, depth+1); err != nil {
			return err
		}
	}
	return atEnd(items)
}

func checkArray(code byte, body []byte, depth int) error {
	if depth >= maxDepth {
		return errDepth
	}
	n, items, err := count(code, body)
	if err != nil {
		return err
	}
	if len(items) > 0 && items[0] == describedCode {
		if items, err = scan(items[1:], depth+1); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return errShort
	}
	element, items := items[0], items[1:]
	switch {
	case element == describedCode:
		return errors.New("amqp: array whose elements are described twice")
	case kindOf(element) == 0:
		return unknownConstructor(element)
	case element>>4 == 0x4 && n > maxEmptyItems:
		return fmt.Errorf("amqp: array of %d elements without a width, at most %d are taken", n, maxEmptyItems)
	}
	for range n {
		var item []byte
		if item, items, err = split(element, items); err != nil {
			return err
		}
		if err = check(element, item, depth+1); err != nil {
			return err
		}
	}
	return atEnd(items)
}

func atEnd(items []byte) error {
	if len(items) > 0 {
		return errLong
	}
	return nil
}

func unknownConstructor(code byte) error { return fmt.Errorf("amqp: unknown constructor 0x%02x", code) }

// The functions below read bytes that were scanned.

// cut takes the value at the head of b off it.
func cut(b []byte) (value, rest []byte) {
	if b[0] == describedCode {
		_, rest = cut(b[1:])
		_, rest = cut(rest)
	} else {
		_, rest, _ = split(b[0], b[1:])
	}
	n := len(b) - len(rest)
	return b[:n:n], rest
}

// elements are those of a list or map, encoded one behind the other. Anything else has none.
func elements(value []byte) (n int, items []byte) {
	if len(value) < 2 || kindOf(value[0])&(kindList|kindMap) == 0 {
		return 0, nil
	}
	body, _, _ := split(value[0], value[1:])
	n, items, _ = count(value[0], body)
	return n, items
}

// text is the content of a string or symbol.
func text(value []byte) (content []byte, is bool) {
	if len(value) == 0 || kindOf(value[0])&(kindString|kindSymbol) == 0 {
		return nil, false
	}
	content, _, _ = split(value[0], value[1:])
	return content, true
}
