package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// event is what test2json makes of the output of a test (see go doc test2json).
type event struct {
	Action  string // run, output, pass, fail, skip, ...
	Test    string // with its subtest: Test/sub; "" for the whole package
	Output  string
	Elapsed float64 // seconds
}

// outcome is what became of one run of a test binary.
type outcome struct {
	events []event
	output string
	err    error // of the process
}

// execute runs a test binary in its package's directory with nothing in its environment but env, and reads its events.
func (s *sdk) execute(ctx context.Context, p testPackage, env []string, args ...string) outcome {
	cmd := exec.CommandContext(ctx, p.binary, append([]string{"-test.v=test2json"}, args...)...)
	cmd.Dir, cmd.Env = p.dir, env
	cmd.WaitDelay = time.Second // a program the test left behind may hold its output open
	var raw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &raw, &raw
	o := outcome{err: cmd.Run()}

	converter := exec.Command(s.test2json)
	converter.Stdin = &raw
	converted, err := converter.Output()
	if err != nil {
		o.err = errors.Join(o.err, fmt.Errorf("read the output of the test: %w", err))
	}
	var text strings.Builder
	for decoder := json.NewDecoder(bytes.NewReader(converted)); ; {
		var e event
		if err := decoder.Decode(&e); err != nil {
			if err != io.EOF {
				o.err = errors.Join(o.err, fmt.Errorf("read the events of the test: %w", err))
			}
			break
		}
		o.events = append(o.events, e)
		text.WriteString(e.Output)
	}
	o.output = text.String()
	return o
}

// judge says what is wrong with a run of the named test: nil only if it ran, passed, and neither it nor a subtest skipped.
func (o outcome) judge(name string) error {
	var skipped []string
	passed := false
	for _, e := range o.events {
		switch {
		case e.Action == "skip" && e.Test != "":
			skipped = append(skipped, e.Test)
		case e.Action == "pass" && e.Test == name:
			passed = true
		}
	}
	switch {
	case len(skipped) > 0:
		return fmt.Errorf("skipped: %s", strings.Join(skipped, ", "))
	case o.err != nil:
		return fmt.Errorf("failed: %w", o.err)
	case !passed:
		return errors.New("did not run")
	}
	return nil
}

// tailLines bounds what is printed of the output of one test.
const tailLines = 80

// tail is the end of a text, where tests say why they fail.
func tail(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if n := len(lines) - tailLines; n > 0 {
		lines = append([]string{fmt.Sprintf("... %d lines before", n)}, lines[n:]...)
	}
	return strings.Join(lines, "\n")
}
