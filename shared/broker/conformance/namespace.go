package main

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
)

// namespace is what one worker offers to its tests in place of a Service Bus namespace: a broker, reached over a
// network.
type namespace struct {
	server  *broker.Server
	network *network
}

// secret is that of all keys: the broker listens on loopback only, and for minutes.
const secret = "conformance"

// openNamespace starts a broker with the queues and keys that the tests expect (test-resources.bicep in the SDK): they
// create all other queues themselves.
func openNamespace(ca *authority, dir string) (*namespace, error) {
	network, err := openNetwork()
	if err != nil {
		return nil, err
	}
	n := &namespace{network: network}
	n.server, err = broker.New(broker.Options{
		Dir: dir,
		Queues: []broker.QueueConfig{
			{Name: "testQueue", LockDuration: 5 * time.Minute},
			{Name: "testQueueWithSessions", LockDuration: 5 * time.Minute, RequiresSession: true},
		},
		Keys: map[string]broker.Key{
			"Manage":   {Secret: secret, Manage: true, Listen: true, Send: true},
			"NoManage": {Secret: secret, Listen: true, Send: true},
			"Send":     {Secret: secret, Send: true},
			"Listen":   {Secret: secret, Listen: true},
		},
		TLS:       &tls.Config{GetCertificate: ca.issue},
		AcceptJWT: true,
	})
	if err != nil {
		network.close()
		return nil, fmt.Errorf("make a broker: %w", err)
	}
	if err := n.server.Listen("127.0.0.1:0"); err != nil {
		_ = n.close()
		return nil, fmt.Errorf("start a broker: %w", err)
	}
	network.serve(n.server.Addr())
	return n, nil
}

// environment is how the tests find the namespace.
func (n *namespace) environment() []string {
	host := "localhost:" + strconv.Itoa(n.network.port())
	connect := func(variable, key string) string {
		return fmt.Sprintf("SERVICEBUS_%s=Endpoint=sb://%s/;SharedAccessKeyName=%s;SharedAccessKey=%s", variable, host, key, secret)
	}
	return []string{
		"AZURE_RECORD_MODE=live",
		"SERVICEBUS_ENDPOINT=" + host,
		"SERVICEBUS_ENDPOINT_PREMIUM=" + host,
		connect("CONNECTION_STRING", "Manage"),
		connect("CONNECTION_STRING_PREMIUM", "Manage"),
		connect("CONNECTION_STRING_NO_MANAGE", "NoManage"),
		connect("CONNECTION_STRING_SEND_ONLY", "Send"),
		connect("CONNECTION_STRING_LISTEN_ONLY", "Listen"),
	}
}

// close ends the broker and every connection to it.
func (n *namespace) close() error {
	defer n.network.close()
	return n.server.Close()
}
