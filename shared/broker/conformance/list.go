package main

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// test is one line of tests.txt: a live test of the SDK, and what the broker owes it.
type test struct {
	pkg  string // the last element of the package path
	name string
	// omitted says why the test is left out; "" if it has to pass.
	omitted string
}

func (t test) String() string { return t.pkg + "." + t.name }

// parseTests reads the list. A line is "pass PACKAGE TEST" or "omit PACKAGE TEST REASON", where the reason is the rest of
// the line; empty lines and lines that start with # do not count. No test may stand twice.
func parseTests(text string) ([]test, error) {
	var tests []test
	seen := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		verb, rest := fields[0], fields[1:]
		switch {
		case verb == "pass" && len(rest) == 2:
			tests = append(tests, test{pkg: rest[0], name: rest[1]})
		case verb == "omit" && len(rest) > 2:
			tests = append(tests, test{pkg: rest[0], name: rest[1], omitted: strings.Join(rest[2:], " ")})
		default:
			return nil, fmt.Errorf("line %d: %q is neither \"pass PACKAGE TEST\" nor \"omit PACKAGE TEST REASON\"", n, line)
		}
		key := tests[len(tests)-1].String()
		if seen[key] {
			return nil, fmt.Errorf("line %d: %s stands there twice", n, key)
		}
		seen[key] = true
	}
	return tests, lines.Err()
}

// compare holds the list against the live tests the SDK has; its error names every difference.
func compare(tests []test, live []string) error {
	var errs []error
	var listed []string
	for _, t := range tests {
		listed = append(listed, t.String())
		if !slices.Contains(live, t.String()) {
			errs = append(errs, fmt.Errorf("%s is listed but is no live test of the SDK: remove the line", t))
		}
	}
	for _, name := range live {
		if !slices.Contains(listed, name) {
			errs = append(errs, fmt.Errorf("%s is a live test that is not listed: let it pass, or leave it out with a reason", name))
		}
	}
	return errors.Join(errs...)
}

// selected are the tests that have to pass and whose name matches.
func selected(tests []test, name *regexp.Regexp) []test {
	var wanted []test
	for _, t := range tests {
		if t.omitted == "" && name.MatchString(t.name) {
			wanted = append(wanted, t)
		}
	}
	return wanted
}
