package amqp

import "fmt"

// Error is the reason a peer gives for ending or refusing something (part 2, 2.8.14).
type Error struct {
	Condition   Symbol
	Description string
	Info        Map
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Condition, e.Description) }

const errorDescriptor = 0x1d

func errorValue(e *Error) any {
	if e == nil {
		return nil
	}
	return Described{uint64(errorDescriptor), List{e.Condition, stringOrNil(e.Description), mapOrNil(e.Info)}}
}

// readError is lenient: an error that cannot be read is still an error.
func readError(v any) *Error {
	d, ok := v.(Described)
	if !ok {
		return nil
	}
	list, _ := d.Value.(List)
	r := fieldReader{list: list}
	return &Error{field(&r, 0, Symbol("")), field(&r, 1, ""), field(&r, 2, Map(nil))}
}

// The terminal states of a delivery (part 3, 3.4).
type (
	Accepted struct{}
	Rejected struct{ Error *Error }
	Released struct{}
	Modified struct {
		DeliveryFailed    bool
		UndeliverableHere bool
		Annotations       Map
	}
)

const (
	receivedDescriptor = 0x23
	acceptedDescriptor = 0x24
	rejectedDescriptor = 0x25
	releasedDescriptor = 0x26
	modifiedDescriptor = 0x27
)

// Value is the state as a disposition carries it.
func (Accepted) Value() any { return Described{uint64(acceptedDescriptor), List{}} }

// Value is the state as a disposition carries it.
func (s Rejected) Value() any {
	if s.Error == nil {
		return Described{uint64(rejectedDescriptor), List{}}
	}
	return Described{uint64(rejectedDescriptor), List{errorValue(s.Error)}}
}

// Value is the state as a disposition carries it.
func (Released) Value() any { return Described{uint64(releasedDescriptor), List{}} }

// Value is the state as a disposition carries it.
func (s Modified) Value() any {
	return Described{uint64(modifiedDescriptor), List{s.DeliveryFailed, s.UndeliverableHere, mapOrNil(s.Annotations)}}
}

// Terminal tells whether v decides about a delivery. Null and received (part 3, 3.4.1) do not.
func Terminal(v any) bool {
	d, described := v.(Described)
	return v != nil && (!described || d.Descriptor != uint64(receivedDescriptor))
}

// ParseState reads the state of a disposition: one of the four types above.
func ParseState(v any) (any, error) {
	d, _ := v.(Described)
	list, _ := d.Value.(List)
	r := fieldReader{list: list}
	var state any
	switch d.Descriptor {
	case uint64(acceptedDescriptor):
		state = Accepted{}
	case uint64(rejectedDescriptor):
		state = Rejected{readError(field[any](&r, 0, nil))}
	case uint64(releasedDescriptor):
		state = Released{}
	case uint64(modifiedDescriptor):
		state = Modified{field(&r, 0, false), field(&r, 1, false), field(&r, 2, Map(nil))}
	default:
		return nil, fmt.Errorf("amqp: %v is no terminal delivery state", v)
	}
	return state, r.err
}
