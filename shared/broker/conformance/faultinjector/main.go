// Command faultinjector stands between an AMQP client and its server and delays messages on their way to the client. The
// SDK's tests start it (internal/test/fault_injector_runner.go there gives the arguments) and connect to the address it
// writes to a file; they do not verify its certificate and end it when they are done.
//
//	faultinjector transfer_delay --after N --delay D --host HOST:PORT --address-file FILE [--cert DIR] [--logs DIR]
//
// transfer_delay is its one fault: on every connection the first N transfer frames of a queue pass, and each later one
// leaves D after it came, as do the frames behind it. Answers of $cbs and $management do not count.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// lifetime ends a process that nobody has ended: its test was killed.
const lifetime = 10 * time.Minute

func main() {
	time.AfterFunc(lifetime, func() { os.Exit(1) })
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "faultinjector:", err)
		os.Exit(1)
	}
}

// run serves until the process is ended.
func run(args []string) error {
	if len(args) == 0 || args[0] != "transfer_delay" {
		return errors.New("name the fault: transfer_delay")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	r := relay{}
	flags.IntVar(&r.after, "after", 0, "transfer frames that pass")
	flags.DurationVar(&r.delay, "delay", 0, "delay of all later ones")
	flags.StringVar(&r.host, "host", "", "the server")
	addressFile := flags.String("address-file", "", "gets the address to connect to")
	flags.String("cert", "", "not used: the certificate stays in memory")
	flags.String("logs", "", "not used: there are no logs")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*certificate}})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := os.WriteFile(*addressFile, []byte(listener.Addr().String()), 0o600); err != nil {
		return fmt.Errorf("write the address: %w", err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go r.serve(client)
	}
}

// dial connects to the server, whose certificate is for host and port, as the SDK has it.
func dial(host string) (net.Conn, error) {
	return tls.Dial("tcp", host, &tls.Config{ServerName: host})
}

func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
