package certificate_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/certificate"
)

func authority(t *testing.T, name string) *certificate.Authority {
	t.Helper()
	a, err := certificate.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// handshake connects a client that trusts an authority to a server, as if it had dialled name.
func handshake(t *testing.T, trusted []byte, server *tls.Certificate, name string) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(trusted) {
		t.Fatal("the authority's PEM holds no certificate")
	}
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		conn := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{*server}})
		if conn.Handshake() == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	return tls.Client(near, &tls.Config{RootCAs: roots, ServerName: name}).Handshake()
}

func TestAServerIsTrustedUnderItsNamesByWhoTrustsTheAuthority(t *testing.T) {
	a := authority(t, "test")
	server, err := a.Server("localhost", "127.0.0.1", "::1", "localhost:5671", "bus.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, trusted := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true, "localhost:5671": true, "bus.example": true,
		"localhost:5672": false, "127.0.0.2": false, "other.example": false,
	} {
		if err := handshake(t, a.PEM(), server, name); (err == nil) != trusted {
			t.Errorf("as %s: %v, want trusted: %v", name, err, trusted)
		}
	}
	if err := handshake(t, authority(t, "test").PEM(), server, "localhost"); err == nil {
		t.Error("another authority of the same name is enough to trust the server")
	}
}

func TestAnAuthorityThatWasKeptSignsOn(t *testing.T) {
	first := authority(t, "test")
	key, err := first.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := certificate.ParseAuthority(first.PEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	server, err := again.Server("localhost")
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, first.PEM(), server, "localhost"); err != nil {
		t.Errorf("who trusts the authority does not trust what it signed later: %v", err)
	}
}

func TestWhatIsNoAuthorityIsRefused(t *testing.T) {
	a, b := authority(t, "a"), authority(t, "b")
	key, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2][]byte{
		"no PEM":                        {[]byte("hello"), []byte("world")},
		"nothing":                       {nil, nil},
		"the key of another":            {a.PEM(), key},
		"a certificate that lost bytes": {b.PEM()[:100], key},
	} {
		if _, err := certificate.ParseAuthority(pair[0], pair[1]); err == nil || !strings.Contains(err.Error(), "read an authority") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
