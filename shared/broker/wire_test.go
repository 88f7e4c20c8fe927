package broker_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// wire is a client made of single frames, for what no library would do.
type wire struct {
	t  testing.TB
	nc *net.TCPConn
}

// dialWire connects, authenticates with all rights, and begins a session on channel 0.
func dialWire(t testing.TB, s *broker.Server, frameSize, window uint32) *wire {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	w := &wire{t, nc.(*net.TCPConn)}
	w.protocol(amqp.ProtocolSASL)
	expect[*amqp.SASLMechanisms](w)
	w.write(amqp.AppendFrame(nil, amqp.FrameSASL, 0, &amqp.SASLInit{
		Mechanism: "PLAIN", InitialResponse: []byte("someone\x00all\x00" + keys["all"].Secret),
	}, nil))
	expect[*amqp.SASLOutcome](w)
	w.protocol(amqp.ProtocolAMQP)
	w.send(&amqp.Open{ContainerID: "wire", MaxFrameSize: frameSize, ChannelMax: 9}, nil)
	expect[*amqp.Open](w)
	w.send(&amqp.Begin{IncomingWindow: window, OutgoingWindow: 1 << 30, HandleMax: 9}, nil)
	expect[*amqp.Begin](w)
	return w
}

func (w *wire) protocol(p amqp.Protocol) {
	w.t.Helper()
	w.write(p[:])
	var got amqp.Protocol
	if _, err := io.ReadFull(w.nc, got[:]); err != nil || got != p {
		w.t.Fatalf("protocol %q, %v; want %q", got, err, p)
	}
}

func (w *wire) write(b []byte) {
	w.t.Helper()
	if _, err := w.nc.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) send(p amqp.Performative, payload []byte) {
	w.t.Helper()
	w.write(amqp.AppendFrame(nil, amqp.FrameAMQP, 0, p, payload))
}

// read returns the next frame that is not empty.
func (w *wire) read() (amqp.Performative, []byte) {
	w.t.Helper()
	for {
		frame, err := amqp.ReadFrame(w.nc, 1<<20)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(frame.Body) == 0 {
			continue
		}
		p, payload, err := amqp.DecodePerformative(frame.Body)
		if err != nil {
			w.t.Fatal(err)
		}
		return p, payload
	}
}

// expect reads frames until one is a P.
func expect[P amqp.Performative](w *wire) P {
	w.t.Helper()
	for {
		got, _ := w.read()
		if p, ok := got.(P); ok {
			return p
		}
		if c, ok := got.(*amqp.Close); ok {
			w.t.Fatalf("connection closed: %v", c.Error)
		}
	}
}

// attach opens a link on a handle, to send to or receive from an address.
func (w *wire) attach(handle uint32, role bool, address, replyTo string, mode uint8) {
	w.t.Helper()
	a := &amqp.Attach{Name: address + replyTo, Handle: handle, Role: role, SenderSettleMode: mode}
	a.Source = amqp.Described{Descriptor: uint64(0x28), Value: amqp.List{address}}
	a.Target = amqp.Described{Descriptor: uint64(0x29), Value: amqp.List{address}}
	if replyTo != "" {
		a.Target = amqp.Described{Descriptor: uint64(0x29), Value: amqp.List{replyTo}}
	}
	if role == amqp.RoleReceiver {
		a.InitialDeliveryCount = nil
	}
	w.send(a, nil)
	expect[*amqp.Attach](w)
}

// credit lets the server send on a link, and opens the window counting from the first transfer.
func (w *wire) credit(handle, credit, window uint32) {
	w.t.Helper()
	w.send(&amqp.Flow{
		NextIncomingID: new(uint32(0)), IncomingWindow: window, Handle: &handle, DeliveryCount: new(uint32(0)), LinkCredit: &credit,
	}, nil)
}

func TestAClientThatDoesNotReadGetsNoMoreThanFitsIntoBuffers(t *testing.T) {
	const messages = 400
	r := setup(t, broker.QueueConfig{})
	body := string(bytes.Repeat([]byte("x"), 60<<10)) // 24 MB in all, more than the buffers of the system
	s := r.sender()
	for range messages {
		r.must(s.SendMessage(r.ctx, message(body), nil))
	}
	w := dialWire(t, r.server, 1<<16, 1<<30)
	_ = w.nc.SetReadBuffer(256 << 10)
	w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
	w.credit(1, 1<<20, 1<<30)

	left := settled(r)
	if left == 0 {
		t.Fatal("all messages left their queue while nobody read them")
	}
	for got := 0; got < messages; {
		if p, _ := w.read(); p != nil {
			if transfer, ok := p.(*amqp.Transfer); ok && !transfer.More {
				got++
			}
		}
	}
	r.want(broker.Counts{})
}

// settled waits until the number of active messages does not change any more.
func settled(r *rig) int {
	last, same := -1, 0
	for same < 10 {
		if now := r.counts().Active; now != last {
			last, same = now, 0
		} else {
			same++
		}
		time.Sleep(10 * time.Millisecond)
	}
	return last
}

func TestTheWindowOfASessionIsKept(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	body := string(bytes.Repeat([]byte("x"), 2000))
	s := r.sender()
	r.must(s.SendMessage(r.ctx, message(body), nil))
	r.must(s.SendMessage(r.ctx, message(body), nil))
	w := dialWire(t, r.server, 512, 3)
	w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
	w.credit(1, 10, 3)

	count := func() (frames, deliveries int) {
		w.send(&amqp.Flow{NextIncomingID: new(uint32(0)), IncomingWindow: 0, Echo: true}, nil) // answered after what was sent before
		for {
			switch p, _ := w.read(); p := p.(type) {
			case *amqp.Transfer:
				frames++
				if !p.More {
					deliveries++
				}
			case *amqp.Flow:
				return frames, deliveries
			}
		}
	}
	for range 3 { // read until the window is used up: our own flow above closes it
		if p, _ := w.read(); p.(*amqp.Transfer).More == false {
			t.Fatal("2000 bytes fit into 3 frames of 512")
		}
	}
	if frames, _ := count(); frames != 0 {
		t.Errorf("%d frames above the window", frames)
	}
	w.credit(1, 10, 1000)
	for deliveries := 0; deliveries < 2; {
		if p, _ := w.read(); !p.(*amqp.Transfer).More {
			deliveries++
		}
	}
	r.want(broker.Counts{})
}

func TestDrainUsesUpTheCredit(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1")
	w := dialWire(t, r.server, 1<<16, 100)
	w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
	w.send(&amqp.Flow{
		NextIncomingID: new(uint32(0)), IncomingWindow: 100, Handle: new(uint32(1)), DeliveryCount: new(uint32(0)), LinkCredit: new(uint32(5)), Drain: true,
	}, nil)
	if p, _ := w.read(); p.(*amqp.Transfer).More {
		t.Error("the message came in parts")
	}
	if f := expect[*amqp.Flow](w); *f.LinkCredit != 0 || *f.DeliveryCount != 5 || !f.Drain {
		t.Errorf("flow %+v, want no credit and a count of 5", f)
	}
}

func TestRequestsWithoutRoomForTheirAnswersAreRefused(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	w := dialWire(t, r.server, 1<<16, 100)
	w.attach(1, amqp.RoleReceiver, "orders/$management", "replies", amqp.SenderSettled) // and never gives credit
	w.attach(2, amqp.RoleSender, "orders/$management", "", amqp.SenderSettled)
	credit := *expect[*amqp.Flow](w).LinkCredit
	request := amqp.AppendDescribed(nil, 0x73, amqp.List{"id", nil, nil, nil, "replies"})
	for id := range credit + 1 {
		w.send(&amqp.Transfer{Handle: 2, DeliveryID: &id, DeliveryTag: []byte{1}, MessageFormat: new(uint32(0)), Settled: true}, request)
	}
	if d := expect[*amqp.Detach](w); d.Error == nil || d.Error.Condition != "amqp:link:transfer-limit-exceeded" {
		t.Errorf("detached with %v", d.Error)
	}
}

func TestAMessageLargerThanTheLinkAllowsDetachesIt(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	w := dialWire(t, r.server, 1<<16, 100)
	w.attach(1, amqp.RoleSender, "orders", "", amqp.SenderSettled)
	for range 5 {
		w.send(&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0)), DeliveryTag: []byte{1}, More: true}, make([]byte, 60<<10))
	}
	if d := expect[*amqp.Detach](w); d.Error == nil || d.Error.Condition != "amqp:link:message-size-exceeded" {
		t.Errorf("detached with %v", d.Error)
	}
	r.want(broker.Counts{})
}

func TestAMessageThatCannotBeReadIsRejected(t *testing.T) {
	for name, c := range map[string]struct {
		format  uint32
		payload []byte
	}{
		"a message":                            {0, []byte("not amqp")},
		"one message of a batch":               {0x80013700, append(batchItem(amqp.AppendDescribed(nil, 0x75, []byte("fine"))), batchItem([]byte("broken"))...)},
		"a batch":                              {0x80013700, []byte{0, 0x53}},
		"a scheduled time that is not a time":  {0, amqp.AppendDescribed(nil, 0x72, amqp.Map{{Key: amqp.Symbol("x-opt-scheduled-enqueue-time"), Value: "soon"}})},
		"a partition key that is not a string": {0, amqp.AppendDescribed(nil, 0x72, amqp.Map{{Key: amqp.Symbol("x-opt-partition-key"), Value: int32(1)}})},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			w := dialWire(t, r.server, 1<<16, 100)
			w.attach(1, amqp.RoleSender, "orders", "", 0)
			w.send(&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0)), DeliveryTag: []byte{1}, MessageFormat: &c.format}, c.payload)
			state, err := amqp.ParseState(expect[*amqp.Disposition](w).State)
			if rejected, ok := state.(amqp.Rejected); !ok || rejected.Error == nil || rejected.Error.Condition != "amqp:decode-error" {
				t.Errorf("state %+v, %v", state, err)
			}
			r.want(broker.Counts{})
		})
	}
}

// Clients assert the types of annotations and crash on any other, so a sender must not be able to choose them.
func TestTheAnnotationsOfASenderReachNoReceiver(t *testing.T) {
	for name, key := range map[string]func(string) any{
		"named by symbols": func(s string) any { return amqp.Symbol(s) },
		"named by strings": func(s string) any { return s },
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			w := dialWire(t, r.server, 1<<16, 100)
			w.attach(1, amqp.RoleSender, "orders", "", amqp.SenderSettled)
			var forged amqp.Map
			for _, annotation := range []string{
				"x-opt-sequence-number", "x-opt-enqueued-time", "x-opt-locked-until", "x-opt-message-state",
				"x-opt-enqueue-sequence-number", "x-opt-deadletter-source",
			} {
				forged = append(forged, amqp.Entry{Key: key(annotation), Value: true})
			}
			for _, annotation := range []string{"x-opt-scheduled-enqueue-time", "x-opt-partition-key"} {
				forged = append(forged, amqp.Entry{Key: key(annotation)}) // null
			}
			w.send(&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0)), DeliveryTag: []byte{1}, MessageFormat: new(uint32(0)), Settled: true},
				amqp.AppendDescribed(nil, 0x72, forged))
			r.eventually(broker.Counts{Active: 1})
			receiver := r.receiver(nil)
			peeked, err := receiver.PeekMessages(r.ctx, 1, nil)
			r.must(err)
			for _, m := range append(peeked, r.receive(receiver, 1)...) {
				if *m.SequenceNumber != 1 || m.DeadLetterSource != nil || m.ScheduledEnqueueTime != nil || m.PartitionKey != nil {
					t.Errorf("received %+v", m)
				}
			}
		})
	}
}

func TestAClientMayGrantTheLargestCreditAndWindow(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1")
	w := dialWire(t, r.server, 1<<16, math.MaxUint32)
	w.attach(1, amqp.RoleReceiver, "orders", "", amqp.SenderSettled)
	w.credit(1, math.MaxUint32, math.MaxUint32)
	expect[*amqp.Transfer](w)
}

func batchItem(message []byte) []byte { return amqp.AppendDescribed(nil, 0x75, message) }

func TestAProtocolErrorClosesTheConnectionWithItsCondition(t *testing.T) {
	unknown := amqp.AppendFrame(nil, amqp.FrameAMQP, 0, nil, nil)
	unknown[3] += 4
	for name, c := range map[string]struct {
		frame []byte
		want  amqp.Symbol
	}{
		"a frame larger than agreed":    {[]byte{0, 1, 0, 1, 2, 0, 0, 0}, "amqp:connection:framing-error"},
		"a body that is no value":       {append(unknown, 0xff, 0xff, 0xff, 0xff), "amqp:decode-error"},
		"a frame on no session":         {frame(3, &amqp.Detach{}), "amqp:not-allowed"},
		"a second open":                 {frame(0, &amqp.Open{}), "amqp:not-allowed"},
		"a second session on a channel": {frame(0, &amqp.Begin{}), "amqp:not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := dialWire(t, start(t, broker.Options{}), 1<<16, 100)
			w.write(c.frame)
			p, _ := w.read()
			if closed, ok := p.(*amqp.Close); !ok || closed.Error == nil || closed.Error.Condition != c.want {
				t.Errorf("got %+v, want close with %s", p, c.want)
			}
			if _, err := w.nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("after close: %v, want end of file", err)
			}
		})
	}
}

func frame(channel uint16, p amqp.Performative) []byte {
	return amqp.AppendFrame(nil, amqp.FrameAMQP, channel, p, nil)
}

func TestAConnectionMustStartWithSASL(t *testing.T) {
	nc, err := net.Dial("tcp", start(t, broker.Options{}).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(amqp.ProtocolAMQP[:]); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nc); !bytes.Equal(got, amqp.ProtocolSASL[:]) {
		t.Errorf("answer %q, %v; want the header of SASL and the end", got, err)
	}
}

func TestSettlingOnALinkAcknowledgesEveryDeliveryOfTheRange(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	r.send("1", "2", "3")
	w := dialWire(t, r.server, 1<<16, 100)
	w.attach(1, amqp.RoleReceiver, "orders", "", 0)
	w.credit(1, 3, 100)
	for range 3 {
		expect[*amqp.Transfer](w)
	}
	w.send(&amqp.Disposition{Role: amqp.RoleReceiver, First: 1, State: amqp.Accepted{}.Value()}, nil)
	expect[*amqp.Disposition](w)
	w.send(&amqp.Disposition{Role: amqp.RoleReceiver, First: 0, Last: new(uint32(4)), State: amqp.Accepted{}.Value()}, nil)
	answers := map[uint32]bool{}
	for len(answers) < 5 {
		d := expect[*amqp.Disposition](w)
		state, err := amqp.ParseState(d.State)
		if err != nil || !d.Settled {
			t.Fatalf("answer %+v, %v", d, err)
		}
		for id := d.First; id <= *d.Last; id++ {
			_, answers[id] = state.(amqp.Accepted)
		}
	}
	for id, accepted := range answers {
		if want := id == 0 || id == 2; accepted != want { // 1 was settled before, 3 and 4 never sent
			t.Errorf("delivery %d accepted: %v, want %v", id, accepted, want)
		}
	}
	r.want(broker.Counts{})
}
