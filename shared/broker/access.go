package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker/internal/amqp"
)

// right is something a key allows.
type right string

const (
	rightListen right = "Listen"
	rightSend   right = "Send"
	rightAny    right = "" // any of them
)

func (k Key) allows(r right) bool {
	switch r {
	case rightListen:
		return k.Listen || k.Manage
	case rightSend:
		return k.Send || k.Manage
	}
	return k.Listen || k.Send || k.Manage
}

// grants are what tokens allow a connection to do, by lower-case path. everywhere is the path of all.
type grants map[string]grant

type grant struct {
	key     Key
	name    string    // of the key
	queue   *entity   // whose key it is; nil: the server's
	expires time.Time // zero: never
}

// lasts tells whether a grant is not over, and its key still what it was: a queue may lose or change one.
func (g grant) lasts(now time.Time) bool {
	if !g.expires.IsZero() && !now.Before(g.expires) {
		return false
	}
	return g.queue == nil || g.queue.hasKey(g.name, g.key)
}

func (e *entity) hasKey(name string, key Key) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.deleted && e.config.Keys[name] == key
}

const everywhere = ""

// authorize checks that the connection holds a right at an address, and returns the refusal otherwise.
func (c *conn) authorize(at address, need right) *amqp.Error {
	now := c.server.options.Now()
	for _, path := range []string{at.path, everywhere} {
		g, ok := c.grants[path]
		if ok && g.lasts(now) && g.key.allows(need) {
			return nil
		}
	}
	description := "Unauthorized access. Put a token for '" + at.path + "' on $cbs first."
	if need != rightAny {
		description = fmt.Sprintf("Unauthorized access. '%s' claim(s) are required to perform this operation. Resource: '%s'.", need, at.path)
	}
	return &amqp.Error{Condition: conditionUnauthorized, Description: description}
}

// authenticate runs SASL. Rights normally come from tokens on $cbs, whatever the mechanism; only PLAIN, with the name
// and secret of a key, gives that key's rights for the whole connection.
func (c *conn) authenticate() error {
	c.sendSASL(&amqp.SASLMechanisms{Mechanisms: []amqp.Symbol{"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"}})
	frame, err := c.readFrame(amqp.FrameSASL)
	if err != nil {
		return err
	}
	p, _, err := amqp.DecodePerformative(frame.Body)
	if err != nil {
		return err
	}
	init, ok := p.(*amqp.SASLInit)
	if !ok {
		return fmt.Errorf("broker: authenticate: got %T", p)
	}
	const failed = 1
	switch init.Mechanism {
	case "MSSBCBS", "ANONYMOUS", "EXTERNAL":
	case "PLAIN":
		_, login, _ := strings.Cut(string(init.InitialResponse), "\x00") // behind the identity to act for, which is ignored
		name, secret, _ := strings.Cut(login, "\x00")
		key, known := c.server.options.Keys[name]
		if !known || !key.has(secret) {
			c.sendSASL(&amqp.SASLOutcome{Code: failed})
			return errors.New("broker: authenticate: wrong key name or secret")
		}
		c.grants[everywhere] = grant{key: key}
	default:
		c.sendSASL(&amqp.SASLOutcome{Code: failed})
		return fmt.Errorf("broker: authenticate: unknown mechanism %q", init.Mechanism)
	}
	c.sendSASL(&amqp.SASLOutcome{})
	return nil
}

func (c *conn) sendSASL(p amqp.Performative) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = amqp.AppendFrame(c.out, amqp.FrameSASL, 0, p, nil)
	c.nudge()
}

// putToken is the one operation of $cbs: it takes a token for a path and grants what the token allows. Clients repeat
// it before the token expires.
func (c *conn) putToken(r request) reply {
	if r.operation != "put-token" {
		return badRequest("The operation is unknown on $cbs.")
	}
	audience, _ := r.properties.Get("name").(string)
	token, _ := r.body.(string)
	path := audiencePath(audience)
	var g grant
	switch kind := r.properties.Get("type"); {
	case kind == "servicebus.windows.net:sastoken":
		var err error
		if g, err = c.server.verify(token, path); err != nil {
			return reply{status: statusUnauthorized, description: err.Error(), condition: conditionUnauthorized}
		}
	case kind == "jwt" && c.server.options.AcceptJWT:
		g.key = Key{Listen: true, Send: true, Manage: true}
	default:
		return reply{status: statusUnauthorized, description: fmt.Sprintf("InvalidToken: Tokens of type %v are not accepted.", kind), condition: conditionUnauthorized}
	}
	at, ok := c.server.resolve(path)
	if !ok {
		return reply{status: statusNotFound, description: entityNotFound(audience), condition: conditionNotFound}
	}
	c.grants[at.path] = g
	c.watch()
	return reply{status: statusAccepted, description: "Accepted"}
}

// maxTokenNap is the longest time after which tokens are looked at again, in case the clock leapt.
const maxTokenNap = time.Minute

// watch sets the timer for the first grant that expires. mu is held.
func (c *conn) watch() {
	var first time.Time
	for _, g := range c.grants {
		if !g.expires.IsZero() && (first.IsZero() || g.expires.Before(first)) {
			first = g.expires
		}
	}
	if first.IsZero() {
		return
	}
	nap := min(max(first.Sub(c.server.options.Now()), 0), maxTokenNap)
	if c.expiry == nil {
		c.expiry = time.AfterFunc(nap, c.expire)
	} else {
		c.expiry.Reset(nap)
	}
}

// expire ends the links whose token is over and was not replaced.
func (c *conn) expire() {
	c.mu.Lock()
	now := c.server.options.Now()
	for path, g := range c.grants {
		if !g.expires.IsZero() && !now.Before(g.expires) {
			delete(c.grants, path)
			c.endLinks(path, &amqp.Error{Condition: conditionUnauthorized, Description: expired(g.expires).Error()})
		}
	}
	if !c.closing {
		c.watch()
	}
	c.mu.Unlock()
	c.nudge()
}

// endLinks ends the links of an address that nothing allows any more.
func (c *conn) endLinks(path string, reason *amqp.Error) {
	for _, s := range c.sessions {
		for _, link := range s.incoming {
			if link.at.path == path && c.authorize(link.at, link.need) != nil {
				link.fail(reason)
			}
		}
		for _, link := range s.outgoing {
			if link.at.path == path && c.authorize(link.at, link.need) != nil {
				link.fail(reason)
			}
		}
	}
}

// expired says that a token is over, in the words that clients look for.
func expired(at time.Time) refusal {
	return refusal("ExpiredToken: The token is expired. Expiration time: " + at.UTC().Format(time.RFC1123))
}

// audiencePath is the entity path in a URI such as amqp://host:port/queue, in lower case.
func audiencePath(audience string) string {
	path := audience
	if u, err := url.Parse(audience); err == nil && u.Host != "" {
		path = u.Path
	}
	return strings.ToLower(strings.Trim(path, "/"))
}

// signatureScheme starts a shared access signature.
const signatureScheme = "SharedAccessSignature "

// refusal says why a token is not accepted, in the words of Service Bus: clients show it, and some read it.
type refusal string

func (r refusal) Error() string { return string(r) }

const badSignature refusal = "InvalidSignature: The token has an invalid signature."

// verify checks a shared access signature for a path: its signature, its expiry, and that the resource it was made for
// is the path or a parent of it. Its error is a refusal.
//
// The signature is over the resource as the token has it, percent-encoded, and the expiry in Unix seconds; the key is
// the secret's text itself, not what its base64 decodes to.
func (s *Server) verify(token, path string) (grant, error) {
	fields, ok := strings.CutPrefix(token, signatureScheme)
	if !ok {
		return grant{}, refusal("MalformedToken: The token is no shared access signature.")
	}
	values, err := url.ParseQuery(fields)
	if err != nil {
		return grant{}, refusal("MalformedToken: The token cannot be read.")
	}
	grants := s.grantsOf(values.Get("skn"), path)
	signer := slices.IndexFunc(grants, func(g grant) bool { return g.key.signed(values) })
	if signer < 0 {
		return grant{}, badSignature
	}
	seconds, err := strconv.ParseInt(values.Get("se"), 10, 64)
	if err != nil {
		return grant{}, refusal("MalformedToken: The expiry is not a number of seconds.")
	}
	expires := time.Unix(seconds, 0).UTC()
	if !s.options.Now().Before(expires) {
		return grant{}, expired(expires)
	}
	if scope := resourcePath(values.Get("sr")); scope != everywhere && scope != path && !strings.HasPrefix(path, scope+"/") {
		return grant{}, refusal("InvalidAudience: The token was made for another resource.")
	}
	g := grants[signer]
	g.expires = expires
	return g, nil
}

// grantsOf are those of the keys that a name stands for at a path: the server's, and the one of the queue that the path is in.
func (s *Server) grantsOf(name, path string) (grants []grant) {
	if key, ok := s.options.Keys[name]; ok {
		grants = append(grants, grant{key: key, name: name})
	}
	if at, ok := s.resolve(path); ok {
		if key, ok := at.entity.keys()[name]; ok {
			grants = append(grants, grant{key: key, name: name, queue: at.entity})
		}
	}
	return grants
}

// keys are the queue's own. The map is never changed.
func (e *entity) keys() map[string]Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config.Keys
}

// resourcePath is the path in the resource of a token, in lower case. A token for a namespace may name its host alone,
// without a scheme.
func resourcePath(resource string) string {
	if !strings.Contains(resource, "://") {
		resource = "sb://" + resource
	}
	return audiencePath(resource)
}

// has tells whether a secret is one of the key's.
func (k Key) has(secret string) bool {
	return slices.ContainsFunc(k.secrets(), func(own string) bool { return hmac.Equal([]byte(secret), []byte(own)) })
}

func (k Key) secrets() []string {
	if k.Secondary == "" {
		return []string{k.Secret}
	}
	return []string{k.Secret, k.Secondary}
}

// signed tells whether the signature was made with one of the key's secrets. It is compared with those of the two
// spellings in use: clients percent-encode the resource in lower or in upper case hexadecimal.
func (k Key) signed(values url.Values) bool {
	got, err := base64.StdEncoding.DecodeString(values.Get("sig"))
	if err != nil {
		return false
	}
	upper := url.QueryEscape(values.Get("sr"))
	for _, secret := range k.secrets() {
		for _, resource := range []string{upper, strings.ToLower(upper)} {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(resource + "\n" + values.Get("se")))
			if hmac.Equal(got, mac.Sum(nil)) {
				return true
			}
		}
	}
	return false
}
