package main

import (
	"errors"
	"strings"
	"testing"
)

func TestATestPassesOnlyIfAllOfItRan(t *testing.T) {
	pass := func(name string) event { return event{Action: "pass", Test: name} }
	for _, c := range []struct {
		name    string
		outcome outcome
		want    string // the start of the error, "" for none
	}{
		{"it passed", outcome{events: []event{pass("TestA/sub"), pass("TestA"), {Action: "pass"}}}, ""},
		{"nothing ran", outcome{events: []event{{Action: "pass"}}}, "did not run"},
		{"only a test with a longer name ran", outcome{events: []event{pass("TestAB")}}, "did not run"},
		{"it skipped", outcome{events: []event{{Action: "skip", Test: "TestA"}}}, "skipped: TestA"},
		{"a subtest skipped", outcome{events: []event{{Action: "skip", Test: "TestA/sub"}, pass("TestA")}}, "skipped: TestA/sub"},
		{"it failed", outcome{events: []event{{Action: "fail", Test: "TestA"}}, err: errors.New("exit status 1")}, "failed: exit status 1"},
		{"the process died after it", outcome{events: []event{pass("TestA")}, err: errors.New("exit status 2")}, "failed: exit status 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := c.outcome.judge("TestA"); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLongOutputIsCutToItsEnd(t *testing.T) {
	if got := tail("a\nb\n"); got != "a\nb" {
		t.Errorf("short output: got %q", got)
	}
	got := tail(strings.Repeat("x\n", 100) + "last\n")
	if !strings.HasPrefix(got, "... 21 lines before\nx\n") || !strings.HasSuffix(got, "x\nlast") {
		t.Errorf("long output: got %q", got)
	}
}

func TestOneFailureFailsTheWholeRun(t *testing.T) {
	if err := verdict(nil); err == nil {
		t.Error("a run without tests passes")
	}
	passed, failed := result{}, result{failure: errors.New("skipped")}
	if err := verdict([]result{passed, passed}); err != nil {
		t.Errorf("two tests that passed: %v", err)
	}
	if err := verdict([]result{passed, failed}); err == nil {
		t.Error("a run with a failure passes")
	}
}
