package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

func message(body string) *sb.Message { return &sb.Message{Body: []byte(body)} }

func TestAnIdleConnectionIsKeptAlive(t *testing.T) {
	const idle = 400 * time.Millisecond // the client ends a connection that is silent for so long
	s := start(t, broker.Options{})
	conn, err := goamqp.Dial(t.Context(), "amqp://"+s.Addr(), &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous(), IdleTimeout: idle})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	select {
	case <-conn.Done():
		t.Fatalf("the connection ended: %v", conn.Err())
	case <-time.After(3 * idle):
	}
	if _, err := conn.NewSession(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestASilentClientIsDisconnected(t *testing.T) {
	s := start(t, broker.Options{IdleTimeout: 200 * time.Millisecond})
	w := dialWire(t, s, 1<<16, 100)
	if p, _ := w.read(); p.(*amqp.Close).Error.Condition != "amqp:connection:forced" {
		t.Errorf("closed with %v", p.(*amqp.Close).Error)
	}
}

func TestClientsRecoverWhenTheBrokerStartsAnew(t *testing.T) {
	s := start(t, broker.Options{})
	r := connect(t, s, "all")
	sender, recv := r.sender(), r.receiver(nil)
	r.must(sender.SendMessage(r.ctx, message("before"), nil))
	r.must(recv.CompleteMessage(r.ctx, r.receive(recv, 1)[0], nil))

	addr := s.Addr()
	r.must(s.Close())
	r.server = newServer(t, broker.Options{})
	r.must(r.server.Listen(addr))

	r.must(sender.SendMessage(r.ctx, message("after"), nil))
	m := r.receive(recv, 1)[0]
	r.must(recv.CompleteMessage(r.ctx, m, nil))
	if string(m.Body) != "after" {
		t.Errorf("received %s", m.Body)
	}
	r.want(broker.Counts{})
}

func TestCloseTellsClientsAndReturnsSoon(t *testing.T) {
	s := start(t, broker.Options{})
	conn := dial(t, s, nil)
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("close took %v", took)
	}
	<-conn.Done()
	var reason *goamqp.ConnError
	if err := conn.Err(); !errors.As(err, &reason) || reason.RemoteErr == nil || reason.RemoteErr.Condition != "amqp:connection:forced" {
		t.Errorf("the client saw %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("a closed server listens")
	}
}

func TestTLSAndPlainTextShareAPort(t *testing.T) {
	certificate := httptest.NewTLSServer(nil) // only for its certificate, of example.com
	defer certificate.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Certificate())
	s := start(t, broker.Options{TLS: &tls.Config{Certificates: certificate.TLS.Certificates}})
	conn, err := goamqp.Dial(t.Context(), "amqps://"+s.Addr(), &goamqp.ConnOptions{
		SASLType: goamqp.SASLTypeAnonymous(), TLSConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connect(t, s, "all").send("1")
}

func TestTLSIsRefusedWhereItIsNotConfigured(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := goamqp.Dial(ctx, "amqps://"+start(t, broker.Options{}).Addr(), &goamqp.ConnOptions{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err == nil || ctx.Err() != nil {
		t.Errorf("dial: %v", err)
	}
}

func TestManyReceiversShareAQueueAndLoseNothing(t *testing.T) {
	const messages, receivers = 600, 6
	r := setup(t, broker.QueueConfig{})
	var mu sync.Mutex
	got := map[string]int{}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	var workers sync.WaitGroup
	for range receivers {
		recv := connect(t, r.server, "all").receiver(nil)
		workers.Go(func() {
			for ctx.Err() == nil {
				batch, _ := recv.ReceiveMessages(ctx, 5, nil)
				for _, m := range batch {
					if err := recv.CompleteMessage(r.ctx, m, nil); err != nil {
						t.Error(err)
					}
					mu.Lock()
					got[string(m.Body)]++
					if len(got) == messages {
						cancel()
					}
					mu.Unlock()
				}
			}
		})
	}
	s := r.sender()
	for i := range messages {
		r.must(s.SendMessage(r.ctx, message(fmt.Sprint(i)), nil))
	}
	workers.Wait()
	for body, n := range got {
		if n != 1 {
			t.Errorf("message %s was completed %d times", body, n)
		}
	}
	r.eventually(broker.Counts{})
}
