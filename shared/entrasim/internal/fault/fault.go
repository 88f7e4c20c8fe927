// Package fault holds the errors Microsoft Graph answers with: an HTTP status, a code a client branches on, and a message
// it must not. Every layer of the simulator returns them; the HTTP layer alone writes them.
//
// Codes follow section 6 of the Graph notes. Messages are the wordings seen in documents and recorded answers; only the
// message that names an existing invited user is one that clients read.
package fault

import (
	"fmt"
	"net/http"
)

// Fault is one Graph error.
type Fault struct {
	Status  int
	Code    string
	Message string
	Details []Detail
	Header  http.Header // more headers of the answer; may be nil
}

// With adds a header to the answer.
func (f *Fault) With(name, value string) *Fault {
	if f.Header == nil {
		f.Header = http.Header{}
	}
	f.Header.Set(name, value)
	return f
}

// Detail is an element of the error's `details`.
type Detail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}

func (f *Fault) Error() string { return fmt.Sprintf("%d %s: %s", f.Status, f.Code, f.Message) }

// New returns a Fault with a formatted message.
func New(status int, code, format string, args ...any) *Fault {
	return &Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// BadRequest is the directory's refusal of a value: 400 Request_BadRequest.
func BadRequest(format string, args ...any) *Fault {
	return New(http.StatusBadRequest, "Request_BadRequest", format, args...)
}

// InvalidValue refuses the value of one property of a user.
func InvalidValue(property string) *Fault {
	return BadRequest("Invalid value specified for property '%s' of resource 'User'.", property)
}

// UnsupportedQuery refuses a filter the directory has no index for: 400 Request_UnsupportedQuery.
func UnsupportedQuery(message string) *Fault {
	return New(http.StatusBadRequest, "Request_UnsupportedQuery", "%s", message)
}

// Conflict says that a value which must be unique is taken by another live object: 400 Request_BadRequest, which is what
// Graph answers when an object is created or updated.
func Conflict(property string) *Fault {
	f := BadRequest("Another object with the same value for property %s already exists.", property)
	f.Details = []Detail{{Code: "ObjectConflict", Message: f.Message, Target: property}}
	return f
}

// ConflictingObjects says the same when an object is restored: 409 Request_MultipleObjectsWithSameKeyValue.
func ConflictingObjects() *Fault {
	f := New(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue",
		"A conflicting object with one or more of the specified property values is present in the directory.")
	f.Details = []Detail{{Code: "ConflictingObjects", Message: f.Message}}
	return f
}

// NotFound says that a directory object is gone, soft-deleted or not replicated yet.
func NotFound(key string) *Fault {
	return New(http.StatusNotFound, "Request_ResourceNotFound",
		"Resource '%s' does not exist or one of its queried reference-property objects are not present.", key)
}

// Denied says that the token lacks an application permission.
func Denied() *Fault {
	return New(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

// Throttled says that it is too much; see package limit and package weather.
func Throttled() *Fault {
	return New(http.StatusTooManyRequests, "TooManyRequests", "Too many requests. Please try again later.")
}

// InTrouble is the answer of a service that cannot answer: 500, 502, 503 or 504.
func InTrouble(status int) *Fault {
	if status == http.StatusInternalServerError {
		return New(status, "generalException", "An unexpected error occurred.")
	}
	return New(status, "serviceNotAvailable", "The service is temporarily unavailable. Try again later.")
}

// NotModelled marks what Graph can do and the simulator cannot: 501, so that nobody mistakes silence for an answer.
func NotModelled(format string, args ...any) *Fault {
	return New(http.StatusNotImplemented, "NotImplemented", "entrasim does not model "+format, args...)
}
