package azfntest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/uuid"
)

// encode is how the host writes one value of Data or Metadata (GetHttpScriptInvocationContextValue): a string becomes a
// string that holds a JSON string, a number becomes a string, a time loses its fraction and, in UTC, its zone.
func encode(value any) any {
	switch v := value.(type) {
	case string:
		quoted, _ := json.Marshal(v) // a string always can be
		return string(quoted)
	case int64, uint32:
		return fmt.Sprint(v)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case dateTime:
		return time.Time(v).UTC().Format("2006-01-02T15:04:05")
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05-07:00")
	}
	return value // objects
}

// dateTime is .NET's DateTime, in UTC.
type dateTime time.Time

// never is when a message without a time to live expires (DateTimeOffset.MaxValue).
var never = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// messageValues are the trigger's value and the metadata of one message, encoded (ServiceBusTriggerBindingStrategy).
func messageValues(b binding, m *azservicebus.ReceivedMessage) (any, map[string]any) {
	data := bindingData(m)
	var value any = string(m.Body)
	if strings.EqualFold(b.DataType, "binary") {
		value = m.Body
	} else {
		pollute(data, m.Body)
	}
	metadata := make(map[string]any, len(data))
	for key, v := range data {
		if v != nil && !strings.HasSuffix(strings.ToLower(key), "trigger") {
			metadata[key] = encode(v)
		}
	}
	return encode(value), metadata
}

// bindingData is what the extension knows of a message, objects that only make sense to .NET included. There is no
// reason of a dead letter among it but in the application properties.
func bindingData(m *azservicebus.ReceivedMessage) map[string]any {
	properties := map[string]any{}
	for name, v := range m.ApplicationProperties {
		properties[name] = v
	}
	data := map[string]any{
		"DeliveryCount": m.DeliveryCount, "LockToken": uuid.UUID(m.LockToken).String(), "MessageId": m.MessageID,
		"ApplicationProperties": properties, "UserProperties": properties,
		"MessageReceiver": map[string]any{}, "MessageSession": map[string]any{}, "MessageActions": map[string]any{},
		"SessionActions": map[string]any{}, "ReceiveActions": map[string]any{},
		"Client": map[string]any{
			"FullyQualifiedNamespace": "127.0.0.1", "IsClosed": false, "TransportType": 0, "Identifier": "azfntest",
		},
	}
	for key, v := range map[string]*string{
		"DeadLetterSource": m.DeadLetterSource, "ContentType": m.ContentType, "ReplyTo": m.ReplyTo, "To": m.To,
		"Subject": m.Subject, "Label": m.Subject, "CorrelationId": m.CorrelationID, "SessionId": m.SessionID,
		"ReplyToSessionId": m.ReplyToSessionID, "PartitionKey": m.PartitionKey,
	} {
		if v != nil { // a null is left out
			data[key] = *v
		}
	}
	if m.SequenceNumber != nil {
		data["SequenceNumber"] = *m.SequenceNumber
	}
	if m.EnqueuedTime != nil {
		data["EnqueuedTime"], data["EnqueuedTimeUtc"] = *m.EnqueuedTime, dateTime(*m.EnqueuedTime)
	}
	expires := never
	if m.ExpiresAt != nil {
		expires = *m.ExpiresAt
	}
	data["ExpiresAt"], data["ExpiresAtUtc"] = expires, dateTime(expires)
	return data
}

// pollute does what the host does when the trigger's value is a string that holds a JSON object: its properties, lists
// aside, overwrite binding data of the same name, whatever the case (Utility.ApplyBindingData).
func pollute(data map[string]any, body []byte) {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return
	}
	for name, v := range object {
		switch value := v.(type) {
		case nil, []any:
			continue
		case float64:
			v = strconv.FormatFloat(value, 'f', -1, 64)
		case bool:
			v = fmt.Sprint(value)
		}
		key := name
		for known := range data {
			if strings.EqualFold(known, name) {
				key = known
			}
		}
		data[key] = v
	}
}
