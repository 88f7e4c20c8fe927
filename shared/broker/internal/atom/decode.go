package atom

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Limits of a document that is read. A description with twelve rules, the most Service Bus allows, has about 8 kB and a
// depth of 7.
const (
	MaxSize  = 64 << 10 // in bytes
	MaxDepth = 16       // of nested elements
)

var (
	// ErrTooLarge is wrapped by the error for a document of more than MaxSize bytes.
	ErrTooLarge = fmt.Errorf("it has more than %d bytes", MaxSize)

	errTooDeep     = fmt.Errorf("its elements are nested more than %d deep", MaxDepth)
	errDeclaration = errors.New("it has a document type declaration")
	errTrailing    = errors.New("there is something behind its root element")
)

// OtherEntity is wrapped by the error for an entry that describes no queue but something else. It is the name of the
// element, such as TopicDescription, or empty if the entry has no content.
type OtherEntity string

func (e OtherEntity) Error() string {
	return fmt.Sprintf("it describes no queue: the content is %q where QueueDescription is expected", string(e))
}

// DecodeQueue reads an entry that describes a queue. The error names every property with a value that cannot be. A
// document is refused if it is not well-formed, exceeds MaxSize or MaxDepth, or has a document type declaration.
func DecodeQueue(r io.Reader) (Queue, error) {
	var entry struct {
		XMLName xml.Name `xml:"entry"`
		Content struct {
			Entity description `xml:",any"`
		} `xml:"content"`
	}
	limited := &sizeLimit{from: r, left: MaxSize}
	tokens := &depthLimit{from: xml.NewDecoder(limited)}
	decoder := xml.NewTokenDecoder(tokens)
	if err := decoder.Decode(&entry); err != nil {
		return Queue{}, fmt.Errorf("read the entry: %w", err)
	}
	if err := atEnd(decoder); err != nil {
		return Queue{}, fmt.Errorf("read the entry: %w", err)
	}
	if kind := entry.Content.Entity.XMLName.Local; kind != "QueueDescription" {
		return Queue{}, fmt.Errorf("read the entry: %w", OtherEntity(kind))
	}
	return entry.Content.Entity.queue()
}

// atEnd checks that nothing but space and comments follows.
func atEnd(decoder *xml.Decoder) error {
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			return errTrailing
		case xml.CharData:
			if strings.TrimSpace(string(token)) != "" {
				return errTrailing
			}
		}
	}
}

// sizeLimit fails once more than left bytes are read.
type sizeLimit struct {
	from io.Reader
	left int
}

func (l *sizeLimit) Read(p []byte) (int, error) {
	n, err := l.from.Read(p[:min(len(p), l.left+1)])
	if l.left -= n; l.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// depthLimit passes the tokens of a document on, as they stand in it, as long as it may be read.
type depthLimit struct {
	from  *xml.Decoder
	depth int
}

func (l *depthLimit) Token() (xml.Token, error) {
	token, err := l.from.RawToken() // the decoder that reads these matches tags and resolves prefixes
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case xml.StartElement:
		if l.depth++; l.depth > MaxDepth {
			return nil, errTooDeep
		}
	case xml.EndElement:
		l.depth--
	case xml.Directive:
		return nil, errDeclaration
	}
	return token, nil
}

// description is a QueueDescription with its values as they stand in the document, or another element.
type description struct {
	XMLName                             xml.Name
	LockDuration                        string
	MaxSizeInMegabytes                  string
	RequiresDuplicateDetection          string
	RequiresSession                     string
	DefaultMessageTimeToLive            string
	DeadLetteringOnMessageExpiration    string
	DuplicateDetectionHistoryTimeWindow string
	MaxDeliveryCount                    string
	EnableBatchedOperations             string
	AuthorizationRules                  []rule `xml:"AuthorizationRules>AuthorizationRule"`
	Status                              string
	ForwardTo                           string
	UserMetadata                        string
	AutoDeleteOnIdle                    string
	EnablePartitioning                  string
	ForwardDeadLetteredMessagesTo       string
	MaxMessageSizeInKilobytes           string
}

type rule struct {
	Type         string   `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
	Rights       []string `xml:"Rights>AccessRights"`
	KeyName      string
	PrimaryKey   string
	SecondaryKey string
}

func (d description) queue() (Queue, error) {
	var v values
	q := Queue{
		LockDuration:                        v.duration("LockDuration", d.LockDuration),
		MaxSizeInMegabytes:                  v.count("MaxSizeInMegabytes", d.MaxSizeInMegabytes),
		RequiresDuplicateDetection:          v.flag("RequiresDuplicateDetection", d.RequiresDuplicateDetection, false),
		RequiresSession:                     v.flag("RequiresSession", d.RequiresSession, false),
		DefaultMessageTimeToLive:            v.duration("DefaultMessageTimeToLive", d.DefaultMessageTimeToLive),
		DeadLetteringOnMessageExpiration:    v.flag("DeadLetteringOnMessageExpiration", d.DeadLetteringOnMessageExpiration, false),
		DuplicateDetectionHistoryTimeWindow: v.duration("DuplicateDetectionHistoryTimeWindow", d.DuplicateDetectionHistoryTimeWindow),
		MaxDeliveryCount:                    v.count("MaxDeliveryCount", d.MaxDeliveryCount),
		EnableBatchedOperations:             v.flag("EnableBatchedOperations", d.EnableBatchedOperations, true),
		AuthorizationRules:                  v.rules(d.AuthorizationRules),
		Status:                              strings.TrimSpace(d.Status),
		ForwardTo:                           strings.TrimSpace(d.ForwardTo),
		UserMetadata:                        d.UserMetadata,
		AutoDeleteOnIdle:                    v.duration("AutoDeleteOnIdle", d.AutoDeleteOnIdle),
		EnablePartitioning:                  v.flag("EnablePartitioning", d.EnablePartitioning, false),
		ForwardDeadLetteredMessagesTo:       strings.TrimSpace(d.ForwardDeadLetteredMessagesTo),
		MaxMessageSizeInKilobytes:           v.count("MaxMessageSizeInKilobytes", d.MaxMessageSizeInKilobytes),
	}
	if err := errors.Join(v.errs...); err != nil {
		return Queue{}, err
	}
	return q, nil
}

// values reads the values of properties and collects what is wrong with them. An element that is absent, empty or nil
// is one that is left to its default.
type values struct{ errs []error }

func (v *values) refuse(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

func (v *values) duration(name, text string) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		v.refuse("%s: %w", name, err)
	case d == 0:
		v.refuse("%s: the duration %q is none", name, text)
	}
	return d
}

func (v *values) count(name, text string) int {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n <= 0 {
		v.refuse("%s: %q is no whole number from 1 to 2147483647", name, text)
	}
	return int(n)
}

func (v *values) flag(name, text string, absent bool) bool {
	switch strings.TrimSpace(text) {
	case "":
		return absent
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	v.refuse("%s: %q is neither true nor false", name, text)
	return false
}

func (v *values) rules(rules []rule) (read []Rule) {
	named := map[string]bool{}
	for i, r := range rules {
		refuse := func(format string, args ...any) {
			v.refuse("AuthorizationRules: rule %d: "+format, append([]any{i + 1}, args...)...)
		}
		_, kind, prefixed := strings.Cut(r.Type, ":")
		if !prefixed {
			kind = r.Type
		}
		if kind != sharedAccess {
			refuse("its type is %q, and only %s is known", r.Type, sharedAccess)
		}
		to := Rule{KeyName: r.KeyName, PrimaryKey: r.PrimaryKey, SecondaryKey: r.SecondaryKey}
		if r.KeyName == "" || r.PrimaryKey == "" {
			refuse("it needs a KeyName and a PrimaryKey; keys are not generated")
		}
		if named[r.KeyName] {
			refuse("another one has the KeyName %q, too", r.KeyName)
		}
		named[r.KeyName] = true
		for _, name := range r.Rights {
			switch name {
			case "Manage":
				to.Manage = true
			case "Listen":
				to.Listen = true
			case "Send":
				to.Send = true
			default:
				refuse("%q is none of the rights Manage, Listen and Send", name)
			}
		}
		read = append(read, to)
	}
	return read
}
