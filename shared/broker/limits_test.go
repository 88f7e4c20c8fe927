package broker_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// becomes waits until a number is what it should be.
func becomes(t *testing.T, what string, got func() int64, want int64) {
	t.Helper()
	for end := time.Now().Add(patience); got() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is %d, want %d", what, got(), want)
		}
	}
}

func TestAMistakeInASessionEndsTheSessionAndNotTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		frame amqp.Performative
		want  amqp.Symbol
	}{
		"a transfer on no link":         {&amqp.Transfer{Handle: 7}, "amqp:session:unattached-handle"},
		"a handle out of bounds":        {&amqp.Attach{Handle: 1000}, "amqp:session:handle-in-use"},
		"a handle that is in use":       {&amqp.Attach{Handle: 1}, "amqp:session:handle-in-use"},
		"a state that nobody knows":     {&amqp.Disposition{Role: amqp.RoleReceiver, State: amqp.Described{Descriptor: uint64(99), Value: amqp.List{}}}, "amqp:decode-error"},
		"a delivery that has no number": {&amqp.Transfer{Handle: 1}, "amqp:not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, broker.Options{})
			w := dialWire(t, s, 1<<16, 100)
			w.attach(1, amqp.RoleSender, "orders", "", 0)
			w.send(c.frame, nil)
			if end := expect[*amqp.End](w); end.Error == nil || end.Error.Condition != c.want {
				t.Errorf("the session ended with %v, want %s", end.Error, c.want)
			}
			w.send(&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0))}, nil) // on its way before the end was seen
			w.send(&amqp.End{}, nil)
			w.send(&amqp.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 9}, nil)
			expect[*amqp.Begin](w)
			w.attach(1, amqp.RoleSender, "orders", "", 0)
		})
	}
}

func TestADispositionThatDecidesNothingChangesNothing(t *testing.T) {
	for name, state := range map[string]any{
		"null":     nil,
		"received": amqp.Described{Descriptor: uint64(0x23), Value: amqp.List{uint32(0), uint64(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			r.send("1")
			w := dialWire(t, r.server, 1<<16, 100)
			w.attach(1, amqp.RoleReceiver, "orders", "", 0)
			w.credit(1, 1, 100)
			expect[*amqp.Transfer](w)
			w.send(&amqp.Disposition{Role: amqp.RoleReceiver, State: state}, nil)
			r.want(broker.Counts{Active: 1})
			w.send(&amqp.Disposition{Role: amqp.RoleReceiver, State: amqp.Accepted{}.Value()}, nil)
			expect[*amqp.Disposition](w)
			r.want(broker.Counts{})
		})
	}
}

func TestAnOpenLinkLastsAsLongAsItsTokens(t *testing.T) {
	const sas, audience = "servicebus.windows.net:sastoken", "amqp://host/orders"
	s := start(t, broker.Options{})
	conn := dial(t, s, nil)
	put := func(lasts time.Duration) (expires time.Time) {
		t.Helper()
		expires = time.Now().Add(lasts).Truncate(time.Second)
		if status, description := conn.putToken(sas, audience, signature(audience, "all", keys["all"].Secret, expires)); status != 202 {
			t.Fatal(status, description)
		}
		return expires
	}
	send := func(sender *goamqp.Sender) error {
		return sender.Send(t.Context(), goamqp.NewMessage([]byte("x")), nil)
	}
	first := put(2 * time.Second)
	sender, err := conn.session().NewSender(t.Context(), "orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	last := put(3 * time.Second) // renewed in time
	time.Sleep(time.Until(first.Add(200 * time.Millisecond)))
	if err := send(sender); err != nil {
		t.Errorf("the token was renewed, and the link ended: %v", err)
	}
	time.Sleep(time.Until(last.Add(200 * time.Millisecond)))
	var ended *goamqp.LinkError
	if err := send(sender); !errors.As(err, &ended) || ended.RemoteErr == nil || ended.RemoteErr.Condition != goamqp.ErrCondUnauthorizedAccess ||
		!strings.HasPrefix(ended.RemoteErr.Description, "ExpiredToken: The token is expired. Expiration time:") {
		t.Errorf("the token is over, and the link says %v", err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	s := start(t, broker.Options{MaxConnections: 2})
	plain := &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous()}
	connect := func() *goamqp.Conn {
		t.Helper()
		c, err := goamqp.Dial(t.Context(), "amqp://"+s.Addr(), plain)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := connect(), connect()
	defer second.Close()
	third := connect() // a refusal comes behind an open
	select {
	case <-third.Done():
	case <-time.After(patience):
		t.Fatal("a third connection was let in")
	}
	var refused *goamqp.ConnError
	if err := third.Err(); !errors.As(err, &refused) || refused.RemoteErr == nil || refused.RemoteErr.Condition != goamqp.ErrCondResourceLimitExceeded {
		t.Errorf("the third connection ended with %v", err)
	}
	_ = first.Close()
	becomes(t, "the number of connections", s.Open, 1)
	defer connect().Close()
}

// session opens another session on a channel and makes it the one that frames are sent on.
func (w *wire) session(channel uint16) *wire {
	w.t.Helper()
	w.write(amqp.AppendFrame(nil, amqp.FrameAMQP, channel, &amqp.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 255}, nil))
	expect[*amqp.Begin](w)
	return w
}

func TestTenThousandIdleLinksTakeLittleAndAreReleased(t *testing.T) {
	s := start(t, broker.Options{})
	before, goroutines := heap(), runtime.NumGoroutine()
	var wires []*wire
	for range 2 {
		w := dialWire(t, s, 1<<16, 100)
		wires = append(wires, w)
		for i := range broker.MaxLinks {
			channel, handle := uint16(i/250+1), uint32(i%250)
			if handle == 0 {
				w.session(channel)
			}
			w.write(amqp.AppendFrame(nil, amqp.FrameAMQP, channel, idle(handle), nil))
			expect[*amqp.Attach](w)
		}
		w.write(amqp.AppendFrame(nil, amqp.FrameAMQP, 1, idle(251), nil))
		if d := expect[*amqp.Detach](w); d.Error == nil || d.Error.Condition != "amqp:resource-limit-exceeded" {
			t.Errorf("one link more was answered with %v", d.Error)
		}
	}
	if perLink := (heap() - before) / (2 * broker.MaxLinks); perLink > 4<<10 {
		t.Errorf("an idle link takes %d bytes", perLink)
	}
	for _, w := range wires {
		_ = w.nc.Close()
	}
	becomes(t, "what is held", s.Held, 0)
	becomes(t, "the number of connections", s.Open, 0)
	becomes(t, "the number of goroutines", func() int64 { return int64(max(runtime.NumGoroutine(), goroutines)) }, int64(goroutines))
}

// idle is a link that receives from a queue and has no credit.
func idle(handle uint32) *amqp.Attach {
	return &amqp.Attach{
		Name: fmt.Sprint("idle ", handle), Handle: handle, Role: amqp.RoleReceiver,
		Source: amqp.Described{Descriptor: uint64(0x28), Value: amqp.List{"orders"}},
	}
}

func TestAThousandConnectionsAreServedAndReleased(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	goroutines := runtime.NumGoroutine()
	var open []*wire
	for range 1000 {
		open = append(open, dialWire(t, r.server, 1<<16, 100))
	}
	becomes(t, "the number of connections", r.server.Open, 1000)
	r.send("1")
	r.want(broker.Counts{Active: 1})
	for _, w := range open {
		_ = w.nc.Close()
	}
	becomes(t, "the number of goroutines", func() int64 { return int64(max(runtime.NumGoroutine(), goroutines+8)) }, int64(goroutines+8)) // those of r's client
}

func TestPartsOfMessagesShareABudget(t *testing.T) {
	s := start(t, broker.Options{})
	s.LimitHeld(1 << 20)
	part := make([]byte, 60<<10)
	w := dialWire(t, s, 1<<16, 1000)
	for handle := range uint32(10) {
		w.attach(handle, amqp.RoleSender, "orders", "", 0)
	}
	first := func(handle uint32) { // 240 kB, and more to come
		for i := range 4 {
			transfer := &amqp.Transfer{Handle: handle, More: true}
			if i == 0 {
				transfer.DeliveryID = new(handle)
			}
			w.send(transfer, part)
		}
	}
	for handle := range uint32(10) {
		first(handle)
	}
	if d := expect[*amqp.Detach](w); d.Error == nil || d.Error.Condition != "com.microsoft:server-busy" {
		t.Fatalf("over the budget a link ended with %v", d.Error)
	}
	if held := s.Held(); held > 1<<20 {
		t.Errorf("%d bytes are held", held)
	}
	_ = w.nc.Close()
	becomes(t, "what is held", s.Held, 0)
	connect(t, s, "all").send("there is room again")
}

func TestConnectionsThatAreOpenedHalfDoNoHarm(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	for _, half := range []string{"", "A", "AMQP", string(amqp.ProtocolSASL[:]), string(amqp.ProtocolSASL[:]) + "\x00\x00", "\x16", "\x16\x03\x01\x02", "GET ", "GET / HTTP/1.1\r\nHost: x\r\n"} {
		for range 20 {
			nc, err := net.Dial("tcp", r.server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Write([]byte(half)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.send("1")
	r.want(broker.Counts{Active: 1})
	begin := time.Now()
	if err := r.server.Close(); err != nil || time.Since(begin) > 5*time.Second {
		t.Errorf("closed after %v: %v", time.Since(begin), err)
	}
}
