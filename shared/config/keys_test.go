package config

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSecretsAreMadeOnFirstUseAndStay(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data", "keys")
	var first, second Config
	for _, c := range []*Config{&first, &second} {
		if err := c.KeepSecrets(folder); err != nil {
			t.Fatal(err)
		}
	}
	if first.AdminKey == "" || first.AdminKey != second.AdminKey || string(first.ClientStateKey) != string(second.ClientStateKey) {
		t.Errorf("the second start has other secrets than the first")
	}
	if first.AdminKey == string(first.ClientStateKey) {
		t.Error("one secret serves both purposes")
	}
	if len(first.AdminKey) != 43 || len(first.ClientStateKey) != 43 {
		t.Errorf("secrets of %d and %d characters, want 43", len(first.AdminKey), len(first.ClientStateKey))
	}
}

func TestSecretsAreForTheirOwnerOnly(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	if err := new(Config).KeepSecrets(folder); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{
		folder: os.ModeDir | 0o700, filepath.Join(folder, "admin.key"): 0o600, filepath.Join(folder, "client-state.key"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
		t.Errorf("the folder holds %v (%v), want the two secrets and no draft", left, err)
	}
}

func TestTheEnvironmentGoesBeforeTheFiles(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	c := Config{ClientStateKey: []byte("from the environment"), AdminKey: "from the environment, too"}
	if err := c.KeepSecrets(folder); err != nil {
		t.Fatal(err)
	}
	if string(c.ClientStateKey) != "from the environment" || c.AdminKey != "from the environment, too" {
		t.Errorf("the secrets are %q and %q", c.ClientStateKey, c.AdminKey)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Error("files were made that nobody needs")
	}
}

func TestWhoeverBeginsAtOnceAgreesOnOneSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "admin.key")
	secrets, errs := make([]string, 20), make([]error, 20)
	var all sync.WaitGroup
	for i := range secrets {
		all.Go(func() { secrets[i], errs[i] = secretFile(path) })
	}
	all.Wait()
	for i, secret := range secrets {
		if errs[i] != nil || secret != secrets[0] {
			t.Fatalf("number %d has another secret than the first, or %v", i, errs[i])
		}
	}
}

func TestASecretThatIsTooShortIsRefused(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "short": strings.Repeat("x", 31), "blank": strings.Repeat(" ", 50)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "admin.key")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := secretFile(path); err == nil || !strings.Contains(err.Error(), "delete it to get a new one") {
				t.Errorf("error %v, want one that says what to do", err)
			}
		})
	}
	t.Run("but 32 characters of one's own are taken", func(t *testing.T) {
		path, own := filepath.Join(t.TempDir(), "admin.key"), strings.Repeat("x", 32)
		if err := os.WriteFile(path, []byte(own+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := secretFile(path); err != nil || got != own {
			t.Errorf("secretFile = %q, %v", got, err)
		}
	})
}

func TestAFolderThatCannotBeMadeIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := new(Config).KeepSecrets(filepath.Join(file, "keys")); err == nil || !strings.Contains(err.Error(), "make the folder of a secret") {
		t.Errorf("error %v", err)
	}
}
