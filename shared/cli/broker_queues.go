package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/yamlfile"
)

// queuesReader reads a queues file.
type queuesReader struct {
	yamlfile.Reader
	trial *broker.Server // says what the properties of a queue may be
}

// readQueues reads the queues of a file, and the keys that are good for all of them; no file ("") has none. Its error is
// config.Invalid.
func readQueues(path string) (queues []broker.QueueConfig, keys map[string]broker.Key, err error) {
	keys = map[string]broker.Key{}
	if path == "" {
		return nil, keys, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, config.Invalid{{File: path, Text: "it cannot be read: " + err.Error()}}
	}
	trial, err := broker.New(broker.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, trial.Close()) }()
	r := &queuesReader{trial: trial}
	r.Read(text, "write queues, see docs/broker.md", map[string]yamlfile.Field{
		"queues": r.List(r.queue(&queues)),
		"keys":   r.List(r.key(keys)),
	})
	if len(r.Mistakes) > 0 {
		slices.SortStableFunc(r.Mistakes, func(a, b yamlfile.Mistake) int { return a.Line - b.Line })
		var invalid config.Invalid
		for _, m := range r.Mistakes {
			invalid = append(invalid, config.Mistake{File: path, Line: m.Line, Text: m.Text})
		}
		return nil, nil, invalid
	}
	return queues, keys, nil
}

// queue reads one queue, and makes it on trial.
func (r *queuesReader) queue(into *[]broker.QueueConfig) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		before := len(r.Mistakes)
		q := broker.QueueConfig{Keys: map[string]broker.Key{}}
		r.Mapping(n, path, map[string]yamlfile.Field{
			"name":                             r.text(&q.Name),
			"lockDuration":                     r.duration(&q.LockDuration),
			"maxDeliveryCount":                 r.number(&q.MaxDeliveryCount),
			"duplicateDetectionWindow":         r.duration(&q.DuplicateDetectionWindow),
			"defaultMessageTimeToLive":         r.lifetime(&q.DefaultTTL),
			"deadLetteringOnMessageExpiration": r.boolean(&q.DeadLetterOnExpiration),
			"maxSizeInMegabytes":               r.number(&q.MaxSizeMB),
			"maxMessageSizeInKilobytes":        r.number(&q.MaxMessageSizeKB),
			"autoDeleteOnIdle":                 r.lifetime(&q.AutoDeleteOnIdle),
			"status":                           r.text((*string)(&q.Status)),
			"userMetadata":                     r.text(&q.UserMetadata),
			"enablePartitioning":               r.boolean(&q.EnablePartitioning),
			"keys":                             r.List(r.key(q.Keys)),
		})
		if len(r.Mistakes) > before {
			return // the trial would only echo it
		}
		if err := r.trial.CreateQueue(q); err != nil {
			for line := range strings.Lines(err.Error()) {
				r.Wrong(n, path, strings.TrimPrefix(strings.TrimSpace(line), "broker: "))
			}
		}
		*into = append(*into, q)
	}
}

// key reads one shared access key.
func (r *queuesReader) key(into map[string]broker.Key) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		var name string
		var key broker.Key
		r.Mapping(n, path, map[string]yamlfile.Field{
			"name": r.text(&name), "secret": r.text(&key.Secret),
			"rights": r.List(func(n *yaml.Node, path string) { r.right(n, path, &key) }),
		})
		_, twice := into[name]
		switch {
		case name == "" || key.Secret == "":
			r.Wrong(n, path, "a key needs a name and a secret")
		case !key.Listen && !key.Send && !key.Manage:
			r.Wrong(n, path, fmt.Sprintf("the key %q needs rights: some of Listen, Send and Manage", name))
		case twice || name == rootKey:
			r.Wrong(n, path, fmt.Sprintf("there is a key %q already; choose another name", name))
		}
		into[name] = key
	}
}

func (r *queuesReader) right(n *yaml.Node, path string, key *broker.Key) {
	switch n.Value {
	case "Listen":
		key.Listen = true
	case "Send":
		key.Send = true
	case "Manage":
		key.Manage = true
	default:
		r.Wrong(n, path, fmt.Sprintf("%q is no right; write Listen, Send or Manage", n.Value))
	}
}

func (r *queuesReader) text(into *string) yamlfile.Field {
	return yamlfile.Scalar(&r.Reader, into, "a text", func(text string) (string, bool) { return text, text != "" })
}

// number reads a number over 0. To have the default, one leaves it out.
func (r *queuesReader) number(into *int) yamlfile.Field {
	return yamlfile.Scalar(&r.Reader, into, "a number over 0", func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n > 0
	})
}

func (r *queuesReader) boolean(into *bool) yamlfile.Field {
	return yamlfile.Scalar(&r.Reader, into, "true or false", func(text string) (bool, bool) { return text == "true", text == "true" || text == "false" })
}

const durationForm = "a duration over 0 such as 1m30s or PT1M30S"

func (r *queuesReader) duration(into *time.Duration) yamlfile.Field {
	return yamlfile.Scalar(&r.Reader, into, durationForm, parseDuration)
}

// lifetime reads a duration of which the longest that Service Bus knows stands for no end.
func (r *queuesReader) lifetime(into *time.Duration) yamlfile.Field {
	return yamlfile.Scalar(&r.Reader, into, durationForm, func(text string) (time.Duration, bool) {
		if text == endless {
			return 0, true
		}
		return parseDuration(text)
	})
}

// endless is what exports of Service Bus say for "never".
const endless = "P10675199DT2H48M5.4775807S"

var iso8601 = regexp.MustCompile(`^P(?:(\d{1,4})D)?(?:T(\d+H)?(\d+M)?(\d+(?:\.\d+)?S)?)?$`)

// parseDuration reads a duration over 0 as Go writes it, or as ISO 8601 does with days, hours, minutes and seconds.
func parseDuration(text string) (time.Duration, bool) {
	var days int
	if m := iso8601.FindStringSubmatch(text); m != nil {
		days, _ = strconv.Atoi(m[1])
		text = strings.ToLower(m[2]+m[3]+m[4]) + "0s"
	}
	d, err := time.ParseDuration(text)
	d += time.Duration(days) * 24 * time.Hour
	return d, err == nil && d > 0 // what overflows is under 0
}
