package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

func TestTheNetworkDeliversAllBytesAtItsSpeed(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	want := bytes.Repeat([]byte("0123456789abcdef"), bytesPerSecond/10/16) // a tenth of a second
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write(want)
		_ = conn.Close()
	}()
	n, err := openNetwork()
	if err != nil {
		t.Fatal(err)
	}
	n.serve(server.Addr().String())
	defer n.close()

	started := time.Now()
	client, err := net.Dial("tcp", n.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	got, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want the %d that were sent", len(got), len(want))
	}
	if took := time.Since(started); took < 80*time.Millisecond {
		t.Errorf("a tenth of a second's bytes took %v", took)
	}
}
