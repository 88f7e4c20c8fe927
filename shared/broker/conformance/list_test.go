package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestAListIsReadLineByLine(t *testing.T) {
	got, err := parseTests("# comment\n\npass admin TestA\nomit internal TestB topics, for its set-up\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []test{{pkg: "admin", name: "TestA"}, {pkg: "internal", name: "TestB", omitted: "topics, for its set-up"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAListWithAMistakeIsRefusedWithItsLine(t *testing.T) {
	for name, text := range map[string]string{
		"unknown verb":         "pass p TestA\nmaybe p TestB",
		"no package":           "pass p TestA\npass TestB",
		"left out, no reason":  "pass p TestA\nomit p TestB",
		"pass with a reason":   "pass p TestA\npass p TestB because",
		"twice":                "pass p TestA\npass p TestA",
		"twice, contradictory": "pass p TestA\nomit p TestA sessions",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseTests(text); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
				t.Errorf("got error %v, want one for line 2", err)
			}
		})
	}
}

func TestAListMustFitTheLiveTestsOfTheSDK(t *testing.T) {
	list := []test{{pkg: "p", name: "TestKept"}, {pkg: "p", name: "TestLeftOut", omitted: "topics"}, {pkg: "p", name: "TestGone"}}
	if err := compare(list, []string{"p.TestKept", "p.TestLeftOut", "p.TestGone"}); err != nil {
		t.Errorf("the same tests: got error %v", err)
	}
	err := compare(list, []string{"p.TestKept", "p.TestLeftOut", "p.TestNew"})
	if err == nil {
		t.Fatal("different tests: got no error")
	}
	for _, name := range []string{"p.TestGone is listed but", "p.TestNew is a live test that is not listed"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not say %q: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "TestKept") || strings.Contains(err.Error(), "TestLeftOut") {
		t.Errorf("the error names tests that fit: %v", err)
	}
}

func TestWhatIsLeftOutNeverRuns(t *testing.T) {
	list := []test{{pkg: "p", name: "TestA"}, {pkg: "p", name: "TestAB", omitted: "topics"}, {pkg: "p", name: "TestC"}}
	if got := selected(list, regexp.MustCompile("A")); len(got) != 1 || got[0].name != "TestA" {
		t.Errorf("selected %v, want TestA", got)
	}
}

// The reader of the README learns what is left out, and why, from the list that counts.
func TestTheREADMENamesEveryTestThatIsLeftOut(t *testing.T) {
	list, err := parseTests(testsFile)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| package | test | why |\n| --- | --- | --- |\n")
	for _, l := range list {
		if l.omitted != "" {
			fmt.Fprintf(&want, "| %s | %s | %s |\n", l.pkg, l.name, l.omitted)
		}
	}
	if !strings.Contains(string(readme), want.String()+"\n") {
		t.Errorf("put this table into README.md:\n\n%s", want.String())
	}
}
