// Package atom reads and writes the documents of Service Bus's management API: Atom entries and feeds that describe
// queues. It decides what a document says, and knows nothing of what a queue does with it.
//
// What is written has the elements, the order and the namespaces of Service Bus, so that clients with an ordered reader
// (the data contracts of .NET) take it. What is read may have them in any order, with any prefix, and with elements that
// are not modelled, which are ignored: IsAnonymousAccessible, SupportOrdering, EnableExpress and what only the server
// decides, such as counts and times.
package atom

import "time"

// Queue is what a QueueDescription says of a queue. In a decoded one, an empty field is one that the document leaves to
// its default; no document can say zero, which is good for no property.
type Queue struct {
	LockDuration                        time.Duration
	MaxSizeInMegabytes                  int
	RequiresDuplicateDetection          bool
	RequiresSession                     bool
	DefaultMessageTimeToLive            time.Duration // or Never
	DeadLetteringOnMessageExpiration    bool
	DuplicateDetectionHistoryTimeWindow time.Duration // or Never
	MaxDeliveryCount                    int
	EnableBatchedOperations             bool // true if a document leaves it out
	AuthorizationRules                  []Rule
	Status                              string // such as Active; not checked
	ForwardTo                           string
	UserMetadata                        string
	AutoDeleteOnIdle                    time.Duration // or Never
	EnablePartitioning                  bool
	ForwardDeadLetteredMessagesTo       string
	MaxMessageSizeInKilobytes           int
}

// Rule is a SharedAccessAuthorizationRule: a named key, which has two secrets so that one can be replaced while the other
// is in use. Times of creation are neither read nor written.
type Rule struct {
	KeyName              string
	PrimaryKey           string
	SecondaryKey         string // "" if there is none
	Manage, Listen, Send bool
}

// Runtime is what only the server knows of a queue.
type Runtime struct {
	SizeInBytes                     int64
	Messages                        int // all of them
	Active, DeadLettered, Scheduled int
	CreatedAt, UpdatedAt            time.Time
	AccessedAt                      time.Time // zero if it was never used
}

// Entry is the document that describes one queue.
type Entry struct {
	URL  string // of the queue
	Name string
	Queue
	Runtime
}

// Feed is the document that lists queues. Without any it lists nothing.
type Feed struct {
	URL     string // of the list
	Title   string
	Updated time.Time
	Entries []Entry
}

// NoEntity is the title of the feed that Service Bus answers with, and status 200, for an entity that does not exist.
// Clients know it by this title.
const NoEntity = "Publicly Listed Services"

// Namespace is the document that describes what the queues are in.
type Namespace struct {
	URL      string
	Name     string
	SKU      string // Standard, Premium or Basic
	Created  time.Time
	Modified time.Time
}

// Error is the document of a request that failed, and the error itself.
type Error struct {
	Code   int // the HTTP status
	Detail string
}

func (e Error) Error() string { return e.Detail }

const (
	schemaAtom     = "http://www.w3.org/2005/Atom"
	schemaBus      = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
	schemaCounts   = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
	schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"
	sharedAccess   = "SharedAccessAuthorizationRule"
)
