package azfn

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/tenantsync/tenantsync/shared/change"
)

// envelope is one invocation as the host sends it. Data has the values of the input bindings, Metadata what the
// trigger adds. Metadata also holds objects nobody needs, and, when the trigger passes its value as a string,
// whatever the sender put into a JSON body; so it is a map whose keys are looked up exactly.
type envelope struct {
	Data     map[string]json.RawMessage
	Metadata map[string]json.RawMessage
}

func decode(body []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return envelope{}, fmt.Errorf("decode envelope: %w", err)
	}
	return e, nil
}

// input is the value of the input binding of that name, or of the only one there is.
func (e envelope) input(name string) (json.RawMessage, error) {
	if value, ok := e.Data[name]; ok {
		return value, nil
	}
	if len(e.Data) == 1 {
		for _, value := range e.Data {
			return value, nil
		}
	}
	return nil, fmt.Errorf("decode envelope: no input named %q among %d: give the trigger this name in function.json", name, len(e.Data))
}

// delivery reads the message of a serviceBusTrigger.
func (e envelope) delivery(queue string) (change.Delivery, error) {
	if _, batch := e.Metadata["LockTokenArray"]; batch {
		return change.Delivery{}, errors.New(`decode envelope: it holds a batch: remove "cardinality" from function.json`)
	}
	value, err := e.input(bindingMessage)
	if err != nil {
		return change.Delivery{}, err
	}
	token, err := uuid.Parse(text(e.Metadata["LockToken"]))
	if err != nil {
		return change.Delivery{}, fmt.Errorf(`decode envelope: LockToken: %w: is "dataType" still "binary" in function.json?`, err)
	}
	count, err := strconv.Atoi(text(e.Metadata["DeliveryCount"]))
	if err != nil {
		return change.Delivery{}, fmt.Errorf("decode envelope: DeliveryCount: %w", err)
	}
	return change.Delivery{
		Queue:         queue,
		MessageID:     text(e.Metadata["MessageId"]),
		LockToken:     token,
		DeliveryCount: count,
		Body:          messageBody(value),
	}, nil
}

// text reads a scalar of the envelope. The host sends a string as a string that holds a JSON string ("\"abc\""), and a
// number or a bool as a string ("1"); what is encoded once only is read as well. Anything else is "".
func text(value json.RawMessage) string {
	var outer string
	switch value = bytes.TrimSpace(value); {
	case len(value) == 0:
		return ""
	case value[0] == '"':
		if json.Unmarshal(value, &outer) != nil {
			return ""
		}
	case value[0] == '{' || value[0] == '[' || string(value) == "null":
		return ""
	default:
		return string(value) // a number or a bool
	}
	if inner, ok := quoted(outer); ok {
		return inner
	}
	return outer
}

// quoted reads s when it is a JSON string.
func quoted(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", false
	}
	var inner string
	err := json.Unmarshal([]byte(s), &inner)
	return inner, err == nil
}

// messageBody reads the body of a message, however the binding is configured:
//
//	dataType binary    a base64 string, which is what our function.json asks for
//	dataType string    a string that holds a JSON string
//	a JSON body        the object itself, or a string that holds it
//
// JSON begins with a character that base64 has not, so only plain text that happens to be base64 can be mistaken.
func messageBody(value json.RawMessage) []byte {
	value = bytes.TrimSpace(value)
	var s string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return value
	}
	if inner, ok := quoted(s); ok {
		return []byte(inner)
	}
	if s == "null" { // how the host sends no value
		return nil
	}
	if decoded, err := base64.StdEncoding.Strict().DecodeString(s); err == nil {
		return decoded
	}
	return []byte(s)
}

// request rebuilds the HTTP request of an httpTrigger. A body that came in chunks is missing: the host drops it.
func (e envelope) request(ctx context.Context) (*http.Request, error) {
	value, err := e.input(bindingRequest)
	if err != nil {
		return nil, err
	}
	if s := text(value); s != "" {
		value = json.RawMessage(s) // encoded once more
	}
	var in struct {
		URL     string `json:"Url"`
		Method  string
		Headers map[string]values
		Body    json.RawMessage
	}
	if err := json.Unmarshal(value, &in); err != nil {
		return nil, fmt.Errorf("decode HTTP request: %w", err)
	}
	header := http.Header{}
	for name, vs := range in.Headers {
		for _, v := range vs {
			header.Add(name, v)
		}
	}
	r, err := http.NewRequestWithContext(ctx, in.Method, in.URL, bytes.NewReader(requestBody(in.Body, header)))
	if err != nil {
		return nil, fmt.Errorf("decode HTTP request: %w", err)
	}
	// These describe how the bytes came to the host, not the body that is here.
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Host"} {
		header.Del(name)
	}
	r.Header, r.RequestURI = header, r.URL.RequestURI()
	return r, nil
}

// requestBody reads the body of an HTTP request: base64 when the host saw no text in it, else the text as it is.
func requestBody(value json.RawMessage, header http.Header) []byte {
	value = bytes.TrimSpace(value)
	var s string
	switch {
	case string(value) == "null":
		return nil
	case len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil:
		return value
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind == "application/octet-stream" || strings.HasPrefix(kind, "multipart/") {
		if decoded, err := base64.StdEncoding.Strict().DecodeString(s); err == nil {
			return decoded
		}
	}
	return []byte(s)
}

// values are the values of a header: a list, or one string.
type values []string

func (v *values) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*v = values{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(v))
}
