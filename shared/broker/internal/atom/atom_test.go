package atom

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	created  = time.Date(2026, 2, 3, 19, 34, 5, 498_303_900, time.UTC)
	modified = time.Date(2026, 4, 12, 1, 28, 26, 716_332_400, time.UTC)
)

func plain() Entry {
	return Entry{
		URL: "https://localhost:5671/orders", Name: "orders",
		Queue: Queue{
			LockDuration: time.Minute, MaxSizeInMegabytes: 1024, DefaultMessageTimeToLive: Never, DuplicateDetectionHistoryTimeWindow: 10 * time.Minute,
			MaxDeliveryCount: 10, EnableBatchedOperations: true, Status: "Active", AutoDeleteOnIdle: Never, MaxMessageSizeInKilobytes: 256,
		},
		Runtime: Runtime{CreatedAt: created, UpdatedAt: created},
	}
}

func full() Entry {
	return Entry{
		URL: "https://localhost:5671/a/b?api-version=2024-05&x=<1>", Name: "a/b",
		Queue: Queue{
			LockDuration: 45 * time.Second, MaxSizeInMegabytes: 65536, RequiresDuplicateDetection: true, RequiresSession: true,
			DefaultMessageTimeToLive: 6 * time.Hour, DeadLetteringOnMessageExpiration: true, DuplicateDetectionHistoryTimeWindow: 4 * time.Hour,
			MaxDeliveryCount: 100, AuthorizationRules: []Rule{
				{KeyName: "root", PrimaryKey: "cHJpbWFyeQ==", SecondaryKey: "c2Vjb25kYXJ5", Manage: true, Listen: true, Send: true},
				{KeyName: "send", PrimaryKey: "c2VuZA==", Send: true},
			},
			Status: "ReceiveDisabled", UserMetadata: "some <metadata> & more", AutoDeleteOnIdle: 10 * time.Minute,
			EnablePartitioning: true, MaxMessageSizeInKilobytes: 102400,
		},
		Runtime: Runtime{
			SizeInBytes: 542, Messages: 9, Active: 3, DeadLettered: 2, Scheduled: 4,
			CreatedAt: created, UpdatedAt: modified, AccessedAt: modified.Add(time.Hour),
		},
	}
}

func TestDocumentsAreThoseOfServiceBus(t *testing.T) {
	for _, c := range []struct {
		file string
		got  []byte
	}{
		{"queue.xml", plain().XML()},
		{"queue-full.xml", full().XML()},
		{"queues.xml", Feed{URL: "https://localhost:5671/$Resources/Queues", Title: "Queues", Updated: modified, Entries: []Entry{plain(), full()}}.XML()},
		{"no-entity.xml", Feed{URL: "https://localhost:5671/nope", Title: NoEntity, Updated: modified}.XML()},
		{"namespace.xml", Namespace{URL: "https://localhost:5671/$namespaceinfo", Name: "localhost", SKU: "Standard", Created: created, Modified: modified}.XML()},
		{"error.xml", Error{Code: 401, Detail: `Manage,EntityRead claims required for <this> operation & "others".`}.XML()},
	} {
		t.Run(c.file, func(t *testing.T) {
			got := indent(t, c.got)
			file := filepath.Join("testdata", c.file)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// indent puts each element of a document on a line of its own, and fails if it is not well-formed.
func indent(t *testing.T, document []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	decoder := xml.NewDecoder(bytes.NewReader(document))
	depth, open := 0, false
	line := func(text string) {
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		out.WriteString(strings.Repeat("  ", depth) + text)
	}
	start := int64(0)
	for {
		token, err := decoder.RawToken()
		if err != nil {
			break
		}
		end := decoder.InputOffset()
		text := string(document[start:end])
		start = end
		switch token.(type) {
		case xml.StartElement:
			line(text)
			depth, open = depth+1, true
		case xml.EndElement:
			if depth--; open {
				out.WriteString(text)
			} else {
				line(text)
			}
			open = false
		case xml.CharData:
			out.WriteString(text)
		}
	}
	if err := xml.Unmarshal(document, new(struct{})); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func TestADescriptionIsReadBackAsItWasWritten(t *testing.T) {
	for _, entry := range []Entry{plain(), full()} {
		got, err := DecodeQueue(bytes.NewReader(entry.XML()))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, entry.Queue) {
			t.Errorf("got  %+v\nwant %+v", got, entry.Queue)
		}
	}
}

// request is an entry with the given properties, as a client sends it.
func request(properties string) string {
	return `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">` +
		`<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">` +
		properties + `</QueueDescription></content></entry>`
}

func TestRequestsOfClientsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, document string
		want           Queue
	}{
		{"without any property", request(""), Queue{EnableBatchedOperations: true}},
		{"with a declaration, space and comments", "\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n" + request(" <!-- none --> ") + "\n<!-- end -->\n",
			Queue{EnableBatchedOperations: true}},
		{"with values that are nil, empty or spaced", request(`<LockDuration> PT5S </LockDuration><ForwardTo i:nil="true"/><MaxDeliveryCount></MaxDeliveryCount><RequiresSession>1</RequiresSession>`),
			Queue{LockDuration: 5 * time.Second, RequiresSession: true, EnableBatchedOperations: true}},
		{"in another order, with properties that are not modelled", request(`<EnableExpress>true</EnableExpress><Future><Nested>1</Nested></Future><MaxDeliveryCount>3</MaxDeliveryCount><LockDuration>PT5S</LockDuration>`),
			Queue{LockDuration: 5 * time.Second, MaxDeliveryCount: 3, EnableBatchedOperations: true}},
		{"with prefixes", `<a:entry xmlns:a="http://www.w3.org/2005/Atom"><a:content><q:QueueDescription xmlns:q="urn:x"><q:Status>Disabled</q:Status></q:QueueDescription></a:content></a:entry>`,
			Queue{Status: "Disabled", EnableBatchedOperations: true}},
		{"with a rule as the Go client writes it", request(`<AuthorizationRules><AuthorizationRule xmlns:XMLSchema-instance="http://www.w3.org/2001/XMLSchema-instance" XMLSchema-instance:type="SharedAccessAuthorizationRule"><ClaimType>SharedAccessKey</ClaimType><ClaimValue>None</ClaimValue><Rights><AccessRights>Send</AccessRights></Rights><KeyName>k</KeyName><PrimaryKey>p</PrimaryKey><SecondaryKey>s</SecondaryKey></AuthorizationRule></AuthorizationRules>`),
			Queue{EnableBatchedOperations: true, AuthorizationRules: []Rule{{KeyName: "k", PrimaryKey: "p", SecondaryKey: "s", Send: true}}}},
		{"with forwarding", request(`<ForwardTo>sb://h/other</ForwardTo><ForwardDeadLetteredMessagesTo>sb://h/dead</ForwardDeadLetteredMessagesTo>`),
			Queue{EnableBatchedOperations: true, ForwardTo: "sb://h/other", ForwardDeadLetteredMessagesTo: "sb://h/dead"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeQueue(strings.NewReader(c.document))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	rule := func(kind, body string) string {
		return request(`<AuthorizationRules><AuthorizationRule i:type="` + kind + `">` + body + `</AuthorizationRule></AuthorizationRules>`)
	}
	const keys = "<KeyName>k</KeyName><PrimaryKey>p</PrimaryKey>"
	for _, c := range []struct {
		name, document string
		want           []string
	}{
		{"nothing", "", []string{"EOF"}},
		{"no XML", "hello", []string{"EOF"}},
		{"half a document", request("")[:100], []string{"unexpected EOF"}},
		{"tags that do not match", strings.Replace(request(""), "</content>", "</entry>", 1), []string{"closed by"}},
		{"no entry", "<feed/>", []string{"<feed>"}},
		{"an entity of its own", `<!DOCTYPE entry [<!ENTITY x "y">]>` + request(""), []string{"document type"}},
		{"another encoding", `<?xml version="1.0" encoding="utf-16"?>` + request(""), []string{"utf-16"}},
		{"two documents", request("") + "<entry/>", []string{"behind its root"}},
		{"text behind the document", request("") + "x", []string{"behind its root"}},
		{"deep nesting", strings.Repeat("<entry>", 20), []string{"nested more than 16 deep"}},
		{"a text for a number", request("<MaxDeliveryCount>ten</MaxDeliveryCount>"), []string{"MaxDeliveryCount", `"ten"`}},
		{"zero", request("<MaxDeliveryCount>0</MaxDeliveryCount>"), []string{"MaxDeliveryCount", `"0"`}},
		{"a number of 33 bits", request("<MaxSizeInMegabytes>4294967296</MaxSizeInMegabytes>"), []string{"MaxSizeInMegabytes"}},
		{"a text for a flag", request("<RequiresSession>yes</RequiresSession>"), []string{"RequiresSession", `"yes"`}},
		{"a wrong duration", request("<LockDuration>60</LockDuration>"), []string{"LockDuration", `"60"`, "ISO 8601"}},
		{"an empty duration", request("<AutoDeleteOnIdle>PT0S</AutoDeleteOnIdle>"), []string{"AutoDeleteOnIdle", `"PT0S"`}},
		{"several mistakes", request("<LockDuration>x</LockDuration><MaxDeliveryCount>-1</MaxDeliveryCount>"), []string{"LockDuration", "MaxDeliveryCount"}},
		{"a rule of another type", rule("AllowRule", keys), []string{"rule 1", "AllowRule"}},
		{"a rule without keys", rule(sharedAccess, "<KeyName>k</KeyName>"), []string{"rule 1", "PrimaryKey"}},
		{"a rule with another right", rule(sharedAccess, keys+"<Rights><AccessRights>Fly</AccessRights></Rights>"), []string{"rule 1", `"Fly"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeQueue(strings.NewReader(c.document))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

func TestTwoRulesWithOneNameAreRefused(t *testing.T) {
	entry := plain()
	entry.AuthorizationRules = []Rule{{KeyName: "k", PrimaryKey: "1"}, {KeyName: "k", PrimaryKey: "2"}}
	if _, err := DecodeQueue(bytes.NewReader(entry.XML())); err == nil || !strings.Contains(err.Error(), "rule 2") {
		t.Errorf("error %v, want one about rule 2", err)
	}
}

func TestAnEntryOfSomethingElseIsToldByItsKind(t *testing.T) {
	for _, kind := range []OtherEntity{"TopicDescription", "SubscriptionDescription", "RuleDescription", ""} {
		document := "<entry><content/></entry>"
		if kind != "" {
			document = "<entry><content><" + string(kind) + "><Name>n</Name></" + string(kind) + "></content></entry>"
		}
		_, err := DecodeQueue(strings.NewReader(document))
		if got, ok := errors.AsType[OtherEntity](err); !ok || got != kind {
			t.Errorf("%s: error %v, want OtherEntity(%q)", document, err, kind)
		}
	}
}

func TestALargeDocumentIsNotReadToItsEnd(t *testing.T) {
	source := strings.NewReader(request("<UserMetadata>" + strings.Repeat("x", 10*MaxSize) + "</UserMetadata>"))
	if _, err := DecodeQueue(source); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	if read := int(source.Size()) - source.Len(); read > MaxSize+1 {
		t.Errorf("%d bytes were read", read)
	}
	exact := request("")
	exact += strings.Repeat(" ", MaxSize-len(exact))
	if _, err := DecodeQueue(strings.NewReader(exact)); err != nil {
		t.Errorf("a document of exactly the largest size: %v", err)
	}
}

func FuzzDecodeQueue(f *testing.F) {
	f.Add(plain().XML())
	f.Add(full().XML())
	f.Add([]byte(request(`<LockDuration>PT5S</LockDuration><ForwardTo i:nil="true"/>`)))
	f.Add([]byte(`<a:entry xmlns:a="u"><a:content><q:QueueDescription xmlns:q="v"/></a:content></a:entry>`))
	f.Add([]byte(`<entry><content><TopicDescription/></content></entry>`))
	f.Fuzz(func(t *testing.T, document []byte) {
		first, err := DecodeQueue(bytes.NewReader(document))
		if err != nil {
			return
		}
		// What the server answers has every property: an absent one gets a default.
		for _, d := range []*time.Duration{&first.LockDuration, &first.DefaultMessageTimeToLive, &first.DuplicateDetectionHistoryTimeWindow, &first.AutoDeleteOnIdle} {
			if *d == 0 {
				*d = Never
			}
		}
		for _, n := range []*int{&first.MaxSizeInMegabytes, &first.MaxDeliveryCount, &first.MaxMessageSizeInKilobytes} {
			if *n == 0 {
				*n = 1
			}
		}
		second, err := DecodeQueue(bytes.NewReader(Entry{Queue: first}.XML()))
		if errors.Is(err, ErrTooLarge) {
			return // escapes and the other elements made it grow
		}
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("read as %+v\nand, once written, as %+v (%v)", first, second, err)
		}
	})
}
