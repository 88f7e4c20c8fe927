package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// bytesPerSecond is how fast a network delivers to the client: slower than loopback, so that a test can tell messages
// that have arrived from messages that are still on their way (TestReceiveWithDifferentWaitTime), and fast enough that
// nothing else notices.
const bytesPerSecond = 2 << 20

// network carries TCP connections to a server at the speed of a network.
type network struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// openNetwork listens on a free port of this machine for a server that may start later.
func openNetwork() (*network, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the network: %w", err)
	}
	return &network{listener: listener, conns: map[net.Conn]bool{}}, nil
}

// port is where clients connect.
func (n *network) port() int { return n.listener.Addr().(*net.TCPAddr).Port }

// serve carries connections until close.
func (n *network) serve(target string) {
	n.target = target
	n.running.Go(func() {
		for {
			client, err := n.listener.Accept()
			if err != nil {
				return
			}
			n.running.Go(func() { n.carry(client) })
		}
	})
}

// carry ends both connections when one of them ends.
func (n *network) carry(client net.Conn) {
	defer n.forget(client)
	server, err := net.Dial("tcp", n.target)
	if err != nil {
		return
	}
	defer n.forget(server)
	if !n.remember(client, server) {
		return
	}
	n.running.Go(func() {
		_, _ = io.Copy(server, client)
		n.forget(server)
	})
	buffer := make([]byte, 16<<10)
	for {
		read, err := server.Read(buffer)
		if read > 0 {
			if _, err := client.Write(buffer[:read]); err != nil {
				return
			}
			time.Sleep(time.Duration(read) * time.Second / bytesPerSecond)
		}
		if err != nil {
			return
		}
	}
}

func (n *network) remember(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		n.conns[c] = true
	}
	return !n.closed
}

func (n *network) forget(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
	_ = c.Close()
}

// close ends every connection and waits for it.
func (n *network) close() {
	_ = n.listener.Close()
	n.mu.Lock()
	n.closed = true
	for c := range n.conns {
		_ = c.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
}
