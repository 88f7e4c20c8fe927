package broker

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// Server is a running broker. Create it with New; all methods are safe for concurrent use.
type Server struct {
	options  Options
	log      *slog.Logger
	entities map[string]*entity // by lower-case name

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]*conn // nil while the first bytes are awaited
	lastID   int
	closed   bool
	running  sync.WaitGroup
}

// New returns a server with empty queues, which listens to nobody yet. It refuses a configuration without queues, with
// a queue that Service Bus would refuse (see QueueConfig), with two queues whose names differ at most in case, or with
// an empty secret; the error names every mistake.
func New(options Options) (*Server, error) {
	s := &Server{options: options.withDefaults(), entities: map[string]*entity{}, conns: map[net.Conn]*conn{}}
	s.log = s.options.Logger
	var errs []error
	if len(options.Queues) == 0 {
		errs = append(errs, errors.New("broker: no queues: give at least one"))
	}
	for _, config := range options.Queues {
		if err := config.validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		key := strings.ToLower(config.Name)
		if other := s.entities[key]; other != nil {
			errs = append(errs, fmt.Errorf("broker: queue %q has the same name as %q: names do not differ by case alone", config.Name, other.name))
			continue
		}
		s.entities[key] = newEntity(config, s.options.Now)
	}
	for name, key := range options.Keys {
		if name == "" || key.Secret == "" {
			errs = append(errs, fmt.Errorf("broker: key %q: give it a name and a secret", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
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

// Counts are the messages of a queue by place. Active includes locked messages.
type Counts struct{ Active, Scheduled, Deferred, DeadLettered int }

// Counts counts the messages of a queue; an unknown name is an error.
func (s *Server) Counts(name string) (Counts, error) {
	e := s.entities[strings.ToLower(name)]
	if e == nil {
		return Counts{}, fmt.Errorf("broker: count messages: no queue %q", name)
	}
	var counts Counts
	e.do(func(time.Time) { counts = Counts(e.queue.Counts()) })
	return counts, nil
}

// Close ends every connection with amqp:connection:forced, which makes clients connect again, and waits until all
// goroutines are done. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
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
	for _, e := range s.entities {
		e.stop()
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
		s.start(nc)
	}
}

// start serves one connection in a goroutine, unless the server is closed.
func (s *Server) start(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
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

// tlsHandshake is the type of the first record of a TLS connection; AMQP starts with 'A'.
const tlsHandshake = 0x16

// serve finds out whether the client speaks TLS, and serves it to its end.
func (s *Server) serve(nc net.Conn, id int) {
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(handshakeTimeout))
	reader := bufio.NewReaderSize(nc, 64<<10)
	first, err := reader.Peek(1)
	if err != nil {
		return
	}
	var stream net.Conn = nc
	if first[0] == tlsHandshake {
		if s.options.TLS == nil {
			s.log.Warn("client wants TLS, which is not configured", "conn", id)
			return
		}
		stream = tls.Server(buffered{nc, reader}, s.options.TLS)
		reader = bufio.NewReaderSize(stream, 64<<10)
	}
	c := newConn(s, stream, reader, s.log.With("conn", id))
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.conns[nc] = c
	s.mu.Unlock()
	c.run()
}

// buffered is a connection of which some bytes were read ahead.
type buffered struct {
	net.Conn
	reader *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }
