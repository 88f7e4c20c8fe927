package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

func TestTheIdentityEndpointGivesTokensAndRefusesLogins(t *testing.T) {
	ca, err := newAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	identity, err := openIdentity(ca)
	if err != nil {
		t.Fatal(err)
	}
	defer identity.close()
	endpoint := &url.URL{Scheme: "http", Host: identity.listener.Addr().String()}

	answer, err := http.Get(endpoint.JoinPath("msi/token").String() + "?resource=r")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var token map[string]string
	if err := json.NewDecoder(answer.Body).Decode(&token); err != nil {
		t.Fatal(err)
	}
	expires, err := strconv.ParseInt(token["expires_on"], 10, 64)
	if err != nil || time.Until(time.Unix(expires, 0)) < time.Hour || token["access_token"] == "" || token["resource"] != "r" {
		t.Errorf("got the token %v", token)
	}

	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	outside := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(endpoint), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	answer, err = outside.Get("https://login.example/tenant")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a login got status %d, want %d", answer.StatusCode, http.StatusBadRequest)
	}
}
