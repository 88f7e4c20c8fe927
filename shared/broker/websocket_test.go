package broker_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	goamqp "github.com/Azure/go-amqp"
	"github.com/coder/websocket"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// overWebSocket is a client that does everything over WebSocket and TLS.
func overWebSocket(t testing.TB, s *broker.Server, key string) *rig {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: trusting()}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := sb.NewClientFromConnectionString(s.ConnectionString(key), &sb.ClientOptions{
		NewWebSocketConn: func(ctx context.Context, args sb.NewWebSocketConnArgs) (net.Conn, error) {
			ws, _, err := websocket.Dial(ctx, args.Host, &websocket.DialOptions{
				Subprotocols: []string{"amqp"}, HTTPClient: &http.Client{Transport: transport},
			})
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rigFor(t, s, client)
}

func TestMessagesTravelOverWebSocket(t *testing.T) {
	s := startSecure(t, broker.Options{})
	r := overWebSocket(t, s, "all")
	large := strings.Repeat("x", 200<<10) // several frames, which are one WebSocket message or more
	r.send("small")
	r.must(r.sender().SendMessage(r.ctx, message(large), nil))
	for i, m := range r.receive(connect(t, s, "all").receiver(nil), 2) {
		if got, want := len(m.Body), []int{len("small"), len(large)}[i]; got != want {
			t.Errorf("message %d has %d bytes over TCP, want %d", i, got, want)
		}
	}
	r.want(broker.Counts{Active: 2})

	connect(t, s, "all").send("back")
	recv := r.receiver(nil)
	m := r.receive(recv, 1)[0]
	if string(m.Body) != "back" {
		t.Errorf("received %.20s", m.Body)
	}
	r.must(recv.CompleteMessage(r.ctx, m, nil))
	r.want(broker.Counts{Active: 2})
}

func TestRightsAreTheSameOverWebSocket(t *testing.T) {
	r := overWebSocket(t, startSecure(t, broker.Options{}), "listen")
	wantCode(t, r.sender().SendMessage(r.ctx, message("1"), nil), sb.CodeUnauthorizedAccess)
}

// dialWebSocket opens a WebSocket in plain text.
func dialWebSocket(t testing.TB, s *broker.Server, path string, options *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, "ws://"+s.Addr()+path, options)
	if err == nil {
		t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, response, err
}

func TestTheSubprotocolIsAMQP(t *testing.T) {
	s := start(t, broker.Options{})
	for _, name := range []string{"amqp", "AMQPWSB10"} {
		ws, _, err := dialWebSocket(t, s, "/$servicebus/websocket/", &websocket.DialOptions{Subprotocols: []string{"chat", name}})
		if err != nil {
			t.Fatal(err)
		}
		if ws.Subprotocol() != name {
			t.Errorf("subprotocol %q, want %q", ws.Subprotocol(), name)
		}
	}
	ws, _, err := dialWebSocket(t, s, "/$servicebus/websocket", &websocket.DialOptions{Subprotocols: []string{"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("without the subprotocol: %v", err)
	}
}

func TestTextMessagesEndTheConnection(t *testing.T) {
	ws, _, err := dialWebSocket(t, start(t, broker.Options{}), "/$servicebus/websocket", &websocket.DialOptions{Subprotocols: []string{"amqp"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("AMQP\x03\x01\x00\x00")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("error %v, want status 1003", err)
	}
}

func TestPagesOfOtherOriginsMayConnectWhereTokensAreChecked(t *testing.T) {
	for _, jwt := range []bool{false, true} {
		_, response, err := dialWebSocket(t, start(t, broker.Options{AcceptJWT: jwt}), "/$servicebus/websocket", &websocket.DialOptions{
			Subprotocols: []string{"amqp"}, HTTPHeader: http.Header{"Origin": {"https://example.com"}},
		})
		if connected := err == nil; connected == jwt {
			t.Errorf("with AcceptJWT %v: connected %v", jwt, connected)
		}
		if jwt && response.StatusCode != http.StatusForbidden {
			t.Errorf("status %d, want 403", response.StatusCode)
		}
	}
}

func TestARequestThatIsNoHandshakeIsRefused(t *testing.T) {
	a := newAdminRig(t, startSecure(t, broker.Options{}))
	if response, text := a.request(http.MethodGet, "/$servicebus/websocket", "", ""); response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("%d %s, want 426", response.StatusCode, text)
	}
}

func TestCloseTellsClientsOverWebSocketAndReturnsSoon(t *testing.T) {
	s := start(t, broker.Options{})
	silent, _, err := dialWebSocket(t, s, "/$servicebus/websocket", &websocket.DialOptions{Subprotocols: []string{"amqp"}})
	if err != nil {
		t.Fatal(err)
	}
	ws, _, err := dialWebSocket(t, s, "/$servicebus/websocket", &websocket.DialOptions{Subprotocols: []string{"amqp"}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := goamqp.NewConn(t.Context(), websocket.NetConn(t.Context(), ws, websocket.MessageBinary), &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	rude, _, err := dialWebSocket(t, s, "/$servicebus/websocket", &websocket.DialOptions{Subprotocols: []string{"amqp"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := rude.Write(t.Context(), websocket.MessageBinary, []byte("no header")); err != nil { // nor does it read the goodbye
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2500*time.Millisecond { // a second for each of the two goodbyes
		t.Errorf("close took %v", took)
	}
	<-conn.Done()
	if reason, ok := errors.AsType[*goamqp.ConnError](conn.Err()); !ok || reason.RemoteErr == nil || reason.RemoteErr.Condition != "amqp:connection:forced" {
		t.Errorf("the client saw %v", conn.Err())
	}
	if _, _, err := silent.Read(t.Context()); err == nil {
		t.Error("the silent connection is open")
	}
}
