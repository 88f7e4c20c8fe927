package broker_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// performatives are the descriptors of those that a client sends behind the handshake, and how many fields they have.
var performatives = map[uint64]int{0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}

func TestAFieldOfAWrongTypeEndsNoOtherConnection(t *testing.T) {
	s := start(t, broker.Options{})
	good := dialWire(t, s, 1<<16, 100)
	for descriptor, fields := range performatives {
		for _, wrong := range []any{"text", int64(-1), true, amqp.List{amqp.List{}}, amqp.Map{{Key: "k", Value: nil}}, amqp.Described{Descriptor: "d", Value: nil}, []byte{0xff}} {
			list := make(amqp.List, fields)
			for i := range list {
				list[i] = wrong
			}
			w := dialWire(t, s, 1<<16, 100)
			w.write(raw(amqp.AppendDescribed(nil, descriptor, list)))
			_ = w.nc.CloseWrite()
			if _, err := io.Copy(io.Discard, w.nc); err != nil {
				t.Errorf("performative %#x with fields of type %T: the connection did not end: %v", descriptor, wrong, err)
			}
		}
	}
	good.attach(1, amqp.RoleSender, "orders", "", 0)
	_ = good.nc.Close()
	becomes(t, "what is held", s.Held, 0)
	becomes(t, "the number of connections", s.Open, 0)
}

func TestAConnectionThatIsOpenedHalfEnds(t *testing.T) {
	s := start(t, broker.Options{IdleTimeout: 200 * time.Millisecond})
	sasl := string(amqp.ProtocolSASL[:])
	init := string(amqp.AppendFrame(nil, amqp.FrameSASL, 0, &amqp.SASLInit{Mechanism: "ANONYMOUS"}, nil))
	for name, sent := range map[string]string{
		"nothing": "", "half a header": "AMQ", "a header": sasl, "SASL": sasl + init, "no open": sasl + init + string(amqp.ProtocolAMQP[:]),
		"half a frame": sasl + init + string(amqp.ProtocolAMQP[:]) + "\x00\x00\xff\xff\x02", "half a request": "GET / HTTP/1.1\r\nHost: x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(patience))
			if _, err := nc.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, nc); err != nil {
				t.Errorf("it did not end: %v", err)
			}
		})
	}
}

// What the broker ended counts until the client lets go of it: else one that never does could have as many as it likes.
func TestEndedSessionsAndLinksCountUntilTheClientEndsThem(t *testing.T) {
	s := start(t, broker.Options{})
	w := dialWire(t, s, 1<<16, 100)
	w.attach(1, amqp.RoleSender, "orders", "", 0)
	before := s.Held()
	w.send(&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0)), More: true}, make([]byte, 60<<10))
	for range 4 { // more than the link allows
		w.send(&amqp.Transfer{Handle: 1, More: true}, make([]byte, 60<<10))
	}
	expect[*amqp.Detach](w)
	if held := s.Held(); held != before {
		t.Errorf("%d bytes are held for a link that the client still has, want %d", held, before)
	}
	w.send(&amqp.Detach{Handle: 1, Closed: true}, nil)
	w.send(&amqp.Transfer{Handle: 1}, nil) // on no link: the session ends
	expect[*amqp.End](w)
	held := s.Held()
	if held <= 0 || held >= before {
		t.Errorf("%d bytes are held for a session that the client still has, and %d were with a link", held, before)
	}
	w.send(&amqp.End{}, nil)
	becomes(t, "what is held", s.Held, 0)
}

func TestManyDeferredMessagesAtOnceAreRefused(t *testing.T) {
	s := start(t, broker.Options{})
	conn := dial(t, s, goamqp.SASLTypePlain("all", keys["all"].Secret))
	numbers := make([]int64, 20_000)
	status, description := conn.call("orders/$management", map[string]any{"operation": "com.microsoft:receive-by-sequence-number"},
		map[string]any{"sequence-numbers": numbers, "receiver-settle-mode": uint32(1)})
	if status != 400 {
		t.Errorf("answer %d %q, want 400", status, description)
	}
}

func TestAnOperationThatNobodyKnowsIsAnswered(t *testing.T) {
	conn := dial(t, start(t, broker.Options{}), goamqp.SASLTypePlain("all", keys["all"].Secret))
	for i, operation := range []any{"", "com.microsoft:explode", nil, int32(7), string(make([]byte, 10_000))} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			status, description := conn.call("orders/$management", map[string]any{"operation": operation}, map[string]any{})
			if status != 501 {
				t.Errorf("answer %d %q, want 501", status, description)
			}
		})
	}
}

func TestSettlementsSetNoMoreThanALittleOnAMessage(t *testing.T) {
	large := func(name string) map[string]any { return map[string]any{name: strings.Repeat("x", 40<<10)} }
	r := setup(t, broker.QueueConfig{})
	r.send("1")
	recv := r.receiver(nil)
	r.must(recv.AbandonMessage(r.ctx, r.receive(recv, 1)[0], &sb.AbandonMessageOptions{PropertiesToModify: large("first")}))
	m := r.receive(recv, 1)[0]
	err := recv.AbandonMessage(r.ctx, m, &sb.AbandonMessageOptions{PropertiesToModify: large("second")})
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("on the link 80 kB of properties: %v", err)
	}
	conn := dial(t, r.server, goamqp.SASLTypePlain("all", keys["all"].Secret))
	status, description := conn.call("orders/$management", map[string]any{"operation": "com.microsoft:update-disposition"},
		map[string]any{"disposition-status": "defered", "lock-tokens": []goamqp.UUID{m.LockToken}, "properties-to-modify": large("third")})
	if status != 400 || !strings.Contains(description, "too large") {
		t.Errorf("by lock token 80 kB of properties: %d %q", status, description)
	}
	r.must(recv.CompleteMessage(r.ctx, &sb.ReceivedMessage{LockToken: m.LockToken}, nil)) // its lock lasts
	r.want(broker.Counts{})
}
