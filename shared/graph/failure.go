package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"

	"github.com/tenantsync/tenantsync/shared/outcome"
)

// Outcome codes of this package. The first four are terminal, the others are tried again.
const (
	codePermission   = "permission denied"  // the app lacks an app role, or the user is protected by an administrator role
	codeQuota        = "quota exceeded"     // the tenant is full
	codeRefused      = "refused by graph"   // the request is wrong and stays wrong
	codeUnsupported  = "not supported"      // Graph does not know the operation
	codeUnauthorized = "unauthorized"       // the token was refused; the next attempt has a new one
	codeMissing      = "not replicated"     // 404 on something that was there: replicas lag
	codeConflict     = "conflicting change" // somebody else writes, or a unique value is taken: look again
	codeThrottled    = "throttled"
	codeUnavailable  = "service unavailable"
	codeUnexpected   = "unexpected answer" // not Graph's
	codeUnreachable  = "graph unreachable"
	codeTimeout      = "timed out"
	codeCredential   = "credential refused"
)

// address is what Graph's messages may hold that belongs in no log, journal or dead letter.
var address = regexp.MustCompile(`[^\s'"<>()]+@[^\s'"<>()]+`)

// apiError is an error answer of Graph.
type apiError struct {
	tenant    string
	request   request
	status    int
	code      string // empty when the answer did not come from Graph
	message   string
	requestID string
	wait      time.Duration // Retry-After
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: Graph answered %d %s: %s (request-id %s)", sentence(e.request, e.tenant), e.status, e.code, e.message, e.requestID)
}

func sentence(r request, tenantID string) string {
	if r.object == "" {
		return r.verb + " in tenant " + tenantID
	}
	return r.verb + " " + r.object + " in tenant " + tenantID
}

// notFound reports whether Graph itself said that the object is not there. A 404 of a gateway says nothing about it.
func notFound(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.status == http.StatusNotFound && e.code != ""
}

// translate turns whatever the SDK returned into an error with an outcome.
func (t *tenant) translate(ctx context.Context, r request, err error) error {
	var answer kiota.ApiErrorable
	var signIn *azidentity.AuthenticationFailedError
	what := sentence(r, t.id)
	switch {
	case errors.As(err, &answer):
		return t.answered(r, answer).outcome()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return outcome.RetryAfter(0, codeTimeout, fmt.Errorf("%s: no answer in time: %w", what, context.DeadlineExceeded))
	case ctx.Err() != nil:
		return outcome.RetryAfter(0, codeTimeout, fmt.Errorf("%s: interrupted: %w", what, ctx.Err()))
	case errors.As(err, &signIn):
		return t.signInFailed(what, signIn)
	}
	var transport *url.Error
	if errors.As(err, &transport) {
		// Without the address that net/http puts in front: our filters hold mail addresses.
		return outcome.RetryAfter(0, codeUnreachable, fmt.Errorf("%s: %s", what, transport.Err))
	}
	return t.unexpected(r, firstLine(err.Error()))
}

// answered reads the SDK's form of an error answer.
func (t *tenant) answered(r request, answer kiota.ApiErrorable) *apiError {
	e := &apiError{tenant: t.id, request: r, status: answer.GetStatusCode()}
	if body, ok := answer.(*odataerrors.ODataError); ok && body.GetErrorEscaped() != nil {
		inner := body.GetErrorEscaped()
		e.code, e.message = deref(inner.GetCode()), address.ReplaceAllString(deref(inner.GetMessage()), "<address>")
		if inner.GetInnerError() != nil {
			e.requestID = deref(inner.GetInnerError().GetRequestId())
		}
	}
	if headers := answer.GetResponseHeaders(); headers != nil {
		if values := headers.Get("Retry-After"); len(values) > 0 {
			e.wait = retryAfter(values[0], t.graph.options.Now())
		}
	}
	return e
}

// outcome is the table of what Graph's answers mean (documented in "Microsoft Graph error responses and resource types").
func (e *apiError) outcome() error {
	switch {
	case e.status == http.StatusTooManyRequests && e.wait > 0:
		return outcome.LaterAfter(e.wait, e) // nothing failed: it is only too early
	case e.status == http.StatusTooManyRequests:
		return outcome.RetryAfter(0, codeThrottled, e)
	case e.status == http.StatusUnauthorized:
		return outcome.RetryAfter(0, codeUnauthorized, e)
	case e.status == http.StatusNotImplemented && e.code != "":
		return outcome.Fail(codeUnsupported, e)
	case e.status >= http.StatusInternalServerError:
		return outcome.RetryAfter(e.wait, codeUnavailable, e)
	case e.code == "":
		return outcome.RetryAfter(e.wait, codeUnexpected, e)
	case e.code == "Directory_QuotaExceeded":
		return outcome.Fail(codeQuota, e)
	case e.status == http.StatusForbidden:
		return outcome.Fail(codePermission, e)
	case e.status == http.StatusNotFound:
		return outcome.RetryAfter(e.wait, codeMissing, e)
	case e.status == http.StatusConflict:
		return outcome.RetryAfter(e.wait, codeConflict, e)
	case e.status == http.StatusBadRequest:
		return outcome.Fail(codeRefused, e)
	}
	return outcome.RetryAfter(e.wait, codeUnexpected, e)
}

// retryAfter reads the header in both of its forms: seconds, and a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

var signInCode = regexp.MustCompile(`AADSTS\d+`)

// signInAdvice says what to do about the sign-in errors an installation meets.
var signInAdvice = map[string]string{
	"AADSTS7000215": "the client secret is wrong; give the secret's value, not its id",
	"AADSTS7000222": "the client secret has expired; add a new one to the app registration",
	"AADSTS700016":  "the application is unknown in this tenant; an administrator of the tenant must consent to it, or the client id is wrong",
	"AADSTS90002":   "there is no such tenant; check the directory (tenant) ID",
	"AADSTS70021":   "no federated credential of the app matches; check issuer, subject and audience",
	"AADSTS700211":  "no federated credential of the app has this issuer; it must be the tenant of the managed identity",
	"AADSTS700213":  "no federated credential of the app has this subject; it must be the object (principal) id of the managed identity",
	"AADSTS700024":  "the assertion is not valid now; check the clock of this machine",
	"AADSTS7000229": "the application has no service principal in this tenant; an administrator must consent to it",
}

// signInFailed says why there is no token. It is always tried again: a person can put it right while the change waits.
func (t *tenant) signInFailed(what string, failed *azidentity.AuthenticationFailedError) error {
	if failed.RawResponse == nil {
		return outcome.RetryAfter(0, codeUnreachable, fmt.Errorf("%s: sign in: no answer of the authority: %s", what, oneLine(failed.Error())))
	}
	status := failed.RawResponse.StatusCode
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		wait := retryAfter(failed.RawResponse.Header.Get("Retry-After"), t.graph.options.Now())
		return outcome.RetryAfter(wait, codeUnavailable, fmt.Errorf("%s: sign in: the authority answered %d", what, status))
	}
	description := describeSignIn(failed.RawResponse)
	if advice, ok := signInAdvice[signInCode.FindString(description)]; ok {
		description = signInCode.FindString(description) + ": " + advice
	}
	return outcome.RetryAfter(0, codeCredential, fmt.Errorf("%s: sign in as %s: %s", what, t.graph.options.ClientID, description))
}

// describeSignIn is the first line of error_description; the others are a trace id and a time.
func describeSignIn(answer *http.Response) string {
	var body struct {
		Description string `json:"error_description"`
	}
	raw, err := runtime.Payload(answer)
	if err == nil && json.Unmarshal(raw, &body) == nil && body.Description != "" {
		return firstLine(body.Description)
	}
	return fmt.Sprintf("the authority answered %d", answer.StatusCode)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// oneLine is text without its line breaks: the sign-in library names the cause on a line of its own.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
