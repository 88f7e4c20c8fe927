package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/broker"
)

type brokerOptions struct {
	dir, listen, queues string
	tlsCert, tlsKey     string
	allowRemote         bool
}

func (p Program) brokerCommand() *cobra.Command {
	var o brokerOptions
	c := &cobra.Command{
		Use:   "broker --dir DIR",
		Short: "Run a Service Bus compatible queue server until interrupted",
		Long: `Run a queue server that any client of Azure Service Bus can use, until interrupted: an emulator without a container.
AMQP, AMQP over WebSocket and the management API share one port, in plain text and over TLS. DIR holds

  broker.db           the queues and their messages
  connection-string   what a client needs, with the key RootManageSharedAccessKey
  tls/ca.pem          the certificate authority to trust, unless --tls-cert is given

Without --dir, messages are in memory, and the files in a folder that is removed at the end.
docs/broker.md describes the queues file, what is promised and what is not modelled.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.broker(c.Context(), o) },
	}
	c.Flags().StringVar(&o.dir, "dir", "", "`folder` to keep everything in; made when missing")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:5672", "`address` to listen on")
	c.Flags().StringVar(&o.queues, "queues", "", "YAML `file` with the queues to make")
	c.Flags().StringVar(&o.tlsCert, "tls-cert", "", "`file` with the certificate for TLS (PEM), instead of one that is made")
	c.Flags().StringVar(&o.tlsKey, "tls-key", "", "`file` with its key")
	c.Flags().BoolVar(&o.allowRemote, "allow-remote", false, "listen on an address that other machines reach, where clients without TLS are overheard")
	return c
}

// check refuses what the command line alone shows to be wrong.
func (o brokerOptions) check() error {
	host, _, err := net.SplitHostPort(o.listen)
	switch {
	case err != nil:
		return usage{fmt.Errorf("--listen %s is no address: %w; write one such as 127.0.0.1:5672", o.listen, err)}
	case !loopback(host) && !o.allowRemote:
		return usage{fmt.Errorf("--listen %s is reached by other machines, and clients may come without TLS; give --allow-remote if that network is yours alone", o.listen)}
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return usage{errors.New("--tls-cert and --tls-key belong together; give both or neither")}
	}
	return nil
}

// loopback reports whether a host to listen on is this machine's alone. A name is looked up by nobody.
func loopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

func (p Program) broker(ctx context.Context, o brokerOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	options := broker.Options{Dir: o.dir, Logger: p.logger()}
	if options.Queues, options.Keys, err = readQueues(o.queues); err != nil {
		return err
	}
	dir, err := o.folder()
	if err != nil {
		return err
	}
	if o.dir == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if options.Keys[rootKey], err = keepRootKey(dir); err != nil {
		return err
	}
	var server *broker.Server
	certificate, err := o.certificate(dir, func() string { return server.Addr() })
	if err != nil {
		return err
	}
	options.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() }}
	if server, err = broker.New(options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := server.Listen(o.listen); err != nil {
		return fmt.Errorf("%w; another process may have the port, choose one with --listen", err)
	}
	if _, err := certificate(); err != nil {
		return err
	}
	if err := keepFile(dir, connectionFile, []byte(connectionString(server, options.Keys[rootKey])+"\n")); err != nil {
		return err
	}
	p.welcome(o, dir, server)
	<-ctx.Done()
	return nil
}

// folder makes the folder for the files, as an absolute path, so that it can be printed for another terminal.
func (o brokerOptions) folder() (string, error) {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "tenantsync-broker-")
		if err != nil {
			return "", fmt.Errorf("make a folder: %w", err)
		}
		return dir, nil
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return "", fmt.Errorf("find the folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder: %w", err)
	}
	return dir, nil
}

// welcome tells a person what to do next.
func (p Program) welcome(o brokerOptions, dir string, server *broker.Server) {
	fmt.Fprintf(p.Stderr, "the broker is ready at %s with %s\n", reachable(server.Addr()), count(server.Queues()))
	fmt.Fprintf(p.Stderr, "  connection string   %s\n", filepath.Join(dir, connectionFile))
	if o.tlsCert == "" {
		fmt.Fprintf(p.Stderr, "  authority to trust  %s\n", filepath.Join(dir, tlsFolder, caFile))
	}
	fmt.Fprintf(p.Stderr, "  export ServiceBusConnection=\"$(cat %s)\"\n", quote(filepath.Join(dir, connectionFile)))
	if o.dir == "" {
		fmt.Fprintln(p.Stderr, "messages are in memory and lost at the end; give --dir DIR to keep them")
	}
	if o.allowRemote {
		fmt.Fprintln(p.Stderr, "other machines may reach it: who connects without TLS sends messages and tokens in the clear")
	}
}

// count is how many queues there are, and how to make some if there are none.
func count(queues []broker.QueueInfo) string {
	switch len(queues) {
	case 0:
		return "no queue yet; make some over the management API, or with --queues FILE"
	case 1:
		return "1 queue"
	}
	return fmt.Sprintf("%d queues", len(queues))
}
