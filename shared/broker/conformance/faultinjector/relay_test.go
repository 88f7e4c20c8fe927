package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// script is what a server sends, frame by frame.
type script struct{ bytes []byte }

func (s *script) frame(channel uint16, p amqp.Performative) {
	s.bytes = amqp.AppendFrame(s.bytes, amqp.FrameAMQP, channel, p, []byte("payload"))
}

func (s *script) attach(channel uint16, handle uint32, address string) {
	source := amqp.Described{Descriptor: uint64(0x28), Value: amqp.List{address}}
	s.frame(channel, &amqp.Attach{Name: "link", Handle: handle, Role: amqp.RoleSender, Source: source})
}

func TestOnlyMessagesOfAQueueBeyondTheFirstAreDelayed(t *testing.T) {
	s := &script{bytes: append([]byte(nil), amqp.ProtocolAMQP[:]...)}
	s.attach(0, 0, "$cbs")
	s.frame(0, &amqp.Transfer{})
	s.attach(1, 0, "queue/$management")
	s.frame(1, &amqp.Transfer{})
	s.attach(2, 7, "queue")
	s.frame(2, &amqp.Transfer{Handle: 7}) // the one that passes
	s.frame(2, &amqp.Transfer{Handle: 7})
	s.frame(0, &amqp.Transfer{})
	s.bytes = amqp.AppendFrame(s.bytes, amqp.FrameAMQP, 0, nil, nil)

	queue := make(chan delayed, 20)
	if err := (relay{after: 1, delay: time.Hour}).read(bytes.NewReader(s.bytes), queue); err != nil {
		t.Fatal(err)
	}
	close(queue)
	var through []byte
	var late []int
	for n := 0; len(queue) > 0; n++ {
		d := <-queue
		through = append(through, d.bytes...)
		if !d.due.IsZero() {
			late = append(late, n)
		}
	}
	if !bytes.Equal(through, s.bytes) {
		t.Errorf("the bytes changed on the way")
	}
	if len(late) != 1 || late[0] != 7 { // after the protocol header and six frames
		t.Errorf("frames %v are delayed, want only 7", late)
	}
}
