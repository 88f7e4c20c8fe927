package broker_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestManyRequestsShareOneConnection(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	reused := 0
	a.ctx = httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if info.Reused {
			reused++
		}
	}})
	for range 5 {
		a.get("orders")
		a.get("nope")
	}
	if reused != 9 {
		t.Errorf("the connection was used again %d times, want 9", reused)
	}
}

func TestHTTPIsServedInPlainTextToo(t *testing.T) {
	a := newAdminRig(t, start(t, broker.Options{}))
	url := "http://" + a.server.Addr() + "/orders"
	r, err := http.NewRequestWithContext(a.ctx, http.MethodGet, url, nil)
	a.must(err)
	r.Header.Set("Authorization", signature(url, "all", keys["all"].Secret, time.Now().Add(time.Hour)))
	if response, text := a.do(r); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

func TestAClientThatPrefersHTTP2GetsHTTP1(t *testing.T) {
	s := start(t, broker.Options{TLS: &tls.Config{
		Certificates: certificate().TLS.Certificates, NextProtos: []string{"h2", "http/1.1"},
	}})
	response, text := newAdminRig(t, s).request(http.MethodGet, "/orders", "all", "") // its transport offers h2
	if response.Proto != "HTTP/1.1" || response.StatusCode != http.StatusOK {
		t.Errorf("%s %d %s", response.Proto, response.StatusCode, text)
	}
}

func TestSomethingElseIsAnsweredAsHTTP(t *testing.T) {
	conn := dialTCP(t, start(t, broker.Options{}))
	if _, err := io.WriteString(conn, "SSH-2.0-client\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusBadRequest {
		t.Errorf("response %v, error %v", response, err)
	}
}

func TestAHeaderThatNeverEndsIsRefused(t *testing.T) {
	conn := dialTCP(t, start(t, broker.Options{}))
	go func() {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n")
		for {
			if _, err := io.WriteString(conn, "X: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"); err != nil {
				return
			}
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("response %v, error %v", response, err)
	}
}

func TestCloseEndsHTTPConnections(t *testing.T) {
	for _, c := range []struct{ name, sent string }{
		{"that are silent", ""},
		{"in the middle of a header", "GET /orders HTT"},
		{"that wait for their next request", "GET /orders HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"in the middle of a body", "PUT /orders HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 1000\r\n\r\n<entry>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, broker.Options{AcceptJWT: true})
			conn := dialTCP(t, s)
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			if c.name == "that wait for their next request" {
				if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("close took %v", took)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is open")
			}
		})
	}
}

func dialTCP(t testing.TB, s *broker.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}
