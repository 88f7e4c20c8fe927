package atom

import (
	"encoding/xml"
	"fmt"
	"time"
)

// XML is the document.
func (e Entry) XML() []byte {
	doc := e.document()
	doc.Schema = schemaAtom
	return marshal(doc)
}

// XML is the document.
func (f Feed) XML() []byte {
	doc := feedDocument{Schema: schemaAtom, Title: title(f.Title), ID: f.URL, Updated: seconds(f.Updated), Link: self(f.URL)}
	for _, entry := range f.Entries {
		doc.Entries = append(doc.Entries, entry.document())
	}
	return marshal(doc)
}

// XML is the document.
func (n Namespace) XML() []byte {
	return marshal(entryDocument{
		Schema: schemaAtom, ID: n.URL, Title: title(n.Name), Updated: seconds(n.Modified), Author: &n.Name, Link: self(n.URL),
		Content: contentDocument{Type: contentType, Namespace: &namespaceDocument{
			Schema: schemaBus, Instance: schemaInstance,
			CreatedTime: instant(n.Created), MessagingSKU: n.SKU, ModifiedTime: instant(n.Modified), Name: n.Name, NamespaceType: "Messaging",
		}},
	})
}

// XML is the document.
func (e Error) XML() []byte {
	return marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    int
		Detail  string
	}{Code: e.Code, Detail: e.Detail})
}

func marshal(document any) []byte {
	text, err := xml.Marshal(document)
	if err != nil {
		panic(fmt.Sprintf("atom: %T has no XML: %v", document, err)) // it consists of strings and numbers
	}
	return text
}

// contentType is the one type of content of an entry.
const contentType = "application/xml"

type feedDocument struct {
	XMLName xml.Name        `xml:"feed"`
	Schema  string          `xml:"xmlns,attr"`
	Title   titleDocument   `xml:"title"`
	ID      string          `xml:"id"`
	Updated string          `xml:"updated"`
	Link    linkDocument    `xml:"link"`
	Entries []entryDocument `xml:"entry"`
}

type entryDocument struct {
	XMLName   xml.Name        `xml:"entry"`
	Schema    string          `xml:"xmlns,attr,omitempty"`
	ID        string          `xml:"id"`
	Title     titleDocument   `xml:"title"`
	Published string          `xml:"published,omitempty"`
	Updated   string          `xml:"updated"`
	Author    *string         `xml:"author>name"`
	Link      linkDocument    `xml:"link"`
	Content   contentDocument `xml:"content"`
}

type titleDocument struct {
	Type string `xml:"type,attr"`
	Text string `xml:",chardata"`
}

type linkDocument struct {
	Rel  string `xml:"rel,attr"`
	HRef string `xml:"href,attr"`
}

type contentDocument struct {
	Type      string             `xml:"type,attr"`
	Queue     *queueDocument     `xml:"QueueDescription"`
	Namespace *namespaceDocument `xml:"NamespaceInfo"`
}

type namespaceDocument struct {
	Schema        string `xml:"xmlns,attr"`
	Instance      string `xml:"xmlns:i,attr"`
	CreatedTime   string
	MessagingSKU  string
	ModifiedTime  string
	Name          string
	NamespaceType string
}

// queueDocument has its elements in the order of the data contract.
type queueDocument struct {
	Schema                              string `xml:"xmlns,attr"`
	Instance                            string `xml:"xmlns:i,attr"`
	LockDuration                        string
	MaxSizeInMegabytes                  int
	RequiresDuplicateDetection          bool
	RequiresSession                     bool
	DefaultMessageTimeToLive            string
	DeadLetteringOnMessageExpiration    bool
	DuplicateDetectionHistoryTimeWindow string
	MaxDeliveryCount                    int
	EnableBatchedOperations             bool
	SizeInBytes                         int64
	MessageCount                        int
	IsAnonymousAccessible               bool
	AuthorizationRules                  []ruleDocument `xml:"AuthorizationRules>AuthorizationRule"`
	Status                              string
	ForwardTo                           string `xml:",omitempty"`
	UserMetadata                        string `xml:",omitempty"`
	CreatedAt                           string
	UpdatedAt                           string
	AccessedAt                          string
	SupportOrdering                     bool
	CountDetails                        countsDocument
	AutoDeleteOnIdle                    string
	EnablePartitioning                  bool
	EntityAvailabilityStatus            string
	ForwardDeadLetteredMessagesTo       string `xml:",omitempty"`
	EnableExpress                       bool
	MaxMessageSizeInKilobytes           int
}

type ruleDocument struct {
	Type         string   `xml:"i:type,attr"`
	ClaimType    string   // SharedAccessKey and None: the rule is about who holds the key, whoever it is
	ClaimValue   string   //
	Rights       []string `xml:"Rights>AccessRights"`
	KeyName      string
	PrimaryKey   string
	SecondaryKey string `xml:",omitempty"`
}

type countsDocument struct {
	Schema                         string `xml:"xmlns:d2p1,attr"`
	ActiveMessageCount             int    `xml:"d2p1:ActiveMessageCount"`
	DeadLetterMessageCount         int    `xml:"d2p1:DeadLetterMessageCount"`
	ScheduledMessageCount          int    `xml:"d2p1:ScheduledMessageCount"`
	TransferMessageCount           int    `xml:"d2p1:TransferMessageCount"`
	TransferDeadLetterMessageCount int    `xml:"d2p1:TransferDeadLetterMessageCount"`
}

// document is the entry as a part of a feed, where the feed declares the namespace.
func (e Entry) document() entryDocument {
	return entryDocument{
		ID: e.URL, Title: title(e.Name), Published: seconds(e.CreatedAt), Updated: seconds(e.UpdatedAt), Link: self(e.URL),
		Content: contentDocument{Type: contentType, Queue: new(e.description())},
	}
}

func (e Entry) description() queueDocument {
	return queueDocument{
		Schema:                              schemaBus,
		Instance:                            schemaInstance,
		LockDuration:                        FormatDuration(e.LockDuration),
		MaxSizeInMegabytes:                  e.MaxSizeInMegabytes,
		RequiresDuplicateDetection:          e.RequiresDuplicateDetection,
		RequiresSession:                     e.RequiresSession,
		DefaultMessageTimeToLive:            FormatDuration(e.DefaultMessageTimeToLive),
		DeadLetteringOnMessageExpiration:    e.DeadLetteringOnMessageExpiration,
		DuplicateDetectionHistoryTimeWindow: FormatDuration(e.DuplicateDetectionHistoryTimeWindow),
		MaxDeliveryCount:                    e.MaxDeliveryCount,
		EnableBatchedOperations:             e.EnableBatchedOperations,
		SizeInBytes:                         e.SizeInBytes,
		MessageCount:                        e.Messages,
		AuthorizationRules:                  rules(e.AuthorizationRules),
		Status:                              e.Status,
		ForwardTo:                           e.ForwardTo,
		UserMetadata:                        e.UserMetadata,
		CreatedAt:                           instant(e.CreatedAt),
		UpdatedAt:                           instant(e.UpdatedAt),
		AccessedAt:                          instant(e.AccessedAt),
		SupportOrdering:                     true,
		CountDetails: countsDocument{
			Schema: schemaCounts, ActiveMessageCount: e.Active, DeadLetterMessageCount: e.DeadLettered, ScheduledMessageCount: e.Scheduled,
		},
		AutoDeleteOnIdle:              FormatDuration(e.AutoDeleteOnIdle),
		EnablePartitioning:            e.EnablePartitioning,
		EntityAvailabilityStatus:      "Available",
		ForwardDeadLetteredMessagesTo: e.ForwardDeadLetteredMessagesTo,
		MaxMessageSizeInKilobytes:     e.MaxMessageSizeInKilobytes,
	}
}

func rules(rules []Rule) (documents []ruleDocument) {
	for _, r := range rules {
		documents = append(documents, ruleDocument{
			Type: sharedAccess, ClaimType: "SharedAccessKey", ClaimValue: "None",
			Rights: r.rights(), KeyName: r.KeyName, PrimaryKey: r.PrimaryKey, SecondaryKey: r.SecondaryKey,
		})
	}
	return documents
}

func (r Rule) rights() (names []string) {
	for _, right := range []struct {
		held bool
		name string
	}{{r.Manage, "Manage"}, {r.Listen, "Listen"}, {r.Send, "Send"}} {
		if right.held {
			names = append(names, right.name)
		}
	}
	return names
}

func title(text string) titleDocument { return titleDocument{Type: "text", Text: text} }

func self(url string) linkDocument { return linkDocument{Rel: "self", HRef: url} }

func seconds(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// instant is a time as properties have it. Service Bus writes the one that never was without a zone, and clients know
// it by that.
func instant(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00"
	}
	return t.UTC().Format(time.RFC3339Nano)
}
