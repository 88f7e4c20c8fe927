package azfntest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestMessageValuesAreWhatTheHostSends(t *testing.T) {
	subject, number := "s", int64(12)
	enqueued := time.Date(2023, 10, 12, 20, 13, 49, 640_000_000, time.UTC)
	m := &azservicebus.ReceivedMessage{
		Body: []byte(`{"subject":"polluted","deliverycount":7,"list":[1],"new":true}`), MessageID: "m-1", Subject: &subject,
		SequenceNumber: &number, EnqueuedTime: &enqueued, DeliveryCount: 1, LockToken: [16]byte{0x4e, 0x77},
		ApplicationProperties: map[string]any{"traceparent": "00-..."},
	}
	for _, test := range []struct {
		dataType, data string
		want           map[string]string
	}{
		{"binary", `"eyJzdWJqZWN0IjoicG9sbHV0ZWQiLCJkZWxpdmVyeWNvdW50Ijo3LCJsaXN0IjpbMV0sIm5ldyI6dHJ1ZX0="`,
			map[string]string{"Subject": `"\"s\""`, "DeliveryCount": `"1"`, "new": ``}},
		{"", `"\"{\\\"subject\\\":\\\"polluted\\\",\\\"deliverycount\\\":7,\\\"list\\\":[1],\\\"new\\\":true}\""`,
			map[string]string{"Subject": `"\"polluted\""`, "DeliveryCount": `"\"7\""`, "new": `"\"true\""`}},
	} {
		t.Run("dataType "+test.dataType, func(t *testing.T) {
			value, metadata := messageValues(binding{DataType: test.dataType}, m)
			for key, want := range map[string]string{
				"MessageId": `"\"m-1\""`, "LockToken": `"\"4e770000-0000-0000-0000-000000000000\""`, "SequenceNumber": `"12"`,
				"EnqueuedTimeUtc": `"2023-10-12T20:13:49"`, "EnqueuedTime": `"2023-10-12T20:13:49+00:00"`, "ExpiresAtUtc": `"9999-12-31T23:59:59"`,
				"ApplicationProperties": `{"traceparent":"00-..."}`, "MessageActions": `{}`, "SessionId": ``, "list": ``,
			} {
				test.want[key] = want
			}
			for key, want := range test.want {
				if got, there := metadata[key]; !there && want != "" || there && jsonOf(t, got) != want {
					t.Errorf("%s is %s, want %s", key, jsonOf(t, got), want)
				}
			}
			if got := jsonOf(t, value); got != test.data {
				t.Errorf("data %s\nwant %s", got, test.data)
			}
		})
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bus is a broker with the queue "changes": a message is dead-lettered after three deliveries.
type bus struct {
	*broker.Server
	connection string
	client     *azservicebus.Client
}

func newBus(t *testing.T, lock time.Duration) *bus {
	t.Helper()
	server, err := broker.New(broker.Options{
		Queues: []broker.QueueConfig{{Name: "changes", LockDuration: lock, MaxDeliveryCount: 3}},
		Keys:   map[string]broker.Key{"all": {Secret: "c2VjcmV0", Listen: true, Send: true, Manage: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	b := &bus{Server: server, connection: server.ConnectionString("all")}
	if b.client, err = azservicebus.NewClientFromConnectionString(b.connection, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.client.Close(context.Background()) })
	return b
}

func (b *bus) send(t *testing.T, bodies ...string) {
	t.Helper()
	sender, err := b.client.NewSender("changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close(context.Background())
	for i, body := range bodies {
		id := fmt.Sprintf("m-%d", i)
		if err := sender.SendMessage(t.Context(), &azservicebus.Message{Body: []byte(body), MessageID: &id}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// host starts an app with one function on the bus: work of the decent app, or one that the rough handler knows. more
// are further members of host.json.
func (b *bus) host(t *testing.T, function, more string, options Options) *Host {
	t.Helper()
	mode := "rough"
	if function == "work" {
		mode = "azfn"
	}
	options.Env = append(options.Env, childMode+"="+mode, "QUEUE=changes", "Bus="+b.connection)
	return Start(t, stage(t, map[string]string{"host.json": hostJSON(t, more), function + "/function.json": queueJSON}), options)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, holds func() bool, otherwise func() string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise())
		}
	}
}

// until waits for the queue to be as wanted.
func (b *bus) until(t *testing.T, want broker.Counts) {
	t.Helper()
	var got broker.Counts
	eventually(t, func() bool {
		var err error
		if got, err = b.Counts("changes"); err != nil {
			t.Fatal(err)
		}
		return got == want
	}, func() string { return fmt.Sprintf("the queue has %+v, want %+v", got, want) })
}

// printed waits until the handler has printed a line n times.
func printed(t *testing.T, h *Host, text string, n int) {
	t.Helper()
	var got int
	eventually(t, func() bool {
		got = 0
		for _, line := range h.Lines() {
			if line == (Line{"Information", text}) {
				got++
			}
		}
		return got == n
	}, func() string { return fmt.Sprintf("%q was printed %d times, want %d", text, got, n) })
}

// invoked waits until n invocations have ended.
func invoked(t *testing.T, h *Host, n int) []Invocation {
	t.Helper()
	eventually(t, func() bool { return len(h.Invocations("")) >= n }, func() string {
		return fmt.Sprintf("%d invocations, want %d", len(h.Invocations("")), n)
	})
	return h.Invocations("")
}

// noAutoComplete leaves it to the handler to settle.
const noAutoComplete = `,"extensions":{"serviceBus":{"autoCompleteMessages":false}}`

func TestASuccessIsCompletedByTheHost(t *testing.T) {
	b := newBus(t, time.Minute)
	h := b.host(t, "work", "", Options{})
	b.send(t, "one", "two", "three")
	b.until(t, broker.Counts{})
	for i, body := range []string{"one", "two", "three"} {
		printed(t, h, fmt.Sprintf("delivery 1 of m-%d: %s", i, body), 1)
	}
}

func TestAFailureIsAbandonedAtOnce(t *testing.T) {
	for name, more := range map[string]string{"with autoComplete": "", "without": noAutoComplete} {
		t.Run(name, func(t *testing.T) {
			b := newBus(t, time.Minute)
			h := b.host(t, "work", more, Options{})
			b.send(t, "fail")
			b.until(t, broker.Counts{DeadLettered: 1}) // long before a lock could run out
			for n := 1; n <= 3; n++ {
				printed(t, h, fmt.Sprintf("delivery %d of m-0: fail", n), 1)
			}
		})
	}
}

func TestWithoutAutoCompleteASuccessStaysLocked(t *testing.T) {
	b := newBus(t, 300*time.Millisecond)
	h := b.host(t, "work", noAutoComplete, Options{})
	b.send(t, "one")
	b.until(t, broker.Counts{DeadLettered: 1}) // the lock ran out three times, for nobody settled
	for _, i := range invoked(t, h, 3) {
		if i.Err != nil {
			t.Error(i.Err)
		}
	}
}

func TestAHangingMessageKeepsItsLock(t *testing.T) {
	b := newBus(t, 300*time.Millisecond)
	h := b.host(t, "empty", "", Options{FunctionTimeout: 1200 * time.Millisecond})
	b.send(t, "one")
	first := invoked(t, h, 1)[0]
	if first.Err == nil || first.Took < 1200*time.Millisecond {
		t.Errorf("%+v", first)
	}
	// A lock that was not renewed would have run out three times.
	if counts, err := b.Counts("changes"); err != nil || counts != (broker.Counts{Active: 1}) {
		t.Errorf("%+v %v", counts, err)
	}
}

func TestACrashAbandonsWhatIsInFlight(t *testing.T) {
	b := newBus(t, time.Minute)
	h := b.host(t, "slow", "", Options{FunctionTimeout: 2 * time.Second})
	b.send(t, "one", "two")
	printed(t, h, "slow begins", 2)
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, i := range invoked(t, h, 2)[:2] {
		if i.Err == nil {
			t.Errorf("%+v", i)
		}
	}
	printed(t, h, "slow begins", 4) // both come again at once
}

func TestDeadLettersHaveATriggerOfTheirOwn(t *testing.T) {
	b := newBus(t, time.Minute)
	h := Start(t, stage(t, map[string]string{
		"host.json": hostJSON(t, ""), "fail/function.json": queueJSON,
		"ok/function.json": strings.Replace(queueJSON, "%QUEUE%", "%QUEUE%/$DeadLetterQueue", 1),
	}), Options{Env: []string{childMode + "=rough", "QUEUE=changes", "Bus=" + b.connection}})
	b.send(t, "one")
	eventually(t, func() bool { return len(h.Invocations("ok")) == 1 }, func() string { return "no dead letter came" })
	b.until(t, broker.Counts{})
	if n := len(h.Invocations("fail")); n != 3 {
		t.Errorf("%d deliveries before", n)
	}
}
