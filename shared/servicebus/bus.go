// Package servicebus carries changes over Azure Service Bus, or over any server that speaks its protocol. It decides how
// a change becomes a message and how a delivery ends. No SDK type and no SDK error leaves it.
package servicebus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

// Options says where the bus is. Exactly one of ConnectionString and Namespace is set.
type Options struct {
	// ConnectionString as the portal shows it, with a key that may send, listen and manage.
	ConnectionString string
	// Namespace is the fully qualified one: contoso.servicebus.windows.net.
	Namespace string
	// ManagedIdentityClientID names the user-assigned identity that opens Namespace. Empty: the default chain of azidentity.
	ManagedIdentityClientID string
	// SettleTimeout bounds one settlement. 0: 10 s.
	SettleTimeout time.Duration
	Logger        *slog.Logger
	Now           func() time.Time
}

// Bus is a connection to a namespace. It is safe for concurrent use and finds its way back after the bus was away.
type Bus struct {
	client        *azservicebus.Client
	admin         *admin.Client
	settleTimeout time.Duration
	logger        *slog.Logger
	now           func() time.Time

	mu     sync.Mutex
	queues map[string]*queue
}

// queue holds the links to one queue. Each connects when it is first used.
type queue struct {
	name      string
	sender    *azservicebus.Sender
	receiver  *azservicebus.Receiver
	letters   *azservicebus.Receiver // for browsing dead letters
	receiving turn                   // the SDK allows one receive at a time
	replaying turn                   // two replays would hold each other's letters
}

// retry is how the SDK tries again inside one call: early, for a caller of Send waits 2.5 s at most. Settlements do
// not obey it.
var retry = azservicebus.RetryOptions{MaxRetries: 4, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: 2 * time.Second}

// Open checks the options. It opens no connection.
func Open(o Options) (*Bus, error) {
	client, err := o.client()
	if err != nil {
		return nil, fmt.Errorf("open the service bus: %w", err)
	}
	administrator, err := o.administrator()
	if err != nil {
		return nil, fmt.Errorf("open the service bus: %w", err)
	}
	b := &Bus{client: client, admin: administrator, settleTimeout: o.SettleTimeout, logger: o.Logger, now: o.Now, queues: map[string]*queue{}}
	if b.settleTimeout == 0 {
		b.settleTimeout = 10 * time.Second
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	return b, nil
}

func (o Options) client() (*azservicebus.Client, error) {
	options := &azservicebus.ClientOptions{ApplicationID: "tenantsync", RetryOptions: retry}
	switch {
	case o.ConnectionString == "" && o.Namespace == "":
		return nil, errors.New("there is neither a connection string nor a namespace; give one of them")
	case o.ConnectionString != "" && o.Namespace != "":
		return nil, errors.New("there are both a connection string and a namespace; give one of them")
	case o.ConnectionString != "":
		return azservicebus.NewClientFromConnectionString(o.ConnectionString, options)
	case strings.Contains(o.Namespace, "/") || !strings.Contains(o.Namespace, "."):
		return nil, fmt.Errorf("%q is not a namespace; write its full host name, such as contoso.servicebus.windows.net", o.Namespace)
	}
	credential, err := o.credential()
	if err != nil {
		return nil, err
	}
	return azservicebus.NewClient(o.Namespace, credential, options)
}

func (o Options) credential() (azcore.TokenCredential, error) {
	if o.ManagedIdentityClientID == "" {
		return azidentity.NewDefaultAzureCredential(nil)
	}
	return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
		ID: azidentity.ClientID(o.ManagedIdentityClientID),
	})
}

// queue returns the links to a queue, which live as long as the bus.
func (b *Bus) queue(name string) (*queue, error) {
	if name == "" {
		return nil, errors.New("no queue is named")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if q, ok := b.queues[name]; ok {
		return q, nil
	}
	sender, err := b.client.NewSender(name, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare queue %s: %w", name, err)
	}
	receiver, err := b.client.NewReceiverForQueue(name, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare queue %s: %w", name, err)
	}
	letters, err := b.deadLetters(name)
	if err != nil {
		return nil, fmt.Errorf("prepare queue %s: %w", name, err)
	}
	q := &queue{name: name, sender: sender, receiver: receiver, letters: letters, receiving: newTurn(), replaying: newTurn()}
	b.queues[name] = q
	return q, nil
}

func (b *Bus) deadLetters(name string) (*azservicebus.Receiver, error) {
	return b.client.NewReceiverForQueue(name, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
}

// Close ends the connection. Locks that are held run out by themselves.
func (b *Bus) Close(ctx context.Context) error {
	if err := b.client.Close(ctx); err != nil {
		return fmt.Errorf("close the service bus: %w", err)
	}
	return nil
}

// turn lets one caller through at a time; waiting for it ends with the context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) pass() { <-t }
