package broker

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenantsync/tenantsync/shared/broker/internal/atom"
)

// defaultDetectionWindow is what a description means that asks for duplicate detection and does not say for how long.
const defaultDetectionWindow = 10 * time.Minute

// putQueue creates a queue or, if the request has the header If-Match, replaces the description of one: a property that
// is not in the document is not kept but gets its default, as when a queue is created.
func (s *Server) putQueue(r *http.Request, name string) (status int, document []byte, err error) {
	asked, err := atom.DecodeQueue(r.Body)
	if err != nil {
		return 0, nil, undecodable(err)
	}
	if asked.ForwardTo != "" || asked.ForwardDeadLetteredMessagesTo != "" {
		return 0, nil, badValue("ForwardTo and ForwardDeadLetteredMessagesTo are not supported: this broker does not forward messages.")
	}
	config := configOf(name, asked)
	status, apply := http.StatusCreated, s.CreateQueue
	if r.Header.Get("If-Match") != "" {
		if was, err := s.Queue(name); err == nil {
			config.MaxSizeMB = sizeOf(asked, was)
		}
		status, apply = http.StatusOK, s.UpdateQueue
	}
	if err := config.withDefaults().validate(); err != nil {
		return 0, nil, badValue(sentence(err))
	}
	if err := apply(config); err != nil {
		return 0, nil, registryRefusal(err)
	}
	info, err := s.Queue(name)
	if err != nil { // it was deleted at once
		return 0, nil, registryRefusal(err)
	}
	return status, entry(r, info).XML(), nil
}

func (s *Server) removeQueue(name string) error {
	if err := s.DeleteQueue(name); err != nil {
		return registryRefusal(err)
	}
	return nil
}

// undecodable is the answer to a document that cannot be used.
func undecodable(err error) error {
	other, isOther := errors.AsType[atom.OtherEntity](err)
	switch {
	case errors.Is(err, atom.ErrTooLarge):
		return atom.Error{Code: http.StatusRequestEntityTooLarge, Detail: "The document is too large: " + err.Error()}
	case isOther && other != "":
		return atom.Error{Code: http.StatusNotImplemented, Detail: "The " + string(other) + " is not supported: this broker has queues only, no topics, subscriptions and rules."}
	}
	return badValue(sentence(err))
}

// registryRefusal is the answer to what the registry of queues refuses.
func registryRefusal(err error) error {
	var immutable *ImmutableError
	switch {
	case errors.Is(err, ErrQueueExists):
		return atom.Error{Code: http.StatusConflict, Detail: "SubCode=40900. Conflict. There is a queue of this name already. To change it, send the header If-Match."}
	case errors.Is(err, ErrQueueNotFound):
		return atom.Error{Code: http.StatusNotFound, Detail: "SubCode=40400. Not Found. There is no queue of this name."}
	case errors.As(err, &immutable):
		return badValue(sentence(immutable))
	}
	return err
}

// sentence is an error for people who do not know the broker's packages.
func sentence(err error) string {
	text := strings.ReplaceAll(err.Error(), "broker: ", "")
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:] + "."
}

// configOf is the configuration that a description asks for.
func configOf(name string, q atom.Queue) QueueConfig {
	config := QueueConfig{
		Name:                     name,
		LockDuration:             q.LockDuration,
		MaxDeliveryCount:         q.MaxDeliveryCount,
		DefaultTTL:               finite(q.DefaultMessageTimeToLive),
		DeadLetterOnExpiration:   q.DeadLetteringOnMessageExpiration,
		MaxSizeMB:                q.MaxSizeInMegabytes,
		MaxMessageSizeKB:         q.MaxMessageSizeInKilobytes,
		AutoDeleteOnIdle:         finite(q.AutoDeleteOnIdle),
		Status:                   Status(q.Status),
		Keys:                     map[string]Key{},
		UserMetadata:             q.UserMetadata,
		RequiresSession:          q.RequiresSession,
		EnablePartitioning:       q.EnablePartitioning,
		DisableBatchedOperations: !q.EnableBatchedOperations,
	}
	if q.RequiresDuplicateDetection {
		config.DuplicateDetectionWindow = cmp.Or(q.DuplicateDetectionHistoryTimeWindow, defaultDetectionWindow)
	}
	for _, rule := range q.AuthorizationRules {
		config.Keys[rule.KeyName] = Key{
			Secret: rule.PrimaryKey, Secondary: rule.SecondaryKey, Listen: rule.Listen, Send: rule.Send, Manage: rule.Manage,
		}
	}
	return config
}

// sizeOf is the size that an update asks for. A queue with partitions shows the size of all of them together; who sends
// that back, as clients do that read, change something else and write, does not want it to grow.
func sizeOf(asked atom.Queue, was QueueInfo) int {
	if was.EnablePartitioning && asked.MaxSizeInMegabytes == was.sizeMB() {
		return was.MaxSizeMB
	}
	return asked.MaxSizeInMegabytes
}

// entry describes a queue. Deferred messages count as active ones, which is how Service Bus counts them.
func entry(r *http.Request, info QueueInfo) atom.Entry {
	e := atom.Entry{
		URL:  href(r, info.Name),
		Name: info.Name,
		Queue: atom.Queue{
			LockDuration:                        info.LockDuration,
			MaxSizeInMegabytes:                  info.sizeMB(),
			RequiresDuplicateDetection:          info.DuplicateDetectionWindow > 0,
			RequiresSession:                     info.RequiresSession,
			DefaultMessageTimeToLive:            cmp.Or(info.DefaultTTL, atom.Never),
			DeadLetteringOnMessageExpiration:    info.DeadLetterOnExpiration,
			DuplicateDetectionHistoryTimeWindow: cmp.Or(info.DuplicateDetectionWindow, defaultDetectionWindow),
			MaxDeliveryCount:                    info.MaxDeliveryCount,
			EnableBatchedOperations:             !info.DisableBatchedOperations,
			Status:                              string(info.Status),
			UserMetadata:                        info.UserMetadata,
			AutoDeleteOnIdle:                    cmp.Or(info.AutoDeleteOnIdle, atom.Never),
			EnablePartitioning:                  info.EnablePartitioning,
			MaxMessageSizeInKilobytes:           info.MaxMessageSizeKB,
		},
		Runtime: atom.Runtime{
			SizeInBytes: info.SizeBytes,
			Messages:    info.Active + info.Deferred + info.Scheduled + info.DeadLettered,
			Active:      info.Active + info.Deferred, DeadLettered: info.DeadLettered, Scheduled: info.Scheduled,
			CreatedAt: info.CreatedAt, UpdatedAt: info.UpdatedAt, AccessedAt: info.AccessedAt,
		},
	}
	for _, name := range slices.Sorted(maps.Keys(info.Keys)) {
		key := info.Keys[name]
		e.AuthorizationRules = append(e.AuthorizationRules, atom.Rule{
			KeyName: name, PrimaryKey: key.Secret, SecondaryKey: key.Secondary, Listen: key.Listen, Send: key.Send, Manage: key.Manage,
		})
	}
	return e
}

// finite is a duration as the configuration has it, where 0 is forever.
func finite(d time.Duration) time.Duration {
	if d == atom.Never {
		return 0
	}
	return d
}
