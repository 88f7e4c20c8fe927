package amqp_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

func TestAMessageWithoutAnIDGetsOneAndKeepsItsOtherProperties(t *testing.T) {
	encoded, err := (&goamqp.Message{
		Properties: &goamqp.MessageProperties{Subject: new("subject")},
		Data:       [][]byte{[]byte("body")},
	}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := amqp.ParseMessage(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var got goamqp.Message
	if err := got.UnmarshalBinary(amqp.Rendering{Message: parsed.WithMessageID("made")}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if got.Properties.MessageID != "made" || *got.Properties.Subject != "subject" || string(got.GetData()) != "body" {
		t.Errorf("got %+v %q", got.Properties, got.GetData())
	}
	if parsed.Property(amqp.PropertyMessageID) != nil {
		t.Error("the parsed message itself changed")
	}
}

func TestASectionIsDecodedWhenAskedFor(t *testing.T) {
	encoded := slices.Concat(
		amqp.AppendDescribed(nil, 0x70, amqp.List{nil, nil, uint32(1500)}),
		amqp.AppendDescribed(nil, 0x71, amqp.Map{{Key: amqp.Symbol("d"), Value: int32(1)}}),
		amqp.AppendDescribed(nil, 0x72, amqp.Map{{Key: amqp.Symbol("a"), Value: int32(2)}}),
		amqp.AppendDescribed(nil, 0x73, amqp.List{uint64(7), nil, nil, nil, "replies"}),
		amqp.AppendDescribed(nil, 0x74, amqp.Map{{Key: "p", Value: int32(3)}, {Key: "n"}, {Key: "p", Value: int32(4)}}),
		amqp.AppendDescribed(nil, 0x77, amqp.List{"body"}),
	)
	m := parse(t, encoded)
	ttl, given := m.TTL()
	property, hasProperty := m.ApplicationProperty("p")
	null, hasNull := m.ApplicationProperty("n")
	_, hasOther := m.ApplicationProperty("o")
	for name, c := range map[string]struct{ got, want any }{
		"time to live":             {fmt.Sprint(ttl, given), "1500 true"},
		"delivery annotation":      {m.DeliveryAnnotations().Get("d"), int32(1)},
		"annotation":               {m.Annotations().Get("a"), int32(2)},
		"message id":               {m.Property(amqp.PropertyMessageID), uint64(7)},
		"a null property":          {m.Property(1), nil},
		"reply to":                 {m.Property(amqp.PropertyReplyTo), "replies"},
		"a property beyond":        {m.Property(5), nil},
		"application properties":   {len(m.ApplicationProperties()), 3},
		"the last of a name":       {fmt.Sprint(property, hasProperty), "4 true"},
		"a null application value": {fmt.Sprint(null, hasNull), "<nil> true"},
		"a missing one":            {hasOther, false},
		"body":                     {m.Value().(amqp.List)[0], "body"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	empty := parse(t, nil)
	if _, given := empty.TTL(); given || empty.Property(0) != nil || empty.Annotations() != nil || empty.Value() != nil {
		t.Errorf("an empty message is not empty: %+v", empty)
	}
}

func TestAChangedSectionLeavesTheOthersAsTheyWere(t *testing.T) {
	header, properties := amqp.AppendDescribed(nil, 0x70, amqp.List{true}), amqp.AppendDescribed(nil, 0x73, amqp.List{"id"})
	footer := amqp.AppendDescribed(nil, 0x78, amqp.Map{{Key: amqp.Symbol("f"), Value: int32(1)}})
	old := amqp.AppendDescribed(nil, 0x72, amqp.Map{{Key: amqp.Symbol("old"), Value: int32(1)}})
	m := parse(t, slices.Concat(header, old, properties, footer))
	set := amqp.Map{{Key: amqp.Symbol("new"), Value: "x"}}
	for name, c := range map[string]struct {
		got  *amqp.Message
		want []byte
	}{
		"removed":  {m.WithAnnotations(nil), slices.Concat(header, properties, footer)},
		"replaced": {m.WithAnnotations(set), slices.Concat(header, amqp.AppendDescribed(nil, 0x72, set), properties, footer)},
		"added":    {m.WithDeliveryAnnotations(set), slices.Concat(header, amqp.AppendDescribed(nil, 0x71, set), old, properties, footer)},
		"renamed":  {m.WithMessageID("new"), slices.Concat(header, old, amqp.AppendDescribed(nil, 0x73, amqp.List{"new"}), footer)},
	} {
		got := c.got.Append(nil)
		if !bytes.Equal(got, c.want) || c.got.Size() != len(got) {
			t.Errorf("%s: %x, want %x", name, got, c.want)
		}
		if again := parse(t, got); again.Property(0) != c.got.Property(0) || len(again.Annotations()) != len(c.got.Annotations()) {
			t.Errorf("%s: the sections moved: %+v, want %+v", name, again, c.got)
		}
	}
}

func TestWhatIsPutOverTheSendersEntriesReplacesThoseOfItsName(t *testing.T) {
	m := parse(t, amqp.AppendDescribed(nil, 0x72, amqp.Map{
		{Key: "same", Value: "string"}, {Key: amqp.Symbol("same"), Value: "symbol"}, {Key: int64(1), Value: "number"}, {Key: amqp.Symbol("other")},
	}))
	rendered := amqp.Rendering{Message: m, Annotations: amqp.Map{{Key: amqp.Symbol("same"), Value: "ours"}}}.Append(nil)
	want := amqp.Map{{Key: int64(1), Value: "number"}, {Key: amqp.Symbol("other")}, {Key: amqp.Symbol("same"), Value: "ours"}}
	if got := parse(t, rendered).Annotations(); !slices.Equal(got, want) {
		t.Errorf("annotations %v, want %v", got, want)
	}
}

func TestTheMessagesOfABatchDoNotKeepEachOthersBytes(t *testing.T) {
	batch := slices.Concat(
		amqp.AppendDescribed(nil, 0x73, amqp.List{"envelope"}),
		amqp.AppendDescribed(nil, 0x75, []byte("first")), amqp.AppendDescribed(nil, 0x75, []byte("second")),
	)
	messages, err := amqp.SplitBatch(batch)
	if err != nil || len(messages) != 2 || string(messages[0]) != "first" || string(messages[1]) != "second" {
		t.Fatalf("split into %q, %v", messages, err)
	}
	clear(batch)
	if string(messages[0]) != "first" {
		t.Error("a message is a part of the batch")
	}
}

func TestAParsedMessageCostsLittleBeyondItsBytes(t *testing.T) {
	const messages, atMost = 10_000, 64
	encoded := make([][]byte, messages)
	for i := range encoded {
		encoded[i] = slices.Concat(
			amqp.AppendDescribed(nil, 0x73, amqp.List{fmt.Sprint(i)}),
			amqp.AppendDescribed(nil, 0x74, amqp.Map{{Key: "tenant", Value: "contoso"}}),
			amqp.AppendDescribed(nil, 0x75, make([]byte, 1000)),
		)
	}
	parsed := make([]*amqp.Message, messages)
	before := heap()
	for i, b := range encoded {
		parsed[i] = parse(t, b)
	}
	cost := (heap() - before) / messages
	runtime.KeepAlive(parsed)
	runtime.KeepAlive(encoded)
	t.Logf("%d bytes beyond its own", cost)
	if cost > atMost {
		t.Errorf("a message costs %d bytes beyond its own, want at most %d", cost, atMost)
	}
}

// heap is the memory in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func parse(t testing.TB, encoded []byte) *amqp.Message {
	t.Helper()
	m, err := amqp.ParseMessage(encoded)
	if err != nil {
		t.Fatalf("%v: %.64x", err, encoded)
	}
	return m
}
