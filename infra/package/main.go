// Command package stages the function app the way Azure Functions looks for it, and zips it.
//
//	go run ./infra/package -binary bin/linux/tenantsync -out dist/azure [-config FILE]
//
// The Functions host finds a function.json only in folders directly beside host.json, so functions/<name>/function.json
// becomes <name>/function.json; nothing else goes into those folders, because the host takes a lone extra file for a
// script. The zip carries Unix modes: without its executable bit the handler does not start.
package main

import (
	"archive/zip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func main() {
	binary := flag.String("binary", "", "the program, built for linux")
	out := flag.String("out", "dist/azure", "folder to stage in; its zip stands beside it")
	config := flag.String("config", "", "configuration to put beside host.json; default tenantsync.yaml, when there is one")
	flag.Parse()
	if err := run(*binary, *out, *config, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

func run(binary, out, config string, stdout io.Writer) error {
	if binary == "" {
		return errors.New("no program given; use -binary")
	}
	if err := errors.Join(os.RemoveAll(out), os.RemoveAll(out+".zip")); err != nil {
		return err
	}
	if err := stage(binary, out, config, stdout); err != nil {
		return err
	}
	if err := archive(out, out+".zip"); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "staged %s and %s.zip\n", out, out)
	return err
}

func stage(binary, out, config string, stdout io.Writer) error {
	if err := install("host.json", filepath.Join(out, "host.json"), 0o644); err != nil {
		return err
	}
	if err := install(binary, filepath.Join(out, "tenantsync"), 0o755); err != nil {
		return err
	}
	found, err := filepath.Glob("functions/*/function.json")
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("there is no functions/*/function.json here; run it from the top of the repository")
	}
	for _, path := range found {
		name := filepath.Base(filepath.Dir(path))
		if err := install(path, filepath.Join(out, name, "function.json"), 0o644); err != nil {
			return err
		}
	}
	return stageConfig(config, filepath.Join(out, configName), stdout)
}

// configName is where the program looks for its configuration, beside host.json.
const configName = "tenantsync.yaml"

// stageConfig puts the configuration that was named in its place. When none was, there may be one here or not.
func stageConfig(named, to string, stdout io.Writer) error {
	if named != "" {
		return install(named, to, 0o644)
	}
	err := install(configName, to, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(stdout, "there is no %s, so the package holds none: name one with CONFIG=FILE, or set TENANTSYNC_CONFIG where it runs\n", configName)
	}
	return err
}

func install(from, to string, mode fs.FileMode) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, content, mode); err != nil {
		return err
	}
	return os.Chmod(to, mode) // whatever the umask says
}

// epoch is the first moment a zip can name. All files have it, so that the same content makes the same zip.
var epoch = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// archive zips a folder, with modes and in a fixed order.
func archive(folder, to string) (err error) {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := zip.NewWriter(file)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(w, folder, path, entry)
	})
	return errors.Join(err, w.Close())
}

func add(w *zip.Writer, folder, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	name, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	header := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate, Modified: epoch}
	header.SetMode(info.Mode())
	to, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}
