package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// nested is a list in a list in a list, as deep as told.
func nested(depth int) []byte {
	value := []byte{0x45}
	for range depth {
		value = append(append([]byte{0xd0, 0, 0, 0, 0, 0, 0, 0, 1}, value...), 0)[:9+len(value)]
		binary.BigEndian.PutUint32(value[1:], uint32(len(value)-5))
	}
	return value
}

// raw is an AMQP frame with any body.
func raw(body []byte) []byte {
	f := append([]byte{0, 0, 0, 0, 2, 0, 0, 0}, body...)
	binary.BigEndian.PutUint32(f, uint32(len(f)))
	return f
}

// FuzzConnection sends anything behind the handshake. Whatever it is, the connection ends or goes on, nobody else notices, and
// nothing is kept.
func FuzzConnection(f *testing.F) {
	attach := &amqp.Attach{Name: "a", Handle: 1, Role: amqp.RoleSender, Target: amqp.Described{Descriptor: uint64(0x29), Value: amqp.List{"orders"}}}
	transfer := &amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0)), DeliveryTag: []byte{1}}
	f.Add(frame(0, attach))
	f.Add(append(frame(0, attach), amqp.AppendFrame(nil, amqp.FrameAMQP, 0, transfer, []byte{0, 0x53, 0x77, 0xa1, 1, 'x'})...))
	f.Add(frame(0, &amqp.Flow{Handle: new(uint32(1)), LinkCredit: new(uint32(math.MaxUint32)), IncomingWindow: math.MaxUint32}))
	f.Add(frame(0, &amqp.Disposition{Role: amqp.RoleReceiver, First: 0, Last: new(uint32(math.MaxUint32)), State: amqp.Accepted{}.Value()}))
	f.Add(frame(9, &amqp.Begin{}))
	f.Add(raw(nested(1000)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 8, 0xff, 9, 0xff, 0xff})
	s := start(f, broker.Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := dialWire(t, s, 1<<16, 100)
		if _, err := w.nc.Write(data); err != nil {
			return // it ended the connection before it had read all of it
		}
		_ = w.nc.CloseWrite()
		if _, err := io.Copy(io.Discard, w.nc); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatalf("the connection did not end: %v", err)
		}
		becomes(t, "what is held", s.Held, 0)
		becomes(t, "the number of connections", s.Open, 0)
	})
}

// TestRandomFramesDoNoHarm puts real frames together at random, which a fuzzer seldom finds by itself.
func TestRandomFramesDoNoHarm(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := setup(t, broker.QueueConfig{})
	r.send("1", "2", "3")
	number := func() *uint32 {
		return new([]uint32{0, 1, 2, 255, 256, math.MaxInt32, math.MaxUint32}[random.IntN(7)])
	}
	address := func() any {
		path := []string{"orders", "orders/$management", "$cbs", "orders/$deadletterqueue", "nope", ""}[random.IntN(6)]
		return []any{nil, amqp.List{path}, amqp.Described{Descriptor: uint64(0x28), Value: amqp.List{path}}, int32(7)}[random.IntN(4)]
	}
	states := []any{nil, amqp.Accepted{}.Value(), amqp.Released{}.Value(), amqp.Rejected{}.Value(), amqp.Modified{UndeliverableHere: true}.Value(), "no state"}
	payload := make([]byte, 40<<10)
	frames := []func() (amqp.Performative, []byte){
		func() (amqp.Performative, []byte) {
			return &amqp.Attach{Name: "x", Handle: *number() % 4, Role: random.IntN(2) == 0, Source: address(), Target: address(), SenderSettleMode: uint8(random.IntN(3))}, nil
		},
		func() (amqp.Performative, []byte) {
			return &amqp.Flow{NextIncomingID: number(), IncomingWindow: *number(), Handle: new(*number() % 4), DeliveryCount: number(), LinkCredit: number(), Drain: random.IntN(2) == 0, Echo: random.IntN(2) == 0}, nil
		},
		func() (amqp.Performative, []byte) {
			return &amqp.Transfer{Handle: *number() % 4, DeliveryID: number(), More: random.IntN(2) == 0, Aborted: random.IntN(9) == 0, MessageFormat: number()}, payload[:random.IntN(len(payload))]
		},
		func() (amqp.Performative, []byte) {
			return &amqp.Disposition{Role: random.IntN(2) == 0, First: *number(), Last: number(), Settled: random.IntN(2) == 0, State: states[random.IntN(len(states))]}, nil
		},
		func() (amqp.Performative, []byte) { return &amqp.Detach{Handle: *number() % 4, Closed: true}, nil },
		func() (amqp.Performative, []byte) { return &amqp.End{}, nil },
		func() (amqp.Performative, []byte) { return &amqp.Begin{IncomingWindow: *number()}, nil },
	}
	for range 60 {
		w := dialWire(t, r.server, 1<<16, 100)
		for range 60 {
			p, payload := frames[random.IntN(len(frames))]()
			if _, err := w.nc.Write(amqp.AppendFrame(nil, amqp.FrameAMQP, uint16(random.IntN(3)), p, payload)); err != nil {
				break // the connection has ended, as it may
			}
		}
		_ = w.nc.CloseWrite()
		_, _ = io.Copy(io.Discard, w.nc)
	}
	_ = r.client.Close(r.ctx)
	becomes(t, "what is held", r.server.Held, 0)
	becomes(t, "the number of connections", r.server.Open, 0)
	connect(t, r.server, "all").send("still served")
}

func TestRequestsThatAskForTooMuchAreAnswered(t *testing.T) {
	many := make([]goamqp.UUID, 15_000)
	for i := range many {
		binary.BigEndian.PutUint32(many[i][:], uint32(i))
	}
	for name, c := range map[string]struct {
		operation string
		body      map[string]any
		status    int32
	}{
		"peek everything":           {"peek-message", map[string]any{"from-sequence-number": int64(math.MinInt64), "message-count": int32(math.MaxInt32)}, 200},
		"peek from the end of time": {"peek-message", map[string]any{"from-sequence-number": int64(math.MaxInt64), "message-count": int32(math.MaxInt32)}, 204},
		"negative numbers":          {"receive-by-sequence-number", map[string]any{"sequence-numbers": []int64{-1, math.MinInt64}, "receiver-settle-mode": uint32(1)}, 404},
		"many tokens":               {"renew-lock", map[string]any{"lock-tokens": many}, 410},
		"the same token twice":      {"update-disposition", map[string]any{"disposition-status": "completed", "lock-tokens": []goamqp.UUID{{1}, {1}}}, 410},
		"cancel the past":           {"cancel-scheduled-message", map[string]any{"sequence-numbers": []int64{0}}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			r.send("1", "2", "3")
			conn := dial(t, r.server, goamqp.SASLTypePlain("all", keys["all"].Secret))
			status, description := conn.call("orders/$management", map[string]any{"operation": "com.microsoft:" + c.operation}, c.body)
			if status != c.status {
				t.Errorf("answer %d %q, want %d", status, description, c.status)
			}
		})
	}
}

func TestHostileBytesTakeNoMoreMemoryThanTheyAre(t *testing.T) {
	s := start(t, broker.Options{})
	zeros := append([]byte{0, 0x53, 0x14, 0xf0, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff}, 0x40) // four billion nulls
	for name, data := range map[string][]byte{
		"deep nesting":  raw(append([]byte{0, 0x53, 0x12}, nested(10_000)...)),
		"giant counts":  raw(zeros),
		"a giant frame": {0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0},
		"a flood":       bytes.Repeat(frame(0, &amqp.Flow{Echo: true, Handle: new(uint32(3))}), 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := dialWire(t, s, 1<<16, 100)
			_, _ = w.nc.Write(data)
			_ = w.nc.CloseWrite()
			_, _ = io.Copy(io.Discard, w.nc)
			runtime.ReadMemStats(&after)
			if used := int64(after.Sys) - int64(before.Sys); used > 64<<20 {
				t.Errorf("%d bytes made the process take %d more", len(data), used)
			}
		})
	}
	connect(t, s, "all").send("still served")
}
