package main_test

import (
	"strings"
	"testing"
	"time"
)

func TestTheStoryComesOutRightInBadWeather(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "demo", "--hostile")
	select {
	case <-p.ended:
	case <-time.After(10 * time.Minute):
		t.Fatal("the story does not end")
	}
	text := p.stdout.String()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(text, "right: all 64 external users that must be in contoso are there, as they must be, and no other") {
		t.Fatalf("exit code %d", code)
	}
	if !strings.Contains(text, "  retry  ") {
		t.Error("nothing had to be tried again: the weather was not bad")
	}
}
