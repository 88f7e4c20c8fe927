package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile returns the secret kept in a file, 43 characters of base64url, and makes one on first use (mode 0600). Two
// processes that begin at once agree on one: whoever creates the file wins.
func secretFile(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the folder of a secret: %w", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand.Read crashes the program instead
	text := base64.RawURLEncoding.EncodeToString(secret)
	// Written whole under another name and then linked, so that nobody ever reads half of it.
	draft := path + "." + text[:8]
	if err := os.WriteFile(draft, []byte(text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write a secret: %w", err)
	}
	defer os.Remove(draft)
	if err := os.Link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep a secret: %w", err)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	text = strings.TrimSpace(string(kept))
	if len(text) < 32 {
		return "", fmt.Errorf("read a secret: %s holds less than 32 characters; delete it to get a new one", path)
	}
	return text, nil
}

// KeepSecrets fills in the secrets that the environment did not give, from files in a folder, which are made on first use.
func (c *Config) KeepSecrets(folder string) error {
	if len(c.ClientStateKey) == 0 {
		key, err := secretFile(filepath.Join(folder, "client-state.key"))
		if err != nil {
			return err
		}
		c.ClientStateKey = []byte(key)
	}
	if c.AdminKey == "" {
		key, err := secretFile(filepath.Join(folder, "admin.key"))
		if err != nil {
			return err
		}
		c.AdminKey = key
	}
	return nil
}
