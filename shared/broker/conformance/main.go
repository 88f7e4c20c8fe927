// Command conformance proves the broker with somebody else's tests: it runs the live tests of the Azure SDK for Go, which
// were written against Azure Service Bus, unmodified from the module cache at the version this repository pins.
//
// It decides which of those tests the broker has to pass: tests.txt names every live test of the packages and says
// "pass", or "omit" with the reason. The command fails when a test that has to pass fails, skips itself or does not run,
// and when the SDK has a live test that the list does not know, so that an upgrade cannot add tests unnoticed.
//
// Each worker has a broker of its own and runs one test at a time, in a process of its own.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

//go:embed tests.txt
var testsFile string

// options are what the command line asks for.
type options struct {
	run     *regexp.Regexp
	data    string
	workers int
	timeout time.Duration
	verbose bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	run := flags.String("run", "", "run only the tests whose name matches this `regexp`")
	flags.StringVar(&o.data, "data", "", "keep the queues in this `directory`; without it they are in memory")
	flags.IntVar(&o.workers, "workers", 4, "tests to run at the same time, each against a broker of its own")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "time one test may take")
	flags.BoolVar(&o.verbose, "v", false, "print the output of every test, not only of those that fail")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.run, err = regexp.Compile(*run); err != nil {
		return o, fmt.Errorf("read -run: %w", err)
	}
	if o.workers < 1 {
		return o, fmt.Errorf("%d workers: give at least one", o.workers)
	}
	return o, nil
}

// run is the command: build, compare the list with the SDK, run what has to pass, report.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	tests, err := parseTests(testsFile)
	if err != nil {
		return fmt.Errorf("read tests.txt: %w", err)
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return fmt.Errorf("make a working directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.data == "" {
		fmt.Fprintln(stdout, "queues in memory")
	} else if o.data, err = filepath.Abs(o.data); err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	} else {
		fmt.Fprintln(stdout, "queues in", o.data)
	}

	started := time.Now()
	sdk, err := buildSDK(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "built the tests of azservicebus %s in %.0f s\n", sdk.version, time.Since(started).Seconds())
	live, err := sdk.liveTests(ctx)
	if err != nil {
		return err
	}
	if err := compare(tests, live); err != nil {
		return fmt.Errorf("tests.txt does not fit azservicebus %s:\n%w", sdk.version, err)
	}

	results, err := runTests(ctx, sdk, selected(tests, o.run), o, stdout)
	if err != nil {
		return err
	}
	report(stdout, tests, results)
	fmt.Fprintf(stdout, "%.0f s in all\n", time.Since(started).Seconds())
	return verdict(results)
}
