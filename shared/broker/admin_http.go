package broker

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of HTTP. The largest header that clients send is a token of a few kilobytes; see package atom for documents.
const (
	maxHeaderBytes  = 32 << 10
	exchangeTimeout = 30 * time.Second // for one request, and for its answer
)

// serveAMQP serves AMQP on one connection to its end. nc is the connection as it was accepted, which Close knows it by.
func (s *Server) serveAMQP(nc, stream net.Conn, reader *bufio.Reader, log *slog.Logger) {
	c := newConn(s, stream, reader, log)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.conns[nc] = c
	s.mu.Unlock()
	c.run()
}

// protocolName starts every AMQP connection; what else a client may speak starts otherwise.
const protocolName = "AMQP"

// serveHTTP serves HTTP on one connection to its end: the management API, and AMQP over WebSocket. nc is the connection
// as it was accepted, which Close knows it by, and stream what HTTP runs on.
//
// The http.Server is one for each connection. So the connection stays with the goroutine that serves it, like one that
// speaks AMQP, and Close ends and awaits both in the same way.
func (s *Server) serveHTTP(nc, stream net.Conn, log *slog.Logger) {
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	hijacked := false // read and written by the goroutine of the connection only
	var http1 http.Protocols
	http1.SetHTTP1(true)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if hijacked { // nobody else will know when it ends
					end()
				}
			}()
			if strings.EqualFold(strings.TrimSuffix(r.URL.Path, "/"), websocketPath) {
				s.serveWebSocket(w, r, nc, log)
				return
			}
			s.admin().ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateClosed:
				end()
			case http.StateHijacked:
				hijacked = true
			}
		},
		Protocols:         &http1,
		ReadHeaderTimeout: min(handshakeTimeout, s.options.IdleTimeout),
		ReadTimeout:       exchangeTimeout,
		WriteTimeout:      exchangeTimeout,
		IdleTimeout:       s.options.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	err := server.Serve(&singleListener{conn: stream, ended: ended})
	log.Debug("HTTP connection ended", "error", err)
}

// singleListener hands out one connection that was accepted already, and ends when that has ended.
type singleListener struct {
	conn  net.Conn // nil once it is handed out
	ended <-chan struct{}
}

func (l *singleListener) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.ended
	return nil, io.EOF
}

// Close does nothing: the listener has ended by itself when it is called.
func (l *singleListener) Close() error { return nil }

// Addr is nobody's address; http.Server shows it in no answer.
func (l *singleListener) Addr() net.Addr { return &net.TCPAddr{} }

// withoutALPN is a TLS configuration that negotiates no protocol: which one it is shows in the first bytes. A client that
// offers HTTP/2, which is not served, falls back to HTTP/1.1.
func withoutALPN(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = nil
	return config
}
