package main

import (
	"archive/zip"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// repository makes a folder with what the package is made of, goes there, and returns the path of the program.
func repository(t *testing.T, files ...string) (binary string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, path := range append(files, "bin/tenantsync") {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("this is "+path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "bin/tenantsync"
}

var complete = []string{"host.json", "functions/notify/function.json", "functions/notify/notify.go", "functions/renew/function.json",
	"functions/functions.go", "functions/helper/helper.go", "tenantsync.yaml", "local.settings.json"}

// staged are the files of the function app, with their modes; the program must be executable wherever it is unpacked.
var staged = map[string]fs.FileMode{
	"host.json": 0o644, "tenantsync": 0o755, "tenantsync.yaml": 0o644, "notify/function.json": 0o644, "renew/function.json": 0o644,
}

// tree lists the files below a folder with their modes.
func tree(t *testing.T, folder string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		found[filepath.ToSlash(name)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryFunctionIsOneFolderBesideHostJSON(t *testing.T) {
	binary := repository(t, complete...)
	if err := run(binary, "dist/azure", "tenantsync.yaml", io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, "dist/azure"); !maps.Equal(got, staged) {
		t.Errorf("staged %v\nwant %v", got, staged)
	}
	text, err := os.ReadFile("dist/azure/notify/function.json")
	if err != nil || string(text) != "this is functions/notify/function.json" {
		t.Errorf("function.json says %q (%v)", text, err)
	}
}

func TestTheModesDoNotDependOnWhoStages(t *testing.T) {
	binary := repository(t, complete...)
	defer syscall.Umask(syscall.Umask(0o077))
	if err := run(binary, "dist/azure", "tenantsync.yaml", io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, "dist/azure"); !maps.Equal(got, staged) {
		t.Errorf("staged %v\nwant %v", got, staged)
	}
}

func TestTheZipHoldsTheSameWithItsModes(t *testing.T) {
	binary := repository(t, complete...)
	if err := run(binary, "dist/azure", "tenantsync.yaml", io.Discard); err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader("dist/azure.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	zipped := map[string]fs.FileMode{}
	for _, f := range r.File {
		zipped[f.Name] = f.Mode()
		text, err := fs.ReadFile(r, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if on, err := os.ReadFile(filepath.Join("dist/azure", f.Name)); err != nil || string(on) != string(text) {
			t.Errorf("%s differs from what is staged (%v)", f.Name, err)
		}
	}
	if !maps.Equal(zipped, staged) {
		t.Errorf("zipped %v\nwant %v", zipped, staged)
	}
}

func TestTheSameFilesMakeTheSameZip(t *testing.T) {
	binary := repository(t, complete...)
	var zips [][]byte
	for range 2 {
		if err := run(binary, "dist/azure", "tenantsync.yaml", io.Discard); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("dist/azure.zip")
		if err != nil {
			t.Fatal(err)
		}
		zips = append(zips, text)
	}
	if !slices.Equal(zips[0], zips[1]) {
		t.Error("two zips of the same files differ")
	}
}

func TestWhatWasStagedBeforeIsGone(t *testing.T) {
	binary := repository(t, append(complete, "dist/azure/old/function.json")...)
	if err := run(binary, "dist/azure", "tenantsync.yaml", io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, "dist/azure"); !maps.Equal(got, staged) {
		t.Errorf("staged %v\nwant %v", got, staged)
	}
}

func TestAMissingConfigurationIsSaidAndTheRestIsStaged(t *testing.T) {
	binary := repository(t, complete...)
	var said strings.Builder
	if err := os.Remove("tenantsync.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := run(binary, "dist/azure", "", &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "there is no tenantsync.yaml, so the package holds none") {
		t.Errorf("it says %q", said.String())
	}
	want := maps.Clone(staged)
	delete(want, "tenantsync.yaml")
	if got := tree(t, "dist/azure"); !maps.Equal(got, want) {
		t.Errorf("staged %v\nwant %v", got, want)
	}
}

func TestAConfigurationThatIsNamedMustBeThere(t *testing.T) {
	binary := repository(t, complete...)
	if err := run(binary, "dist/azure", "nowhere.yaml", io.Discard); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("error %v, want one that names nowhere.yaml", err)
	}
}

func TestTheProgramHasToBeNamed(t *testing.T) {
	repository(t, complete...)
	if err := run("", "dist/azure", "tenantsync.yaml", io.Discard); err == nil || !strings.Contains(err.Error(), "use -binary") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func TestWhatIsMissingIsTold(t *testing.T) {
	for _, tt := range []struct {
		name, binary string
		files        []string
		want         string
	}{
		{"no program there", "bin/other", complete, "bin/other"},
		{"no host.json", "bin/tenantsync", []string{"functions/notify/function.json"}, "host.json"},
		{"no functions", "bin/tenantsync", []string{"host.json"}, "run it from the top of the repository"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repository(t, append(tt.files, "dist/azure.zip")...)
			if err := run(tt.binary, "dist/azure", "tenantsync.yaml", io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
			if _, err := os.Stat("dist/azure.zip"); !os.IsNotExist(err) {
				t.Error("the zip of before is still there, and could be deployed")
			}
		})
	}
}
