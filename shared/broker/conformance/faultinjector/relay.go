package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// relay connects clients to a server and delays what comes back.
type relay struct {
	host  string
	after int
	delay time.Duration
}

// serve carries one connection until either side ends it.
func (r relay) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := dial(r.host)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faultinjector: dial:", err)
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	queue := make(chan delayed, 1000)
	go func() {
		defer close(queue)
		if err := r.read(server, queue); err != nil {
			fmt.Fprintln(os.Stderr, "faultinjector: read:", err)
		}
	}()
	for d := range queue {
		time.Sleep(time.Until(d.due))
		if _, err := client.Write(d.bytes); err != nil {
			_ = server.Close() // ends read
		}
	}
}

// delayed are bytes that leave when they are due, and never before those in front of them.
type delayed struct {
	due   time.Time
	bytes []byte
}

// maxFrame is more than client and server agree on.
const maxFrame = 1 << 20

// read takes the server's bytes apart into protocol headers and frames. The end of the connection is no error.
func (r relay) read(server io.Reader, queue chan<- delayed) error {
	reader := bufio.NewReader(server)
	links := links{}
	for transfers := 0; ; {
		start, err := reader.Peek(4)
		if err != nil {
			return nil
		}
		var raw bytes.Buffer
		if string(start) == "AMQP" {
			if _, err := io.CopyN(&raw, reader, int64(len(amqp.Protocol{}))); err != nil {
				return err
			}
			queue <- delayed{bytes: raw.Bytes()}
			continue
		}
		frame, err := amqp.ReadFrame(io.TeeReader(reader, &raw), maxFrame)
		if err != nil {
			return err
		}
		d := delayed{bytes: raw.Bytes()}
		if links.delivers(frame) {
			if transfers++; transfers > r.after {
				d.due = time.Now().Add(r.delay)
			}
		}
		queue <- d
	}
}

// link names a link by what its frames carry.
type link struct {
	channel uint16
	handle  uint32
}

// links are those on which the server sends messages of a queue.
type links map[link]bool

// delivers reports whether a frame of the server transfers a message of a queue, and notes links that come.
func (l links) delivers(frame amqp.Frame) bool {
	if frame.Type != amqp.FrameAMQP || len(frame.Body) == 0 {
		return false
	}
	performative, _, err := amqp.DecodePerformative(frame.Body)
	if err != nil {
		return false
	}
	switch p := performative.(type) {
	case *amqp.Attach:
		address := sourceAddress(p)
		l[link{frame.Channel, p.Handle}] = p.Role == amqp.RoleSender && address != "$cbs" && !strings.HasSuffix(address, "/$management")
	case *amqp.Transfer:
		return l[link{frame.Channel, p.Handle}]
	}
	return false
}

// sourceAddress is the address in the source of an attach: the first field of a described list.
func sourceAddress(attach *amqp.Attach) string {
	source, _ := attach.Source.(amqp.Described)
	fields, _ := source.Value.(amqp.List)
	if len(fields) == 0 {
		return ""
	}
	address, _ := fields[0].(string)
	return address
}
