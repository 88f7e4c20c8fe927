package broker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// patience bounds every wait of these tests; none of them is meant to take it.
const patience = 20 * time.Second

var keys = map[string]broker.Key{
	"all":    {Secret: "c2VjcmV0LW9mLWFsbA==", Manage: true},
	"send":   {Secret: "c2VjcmV0LW9mLXNlbmQ=", Send: true},
	"listen": {Secret: "c2VjcmV0LW9mLWxpc3Rlbg==", Listen: true},
}

// durable makes the servers of all tests keep their queues on a disk.
var durable bool

// TestMain runs everything twice: with queues in memory and with queues on a disk, between which no client sees a
// difference.
func TestMain(m *testing.M) {
	if dir := os.Getenv(serverDir); dir != "" {
		if err := serveForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if code == 0 && flag.Lookup("test.bench").Value.String() == "" { // benchmarks say which they mean
		durable = true
		code = m.Run()
	}
	os.Exit(code)
}

func newServer(t testing.TB, options broker.Options) *broker.Server {
	t.Helper()
	if options.Queues == nil {
		options.Queues = []broker.QueueConfig{{Name: "orders"}}
	}
	if options.Keys == nil {
		options.Keys = keys
	}
	if durable && options.Dir == "" {
		options.Dir = t.TempDir()
	}
	s, err := broker.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start runs a server with one queue, orders, and the three keys, unless the options say otherwise.
func start(t testing.TB, options broker.Options) *broker.Server {
	t.Helper()
	s := newServer(t, options)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return s
}

// rig is a server and the unmodified Service Bus client.
type rig struct {
	t      testing.TB
	ctx    context.Context
	server *broker.Server
	client *sb.Client
}

func connect(t testing.TB, s *broker.Server, key string) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	client, err := sb.NewClientFromConnectionString(s.ConnectionString(key), &sb.ClientOptions{
		RetryOptions: sb.RetryOptions{MaxRetries: 3, RetryDelay: 10 * time.Millisecond, MaxRetryDelay: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = client.Close(ctx)
	})
	return &rig{t, ctx, s, client}
}

// setup starts a server with one queue, orders, and connects with all rights.
func setup(t testing.TB, config broker.QueueConfig) *rig {
	t.Helper()
	config.Name = "orders"
	return connect(t, start(t, broker.Options{Queues: []broker.QueueConfig{config}}), "all")
}

func (r *rig) sender() *sb.Sender {
	r.t.Helper()
	s, err := r.client.NewSender("orders", nil)
	r.must(err)
	return s
}

func (r *rig) receiver(options *sb.ReceiverOptions) *sb.Receiver {
	r.t.Helper()
	recv, err := r.client.NewReceiverForQueue("orders", options)
	r.must(err)
	return recv
}

func (r *rig) deadLetters() *sb.Receiver {
	r.t.Helper()
	return r.receiver(&sb.ReceiverOptions{SubQueue: sb.SubQueueDeadLetter})
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) send(bodies ...string) {
	r.t.Helper()
	s := r.sender()
	for _, body := range bodies {
		r.must(s.SendMessage(r.ctx, &sb.Message{Body: []byte(body), MessageID: new("id-" + body)}, nil))
	}
	r.must(s.Close(r.ctx))
}

// receive waits for n messages.
func (r *rig) receive(from *sb.Receiver, n int) []*sb.ReceivedMessage {
	r.t.Helper()
	var got []*sb.ReceivedMessage
	for len(got) < n {
		more, err := from.ReceiveMessages(r.ctx, n-len(got), nil)
		if err != nil {
			r.t.Fatalf("received %d of %d messages: %v", len(got), n, err)
		}
		got = append(got, more...)
	}
	return got
}

func (r *rig) counts() broker.Counts {
	r.t.Helper()
	c, err := r.server.Counts("orders")
	r.must(err)
	return c
}

func (r *rig) want(want broker.Counts) {
	r.t.Helper()
	if got := r.counts(); got != want {
		r.t.Errorf("counts %+v, want %+v", got, want)
	}
}

// eventually waits for the counts, where only time brings them about.
func (r *rig) eventually(want broker.Counts) {
	r.t.Helper()
	for r.counts() != want {
		if r.ctx.Err() != nil {
			r.t.Fatalf("counts are %+v, want %+v", r.counts(), want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func wantCode(t testing.TB, err error, want sb.Code) {
	t.Helper()
	var e *sb.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("error %v, want code %s", err, want)
	}
}
