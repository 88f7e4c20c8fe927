package subscription_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/subscription"
)

const userID = "87d349ed-44d7-43e1-9a83-5f2406dee5bd"

// onTheWire is an item as Graph sends it for a user.
const onTheWire = `{"changeType":"updated","clientState":"secret","resource":"Users/` + userID + `",
	"resourceData":{"@odata.type":"#Microsoft.Graph.User","@odata.id":"Users/` + userID + `","id":"` + userID + `",
	"organizationId":"` + us + `","eventTime":"2026-05-01T08:59:59.1234567Z","sequenceNumber":636784480202455800},
	"subscriptionExpirationDateTime":"2026-05-29T09:00:00Z","subscriptionId":"S1","tenantId":"` + us + `"}`

func TestDecodeNotification(t *testing.T) {
	plain := subscription.Notification{
		SubscriptionID: "S1", TenantID: us, ClientState: "secret", UserID: userID,
		EventAt: time.Date(2026, 5, 1, 8, 59, 59, 123456700, time.UTC), Sequence: "636784480202455800",
	}
	with := func(edit func(*subscription.Notification)) subscription.Notification {
		n := plain
		edit(&n)
		return n
	}
	for _, c := range []struct {
		name     string
		old, new string // what is replaced in onTheWire
		want     subscription.Notification
	}{
		{"as Graph sends it", "", "", plain},
		{"a purge", `"updated"`, `"deleted"`, with(func(n *subscription.Notification) { n.Deleted = true })},
		{"a sequence number that is a string", "636784480202455800", `"636784480202455800"`, plain},
		{"a sequence number beyond a float keeps every digit", "636784480202455800", "9223372036854775807",
			with(func(n *subscription.Notification) { n.Sequence = "9223372036854775807" })},
		{"no sequence number", `,"sequenceNumber":636784480202455800`, "", with(func(n *subscription.Notification) { n.Sequence = "" })},
		{"a time that cannot be read", "2026-05-01T", "yesterday ", with(func(n *subscription.Notification) { n.EventAt = time.Time{} })},
		{"a time that is a number", `"2026-05-01T08:59:59.1234567Z"`, "17", with(func(n *subscription.Notification) { n.EventAt = time.Time{} })},
		{"ids in upper case", `"tenantId":"` + us + `"`, `"tenantId":"` + strings.ToUpper(us) + `"`, plain},
		{"a resource in lower case with a slash", `"resource":"Users/`, `"resource":"/users/`, plain},
		{"an id in the resource only", `"id":"` + userID + `",`, "", plain},
		{"fields that nobody knows", `{"changeType"`, `{"colour":{"is":["blue"]},"changeType"`, plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(onTheWire, c.old) {
				t.Fatalf("there is no %q to replace", c.old)
			}
			got, err := subscription.DecodeNotification(json.RawMessage(strings.Replace(onTheWire, c.old, c.new, 1)))
			if err != nil || got != c.want {
				t.Errorf("error %v\n got %+v\nwant %+v", err, got, c.want)
			}
		})
	}
}

func TestDecodeNotificationRefuses(t *testing.T) {
	const resource = `"resource":"Users/` + userID + `"`
	for _, c := range []struct {
		name, item string
		notForUs   bool
	}{
		{"null", "null", true},
		{"an empty item", "{}", true},
		{"a lifecycle event", `{"subscriptionId":"S1","tenantId":"` + us + `","clientState":"secret","lifecycleEvent":"reauthorizationRequired"}`, true},
		{"a group", strings.Replace(onTheWire, resource, `"resource":"Groups/`+userID+`"`, 1), true},
		{"no resource", strings.Replace(onTheWire, resource, `"resource":""`, 1), true},
		{"a user id that is a path", strings.ReplaceAll(onTheWire, userID, "../../users"), true},
		{"a user id with a line break", strings.ReplaceAll(onTheWire, userID, userID+`\n`), true},
		{"no user id", strings.ReplaceAll(onTheWire, userID, ""), true},
		{"a list", "[]", false},
		{"a text", `"Users"`, false},
		{"half an item", onTheWire[:50], false},
		{"a client state that is a number", strings.Replace(onTheWire, `"secret"`, "1", 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := subscription.DecodeNotification(json.RawMessage(c.item))
			if err == nil || errors.Is(err, subscription.ErrNotForUs) != c.notForUs {
				t.Errorf("read as %+v, error %v; want an error, not for us %t", n, err, c.notForUs)
			}
		})
	}
}

func TestDecodeEnvelope(t *testing.T) {
	items, err := subscription.DecodeEnvelope([]byte(`{"value":[` + onTheWire + `,17,{}],"validationTokens":null}`))
	if err != nil || len(items) != 3 || string(items[1]) != "17" {
		t.Errorf("items %s, error %v; want 3, the bad one among them", items, err)
	}
	if items, err := subscription.DecodeEnvelope([]byte(`{"value":[]}`)); err != nil || len(items) != 0 {
		t.Errorf("an empty list: %s, error %v", items, err)
	}
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "value", "no value": "{}", "null": "null", "a value of null": `{"value":null}`,
		"a value that is no list": `{"value":{}}`, "a list": "[]", "half": `{"value":[{}`, "two": `{"value":[]}{"value":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if items, err := subscription.DecodeEnvelope([]byte(body)); err == nil {
				t.Errorf("it is read as %s", items)
			}
		})
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add([]byte(`{"value":[` + onTheWire + `]}`))
	f.Add([]byte(`{"value":[null,{},17]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := subscription.DecodeEnvelope(body)
		if err != nil {
			return
		}
		for _, item := range items {
			n, err := subscription.DecodeNotification(item)
			if err == nil && (len(n.UserID) != 36 || n.UserID != strings.ToLower(n.UserID)) {
				t.Fatalf("%q is read as user %q", item, n.UserID)
			}
		}
	})
}
