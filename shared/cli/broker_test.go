package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"github.com/tenantsync/tenantsync/shared/certificate"
)

// transcript is what a program says while it runs. Safe for concurrent use.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// runningBroker is `tenantsync broker` in this process.
type runningBroker struct {
	said *transcript
	stop func()
	// What it tells a person.
	addr, connection, ca string
}

var told = regexp.MustCompile(`ready at (\S+) .*\n  connection string   (.+)\n(?:  authority to trust  (.+)\n)?  export `)

// startBroker runs `tenantsync broker` on a free port until stop or the end of the test, and returns once it is ready.
func startBroker(t *testing.T, args ...string) *runningBroker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &runningBroker{said: &transcript{}}
	ended := make(chan int, 1)
	go func() {
		program := Program{Getenv: environment{}.get, Stdout: io.Discard, Stderr: b.said}
		ended <- program.Run(ctx, append([]string{"broker", "--listen", "127.0.0.1:0"}, args...))
	}()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("interrupted, the broker ended with %d and says %s", code, b.said)
		}
	})
	t.Cleanup(b.stop)
	for range 1000 {
		if m := told.FindStringSubmatch(b.said.String()); m != nil {
			b.addr, b.connection, b.ca = m[1], read(t, m[2]), m[3]
			return b
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the broker is not ready within five seconds; it says %s", b.said)
	return nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// dial is a client as anybody has it. With an authority to trust it speaks TLS.
func dial(t *testing.T, connection, ca string) *azservicebus.Client {
	t.Helper()
	options := &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{MaxRetries: -1}}
	if ca != "" {
		connection = strings.TrimSuffix(connection, ";UseDevelopmentEmulator=true")
		options.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		options.TLSConfig.RootCAs.AppendCertsFromPEM([]byte(read(t, ca)))
	}
	client, err := azservicebus.NewClientFromConnectionString(connection, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(context.Background()) })
	return client
}

func send(t *testing.T, client *azservicebus.Client, queue, text string) error {
	t.Helper()
	sender, err := client.NewSender(queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sender.SendMessage(t.Context(), &azservicebus.Message{Body: []byte(text)}, nil)
}

func receive(t *testing.T, client *azservicebus.Client, queue string) (text string) {
	t.Helper()
	receiver, err := client.NewReceiverForQueue(queue, &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	messages, err := receiver.ReceiveMessages(ctx, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(messages[0].Body)
}

const ordersFile = "queues:\n  - name: orders\n"

func TestBrokerKeepsMessagesItsKeyAndItsAuthorityInTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there yet")
	first := startBroker(t, "--dir", dir, "--queues", write(t, ordersFile))
	if !strings.Contains(first.said.String(), "with 1 queue\n") || strings.Contains(first.said.String(), "memory") {
		t.Errorf("it says %s", first.said)
	}
	if err := send(t, dial(t, first.connection, ""), "orders", "before"); err != nil {
		t.Fatal(err)
	}
	first.stop()

	again := startBroker(t, "--dir", dir) // without the file: the queue is there
	if got := receive(t, dial(t, again.connection, first.ca), "orders"); got != "before" {
		t.Errorf("the message is %q", got)
	}
	if withoutAddress(first.connection) != withoutAddress(again.connection) {
		t.Error("the key has changed")
	}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: it is for its owner only", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func withoutAddress(connection string) string {
	_, rest, _ := strings.Cut(connection, ";")
	return rest
}

func TestBrokerWithoutAFolderSaysSoAndLeavesNothingBehind(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	b := startBroker(t, "--queues", write(t, ordersFile))
	if !strings.Contains(b.said.String(), "messages are in memory and lost at the end; give --dir DIR to keep them\n") {
		t.Errorf("it says %s", b.said)
	}
	if err := send(t, dial(t, b.connection, b.ca), "orders", "hello"); err != nil {
		t.Errorf("send: %v", err)
	}
	if got := receive(t, dial(t, b.connection, ""), "orders"); got != "hello" {
		t.Errorf("the message is %q", got)
	}
	b.stop()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v behind (%v)", left, err)
	}
}

func TestTheExampleOfBrokerSetsWhatServeReads(t *testing.T) {
	b := startBroker(t, "--dir", filepath.Join(t.TempDir(), `it's a "dir" with $HOME and spaces`))
	_, example, _ := strings.Cut(b.said.String(), "\n  export ")
	line, _, _ := strings.Cut(example, "\n")
	if e := source(t, write(t, "export "+line+"\n")); e["ServiceBusConnection"] != b.connection {
		t.Errorf("the shell makes %q of %s, want %q", e["ServiceBusConnection"], line, b.connection)
	}
}

func TestAKeyOfTheQueuesFileAllowsWhatItsRightsSay(t *testing.T) {
	b := startBroker(t, "--queues", write(t, ordersFile+`    keys:
      - {name: orders-only, secret: s1, rights: [Send]}
  - name: invoices
keys:
  - {name: sender, secret: s2, rights: [Send]}
  - {name: listener, secret: s3, rights: [Listen]}
`))
	as := func(name, secret string) *azservicebus.Client {
		endpoint, _, _ := strings.Cut(b.connection, ";")
		return dial(t, endpoint+";SharedAccessKeyName="+name+";SharedAccessKey="+secret+";UseDevelopmentEmulator=true", "")
	}
	for _, tt := range []struct {
		key, secret, queue string
		allowed            bool
	}{
		{"sender", "s2", "orders", true},
		{"sender", "s2", "invoices", true},
		{"sender", "s3", "orders", false},
		{"listener", "s3", "orders", false},
		{"orders-only", "s1", "orders", true},
		{"orders-only", "s1", "invoices", false},
	} {
		if err := send(t, as(tt.key, tt.secret), tt.queue, "hello"); (err == nil) != tt.allowed {
			t.Errorf("%s with %s sends to %s: %v, want allowed: %v", tt.key, tt.secret, tt.queue, err, tt.allowed)
		}
	}
}

// writePair writes a certificate and its key.
func writePair(t *testing.T) (cert, key string) {
	t.Helper()
	authority, err := certificate.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := authority.KeyPEM() // an authority may serve, too
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(authority.PEM())), write(t, string(keyPEM))
}

func TestQueuesAreMadeOverTheManagementAPI(t *testing.T) {
	b := startBroker(t)
	if !strings.Contains(b.said.String(), "with no queue yet; make some over the management API, or with --queues FILE\n") {
		t.Errorf("it says %s", b.said)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, b.ca)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := admin.NewClientFromConnectionString(b.connection, &admin.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateQueue(t.Context(), "orders", nil); err != nil {
		t.Fatal(err)
	}
	if err := send(t, dial(t, b.connection, ""), "orders", "hello"); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetQueueRuntimeProperties(t.Context(), "orders", nil)
	if err != nil || got == nil || got.ActiveMessageCount != 1 {
		t.Errorf("the queue is %+v, %v; want one message in it", got, err)
	}
}

func TestBrokerServesTheCertificateItIsGiven(t *testing.T) {
	cert, key := writePair(t)
	b := startBroker(t, "--tls-cert", cert, "--tls-key", key)
	conn, err := tls.Dial("tcp", b.addr, &tls.Config{InsecureSkipVerify: true}) // which certificate is the question
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if name := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "test authority" {
		t.Errorf("it shows the certificate of %q", name)
	}
	if b.ca != "" || strings.Contains(b.said.String(), "authority") {
		t.Errorf("it names an authority of its own: %s", b.said)
	}
}

func TestBrokerRefusesWrongUse(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an address for everybody", []string{"--listen", "0.0.0.0:0"}, "--listen 0.0.0.0:0 is reached by other machines"},
		{"an address for everybody, in short", []string{"--listen", ":0"}, "give --allow-remote if that network is yours alone"},
		{"the name of a host", []string{"--listen", "broker.example:5672"}, "give --allow-remote"},
		{"no address", []string{"--listen", "5672"}, "--listen 5672 is no address: address 5672: missing port in address; write one such as 127.0.0.1:5672"},
		{"a certificate without its key", []string{"--tls-cert", "cert.pem"}, "--tls-cert and --tls-key belong together"},
		{"a word too many", []string{"now"}, `unknown command "now"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, nil, append([]string{"broker"}, tt.args...)...)
			if code != exitInvalid || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, prints %q and %q; want 2 and %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

func TestBrokerSaysWhatKeepsItFromStarting(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, "--dir", dir)
	before := read(t, filepath.Join(dir, connectionFile))
	damaged := t.TempDir()
	if err := keepFile(filepath.Join(damaged, keysFolder), rootKey, []byte("\n")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"another broker in the folder", []string{"--dir", dir, "--listen", "127.0.0.1:0"}, "another process has it open; stop that one first, or use another directory"},
		{"another server on the port", []string{"--listen", b.addr}, "another process may have the port, choose one with --listen"},
		{"a certificate that is not there", []string{"--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"}, "read --tls-cert and --tls-key: open nowhere.pem"},
		{"a key that is empty", []string{"--dir", damaged}, "is empty; delete it to get a new key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := run(t, nil, append([]string{"broker"}, tt.args...)...)
			if code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d and %q; want 1 and %q", code, stderr, tt.want)
			}
		})
	}
	if after := read(t, filepath.Join(dir, connectionFile)); after != before {
		t.Error("who could not start has replaced the connection string of who runs")
	}
}

func TestADamagedAuthorityIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := keepFile(dir, authorityFile, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := keepAuthority(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, authorityFile)) || !strings.Contains(err.Error(), "delete it to get a new one") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func TestTheCertificateIsForEveryNameAClientUses(t *testing.T) {
	authority, err := keepAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	own, err := authority.Server(names("bus.example:5671", "10.1.2.3:5671")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "localhost:5671", "127.0.0.1:5671", "bus.example", "bus.example:5671"} {
		if err := own.Leaf.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoListensEverywhereIsReachedUnderAName(t *testing.T) {
	for addr, want := range map[string]string{"127.0.0.1:5672": "127.0.0.1:5672", "[::1]:5672": "[::1]:5672", "0.0.0.0:5672": "localhost:5672", "[::]:5672": "localhost:5672"} {
		if got := reachable(addr); got != want {
			t.Errorf("%s is reached at %s, want %s", addr, got, want)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example": false} {
		if got := loopback(host); got != want {
			t.Errorf("%q is loopback: %v, want %v", host, got, want)
		}
	}
}

func TestBrokerListensForOthersOnlyWhenTold(t *testing.T) {
	b := startBroker(t, "--listen", "0.0.0.0:0", "--allow-remote", "--queues", write(t, ordersFile))
	if !strings.Contains(b.said.String(), "who connects without TLS sends messages and tokens in the clear\n") {
		t.Errorf("it says %s", b.said)
	}
	if host, _, _ := net.SplitHostPort(b.addr); host != "localhost" {
		t.Errorf("it names the address %s, which no client can use", b.addr)
	}
	if err := send(t, dial(t, b.connection, b.ca), "orders", "hello"); err != nil {
		t.Error(err)
	}
}
