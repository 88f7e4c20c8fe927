package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/config"
)

// queuesReader reads a queues file, and notes every mistake with its line.
type queuesReader struct {
	file     string
	trial    *broker.Server // says what the properties of a queue may be
	mistakes []config.Mistake
}

// field reads what stands at a path such as queues[0].name.
type field func(n *yaml.Node, path string)

// readQueues reads the queues of a file, and the keys that are good for all of them; no file ("") has none. Its error is
// config.Invalid.
func readQueues(path string) (queues []broker.QueueConfig, keys map[string]broker.Key, err error) {
	keys = map[string]broker.Key{}
	if path == "" {
		return nil, keys, nil
	}
	trial, err := broker.New(broker.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, trial.Close()) }()
	r := &queuesReader{file: path, trial: trial}
	root, err := r.document()
	if err != nil {
		return nil, nil, err
	}
	r.mapping(root, "", map[string]field{
		"queues": r.list(r.queue(&queues)),
		"keys":   r.list(r.key(keys)),
	})
	if len(r.mistakes) > 0 {
		slices.SortStableFunc(r.mistakes, func(a, b config.Mistake) int { return a.Line - b.Line })
		return nil, nil, config.Invalid(r.mistakes)
	}
	return queues, keys, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// document is the one document of the file.
func (r *queuesReader) document() (*yaml.Node, error) {
	unreadable := func(line int, text string) error { return config.Invalid{{File: r.file, Line: line, Text: text}} }
	text, err := os.ReadFile(r.file)
	if err != nil {
		return nil, unreadable(0, "it cannot be read: "+err.Error())
	}
	var root, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err = dec.Decode(&root); err == nil {
		err = dec.Decode(&second)
	}
	switch {
	case err == nil:
		return nil, unreadable(second.Line, "a second document begins here; write everything into the first")
	case !errors.Is(err, io.EOF):
		line := 1
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
			line, _ = strconv.Atoi(m[1])
		}
		return nil, unreadable(line, "this is not YAML: "+yamlLine.ReplaceAllString(err.Error(), ""))
	case len(root.Content) == 0:
		return nil, unreadable(1, "the file is empty; write queues, see docs/broker.md")
	}
	return root.Content[0], nil
}

// queue reads one queue, and makes it on trial.
func (r *queuesReader) queue(into *[]broker.QueueConfig) field {
	return func(n *yaml.Node, path string) {
		before := len(r.mistakes)
		q := broker.QueueConfig{Keys: map[string]broker.Key{}}
		r.mapping(n, path, map[string]field{
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
			"keys":                             r.list(r.key(q.Keys)),
		})
		if len(r.mistakes) > before {
			return // the trial would only echo it
		}
		if err := r.trial.CreateQueue(q); err != nil {
			for line := range strings.Lines(err.Error()) {
				r.wrong(n, path, strings.TrimPrefix(strings.TrimSpace(line), "broker: "))
			}
		}
		*into = append(*into, q)
	}
}

// key reads one shared access key.
func (r *queuesReader) key(into map[string]broker.Key) field {
	return func(n *yaml.Node, path string) {
		var name string
		var key broker.Key
		r.mapping(n, path, map[string]field{
			"name": r.text(&name), "secret": r.text(&key.Secret),
			"rights": r.list(func(n *yaml.Node, path string) { r.right(n, path, &key) }),
		})
		_, twice := into[name]
		switch {
		case name == "" || key.Secret == "":
			r.wrong(n, path, "a key needs a name and a secret")
		case !key.Listen && !key.Send && !key.Manage:
			r.wrong(n, path, fmt.Sprintf("the key %q needs rights: some of Listen, Send and Manage", name))
		case twice || name == rootKey:
			r.wrong(n, path, fmt.Sprintf("there is a key %q already; choose another name", name))
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
		r.wrong(n, path, fmt.Sprintf("%q is no right; write Listen, Send or Manage", n.Value))
	}
}

// mapping reads a mapping whose keys are known. Unknown and repeated keys are mistakes.
func (r *queuesReader) mapping(n *yaml.Node, path string, fields map[string]field) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, path, "a mapping belongs here; write some of: "+known(fields))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		read, ok := fields[key.Value]
		switch {
		case !ok:
			r.wrong(key, at, fmt.Sprintf("there is no key %q here; write one of: %s", key.Value, known(fields)))
		case seen[key.Value]:
			r.wrong(key, at, fmt.Sprintf("the key %q stands here twice; delete one", key.Value))
		default:
			seen[key.Value] = true
			read(aliased(value), at)
		}
	}
}

func known(fields map[string]field) string {
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

func (r *queuesReader) list(item field) field {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode {
			r.wrong(n, path, "a list belongs here; begin each entry with a hyphen")
			return
		}
		for i, c := range n.Content {
			item(aliased(c), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

// aliased is what an alias (*name) stands for, on the line of the alias, and any other node itself.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode {
		return n
	}
	value := *n.Alias
	value.Line = n.Line
	return &value
}

// scalar reads a scalar, and refuses what parse cannot read with a word on what belongs there.
func scalar[T any](r *queuesReader, into *T, what string, parse func(text string) (T, bool)) field {
	return func(n *yaml.Node, path string) {
		value, ok := parse(n.Value)
		if n.Kind != yaml.ScalarNode || !ok {
			r.wrong(n, path, fmt.Sprintf("%s belongs here, not %q", what, n.Value))
			return
		}
		*into = value
	}
}

func (r *queuesReader) text(into *string) field {
	return scalar(r, into, "a text", func(text string) (string, bool) { return text, text != "" })
}

// number reads a number over 0. To have the default, one leaves it out.
func (r *queuesReader) number(into *int) field {
	return scalar(r, into, "a number over 0", func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n > 0
	})
}

func (r *queuesReader) boolean(into *bool) field {
	return scalar(r, into, "true or false", func(text string) (bool, bool) { return text == "true", text == "true" || text == "false" })
}

const durationForm = "a duration over 0 such as 1m30s or PT1M30S"

func (r *queuesReader) duration(into *time.Duration) field {
	return scalar(r, into, durationForm, parseDuration)
}

// lifetime reads a duration of which the longest that Service Bus knows stands for no end.
func (r *queuesReader) lifetime(into *time.Duration) field {
	return scalar(r, into, durationForm, func(text string) (time.Duration, bool) {
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

func (r *queuesReader) wrong(n *yaml.Node, path, text string) {
	if path != "" {
		text = path + ": " + text
	}
	r.mistakes = append(r.mistakes, config.Mistake{File: r.file, Line: n.Line, Text: text})
}
