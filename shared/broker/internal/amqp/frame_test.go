package amqp_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

var performatives = []amqp.Performative{
	&amqp.Open{ContainerID: "c", MaxFrameSize: 512, ChannelMax: 3, IdleTimeout: 60_000},
	&amqp.Begin{RemoteChannel: new(uint16(0)), NextOutgoingID: 1, IncomingWindow: 2, OutgoingWindow: 3, HandleMax: 4},
	&amqp.Attach{
		Name: "link", Handle: 1, Role: amqp.RoleReceiver, SenderSettleMode: amqp.SenderSettled, ReceiverSettleMode: amqp.ReceiverSecond,
		Source:               amqp.Described{Descriptor: uint64(0x28), Value: amqp.List{"queue"}},
		Target:               amqp.Described{Descriptor: uint64(0x29), Value: amqp.List{"target"}},
		InitialDeliveryCount: new(uint32(0)), MaxMessageSize: new(uint64(1 << 18)),
		Properties: amqp.Map{{Key: amqp.Symbol("p"), Value: "v"}},
	},
	&amqp.Flow{
		NextIncomingID: new(uint32(0)), IncomingWindow: 5000, NextOutgoingID: 7, OutgoingWindow: 9, Handle: new(uint32(0)),
		DeliveryCount: new(uint32(1)), LinkCredit: new(uint32(100)), Drain: true, Echo: true,
	},
	&amqp.Transfer{Handle: 2, DeliveryID: new(uint32(9)), DeliveryTag: []byte{1}, MessageFormat: new(uint32(0)), Settled: true, More: true},
	&amqp.Transfer{Handle: 2, Aborted: true},
	&amqp.Disposition{Role: amqp.RoleReceiver, First: 1, Last: new(uint32(4)), Settled: true, State: amqp.Accepted{}.Value()},
	&amqp.Detach{Handle: 1, Closed: true, Error: &amqp.Error{Condition: "amqp:not-found", Description: "gone", Info: amqp.Map{{Key: "k", Value: "v"}}}},
	&amqp.End{},
	&amqp.Close{Error: &amqp.Error{Condition: "amqp:connection:forced"}},
	&amqp.SASLMechanisms{Mechanisms: []amqp.Symbol{"ANONYMOUS", "PLAIN"}},
	&amqp.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00u\x00p")},
	&amqp.SASLOutcome{Code: 1},
}

func TestEveryPerformativeSurvivesAFrame(t *testing.T) {
	for _, want := range performatives {
		b := amqp.AppendFrame(nil, amqp.FrameSASL, 7, want, []byte("payload"))
		frame, err := amqp.ReadFrame(bytes.NewReader(b), 4096)
		if err != nil {
			t.Errorf("%T: %v", want, err)
			continue
		}
		got, payload, err := amqp.DecodePerformative(frame.Body)
		if err != nil || frame.Type != amqp.FrameSASL || frame.Channel != 7 || string(payload) != "payload" {
			t.Errorf("%T: %v, type %d, channel %d, payload %q", want, err, frame.Type, frame.Channel, payload)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestEveryDeliveryStateIsRead(t *testing.T) {
	for _, want := range []interface{ Value() any }{
		amqp.Accepted{},
		amqp.Rejected{},
		amqp.Rejected{Error: &amqp.Error{Condition: "com.microsoft:dead-letter", Info: amqp.Map{{Key: "DeadLetterReason", Value: "r"}}}},
		amqp.Released{},
		amqp.Modified{DeliveryFailed: true, UndeliverableHere: true, Annotations: amqp.Map{{Key: amqp.Symbol("k"), Value: int32(1)}}},
	} {
		if got, err := amqp.ParseState(want.Value()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := amqp.ParseState(nil); err == nil {
		t.Error("no state was read as one")
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"larger than agreed":      {0, 0, 0x20, 1, 2, 0, 0, 0},
		"shorter than its header": {0, 0, 0, 7, 2, 0, 0, 0},
		"data before the header":  {0, 0, 0, 8, 1, 0, 0, 0},
		"data behind the frame":   {0, 0, 0, 8, 3, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := amqp.ReadFrame(bytes.NewReader(b), 8192); !errors.Is(err, amqp.ErrFraming) {
				t.Fatalf("error %v, want ErrFraming", err)
			}
		})
	}
}

func TestAFieldOfTheWrongTypeIsAnError(t *testing.T) {
	body := amqp.AppendDescribed(nil, 0x12, amqp.List{"name", "not a handle"})
	if p, _, err := amqp.DecodePerformative(body); err == nil {
		t.Fatalf("read as %+v", p)
	}
}

func FuzzFrame(f *testing.F) {
	for _, p := range performatives {
		f.Add(amqp.AppendFrame(nil, amqp.FrameAMQP, 1, p, []byte("x")))
	}
	f.Add(amqp.AppendFrame(nil, amqp.FrameAMQP, 0, nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := amqp.ReadFrame(bytes.NewReader(b), 1<<16)
		if err != nil || len(frame.Body) == 0 {
			return
		}
		p, payload, err := amqp.DecodePerformative(frame.Body)
		if err != nil {
			return
		}
		encoded := amqp.AppendFrame(nil, frame.Type, frame.Channel, p, payload)
		again, err := amqp.ReadFrame(bytes.NewReader(encoded), 1<<20)
		if err != nil {
			t.Fatalf("own frame: %v", err)
		}
		if _, rest, err := amqp.DecodePerformative(again.Body); err != nil || !bytes.Equal(rest, payload) {
			t.Fatalf("own performative %+v: %v", p, err)
		}
	})
}
