package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	// The packages whose tests run here. Their tests need more than the packages do: these imports make go.mod and go.sum
	// cover that, too.
	_ "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	_ "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

const (
	productModule = "github.com/tenantsync/tenantsync"
	sdkModule     = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// sdkPackages are the packages with live tests. internal is there because it is imported by the others.
var sdkPackages = []string{sdkModule, sdkModule + "/internal", sdkModule + "/admin"}

// sdk is the SDK's tests, compiled.
type sdk struct {
	version       string
	packages      map[string]testPackage // by the last element of the path
	faultInjector string                 // an executable, see faultinjector
	test2json     string                 // the executable that turns the output of a test into events
}

// testPackage is one compiled package of tests.
type testPackage struct {
	dir    string // its source in the module cache, where its tests expect to run
	binary string
}

// buildSDK compiles the tests into a directory. They are the files of the module cache, whose content the go command
// checks against go.sum. It refuses a version that is not the one the product uses.
func buildSDK(ctx context.Context, dir string) (*sdk, error) {
	s := &sdk{packages: map[string]testPackage{}, faultInjector: filepath.Join(dir, "faultinjector")}
	var err error
	if s.version, err = pinnedVersion(ctx); err != nil {
		return nil, err
	}
	if _, err := output(ctx, "go", append([]string{"test", "-c", "-o", dir + string(filepath.Separator)}, sdkPackages...)...); err != nil {
		return nil, fmt.Errorf("compile the tests: %w", err)
	}
	sources, err := output(ctx, "go", append([]string{"list", "-f", "{{.ImportPath}} {{.Dir}}"}, sdkPackages...)...)
	if err != nil {
		return nil, fmt.Errorf("find the sources of the tests: %w", err)
	}
	for line := range strings.Lines(sources) {
		importPath, source, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := path.Base(importPath)
		s.packages[name] = testPackage{dir: source, binary: filepath.Join(dir, name+".test")}
	}
	if _, err := output(ctx, "go", "build", "-o", s.faultInjector, "./faultinjector"); err != nil {
		return nil, fmt.Errorf("compile the fault injector: %w", err)
	}
	if s.test2json, err = output(ctx, "go", "tool", "-n", "test2json"); err != nil {
		return nil, fmt.Errorf("find test2json: %w", err)
	}
	s.test2json = strings.TrimSpace(s.test2json)
	return s, nil
}

// pinnedVersion is the SDK's version, if this module and the product's agree on it.
func pinnedVersion(ctx context.Context) (string, error) {
	product, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", productModule)
	if err != nil {
		return "", fmt.Errorf("find the product's module: %w", err)
	}
	pinned, err := output(ctx, "go", "-C", strings.TrimSpace(product), "list", "-m", "-f", "{{.Version}}", sdkModule)
	if err != nil {
		return "", fmt.Errorf("read the version the product uses: %w", err)
	}
	here, err := output(ctx, "go", "list", "-m", "-f", "{{.Version}}", sdkModule)
	if err != nil {
		return "", fmt.Errorf("read the version of the tests: %w", err)
	}
	if here != pinned {
		return "", fmt.Errorf("the product uses azservicebus %s, the tests are of %s: run go mod tidy here", strings.TrimSpace(pinned), strings.TrimSpace(here))
	}
	return strings.TrimSpace(here), nil
}

// liveTests are the tests that need a Service Bus, as PACKAGE.TEST. It finds them by running all tests in the mode in
// which there is none: those that need one skip, as a whole or in a subtest; all others are unit tests and have to pass.
func (s *sdk) liveTests(ctx context.Context) ([]string, error) {
	var live []string
	for name, p := range s.packages {
		outcome := s.execute(ctx, p, []string{"AZURE_RECORD_MODE=playback"})
		if outcome.err != nil {
			return nil, fmt.Errorf("run the unit tests of %s: %w\n%s", name, outcome.err, tail(outcome.output))
		}
		seen := map[string]bool{}
		for _, e := range outcome.events {
			if test, _, _ := strings.Cut(e.Test, "/"); e.Action == "skip" && !seen[test] {
				seen[test] = true
				live = append(live, name+"."+test)
			}
		}
	}
	slices.Sort(live)
	return live, nil
}

// output runs a command and returns what it prints; the error has what it complains about.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail(stderr.String()))
	}
	return stdout.String(), nil
}
