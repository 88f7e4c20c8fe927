package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// directory is one tenant as an administrator's own tools see it: Microsoft Graph over plain HTTPS. The story is told
// through it alone, so that nothing reaches tenantsync but what Graph itself tells.
type directory struct {
	tenant tenant.Tenant
	root   string
	client *http.Client
	secret string

	mu    sync.Mutex
	token string
}

func (w *World) directory(t tenant.Tenant) *directory {
	return &directory{tenant: t, root: w.Graph.URL(), client: w.Graph.Client(), secret: w.secret}
}

// call sends one request below /v1.0 and decodes the answer into out, when out is not nil.
func (d *directory) call(ctx context.Context, method, path string, in, out any) error {
	token, err := d.signIn(ctx)
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.root+"/v1.0"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set(entrasim.CalmHeader, "story") // the weather is for tenantsync
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return d.do(req, out)
}

// signIn gets a token, once: a story is shorter than a token's life.
func (d *directory) signIn(ctx context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token != "" {
		return d.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {appID}, "client_secret": {d.secret},
		"scope": {"https://graph.microsoft.com/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.root+"/"+d.tenant.ID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := d.do(req, &answer); err != nil {
		return "", fmt.Errorf("sign in to %s: %w", d.tenant.Name, err)
	}
	d.token = answer.AccessToken
	return d.token, nil
}

func (d *directory) do(req *http.Request, out any) error {
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("read the answer to %s %s: %w", req.Method, req.URL.Path, err)
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, text)
	case out == nil || len(text) == 0:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}
