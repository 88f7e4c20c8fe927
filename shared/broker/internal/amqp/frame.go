package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// FrameType tells SASL frames from all others (part 2, 2.3.1).
type FrameType byte

const (
	FrameAMQP FrameType = 0
	FrameSASL FrameType = 1
)

// Protocol is the 8-byte header with which each side opens a protocol layer (part 2, 2.2).
type Protocol [8]byte

var (
	ProtocolAMQP = Protocol{'A', 'M', 'Q', 'P', 0, 1, 0, 0}
	ProtocolSASL = Protocol{'A', 'M', 'Q', 'P', 3, 1, 0, 0}
)

const frameHeaderSize = 8

// Frame is one frame off the wire. An empty Body only keeps the connection alive.
type Frame struct {
	Type    FrameType
	Channel uint16
	Body    []byte
}

// ErrFraming marks bytes that are no frame, or one larger than was agreed.
var ErrFraming = errors.New("amqp: malformed frame")

// ReadFrame reads one frame of at most maxSize bytes. Its body belongs to the caller.
func ReadFrame(r io.Reader, maxSize uint32) (Frame, error) {
	var header [frameHeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Frame{}, err
	}
	size := binary.BigEndian.Uint32(header[:])
	offset := uint32(header[4]) * 4
	if size > maxSize {
		return Frame{}, fmt.Errorf("%w: %d bytes, at most %d were agreed", ErrFraming, size, maxSize)
	}
	if offset < frameHeaderSize || offset > size {
		return Frame{}, fmt.Errorf("%w: data offset %d in a frame of %d bytes", ErrFraming, offset, size)
	}
	body := make([]byte, size-frameHeaderSize)
	if _, err := io.ReadFull(r, body); err != nil {
		return Frame{}, fmt.Errorf("amqp: read frame body: %w", err)
	}
	return Frame{
		Type:    FrameType(header[5]),
		Channel: binary.BigEndian.Uint16(header[6:]),
		Body:    body[offset-frameHeaderSize:],
	}, nil
}

// AppendFrame writes a frame with a performative and, behind it, payload. A nil performative gives an empty frame.
func AppendFrame(b []byte, t FrameType, channel uint16, p Performative, payload []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, frameHeaderSize/4, byte(t), byte(channel>>8), byte(channel))
	if p != nil {
		b = append(appendPerformative(b, p), payload...)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}
