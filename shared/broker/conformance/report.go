package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// announce prints a line for a test that has ended, and its output if it failed or is asked for.
func announce(w io.Writer, r result, verbose bool) {
	if r.failure == nil {
		fmt.Fprintf(w, "pass  %-70s %5.1f s\n", r.test, r.elapsed.Seconds())
		if verbose {
			fmt.Fprintln(w, indent(r.output))
		}
		return
	}
	fmt.Fprintf(w, "FAIL  %-70s %5.1f s  %v\n", r.test, r.elapsed.Seconds(), r.failure)
	output := tail(r.output)
	if verbose {
		output = r.output
	}
	fmt.Fprintln(w, indent(output))
}

func indent(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      ")
}

// report prints a table of all packages, and the names of the tests that failed.
func report(w io.Writer, tests []test, results []result) {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\npackage\thave to pass\tpassed\tfailed\tleft out")
	for _, pkg := range packageNames(tests) {
		var required, passed, failed int
		omitted := map[string]int{}
		for _, t := range tests {
			switch {
			case t.pkg != pkg:
			case t.omitted != "":
				omitted[t.omitted]++
			default:
				required++
			}
		}
		for _, r := range results {
			switch {
			case r.test.pkg != pkg:
			case r.failure == nil:
				passed++
			default:
				failed++
			}
		}
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(omitted)) {
			reasons = append(reasons, fmt.Sprintf("%d %s", omitted[reason], reason))
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\n", pkg, required, passed, failed, strings.Join(reasons, ", "))
	}
	_ = table.Flush()
	fmt.Fprintln(w)
	for _, r := range results {
		if r.failure != nil {
			fmt.Fprintf(w, "FAIL  %s  %v\n", r.test, r.failure)
		}
	}
}

// packageNames are the packages of the tests in the order of the list.
func packageNames(tests []test) []string {
	var names []string
	for _, t := range tests {
		if !slices.Contains(names, t.pkg) {
			names = append(names, t.pkg)
		}
	}
	return names
}

// verdict is the error of the whole command: nothing ran, or something failed.
func verdict(results []result) error {
	failed := 0
	for _, r := range results {
		if r.failure != nil {
			failed++
		}
	}
	switch {
	case len(results) == 0:
		return fmt.Errorf("no test ran")
	case failed > 0:
		return fmt.Errorf("%d of %d tests failed", failed, len(results))
	}
	return nil
}
