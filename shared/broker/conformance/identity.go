package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// identity stands in for what the tests ask of Microsoft Entra. As the endpoint of a managed identity (the variant of App
// Service) it gives everyone a token. As a proxy it answers for every host outside this machine, and refuses: a login
// with made-up credentials fails as it does there, and no test ever leaves this machine.
type identity struct {
	ca       *authority
	server   *http.Server
	listener net.Listener
}

func openIdentity(ca *authority) (*identity, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the identity endpoint: %w", err)
	}
	i := &identity{ca: ca, listener: listener}
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: time.Minute}
	go func() { _ = i.server.Serve(listener) }()
	return i, nil
}

func (i *identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		i.refuse(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"access_token": "token",
		"expires_on":   strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10),
		"resource":     r.URL.Query().Get("resource"),
		"token_type":   "Bearer",
	})
}

// refuse plays the host that the client wants to reach, and answers its one request as Entra answers a login to a tenant
// that does not exist.
func (i *identity) refuse(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	host := tls.Server(conn, &tls.Config{GetCertificate: i.ca.issue})
	if _, err := http.ReadRequest(bufio.NewReader(host)); err != nil {
		return
	}
	answer := http.Response{
		StatusCode: http.StatusBadRequest, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(`{"error":"invalid_tenant","error_description":"The tenant does not exist."}`)),
	}
	_ = answer.Write(host)
	_ = host.Close()
}

// environment makes azidentity use this endpoint, and everything that leaves the machine this proxy.
func (i *identity) environment() []string {
	url := "http://" + i.listener.Addr().String()
	return []string{
		"AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential",
		"IDENTITY_ENDPOINT=" + url + "/msi/token",
		"IDENTITY_HEADER=conformance",
		"HTTPS_PROXY=" + url, // Go never uses a proxy for loopback addresses
	}
}

func (i *identity) close() { _ = i.server.Close() }
