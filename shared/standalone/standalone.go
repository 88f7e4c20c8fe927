// Package standalone hosts the functions in one process: an HTTP server, timers and queue receivers.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/functions"
	"github.com/tenantsync/tenantsync/shared/change"
)

// DefaultConcurrency is how many messages of a queue are worked on at once. Bulk work has a quarter of that.
const (
	DefaultConcurrency = 16
	bulkShare          = 4
)

// drainTime is how long work in progress may go on after the order to stop. It is over the longest lease.
const drainTime = 30 * time.Second

// Receiver hands over locked messages. Receive blocks until there is at least one, or ctx ends.
type Receiver interface {
	Receive(ctx context.Context, queue string, atMost int) ([]change.Delivery, error)
}

// Host feeds a table of functions.
type Host struct {
	Functions []functions.Function
	Receiver  Receiver
	// AdminKey opens keyed functions (header x-functions-key or ?code=). While it is empty they stay closed.
	AdminKey string
	// Concurrency per queue; 0 is DefaultConcurrency.
	Concurrency int
	Log         *slog.Logger
}

// Run serves on ln until ctx ends, then lets work in progress finish. The listener answers before anything else happens.
func (h *Host) Run(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           h.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(h.Log.Handler(), slog.LevelWarn),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Work outlives the order to stop, for a while: whatever is half done is finished and settled.
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	var running sync.WaitGroup
	for _, f := range h.Functions {
		switch {
		case f.Timer != nil:
			running.Go(func() { h.runTimer(ctx, work, f.Name, *f.Timer) })
		case f.Queue != nil:
			running.Go(func() { h.runQueue(ctx, work, f.Name, *f.Queue) })
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		cancel()
	}
	return errors.Join(err, h.drain(server, &running, abort))
}

// drain stops the server and waits for work in progress; what is not done in time is aborted.
func (h *Host) drain(server *http.Server, running *sync.WaitGroup, abort func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := server.Shutdown(ctx)
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		abort()
		<-done
	}
	if err != nil {
		return fmt.Errorf("stop serving: %w", errors.Join(err, server.Close()))
	}
	return nil
}

// Handler serves the HTTP functions below /api/, and / for those who ask whether anybody is there.
func (h *Host) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("tenantsync is here\n"))
	})
	for _, f := range h.Functions {
		if f.HTTP == nil {
			continue
		}
		handler := f.HTTP.Handler
		if f.HTTP.Keyed {
			handler = keyed(h.AdminKey, handler)
		}
		mux.Handle("/api/"+f.HTTP.Route, handler)
	}
	return mux
}
