package broker

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

// Server is a running broker. Create it with New; all methods are safe for concurrent use.
type Server struct {
	options Options
	log     *slog.Logger
	tls     *tls.Config   // nil without Options.TLS
	store   *store.Store  // nil without Options.Dir
	done    chan struct{} // closed by Close

	// changing is held by one change of the queues at a time, and taken before any other lock. What is held while clients are
	// served, a connection's lock too, may take queuesMu, so it is not held while something waits.
	changing sync.Mutex
	queuesMu sync.RWMutex
	entities map[string]*entity // by lower-case name

	admitted atomic.Int64 // open connections
	held     budget       // what they make the server hold

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]*conn // nil while the first bytes are awaited
	lastID   int
	closed   bool
	running  sync.WaitGroup
}

// New returns a server that listens to nobody yet. It refuses a queue that Service Bus would refuse (see QueueConfig), two
// queues whose names differ at most in case, and an empty secret; the error names every mistake. With Options.Dir, it
// fails if the directory cannot be used or what is in it cannot be read: nothing is ever left out silently.
func New(options Options) (*Server, error) {
	s := &Server{options: options.withDefaults(), entities: map[string]*entity{}, conns: map[net.Conn]*conn{}, done: make(chan struct{}), held: budget{limit: maxHeld}}
	s.log = s.options.Logger
	if options.TLS != nil {
		s.tls = withoutALPN(options.TLS)
	}
	if err := s.options.validate(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start makes the queues.
func (s *Server) start() (err error) {
	if s.options.Dir != "" {
		if s.store, err = store.Open(s.options.Dir); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		if err := s.restore(); err != nil {
			return err
		}
	}
	if err := s.ensure(s.options.Queues); err != nil {
		return err
	}
	s.running.Go(s.sweepIdle)
	return nil
}

// Listen starts to serve on a TCP address, in the background; port 0 picks a free one. A server listens once.
func (s *Server) Listen(addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.listener != nil {
		return errors.New("broker: listen: the server listens already or is closed")
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("broker: listen: %w", err)
	}
	s.listener = listener
	s.running.Go(func() { s.accept(listener) })
	return nil
}

// Addr is the host and port the server listens on, "" before Listen.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// ConnectionString is what a Service Bus client needs to connect in plain text under the named key. The secret of a key
// that does not exist is empty.
func (s *Server) ConnectionString(keyName string) string {
	return fmt.Sprintf("Endpoint=sb://%s;SharedAccessKeyName=%s;SharedAccessKey=%s;UseDevelopmentEmulator=true",
		s.Addr(), keyName, s.options.Keys[keyName].Secret)
}

// Close ends every connection with amqp:connection:forced, which makes clients connect again, and waits until all
// goroutines are done. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		close(s.done)
	}
	var err error
	if first && s.listener != nil {
		err = s.listener.Close()
	}
	for nc, c := range s.conns {
		if c == nil {
			_ = nc.Close()
		} else {
			c.shutdown(&amqp.Error{Condition: conditionForced, Description: "The broker is shutting down."})
		}
	}
	s.mu.Unlock()
	s.running.Wait()
	s.queuesMu.RLock()
	defer s.queuesMu.RUnlock()
	for _, e := range s.entities {
		e.stop()
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if err != nil {
		return fmt.Errorf("broker: close: %w", err)
	}
	return nil
}

// accept serves connections until the listener is closed.
func (s *Server) accept(listener net.Listener) {
	for {
		nc, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, or the client is gone already
			s.log.Warn("accept failed", "error", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.greet(nc)
	}
}

// greet serves one connection in a goroutine, unless the server is closed or has so many that it cannot even say so.
func (s *Server) greet(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.options.MaxConnections+maxGuests {
		_ = nc.Close()
		return
	}
	s.lastID++
	id := s.lastID
	s.conns[nc] = nil
	s.running.Go(func() {
		s.serve(nc, id)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, nc)
	})
}

// handshakeTimeout is how long a client may take from connecting to its AMQP open.
const handshakeTimeout = 20 * time.Second

// tlsHandshake is the type of the first record of a TLS connection. AMQP starts with its name, HTTP with neither.
const tlsHandshake = 0x16

// serve finds out whether the client speaks TLS, and then whether AMQP or HTTP, and serves it to its end.
func (s *Server) serve(nc net.Conn, id int) {
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(min(handshakeTimeout, s.options.IdleTimeout)))
	reader := bufio.NewReaderSize(nc, 64<<10)
	first, err := reader.Peek(1)
	if err != nil {
		return
	}
	var stream net.Conn = nc
	if first[0] == tlsHandshake {
		if s.tls == nil {
			s.log.Warn("client wants TLS, which is not configured", "conn", id)
			return
		}
		stream = tls.Server(buffered{nc, reader}, s.tls)
		reader = bufio.NewReaderSize(stream, 64<<10)
	}
	name, err := reader.Peek(len(protocolName))
	if err != nil {
		return
	}
	log := s.log.With("conn", id)
	if string(name) == protocolName {
		s.serveAMQP(nc, stream, reader, log)
	} else {
		s.serveHTTP(nc, buffered{stream, reader}, log)
	}
}

// buffered is a connection of which some bytes were read ahead.
type buffered struct {
	net.Conn
	reader *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }
