package cli

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/certificate"
)

// What broker writes, beside what it stores.
const (
	connectionFile = "connection-string"
	keysFolder     = "keys"
	tlsFolder      = "tls"
	authorityFile  = "authority.pem"
)

// rootKey is the key that every namespace of Service Bus has.
const rootKey = "RootManageSharedAccessKey"

// keepRootKey reads the secret of the root key from its file, and makes it on first use.
func keepRootKey(dir string) (broker.Key, error) {
	key := broker.Key{Manage: true}
	text, err := keep(filepath.Join(dir, keysFolder), rootKey, func() ([]byte, error) {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return []byte(base64.StdEncoding.EncodeToString(secret) + "\n"), nil
	})
	if err != nil {
		return key, err
	}
	if key.Secret = strings.TrimSpace(string(text)); key.Secret == "" {
		return key, fmt.Errorf("%s is empty; delete it to get a new key", filepath.Join(dir, keysFolder, rootKey))
	}
	return key, nil
}

// keep reads a file, and makes it on first use, mode 0600. Of two programs that make it at once, both read that of the first.
func keep(dir, name string, make func() ([]byte, error)) ([]byte, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = make(); err != nil {
		return nil, err
	}
	draft := "." + name + "." + rand.Text()
	if err := keepFile(dir, draft, text); err != nil {
		return nil, err
	}
	defer os.Remove(filepath.Join(dir, draft))
	if err := os.Link(filepath.Join(dir, draft), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	return os.ReadFile(path)
}

// keepFile writes a file for its owner alone, whole or not at all. The folder is made when missing.
func keepFile(dir, name string, text []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	draft := filepath.Join(dir, "."+name)
	if err := os.WriteFile(draft, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(draft, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// connectionString is what a client needs to connect in plain text with the root key.
func connectionString(server *broker.Server, key broker.Key) string {
	return fmt.Sprintf("Endpoint=sb://%s;SharedAccessKeyName=%s;SharedAccessKey=%s;UseDevelopmentEmulator=true",
		reachable(server.Addr()), rootKey, key.Secret)
}

// reachable is an address at which a client on this machine reaches who listens on addr.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && net.ParseIP(host).IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

// certificate gives what makes the certificate for TLS, once: that of the options, or one that an authority in the
// folder signs for the address the server listens on by then.
func (o brokerOptions) certificate(dir string, addr func() string) (func() (*tls.Certificate, error), error) {
	if o.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
		if err != nil {
			return nil, fmt.Errorf("read --tls-cert and --tls-key: %w", err)
		}
		return func() (*tls.Certificate, error) { return &pair, nil }, nil
	}
	authority, err := keepAuthority(filepath.Join(dir, tlsFolder))
	if err != nil {
		return nil, err
	}
	return sync.OnceValues(func() (*tls.Certificate, error) { return authority.Server(names(o.listen, addr())...) }), nil
}

// names are those under which clients reach a server: on this machine, and under the host it was told to listen on.
// Those with a port are for azservicebus, which looks for the endpoint as a whole when it comes with a token credential.
func names(listen, addr string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	_, port, _ := net.SplitHostPort(addr)
	if host, _, _ := net.SplitHostPort(listen); host != "" && !slices.Contains(names, host) {
		names = append(names, host)
	}
	for _, host := range slices.Clone(names) {
		names = append(names, net.JoinHostPort(host, port))
	}
	return names
}

// keepAuthority reads the authority in a folder, and makes it on first use: who trusts it need not be told again. Its key
// and its certificate are in one file, and the certificate alone in another, for clients.
func keepAuthority(dir string) (*certificate.Authority, error) {
	text, err := keep(dir, authorityFile, func() ([]byte, error) {
		authority, err := certificate.NewAuthority("tenantsync broker")
		if err != nil {
			return nil, err
		}
		key, err := authority.KeyPEM()
		return append(key, authority.PEM()...), err
	})
	if err != nil {
		return nil, err
	}
	authority, err := certificate.ParseAuthority(text, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; delete it to get a new one", filepath.Join(dir, authorityFile), err)
	}
	return authority, keepFile(dir, caFile, authority.PEM())
}
