package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/config"
)

const (
	remotePatience = 30 * time.Second
	maxAnswer      = 64 << 20
)

// remote calls the functions for administrators of a running tenantsync, wherever it runs.
type remote struct {
	address, data string
	getenv        func(string) string
}

// flags lets the command line say where it runs.
func (r *remote) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&r.address, "url", "http://127.0.0.1:7071", "`address` of the running tenantsync")
	c.PersistentFlags().StringVar(&r.data, "data", "", "its data `folder`, where the key is, if "+config.EnvAdminKey+" does not say it")
}

// key is the function key that opens them.
func (r *remote) key() (string, error) {
	if key := r.getenv(config.EnvAdminKey); key != "" {
		return key, nil
	}
	if r.data == "" {
		return "", usage{fmt.Errorf("there is no key; set %s (on Azure: a function key), or give --data DIR", config.EnvAdminKey)}
	}
	path := filepath.Join(r.data, "keys", "admin.key")
	key, err := os.ReadFile(path)
	if err != nil {
		return "", usage{fmt.Errorf("the key cannot be read: %w; give --data the folder that serve runs with", err)}
	}
	return strings.TrimSpace(string(key)), nil
}

// call sends body, if there is one, and reads the answer into out.
func (r *remote) call(ctx context.Context, method, function string, body, out any) error {
	base, err := url.Parse(r.address)
	if err != nil || base.Host == "" {
		return usage{fmt.Errorf("--url is %q; write an address such as https://sync.contoso.com", r.address)}
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, remotePatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(r.address, "/")+"/api/"+function, content)
	if err != nil {
		return err
	}
	req.Header.Set("x-functions-key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("nobody answers: %w; is tenantsync running there? --url says where", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s breaks off: %w", r.address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return r.refused(resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s answers what is no tenantsync: %w", r.address, err)
	}
	return nil
}

// refused says what a failed call answered.
func (r *remote) refused(status int, text []byte) error {
	var answer struct {
		Error string `json:"error"`
	}
	switch {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s does not take this key; %s or --data must be those of the tenantsync that runs there", r.address, config.EnvAdminKey)
	case json.Unmarshal(text, &answer) == nil && answer.Error != "":
		return fmt.Errorf("%s: %s", r.address, answer.Error)
	}
	return fmt.Errorf("%s answers %d; is this the address of a tenantsync?", r.address, status)
}
