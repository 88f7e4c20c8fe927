package amqp

import (
	"errors"
	"fmt"
)

// Performative is the head of a frame's body: what the frame does. Pointers of the types below implement it. A pointer
// field that is nil, an any that is nil, an empty string and an empty Map were or will be null on the wire.
type Performative interface {
	descriptor() uint64
	fields() List
	read(*fieldReader)
}

// The roles of an endpoint in attach and disposition.
const (
	RoleSender   = false
	RoleReceiver = true
)

// Settlement modes of a link (part 2, 2.8.2 and 2.8.3).
const (
	SenderSettled  uint8 = 1
	SenderMixed    uint8 = 2
	ReceiverFirst  uint8 = 0
	ReceiverSecond uint8 = 1
)

type (
	// Open negotiates a connection. IdleTimeout is in milliseconds, 0 is none.
	Open struct {
		ContainerID  string
		MaxFrameSize uint32
		ChannelMax   uint16
		IdleTimeout  uint32
	}
	// Begin starts a session. RemoteChannel is set in answers only.
	Begin struct {
		RemoteChannel  *uint16
		NextOutgoingID uint32
		IncomingWindow uint32
		OutgoingWindow uint32
		HandleMax      uint32
	}
	// Attach starts a link. Source and Target are kept as received, since an answer echoes them.
	Attach struct {
		Name                 string
		Handle               uint32
		Role                 bool
		SenderSettleMode     uint8
		ReceiverSettleMode   uint8
		Source, Target       any
		InitialDeliveryCount *uint32
		MaxMessageSize       *uint64
		Properties           Map
	}
	// Flow updates the window of a session and, with a Handle, the credit of a link.
	Flow struct {
		NextIncomingID *uint32
		IncomingWindow uint32
		NextOutgoingID uint32
		OutgoingWindow uint32
		Handle         *uint32
		DeliveryCount  *uint32
		LinkCredit     *uint32
		Drain, Echo    bool
	}
	// Transfer carries a part of a delivery. Only the first part has an id, a tag and a format.
	Transfer struct {
		Handle        uint32
		DeliveryID    *uint32
		DeliveryTag   []byte
		MessageFormat *uint32
		Settled, More bool
		Aborted       bool
	}
	// Disposition tells the state of the deliveries First to Last; Last nil means First.
	Disposition struct {
		Role    bool
		First   uint32
		Last    *uint32
		Settled bool
		State   any
	}
	// Detach ends a link, for good if Closed.
	Detach struct {
		Handle uint32
		Closed bool
		Error  *Error
	}
	// End ends a session.
	End struct{ Error *Error }
	// Close ends a connection.
	Close struct{ Error *Error }
	// SASLMechanisms offers ways to authenticate.
	SASLMechanisms struct{ Mechanisms []Symbol }
	// SASLInit picks one of them.
	SASLInit struct {
		Mechanism       Symbol
		InitialResponse []byte
	}
	// SASLOutcome ends SASL; code 0 is success, 1 failed authentication.
	SASLOutcome struct{ Code uint8 }
)

func (*Open) descriptor() uint64           { return 0x10 }
func (*Begin) descriptor() uint64          { return 0x11 }
func (*Attach) descriptor() uint64         { return 0x12 }
func (*Flow) descriptor() uint64           { return 0x13 }
func (*Transfer) descriptor() uint64       { return 0x14 }
func (*Disposition) descriptor() uint64    { return 0x15 }
func (*Detach) descriptor() uint64         { return 0x16 }
func (*End) descriptor() uint64            { return 0x17 }
func (*Close) descriptor() uint64          { return 0x18 }
func (*SASLMechanisms) descriptor() uint64 { return 0x40 }
func (*SASLInit) descriptor() uint64       { return 0x41 }
func (*SASLOutcome) descriptor() uint64    { return 0x44 }

func newPerformative(descriptor any) (Performative, error) {
	switch descriptor {
	case uint64(0x10):
		return new(Open), nil
	case uint64(0x11):
		return new(Begin), nil
	case uint64(0x12):
		return new(Attach), nil
	case uint64(0x13):
		return new(Flow), nil
	case uint64(0x14):
		return new(Transfer), nil
	case uint64(0x15):
		return new(Disposition), nil
	case uint64(0x16):
		return new(Detach), nil
	case uint64(0x17):
		return new(End), nil
	case uint64(0x18):
		return new(Close), nil
	case uint64(0x40):
		return new(SASLMechanisms), nil
	case uint64(0x41):
		return new(SASLInit), nil
	case uint64(0x44):
		return new(SASLOutcome), nil
	}
	return nil, fmt.Errorf("amqp: unknown performative %v", descriptor)
}

// DecodePerformative reads the body of a frame; payload is what follows the performative.
func DecodePerformative(body []byte) (p Performative, payload []byte, err error) {
	if payload, err = scan(body, 0); err != nil {
		return nil, nil, err
	}
	if body[0] != describedCode {
		return nil, nil, errors.New("amqp: frame body does not start with a performative")
	}
	descriptor, value := build(body[1:])
	if p, err = newPerformative(descriptor); err != nil {
		return nil, nil, err
	}
	if err := checkKind(value, kindList); err != nil {
		return nil, nil, fmt.Errorf("amqp: performative 0x%02x: %w", p.descriptor(), err)
	}
	r := fieldReader{list: buildList(elements(value))}
	p.read(&r)
	if r.err != nil {
		return nil, nil, fmt.Errorf("amqp: performative 0x%02x: %w", p.descriptor(), r.err)
	}
	return p, payload, nil
}

// appendPerformative leaves trailing nulls out, as the standard allows.
func appendPerformative(b []byte, p Performative) []byte {
	fields := p.fields()
	for len(fields) > 0 && fields[len(fields)-1] == nil {
		fields = fields[:len(fields)-1]
	}
	return AppendDescribed(b, p.descriptor(), fields)
}
