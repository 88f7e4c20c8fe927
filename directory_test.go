package main_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// directory is a tenant as anybody with curl and a client secret sees it: Microsoft Graph over plain HTTPS.
type directory struct {
	root, token string
	client      *http.Client
}

// user is a user as Graph shows it.
type user struct {
	ID, DisplayName, Mail, Department, UserType, CreationType string
	AccountEnabled                                            bool
}

// trusting makes a client that trusts one certificate authority.
func trusting(t testing.TB, caFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", caFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 16, MaxConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// signIn gets a token by client credentials. The tenant is named by its initial domain.
func signIn(client *http.Client, tokenURL, graphURL, tenant, id, secret string) (*directory, error) {
	resp, err := client.PostForm(tokenURL+"/"+tenant+".onmicrosoft.com/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
		"scope": {"https://graph.microsoft.com/.default"},
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := read(resp, &answer); err != nil {
		return nil, fmt.Errorf("sign in to %s: %w", tenant, err)
	}
	return &directory{root: graphURL + "/v1.0", token: answer.AccessToken, client: client}, nil
}

// call sends one request below /v1.0 and decodes the answer into out, which may be nil.
func (d *directory) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, d.root+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	if err := read(resp, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func read(resp *http.Response, out any) error {
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s: %s", resp.Status, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// join creates a user and returns its id.
func (d *directory) join(person map[string]any) (id string, err error) {
	var created user
	err = d.call(http.MethodPost, "/users", person, &created)
	return created.ID, err
}

func (d *directory) change(id string, patch map[string]any) error {
	return d.call(http.MethodPatch, "/users/"+id, patch, nil)
}

func (d *directory) leave(id string) error {
	return d.call(http.MethodDelete, "/users/"+id, nil, nil)
}

// purge deletes somebody for good.
func (d *directory) purge(id string) error {
	if err := d.leave(id); err != nil {
		return err
	}
	return d.call(http.MethodDelete, "/directory/deletedItems/"+id, nil, nil)
}

func (d *directory) restore(id string) error {
	return d.call(http.MethodPost, "/directory/deletedItems/"+id+"/restore", nil, nil)
}

const shown = "$select=id,displayName,mail,department,userType,creationType,accountEnabled"

// withMail finds the users that have a mail address.
func (d *directory) withMail(mail string) ([]user, error) {
	var page struct{ Value []user }
	filter := url.QueryEscape("mail eq '" + strings.ReplaceAll(mail, "'", "''") + "'")
	err := d.call(http.MethodGet, "/users?$filter="+filter+"&"+shown, nil, &page)
	return page.Value, err
}

// external lists the external users.
func (d *directory) external() (users []user, err error) {
	for path := "/users?" + shown; path != ""; {
		var page struct {
			Value []user
			Next  string `json:"@odata.nextLink"`
		}
		if err := d.call(http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Value {
			if u.CreationType == "Invitation" {
				users = append(users, u)
			}
		}
		path = strings.TrimPrefix(page.Next, d.root)
	}
	return users, nil
}

// newcomer is somebody who joins, as an administrator's tool would create them.
func newcomer(p entrasim.Person, domain string) map[string]any {
	address := p.MailNickname + "@" + domain
	return map[string]any{
		"accountEnabled": true, "displayName": p.DisplayName, "givenName": p.GivenName, "surname": p.Surname,
		"mailNickname": p.MailNickname, "userPrincipalName": address, "mail": address,
		"jobTitle": p.JobTitle, "department": p.Department, "usageLocation": p.Country,
		"passwordProfile": map[string]any{"password": "Not-used-1!", "forceChangePasswordNextSignIn": true},
	}
}

// Verified domains of the simulated sources.
const (
	usDomain     = "us.fabrikam.com"
	mexicoDomain = "mx.fabrikam.com"
)
