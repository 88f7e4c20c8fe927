package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The borders between packages, kept by looking at what `go list` says and at the source itself. A rule that is broken
// prints every place where it is.

const module = "github.com/tenantsync/tenantsync"

// listed is one package, by its path below the module ("" is the program itself).
type listed struct {
	name    string
	imports []string // of what is not a test
	tests   []string // of its tests
	deps    []string // all that is linked with it
	files   []string // its source, without tests
}

// listPackages lists the packages of the module in the order of their paths. Build constraints are as for the program.
func listPackages(t *testing.T) []listed {
	t.Helper()
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir                                   string
			GoFiles, Imports, TestImports, XTestImports, Deps []string
		}
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("read what go list says: %v", err)
		}
		one := listed{name: short(p.ImportPath), imports: shorten(p.Imports), tests: shorten(append(p.TestImports, p.XTestImports...)), deps: shorten(p.Deps)}
		for _, file := range p.GoFiles {
			one.files = append(one.files, filepath.Join(p.Dir, file))
		}
		packages = append(packages, one)
	}
}

// short leaves the module out of its own import paths. A leading dot keeps them apart from the standard library: ./shared/tenant.
func short(importPath string) string {
	if importPath == module {
		return "."
	}
	if below, ok := strings.CutPrefix(importPath, module+"/"); ok {
		return "./" + below
	}
	return importPath
}

func shorten(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = short(p)
	}
	return out
}

// within reports whether a package is one of the roots or below one of them.
func within(name string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return name == root || strings.HasPrefix(name, root+"/") })
}

func ours(name string) bool { return within(name, ".") }

// standard reports whether an import is of the standard library: nothing else has no dot in its first element.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// testHelper reports whether a package exists for tests only: provisioningtest, storetest.
func testHelper(name string) bool { return ours(name) && strings.HasSuffix(path.Base(name), "test") }

// The packages that decide, and those that touch the world outside.
var (
	domainPackages = []string{"./shared/tenant", "./shared/change", "./shared/guard", "./shared/forecast", "./shared/mapping", "./shared/provisioning", "./shared/subscription", "./shared/outcome", "./shared/deadletter", "./shared/trust", "./shared/census", "./shared/sweep", "./shared/webhook", "./shared/status"}
	adapters       = []string{"./shared/graph", "./shared/servicebus", "./shared/sqlitestore", "./shared/azfn", "./shared/standalone", "./shared/broker", "./shared/entrasim"}
	simulators     = []string{"./shared/broker", "./shared/entrasim"}
)

const serviceBusSDK = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

var graphSDK = []string{"github.com/microsoftgraph", "github.com/microsoft"} // msgraph-sdk-go and kiota

func TestTheRulesNameRealPackages(t *testing.T) {
	var names []string
	for _, p := range listPackages(t) {
		names = append(names, p.name)
	}
	for _, name := range slices.Concat(domainPackages, adapters, []string{".", "./shared/config", "./shared/cli", "./shared/demo", "./shared/azfn/azfntest"}) {
		if !slices.Contains(names, name) {
			t.Errorf("there is no package %s: a rule about it keeps nothing", name)
		}
	}
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	packages := listPackages(t)
	for _, rule := range []struct {
		name      string
		forbidden func(from listed, to string) bool
	}{
		{"the domain imports the standard library and the domain; mapping also CEL, and what Unicode asks for", func(from listed, to string) bool {
			language := from.name == "./shared/mapping" && within(to, "cel.dev/cel-go", "golang.org/x/text")
			return within(from.name, domainPackages...) && !testHelper(from.name) && !standard(to) && !within(to, domainPackages...) && !language
		}},
		{"only shared/graph imports the Graph SDK, which takes minutes to compile", func(from listed, to string) bool {
			return within(to, graphSDK...) && from.name != "./shared/graph"
		}},
		{"only shared/servicebus imports azservicebus, and azfntest, which plays the host that receives", func(from listed, to string) bool {
			return within(to, serviceBusSDK) && from.name != "./shared/servicebus" && from.name != "./shared/azfn/azfntest"
		}},
		{"only adapters import an SDK of Azure", func(from listed, to string) bool {
			return within(to, "github.com/Azure") && !within(from.name, "./shared/graph", "./shared/servicebus", "./shared/azfn/azfntest")
		}},
		{"adapters never import each other, but for the bus that standalone brings along", func(from listed, to string) bool {
			embedded := from.name == "./shared/standalone" && to == "./shared/broker"
			return within(from.name, adapters...) && within(to, adapters...) && !sameAdapter(from.name, to) && !embedded
		}},
		{"functions know ports, never adapters", func(from listed, to string) bool {
			return within(from.name, "./functions") && within(to, adapters...)
		}},
		{"the simulators know nothing of the product", func(from listed, to string) bool {
			return within(from.name, simulators...) && ours(to) && !sameAdapter(from.name, to) && to != "./shared/certificate"
		}},
		{"entrasim is reached from the demo only", func(from listed, to string) bool {
			return within(to, "./shared/entrasim") && !within(from.name, "./shared/entrasim", "./shared/demo")
		}},
		{"the broker is reached from standalone and the command line only", func(from listed, to string) bool {
			return within(to, "./shared/broker") && !within(from.name, "./shared/broker", "./shared/standalone", "./shared/cli")
		}},
		{"the demo is reached from the command line only", func(from listed, to string) bool {
			return to == "./shared/demo" && from.name != "./shared/cli"
		}},
		{"the command line is reached from main only", func(from listed, to string) bool {
			return to == "./shared/cli" && from.name != "."
		}},
		{"helpers of tests are imported by helpers of tests only", func(from listed, to string) bool {
			return testHelper(to) && !testHelper(from.name)
		}},
	} {
		t.Run(rule.name, func(t *testing.T) {
			for _, p := range packages {
				for _, to := range p.imports {
					if rule.forbidden(p, to) {
						t.Errorf("%s imports %s", p.name, to)
					}
				}
			}
		})
	}
}

// sameAdapter reports whether two packages are parts of one adapter.
func sameAdapter(a, b string) bool {
	return slices.ContainsFunc(adapters, func(root string) bool { return within(a, root) && within(b, root) })
}

// Tests may use the simulators, but not what makes every test of their package wait for a compiler.
func TestOnlyTestsOfTheGraphAdapterCompileTheSDK(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, to := range p.tests {
			if within(to, graphSDK...) && p.name != "./shared/graph" {
				t.Errorf("tests of %s import %s", p.name, to)
			}
		}
	}
}

func TestNoTestCodeReachesTheBinary(t *testing.T) {
	packages := listPackages(t)
	program := packages[slices.IndexFunc(packages, func(p listed) bool { return p.name == "." })]
	if !slices.Contains(program.deps, "./shared/cli") {
		t.Fatal("the program does not link its command line: nothing is looked at")
	}
	for _, dep := range program.deps {
		if testHelper(dep) || within(dep, "testing", "net/http/httptest", "pgregory.net/rapid", "github.com/santhosh-tekuri") {
			t.Errorf("the program links %s", dep)
		}
	}
}

// parsed gives each source file that is not a test to look.
func parsed(t *testing.T, look func(p listed, file string, set *token.FileSet, tree *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	for _, p := range listPackages(t) {
		for _, file := range p.files {
			tree, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			look(p, p.name+"/"+filepath.Base(file), set, tree)
		}
	}
}

func TestOnlyMainConfigAndCLIReadTheEnvironment(t *testing.T) {
	reading := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	found := 0
	parsed(t, func(p listed, file string, set *token.FileSet, tree *ast.File) {
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := call.X.(*ast.Ident); !ok || (from.Name != "os" && from.Name != "syscall") || !slices.Contains(reading, call.Sel.Name) {
				return true
			}
			found++
			if p.name != "." && p.name != "./shared/config" && p.name != "./shared/cli" && !testHelper(p.name) {
				t.Errorf("%s:%d reads the environment", file, set.Position(n.Pos()).Line)
			}
			return true
		})
	})
	if found == 0 {
		t.Error("nobody reads the environment, not even main: the search is broken")
	}
}

// A file or a function that does not fit into a head is split.
func TestFilesAndFunctionsAreShort(t *testing.T) {
	const longestFile, longestFunction = 400, 60
	parsed(t, func(p listed, file string, set *token.FileSet, tree *ast.File) {
		if lines := set.File(tree.Pos()).LineCount(); lines > longestFile {
			t.Errorf("%s has %d lines, more than %d", file, lines, longestFile)
		}
		for _, declaration := range tree.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || testHelper(p.name) { // a conformance suite is a long list of subtests
				continue
			}
			first, last := set.Position(f.Pos()).Line, set.Position(f.End()).Line
			if lines := last - first + 1; lines > longestFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", file, first, f.Name.Name, lines, longestFunction)
			}
		}
	})
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	parsed(t, func(p listed, _ string, _ *token.FileSet, tree *ast.File) {
		said[p.name] = said[p.name] || tree.Doc.Text() != ""
	})
	for name, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", name)
		}
	}
}
