package servicebus

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"github.com/tenantsync/tenantsync/shared/status"
)

// Depth counts what a queue holds. It needs the right to manage it.
func (b *Bus) Depth(ctx context.Context, queue string) (status.Queue, error) {
	counts, err := b.admin.GetQueueRuntimeProperties(ctx, queue, nil)
	if err != nil {
		return status.Queue{}, fmt.Errorf("count the messages of queue %s: %s", queue, firstLine(err))
	}
	if counts == nil {
		return status.Queue{}, fmt.Errorf("count the messages of queue %s: there is no such queue; make it", queue)
	}
	return status.Queue{Name: queue, Active: int(counts.ActiveMessageCount), Scheduled: int(counts.ScheduledMessageCount),
		DeadLettered: int(counts.DeadLetterMessageCount)}, nil
}

// firstLine is an error without the copy of the answer that the SDK appends.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// administrator opens the other API of the namespace, over HTTP. It opens no connection.
func (o Options) administrator() (*admin.Client, error) {
	options := &admin.ClientOptions{ClientOptions: azcore.ClientOptions{}}
	if o.ConnectionString != "" {
		if strings.Contains(o.ConnectionString, "UseDevelopmentEmulator=true") {
			options.Transport = unencrypted{}
		}
		return admin.NewClientFromConnectionString(o.ConnectionString, options)
	}
	credential, err := o.credential()
	if err != nil {
		return nil, err
	}
	return admin.NewClient(o.Namespace, credential, options)
}

// unencrypted reaches an emulator, which has no certificate. The SDK always asks for https.
type unencrypted struct{}

func (unencrypted) Do(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return http.DefaultClient.Do(r)
}
