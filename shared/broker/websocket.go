package broker

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// websocketPath is where clients look for AMQP over WebSocket.
const websocketPath = "/$servicebus/websocket"

// subprotocols are the names of AMQP in a WebSocket handshake: the one of the standard, and the older one of the clients
// for Java, JavaScript and Python.
var subprotocols = []string{"amqp", "AMQPWSB10"}

// serveWebSocket serves AMQP in the binary messages of a WebSocket to its end, with the same limits as over TCP. Where
// one message ends and the next begins means nothing.
//
// Web pages of any origin may connect. The check of the origin protects what browsers send along by themselves, such as
// cookies; a page can do here what it has a token for, like everyone. Only where tokens are not checked, with
// Options.AcceptJWT, would every page on the machine of a developer be let in: then the origin has to be the broker.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, nc net.Conn, log *slog.Logger) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: subprotocols, InsecureSkipVerify: !s.options.AcceptJWT,
	})
	if err != nil { // the client has its answer
		log.Debug("WebSocket handshake failed", "error", err)
		return
	}
	// A client that does not say goodbye is not waited for longer than one that speaks AMQP over TCP.
	defer func() {
		cut := time.AfterFunc(closeTimeout, func() { _ = nc.Close() })
		defer cut.Stop()
		_ = ws.Close(websocket.StatusNormalClosure, "")
	}()
	if ws.Subprotocol() == "" {
		_ = ws.Close(websocket.StatusPolicyViolation, "use the subprotocol amqp")
		return
	}
	stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	_ = stream.SetDeadline(time.Now().Add(handshakeTimeout))
	s.serveAMQP(nc, stream, bufio.NewReaderSize(stream, 64<<10), log)
}
