package provisioning

import (
	"context"
	"sync"
	"time"
)

// Entry is one decision in the journal.
type Entry struct {
	At         time.Time `json:"at"`
	Route      string    `json:"route"`
	User       string    `json:"user"` // object id in the source
	External   string    `json:"external,omitempty"`
	Action     Action    `json:"action"`
	Operations []string  `json:"operations,omitempty"` // "invite", "update department,jobTitle", …
	// Changes are the attributes that were written, where the rules let the journal hold values.
	Changes []AttributeChange `json:"changes,omitempty"`
	Reason  string            `json:"reason"`
	// Held: the action waits for somebody to decide, and nothing was done.
	Held bool `json:"held,omitempty"`
	// Drift are attributes that differ and that the rules only report.
	Drift []string `json:"drift,omitempty"`
	// Again is when the user is looked at again, if that is planned.
	Again   time.Time `json:"again,omitzero"`
	Outcome string    `json:"outcome"` // done, later, retry, terminal
	Error   string    `json:"error,omitempty"`
	Cause   string    `json:"cause"`
	// Message is the id of the message that led here, and Trace is the same for all that follows from one event.
	Message string `json:"message"`
	Trace   string `json:"trace"`
	// EventAt is when Graph says it happened, ArrivedAt when we first heard of it, and Took how long this run took; At is its end.
	EventAt   time.Time     `json:"eventAt,omitzero"`
	ArrivedAt time.Time     `json:"arrivedAt"`
	Took      time.Duration `json:"took"` // nanoseconds
	// Requests are those that this run made to the directories, in order, the first maxRequests of them.
	Requests []Request `json:"requests,omitempty"`
}

// AttributeChange is what an attribute was and became.
type AttributeChange struct {
	Name   string `json:"name"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Request is one request to a directory. ID is what the directory calls it (Graph: the request-id header), which its owner can look up.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"`   // without the query, which may hold addresses
	Status int    `json:"status"` // 0: no answer came
	ID     string `json:"id,omitempty"`
}

// maxRequests bounds what one entry holds.
const maxRequests = 50

type requests struct {
	mu   sync.Mutex
	list []Request
}

type requestsKey struct{}

// noting makes a context whose requests are noted.
func noting(ctx context.Context) (context.Context, *requests) {
	r := &requests{}
	return context.WithValue(ctx, requestsKey{}, r), r
}

// Note adds a request to the journal entry of the run that ctx belongs to, if it does.
func Note(ctx context.Context, one Request) {
	r, _ := ctx.Value(requestsKey{}).(*requests)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) < maxRequests {
		r.list = append(r.list, one)
	}
}

func (r *requests) noted() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// Changes are the attributes that the operations of a decision write.
func (d Decision) Changes() (changes []AttributeChange) {
	for _, op := range d.Operations {
		for _, name := range op.Attributes.Names() {
			changes = append(changes, AttributeChange{name, op.Before[name], op.Attributes[name]})
		}
	}
	return changes
}

// entry is what the journal says of a run.
func (w *worker) entry(d Decision, begin, end time.Time, made []Request) Entry {
	e := Entry{
		At: end, Route: w.route.Name, User: w.change.User, External: w.link.External,
		Action: d.Action, Reason: d.Reason, Held: d.Held, Drift: d.Drift, Again: d.Again,
		Cause: string(w.change.Cause), Message: w.change.MessageID(), Trace: w.change.Trace(),
		EventAt: w.change.EventAt, ArrivedAt: w.change.ArrivedAt, Took: end.Sub(begin), Requests: made,
	}
	if w.settings().JournalValues {
		e.Changes = d.Changes()
	}
	for _, op := range d.Operations {
		e.Operations = append(e.Operations, op.String())
	}
	return e
}
