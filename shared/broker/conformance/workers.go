package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// result is what became of one test.
type result struct {
	test    test
	failure error // nil if it passed
	output  string
	elapsed time.Duration
}

// runner is what all workers share.
type runner struct {
	sdk     *sdk
	ca      *authority
	env     []string // of every test
	options options
}

// runTests runs every test once and prints a line for each as it ends. Its error is about the tests that could not be
// run; that of a test is in its result.
func runTests(ctx context.Context, s *sdk, tests []test, o options, stdout io.Writer) ([]result, error) {
	dir := filepath.Dir(s.faultInjector)
	ca, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	identity, err := openIdentity(ca)
	if err != nil {
		return nil, err
	}
	defer identity.close()
	r := &runner{sdk: s, ca: ca, options: o, env: append(identity.environment(),
		"SSL_CERT_FILE="+ca.file, "AMQP_FAULT_INJECTOR_PATH="+s.faultInjector, "HOME="+dir, "TMPDIR="+dir)}

	queue, done := make(chan test, len(tests)), make(chan result)
	for _, t := range tests {
		queue <- t
	}
	close(queue)
	failed := make([]error, min(o.workers, len(tests)))
	var workers sync.WaitGroup
	for id := range failed {
		workers.Go(func() { failed[id] = r.work(ctx, id, queue, done) })
	}
	go func() {
		workers.Wait()
		close(done)
	}()
	var results []result
	for r := range done {
		results = append(results, r)
		announce(stdout, r, o.verbose)
	}
	return results, errors.Join(append(failed, ctx.Err())...)
}

// work runs tests from the queue against a namespace of its own, until there are no more.
func (r *runner) work(ctx context.Context, id int, queue <-chan test, done chan<- result) (err error) {
	data := r.options.data
	if data != "" {
		data = filepath.Join(data, strconv.Itoa(id))
		if err := os.MkdirAll(data, 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
	}
	n, err := openNamespace(r.ca, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	env := append(n.environment(), r.env...)
	for t := range queue {
		if ctx.Err() != nil {
			return nil
		}
		started := time.Now()
		outcome := r.sdk.execute(ctx, r.sdk.packages[t.pkg], env, "-test.run=^"+t.name+"$", "-test.timeout="+r.options.timeout.String())
		done <- result{test: t, failure: outcome.judge(t.name), output: outcome.output, elapsed: time.Since(started)}
	}
	return nil
}
