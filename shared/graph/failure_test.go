package graph_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/graph"
	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

func TestErrorAnswers(t *testing.T) {
	html := http.Header{"Content-Type": {"text/html"}}
	for name, c := range map[string]struct {
		answer answer
		kind   outcome.Kind
		code   string
		delay  time.Duration
		says   []string
	}{
		"a bad value is refused for good": {
			answer{status: 400, body: `{"error":{"code":"Request_BadRequest","message":"Invalid value specified for property 'usageLocation'."}}`},
			outcome.Terminal, "refused by graph", 0, []string{"400", "Request_BadRequest", "usageLocation"}},
		"a refused token is renewed": {answer{status: 401, body: recorded(t, "401-invalid-token.json")},
			outcome.Retry, "unauthorized", 0, []string{"Access token is empty.", "e6ea1bde-9f04-46a8-9705-824047cfd611"}},
		"a missing permission needs a person": {answer{status: 403, body: recorded(t, "403-request-denied.json")},
			outcome.Terminal, "permission denied", 0, []string{"Insufficient privileges"}},
		"a full tenant needs a person": {answer{status: 403, body: recorded(t, "403-quota-exceeded.json")},
			outcome.Terminal, "quota exceeded", 0, []string{"maximum quota count"}},
		"a user not there yet is waited for": {answer{status: 404, body: recorded(t, "404-not-found.json")},
			outcome.Retry, "not replicated", 0, []string{"Request_ResourceNotFound", "9b0df954-93b5-4de9-8b99-43c204a8aaf8"}},
		"a concurrent write is repeated": {
			answer{status: 409, body: `{"error":{"code":"Directory_ConcurrencyViolation","message":"wait"}}`, header: http.Header{"Retry-After": {"3"}}},
			outcome.Retry, "conflicting change", 3 * time.Second, nil},
		"throttling without a time is left to our backoff": {answer{status: 429, body: recorded(t, "429-too-many-requests.json")},
			outcome.Retry, "throttled", 0, []string{"TooManyRequests"}},
		"throttling names seconds": {answer{status: 429, body: recorded(t, "429-too-many-requests.json"), header: http.Header{"Retry-After": {"17"}}},
			outcome.Later, "too early", 17 * time.Second, []string{"TooManyRequests"}},
		"throttling names a date": {
			answer{status: 429, body: recorded(t, "429-too-many-requests.json"), header: http.Header{"Retry-After": {noon.Add(time.Minute).Format(http.TimeFormat)}}},
			outcome.Later, "too early", time.Minute, nil},
		"a date in the past means at once": {
			answer{status: 503, body: "{}", header: http.Header{"Retry-After": {noon.Add(-time.Minute).Format(http.TimeFormat)}}},
			outcome.Retry, "service unavailable", 0, nil},
		"an HTML page of a gateway keeps its status and its Retry-After": {
			answer{status: 503, body: "<html>busy</html>", header: http.Header{"Content-Type": {"text/html"}, "Retry-After": {"9"}}},
			outcome.Retry, "service unavailable", 9 * time.Second, []string{"not in Graph's error format"}},
		"a 400 of a gateway is not Graph's word": {answer{status: 400, body: "<html>no</html>", header: html},
			outcome.Retry, "unexpected answer", 0, []string{"gateway"}},
		"an empty error answer is understood": {answer{status: 500}, outcome.Retry, "service unavailable", 0, []string{"500"}},
		"an error without a message is understood": {answer{status: 403, body: `{"error":{"code":"Authorization_RequestDenied"}}`},
			outcome.Terminal, "permission denied", 0, nil},
		"an address in Graph's message stays out of the error": {answer{status: 400,
			body: `{"error":{"code":"Request_BadRequest","message":"Another object with the value 'ana@fabrikam.example' exists."}}`},
			outcome.Terminal, "refused by graph", 0, []string{"the value '<address>' exists"}},
		"what Graph does not know stays unknown": {answer{status: 501, body: `{"error":{"code":"NotImplemented","message":"no"}}`},
			outcome.Terminal, "not supported", 0, nil},
		"a status nobody documents is tried again": {answer{status: 423, body: `{"error":{"code":"Locked","message":"locked"}}`},
			outcome.Retry, "unexpected answer", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, map[string]answer{"PATCH /users/" + userID: c.answer})
			err := r.target(t).Update(t.Context(), userID, provisioning.Attributes{"city": "Oaxaca"}, "")
			got := outcome.Of(err)
			if got.Kind != c.kind || got.Code != c.code || got.Delay != c.delay {
				t.Errorf("got %v, %q after %v, want %v, %q after %v", got.Kind, got.Code, got.Delay, c.kind, c.code, c.delay)
			}
			for _, part := range append(c.says, "update user "+userID, tenantID) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if n := len(r.requests()); n != 1 {
				t.Errorf("the request was sent %d times; only the bus tries again", n)
			}
		})
	}
}

func TestSignInErrors(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		code   string
		says   string
	}{
		"a wrong secret": {answer{status: 401, body: `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1","error_codes":[7000215]}`},
			"credential refused", "AADSTS7000215: the client secret is wrong"},
		"a tenant without consent": {answer{status: 400, body: `{"error":"unauthorized_client","error_description":"AADSTS700016: Application not found.","error_codes":[700016]}`},
			"credential refused", "must consent"},
		"an unknown tenant": {answer{status: 400, body: `{"error":"invalid_request","error_description":"AADSTS90002: Tenant not found.","error_codes":[90002]}`},
			"credential refused", "directory (tenant) ID"},
		"an error we have no advice for": {answer{status: 400, body: `{"error":"invalid_request","error_description":"AADSTS99999: Something else.\r\nTrace ID: 1"}`},
			"credential refused", "AADSTS99999: Something else."},
		"an authority in trouble": {answer{status: 503, body: `{}`}, "service unavailable", "answered 503"},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(t, nil)
			r.signIn = &c.answer
			_, err := r.source(t).User(t.Context(), userID)
			if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != c.code {
				t.Errorf("got %v, %q", got.Kind, got.Code)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line that says %q: %v", c.says, err)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Run("a deadline is a timeout", func(t *testing.T) {
		r := play(t, nil)
		o := r.options()
		o.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
			if strings.Contains(q.URL.Path, "/v1.0/") {
				<-q.Context().Done()
				return nil, q.Context().Err()
			}
			return r.Client().Transport.RoundTrip(q)
		})
		g, err := graph.New(o)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := g.Source(tenantID)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = s.User(ctx, userID)
		if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != "timed out" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %q: %v", got.Kind, got.Code, err)
		}
	})
	t.Run("a broken network names no address of a person", func(t *testing.T) {
		r := play(t, nil)
		o := r.options()
		o.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
			if strings.Contains(q.URL.Path, "/v1.0/") {
				return nil, errors.New("connection reset by peer")
			}
			return r.Client().Transport.RoundTrip(q)
		})
		g, err := graph.New(o)
		if err != nil {
			t.Fatal(err)
		}
		target, _ := g.Target(tenantID)
		_, err = target.ByMail(t.Context(), "ana@fabrikam.example")
		if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != "graph unreachable" {
			t.Errorf("got %v, %q", got.Kind, got.Code)
		}
		if !strings.Contains(err.Error(), "connection reset by peer") || strings.Contains(err.Error(), "ana") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("an authority that is not there is unreachable", func(t *testing.T) {
		r := play(t, nil)
		s := r.source(t)
		r.Close()
		_, err := s.User(t.Context(), userID)
		if got := outcome.Of(err); got.Kind != outcome.Retry || got.Code != "graph unreachable" {
			t.Errorf("got %v, %q: %v", got.Kind, got.Code, err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }
