package broker_test

import (
	"strings"
	"testing"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// A client in another language may send any AMQP type anywhere. azservicebus (v1.11.0, newReceivedMessage) takes the
// types of these for granted and panics on any other: the annotations listed in TestTheAnnotationsOfASenderReachNoReceiver,
// and the application properties DeadLetterReason and DeadLetterErrorDescription. Under it, go-amqp (v1.7.0) panics on
// map keys that Go cannot hash, and gives up the link over properties of a wrong type. What would do any of this must
// not get into a queue; what the standard allows must.
func TestNoSenderCanCrashAReceiver(t *testing.T) {
	symbol := func(s string) amqp.Symbol { return amqp.Symbol(s) }
	section := func(descriptor uint64, v any) []byte { return amqp.AppendDescribed(nil, descriptor, v) }
	applicationProperty := func(key, value any) []byte { return section(0x74, amqp.Map{{Key: key, Value: value}}) }
	property := func(position int, value any) []byte {
		fields := make(amqp.List, 13)
		fields[position] = value
		return section(0x73, fields)
	}
	const taken = ""
	for name, c := range map[string]struct {
		message []byte
		refused string // with these words
	}{
		"a reason that is a number":          {applicationProperty("DeadLetterReason", int32(5)), "DeadLetterReason is int32"},
		"a reason that is null":              {applicationProperty("DeadLetterReason", nil), "DeadLetterReason is <nil>"},
		"a description that is a list":       {applicationProperty("DeadLetterErrorDescription", amqp.List{"x"}), "DeadLetterErrorDescription is amqp.List"},
		"a reason that is a string":          {applicationProperty("DeadLetterReason", "replayed"), taken},
		"a property named by a symbol":       {applicationProperty(symbol("x"), "y"), "key"},
		"a message id that is a ulong":       {property(0, uint64(7)), taken},
		"a message id that is a uuid":        {property(0, amqp.UUID{1}), taken},
		"a message id that is binary":        {property(0, []byte{1}), taken},
		"a message id that is a symbol":      {property(0, symbol("x")), "field 0"},
		"a correlation id that is a ulong":   {property(5, uint64(7)), taken},
		"a subject that is a symbol":         {property(3, symbol("x")), "field 3"},
		"a content type that is a string":    {property(6, "text/plain"), "field 6"},
		"a group id that is binary":          {property(10, []byte{1}), "field 10"},
		"a time to live that is a ulong":     {section(0x70, amqp.List{nil, nil, uint64(1000)}), "field 2"},
		"a lock token of its own":            {section(0x71, amqp.Map{{Key: symbol("x-opt-lock-token"), Value: amqp.UUID{1}}}), taken},
		"a lock token that is a string":      {section(0x71, amqp.Map{{Key: symbol("x-opt-lock-token"), Value: "x"}}), taken},
		"an annotation named by binary":      {section(0x72, amqp.Map{{Key: []byte("x"), Value: "y"}}), "key"},
		"a footer named by a list":           {section(0x78, amqp.Map{{Key: amqp.List{"x"}, Value: "y"}}), "map key"},
		"a body with a described key":        {section(0x77, amqp.Map{{Key: amqp.Described{Descriptor: uint64(300), Value: amqp.List{"x"}}}}), "map key"},
		"a body with keys of several types":  {section(0x77, amqp.Map{{Key: int32(1), Value: "x"}, {Key: symbol("y")}, {Key: true, Value: amqp.UUID{}}}), taken},
		"a message without anything":         {nil, taken},
		"an application property for itself": {applicationProperty("list", amqp.List{amqp.Map{}, uint8(1)}), taken},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			w := dialWire(t, r.server, 1<<16, 100)
			w.attach(1, amqp.RoleSender, "orders", "", 0)
			w.send(&amqp.Transfer{Handle: 1, DeliveryID: new(uint32(0)), DeliveryTag: []byte{1}, MessageFormat: new(uint32(0))}, c.message)
			state, err := amqp.ParseState(expect[*amqp.Disposition](w).State)
			r.must(err)
			if c.refused != taken {
				if rejected, ok := state.(amqp.Rejected); !ok || !strings.Contains(rejected.Error.Description, c.refused) {
					t.Errorf("state %+v, want it rejected because of %q", state, c.refused)
				}
				r.want(broker.Counts{})
				return
			}
			if state != (amqp.Accepted{}) {
				t.Fatalf("state %+v, want it accepted", state)
			}
			receiver := r.receiver(nil)
			peeked, err := receiver.PeekMessages(r.ctx, 1, nil)
			r.must(err)
			if len(peeked) != 1 || peeked[0].LockToken != [16]byte{} {
				t.Errorf("peeked %+v, want one message without a lock", peeked)
			}
			m := r.receive(receiver, 1)[0]
			r.must(receiver.CompleteMessage(r.ctx, m, nil))
		})
	}
}

func TestAReasonSetByASettlementIsAStringForEveryReceiver(t *testing.T) {
	properties := map[string]any{"DeadLetterReason": int64(5), "DeadLetterErrorDescription": nil, "other": int64(5)}
	for name, settle := range map[string]func(*rig, *sb.Receiver, *sb.ReceivedMessage) error{
		"on the link": func(r *rig, receiver *sb.Receiver, m *sb.ReceivedMessage) error {
			return receiver.AbandonMessage(r.ctx, m, &sb.AbandonMessageOptions{PropertiesToModify: properties})
		},
		"by its lock token": func(r *rig, receiver *sb.Receiver, m *sb.ReceivedMessage) error {
			m = &sb.ReceivedMessage{LockToken: m.LockToken}
			return receiver.AbandonMessage(r.ctx, m, &sb.AbandonMessageOptions{PropertiesToModify: properties})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t, broker.QueueConfig{})
			r.send("1")
			receiver := r.receiver(nil)
			r.must(settle(r, receiver, r.receive(receiver, 1)[0]))
			m := r.receive(receiver, 1)[0]
			if m.DeadLetterReason == nil || *m.DeadLetterReason != "5" || m.DeadLetterErrorDescription != nil {
				t.Errorf("reason %v, description %v, want 5 and none", m.DeadLetterReason, m.DeadLetterErrorDescription)
			}
			if m.ApplicationProperties["other"] != int64(5) {
				t.Errorf("application properties %v, want the others as they were", m.ApplicationProperties)
			}
		})
	}
}
