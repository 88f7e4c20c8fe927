// Package functions is the one table of everything this program can be triggered by. Every host (Azure Functions,
// a single process, AWS Lambda) reads it and feeds it; none knows what a function does.
package functions

import (
	"context"
	"net/http"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
)

// Function is one function: a name, which is also its folder and its name on Azure, and exactly one trigger.
type Function struct {
	Name  string
	HTTP  *HTTP
	Timer *Timer
	Queue *Queue
}

// HTTP is triggered by a request to /api/<Route>.
type HTTP struct {
	Route   string
	Methods []string
	// Keyed functions are for administrators: the host asks for its function key (header x-functions-key, or ?code=).
	Keyed   bool
	Handler http.Handler
}

// Timer is triggered every Every; function.json spells the same as an NCRONTAB schedule.
type Timer struct {
	Every time.Duration
	Run   func(ctx context.Context) error
}

// Queue is triggered by each message of the queue. Handle settles the message itself, by its lock token. It returns an
// error only when it could not: then the message comes again.
type Queue struct {
	Name   string
	Handle func(ctx context.Context, d change.Delivery) error
	// Bulk work has fewer workers than live work, on a host that runs them itself.
	Bulk bool
}
