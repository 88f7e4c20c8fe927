package broker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
	"github.com/tenantsync/tenantsync/shared/broker/internal/store"
)

const (
	// maxFrameSize is the largest frame we take, as Service Bus announces it, and the largest we send.
	maxFrameSize = 64 << 10
	// channelMax and handleMax bound the sessions of a connection and the links of a session.
	channelMax = 4999
	handleMax  = 255
	// maxOutput is the size at which output waits for the client to read.
	maxOutput = 256 << 10
	// maxKeepAlive is the longest we are silent; a client may ask for less with its idle timeout.
	maxKeepAlive = 10 * time.Second
	// writeTimeout ends a connection whose client reads nothing at all.
	writeTimeout = time.Minute
	containerID  = "tenantsync-broker"
	// closeTimeout is how long a closed connection may take to say goodbye.
	closeTimeout = time.Second
)

// Error conditions of connections and sessions (part 2, 2.8.15 to 2.8.18).
const (
	conditionForced       amqp.Symbol = "amqp:connection:forced"
	conditionFraming      amqp.Symbol = "amqp:connection:framing-error"
	conditionDecode       amqp.Symbol = "amqp:decode-error"
	conditionNotAllowed   amqp.Symbol = "amqp:not-allowed"
	conditionUnattached   amqp.Symbol = "amqp:session:unattached-handle"
	conditionHandleInUse  amqp.Symbol = "amqp:session:handle-in-use"
	conditionNotFound     amqp.Symbol = "amqp:not-found"
	conditionUnauthorized amqp.Symbol = "amqp:unauthorized-access"
	conditionDetachForced amqp.Symbol = "amqp:link:detach-forced"
	conditionDisabled     amqp.Symbol = "com.microsoft:entity-disabled"
	conditionServerBusy   amqp.Symbol = "com.microsoft:server-busy"
	conditionFull         amqp.Symbol = "amqp:resource-limit-exceeded"
)

// conn is one AMQP connection. Two goroutines work for it: run reads frames and acts on them, write fills out with what
// the links have to send and writes it. Both hold mu while they do, and neither holds it while it waits for the network.
//
// A client that reads slowly costs no memory. Messages stay in their queue until out has room for them; and while out
// is full, run reads no further frame, so that no answers pile up either. Answers to requests, which also need credit
// of the client, are bounded by the credit of the link the requests come on (see requestSink).
type conn struct {
	server *Server
	stream net.Conn
	reader *bufio.Reader
	log    *slog.Logger
	wake   chan struct{} // holds a token when write has something to look at

	mu        sync.Mutex
	roomy     *sync.Cond // out has room, or closing
	out       []byte
	sessions  map[uint16]*session // by channel; an ended one stays until the client ends it, too
	links     int
	grants    grants
	expiry    *time.Timer   // when the next of grants expires; nil before the first that does
	frameSize uint32        // largest frame the client takes
	keepAlive time.Duration // longest silence it bears
	opened    bool
	admitted  bool // it counts as one of the server's connections
	closing   bool // nothing more is accepted from the client, and nothing added to out

	writtenMu sync.Mutex // innermost
	written   []func()   // what waited for the disk, and can go on under mu
}

func newConn(s *Server, stream net.Conn, reader *bufio.Reader, log *slog.Logger) *conn {
	c := &conn{
		server: s, stream: stream, reader: reader, log: log,
		wake:      make(chan struct{}, 1),
		sessions:  map[uint16]*session{},
		grants:    grants{},
		frameSize: 512, // what every peer takes before open (part 2, 2.7.1)
		keepAlive: maxKeepAlive,
	}
	c.roomy = sync.NewCond(&c.mu)
	return c
}

// nudge makes write look for something to send.
func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// after runs f, which needs mu, with the outcome of a commit: at once if it is on disk already, else as soon as it is.
// mu is held.
func (c *conn) after(commit store.Commit, f func(error)) {
	if commit.Done() {
		f(nil)
		return
	}
	commit.Then(func(err error) {
		c.writtenMu.Lock()
		c.written = append(c.written, func() { f(err) })
		c.writtenMu.Unlock()
		c.nudge()
	})
}

// goOn runs what waited for the disk. mu is held.
func (c *conn) goOn() {
	c.writtenMu.Lock()
	written := c.written
	c.written = nil
	c.writtenMu.Unlock()
	for _, f := range written {
		f()
	}
}

// run serves the connection to its end.
func (c *conn) run() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.handshake()
	if err == nil {
		err = c.readFrames()
	}
	var reason *amqp.Error
	switch {
	case errors.As(err, &reason):
		c.log.Warn("connection refused a frame", "condition", reason.Condition, "description", reason.Description)
		c.shutdown(reason)
	default:
		c.log.Debug("connection ended", "error", err)
		c.shutdown(nil)
	}
	writer.Wait()
	c.end()
}

// end lets go of everything the connection has.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		c.remove(s)
	}
	if c.expiry != nil {
		c.expiry.Stop()
	}
	if c.admitted {
		c.server.dismiss()
	}
}

// handshake exchanges protocol headers, with SASL first, which Service Bus requires.
func (c *conn) handshake() error {
	if err := c.expect(amqp.ProtocolSASL); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	return c.expect(amqp.ProtocolAMQP)
}

// expect reads a protocol header and answers with the same. Another header is answered with the one we want, after
// which the connection ends (part 2, 2.2).
func (c *conn) expect(want amqp.Protocol) error {
	var got amqp.Protocol
	if _, err := io.ReadFull(c.reader, got[:]); err != nil {
		return fmt.Errorf("broker: read protocol header: %w", err)
	}
	c.mu.Lock()
	c.out = append(c.out, want[:]...)
	c.mu.Unlock()
	c.nudge()
	if got != want {
		return fmt.Errorf("broker: client wants protocol %q", got[:])
	}
	return nil
}

// readFrames acts on frames until the connection ends. An *amqp.Error is what the client did wrong.
func (c *conn) readFrames() error {
	for {
		frame, err := c.readFrame(amqp.FrameAMQP)
		if err != nil {
			return err
		}
		c.extend()
		if len(frame.Body) == 0 {
			continue
		}
		p, payload, err := amqp.DecodePerformative(frame.Body)
		if err != nil {
			return &amqp.Error{Condition: conditionDecode, Description: err.Error()}
		}
		more, err := c.act(frame.Channel, p, payload)
		if !more || err != nil {
			return err
		}
	}
}

// extend gives an open connection time until the next frame.
func (c *conn) extend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened && !c.closing {
		_ = c.stream.SetReadDeadline(time.Now().Add(c.server.options.IdleTimeout))
	}
}

func (c *conn) readFrame(want amqp.FrameType) (amqp.Frame, error) {
	frame, err := amqp.ReadFrame(c.reader, maxFrameSize)
	switch {
	case errors.Is(err, amqp.ErrFraming):
		return frame, &amqp.Error{Condition: conditionFraming, Description: err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return frame, &amqp.Error{Condition: conditionForced, Description: "The connection was inactive for more than the allowed time."}
	case err != nil:
		return frame, err
	case frame.Type != want:
		return frame, &amqp.Error{Condition: conditionFraming, Description: "A frame of this type does not belong here."}
	}
	return frame, nil
}

// act does what one performative says, once there is room for what it may have to answer. more is false after the
// client closed the connection.
func (c *conn) act(channel uint16, p amqp.Performative, payload []byte) (more bool, err error) {
	defer c.nudge() // after the unlock, or write would wake only to wait for it
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) >= maxOutput && !c.closing {
		c.roomy.Wait()
	}
	if _, isClose := p.(*amqp.Close); isClose {
		c.send(0, &amqp.Close{}, nil)
		c.closing = true // at once: what a link would send behind it, the client no longer reads
		return false, nil
	}
	if c.closing { // we said close and wait for the client's
		return true, nil
	}
	if open, ok := p.(*amqp.Open); ok {
		return true, c.open(open)
	}
	if !c.opened {
		return true, &amqp.Error{Condition: conditionNotAllowed, Description: "The connection is not open."}
	}
	if begin, ok := p.(*amqp.Begin); ok {
		return true, c.begin(channel, begin)
	}
	s := c.sessions[channel]
	if s == nil {
		return true, &amqp.Error{Condition: conditionNotAllowed, Description: fmt.Sprintf("No session began on channel %d.", channel)}
	}
	s.act(p, payload)
	return true, nil
}

func (c *conn) open(open *amqp.Open) error {
	if c.opened {
		return &amqp.Error{Condition: conditionNotAllowed, Description: "The connection is open already."}
	}
	if refusal := c.server.admit(); refusal != nil {
		c.send(0, &amqp.Open{ContainerID: containerID}, nil) // a refusal comes behind an open
		c.opened = true
		return refusal
	}
	c.opened, c.admitted = true, true
	_ = c.stream.SetReadDeadline(time.Now().Add(c.server.options.IdleTimeout))
	c.frameSize = min(max(open.MaxFrameSize, 512), maxFrameSize)
	if open.IdleTimeout > 0 { // half of it, so that a frame in time may still be late
		c.keepAlive = min(c.keepAlive, max(time.Duration(open.IdleTimeout)*time.Millisecond/2, time.Millisecond))
	}
	c.send(0, &amqp.Open{
		ContainerID:  containerID,
		MaxFrameSize: maxFrameSize,
		ChannelMax:   channelMax,
		IdleTimeout:  uint32(c.server.options.IdleTimeout.Milliseconds()),
	}, nil)
	return nil
}

// send puts a frame into out. mu is held.
func (c *conn) send(channel uint16, p amqp.Performative, payload []byte) {
	if !c.closing {
		c.out = amqp.AppendFrame(c.out, amqp.FrameAMQP, channel, p, payload)
	}
}

// shutdown ends the connection once what is in out has left, with a close frame if there is a reason to give.
func (c *conn) shutdown(reason *amqp.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason != nil && c.opened {
		c.send(0, &amqp.Close{Error: reason}, nil)
	}
	c.closing = true
	_ = c.stream.SetDeadline(time.Now().Add(closeTimeout))
	c.roomy.Broadcast()
	c.nudge()
}

// write sends what there is to send until the connection ends.
func (c *conn) write() {
	silence := time.NewTimer(maxKeepAlive)
	defer silence.Stop()
	var batch []byte
	for {
		c.mu.Lock()
		c.goOn()
		c.fill()
		batch, c.out = c.out, batch[:0]
		closing, keepAlive := c.closing, c.keepAlive
		if !closing {
			_ = c.stream.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		c.roomy.Broadcast()
		c.mu.Unlock()
		if len(batch) > 0 {
			if _, err := c.stream.Write(batch); err != nil {
				c.shutdown(nil)
				_ = c.stream.Close() // run ends, too
				return
			}
			silence.Reset(keepAlive)
			continue
		}
		if closing {
			return
		}
		select {
		case <-c.wake:
		case <-silence.C:
			c.mu.Lock()
			if c.opened {
				c.send(0, nil, nil)
			}
			c.mu.Unlock()
		}
	}
}

// fill lets the links send in turn, as long as out has room. mu is held.
func (c *conn) fill() {
	for moved := true; moved && !c.closing; {
		moved = false
		for _, s := range c.sessions {
			for _, link := range s.outgoing {
				if len(c.out) >= maxOutput {
					return
				}
				if link.send() {
					moved = true
				}
			}
		}
	}
}
