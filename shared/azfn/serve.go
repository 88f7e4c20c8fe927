package azfn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Timeouts of the server. The host keeps its connections for a minute or more and must never meet one that we are
// just closing; how long an answer may take is the business of the function.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 5 * time.Minute
	shutdownTimeout   = 10 * time.Second
)

// Listen begins to accept connections of the host on 127.0.0.1:port (FUNCTIONS_CUSTOMHANDLER_PORT). They wait until
// Serve answers them.
func Listen(ctx context.Context, port string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("listen for the Functions host: %w", err)
	}
	return listener, nil
}

// Serve answers the host until ctx ends, then lets what is in flight finish for ten seconds at most, and returns nil. The
// host itself never asks: it kills. A program that ends by itself must not exit with 0 there, for the host does not start
// it again then.
func Serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the Functions host: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("stop serving the Functions host: %w", errors.Join(err, server.Close()))
	}
	return nil
}
