package broker_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestAKeyGivesItsRightsAndNoOthers(t *testing.T) {
	for _, c := range []struct {
		key            string
		sends, listens bool
	}{
		{"all", true, true},
		{"send", true, false},
		{"listen", false, true},
	} {
		t.Run(c.key, func(t *testing.T) {
			s := start(t, broker.Options{})
			connect(t, s, "all").send("1")
			r := connect(t, s, c.key)
			check := func(what string, allowed bool, err error) {
				t.Helper()
				if allowed && err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if !allowed {
					wantCode(t, err, sb.CodeUnauthorizedAccess)
				}
			}
			sender, recv := r.sender(), r.receiver(nil)
			check("send", c.sends, sender.SendMessage(r.ctx, &sb.Message{}, nil))
			_, err := sender.ScheduleMessages(r.ctx, []*sb.Message{{}}, time.Now().Add(time.Hour), nil)
			check("schedule", c.sends, err)
			_, err = recv.PeekMessages(r.ctx, 1, nil)
			check("peek", c.listens, err)
			_, err = recv.ReceiveMessages(r.ctx, 1, nil)
			check("receive", c.listens, err)
		})
	}
}

func TestAWrongSecretIsRefused(t *testing.T) {
	s := start(t, broker.Options{})
	wrong := strings.Replace(s.ConnectionString("all"), keys["all"].Secret, "d3Jvbmc=", 1)
	client, err := sb.NewClientFromConnectionString(wrong, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, t.Context(), s, client}
	wantCode(t, r.sender().SendMessage(r.ctx, &sb.Message{}, nil), sb.CodeUnauthorizedAccess)
	r.must(client.Close(r.ctx))
}

func TestAnUnknownQueueIsNotFound(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s, err := r.client.NewSender("nope", nil)
	r.must(err)
	wantCode(t, s.SendMessage(r.ctx, &sb.Message{}, nil), sb.CodeNotFound)
}

func TestTheNameOfAQueueIsMatchedWithoutCase(t *testing.T) {
	r := setup(t, broker.QueueConfig{})
	s, err := r.client.NewSender("ORDERS", nil)
	r.must(err)
	r.must(s.SendMessage(r.ctx, &sb.Message{}, nil))
	r.want(broker.Counts{Active: 1})
}

// signature is a shared access signature as clients make it.
func signature(resource, keyName, secret string, expires time.Time) string {
	resource = strings.ToLower(url.QueryEscape(resource))
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s\n%d", resource, expires.Unix())
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d&skn=%s",
		resource, url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))), expires.Unix(), keyName)
}

func TestPutToken(t *testing.T) {
	const sas = "servicebus.windows.net:sastoken"
	secret, later := keys["all"].Secret, time.Now().Add(time.Hour)
	for _, c := range []struct {
		name    string
		kind    string
		token   string
		jwt     bool // the server accepts jwt
		status  int32
		message string // part of the description
	}{
		{name: "for the queue", kind: sas, token: signature("amqp://host/orders", "all", secret, later), status: 202},
		{name: "for the whole namespace", kind: sas, token: signature("sb://host/", "all", secret, later), status: 202},
		{name: "for another queue", kind: sas, token: signature("amqp://host/order", "all", secret, later), status: 401, message: "InvalidAudience"},
		{name: "expired", kind: sas, token: signature("amqp://host/orders", "all", secret, time.Now().Add(-time.Second)), status: 401,
			message: "ExpiredToken: The token is expired. Expiration time:"},
		{name: "signed with another secret", kind: sas, token: signature("amqp://host/orders", "all", "other", later), status: 401, message: "InvalidSignature"},
		{name: "of an unknown key", kind: sas, token: signature("amqp://host/orders", "who", secret, later), status: 401, message: "InvalidSignature"},
		{name: "that is no signature", kind: sas, token: "let me in", status: 401, message: "MalformedToken"},
		{name: "a jwt", kind: "jwt", token: "x.y.z", status: 401, message: "not accepted"},
		{name: "a jwt where any is accepted", kind: "jwt", token: "x.y.z", jwt: true, status: 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, broker.Options{AcceptJWT: c.jwt})
			conn := dial(t, s, nil)
			status, description := conn.putToken(c.kind, "amqp://host/orders", c.token)
			if status != c.status || !strings.Contains(description, c.message) {
				t.Errorf("answer %d %q, want %d %q", status, description, c.status, c.message)
			}
			_, err := conn.session().NewSender(t.Context(), "orders", nil)
			if granted := err == nil; granted != (c.status == 202) {
				t.Errorf("a sender attached: %v (%v)", granted, err)
			}
		})
	}
}

func TestAGrantEndsWithItsToken(t *testing.T) {
	now := newClock()
	s := start(t, broker.Options{Now: now.now})
	conn := dial(t, s, nil)
	token := signature("amqp://host/orders", "all", keys["all"].Secret, now.now().Add(time.Minute))
	if status, description := conn.putToken("servicebus.windows.net:sastoken", "amqp://host/orders", token); status != 202 {
		t.Fatal(status, description)
	}
	now.advance(time.Minute)
	if _, err := conn.session().NewSender(t.Context(), "orders", nil); err == nil {
		t.Error("a sender attached")
	}
}

func TestAGrantEndsWithTheKeyItWasMadeWith(t *testing.T) {
	key := map[string]broker.Key{"own": {Secret: "first", Listen: true, Send: true}}
	for name, change := range map[string]func(*broker.Server) error{
		"another secret": func(s *broker.Server) error {
			return s.UpdateQueue(broker.QueueConfig{Name: "orders", Keys: map[string]broker.Key{"own": {Secret: "second", Listen: true, Send: true}}})
		},
		"no key": func(s *broker.Server) error { return s.UpdateQueue(broker.QueueConfig{Name: "orders"}) },
		"another queue of that name": func(s *broker.Server) error {
			return errors.Join(s.DeleteQueue("orders"), s.CreateQueue(broker.QueueConfig{Name: "orders"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, queueOptions(broker.QueueConfig{Keys: key}))
			conn := dial(t, s, nil)
			token := signature("amqp://host/orders", "own", "first", time.Now().Add(time.Hour))
			if status, description := conn.putToken("servicebus.windows.net:sastoken", "amqp://host/orders", token); status != 202 {
				t.Fatal(status, description)
			}
			session := conn.session()
			if _, err := session.NewSender(t.Context(), "orders", nil); err != nil {
				t.Fatal(err)
			}
			if err := change(s); err != nil {
				t.Fatal(err)
			}
			if _, err := session.NewSender(t.Context(), "orders", nil); err == nil {
				t.Error("a sender attached with a token of the old key")
			}
		})
	}
}

func TestPlainAuthenticationGivesTheRightsOfTheKey(t *testing.T) {
	s := start(t, broker.Options{})
	session := dial(t, s, goamqp.SASLTypePlain("listen", keys["listen"].Secret)).session()
	if _, err := session.NewReceiver(t.Context(), "orders", nil); err != nil {
		t.Errorf("receiver: %v", err)
	}
	if _, err := session.NewSender(t.Context(), "orders", nil); err == nil {
		t.Error("a sender attached without the right to send")
	}
	_, err := goamqp.Dial(t.Context(), "amqp://"+s.Addr(), &goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain("listen", "wrong")})
	if err == nil {
		t.Error("connected with a wrong secret")
	}
}

func TestASecondLinkToCBSIsRefused(t *testing.T) {
	conn := dial(t, start(t, broker.Options{}), nil)
	first, err := conn.session().NewSender(t.Context(), "$cbs", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.session().NewSender(t.Context(), "$cbs", nil)
	if err == nil || !strings.Contains(err.Error(), "amqp:not-allowed") {
		t.Errorf("second link: %v, want amqp:not-allowed", err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.session().NewSender(t.Context(), "$cbs", nil); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

func TestNothingCanBeSentToADeadLetterQueue(t *testing.T) {
	session := dial(t, start(t, broker.Options{}), goamqp.SASLTypePlain("all", keys["all"].Secret)).session()
	if _, err := session.NewSender(t.Context(), "orders/$DeadLetterQueue", nil); err == nil {
		t.Error("a sender attached")
	}
}

// amqpConn is a connection of go-amqp, the library below azservicebus, for what the client above hides.
type amqpConn struct {
	*goamqp.Conn
	t testing.TB
}

// dial connects with the given SASL mechanism, ANONYMOUS if nil.
func dial(t testing.TB, s *broker.Server, mechanism goamqp.SASLType) amqpConn {
	t.Helper()
	if mechanism == nil {
		mechanism = goamqp.SASLTypeAnonymous()
	}
	conn, err := goamqp.Dial(t.Context(), "amqp://"+s.Addr(), &goamqp.ConnOptions{SASLType: mechanism})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return amqpConn{conn, t}
}

func (c amqpConn) session() *goamqp.Session {
	c.t.Helper()
	session, err := c.NewSession(c.t.Context(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return session
}

// putToken sends a token to $cbs and returns the answer.
func (c amqpConn) putToken(kind, audience, token string) (status int32, description string) {
	c.t.Helper()
	return c.call("$cbs", map[string]any{"operation": "put-token", "type": kind, "name": audience}, token)
}

// call sends one request to a node and returns the answer.
func (c amqpConn) call(node string, properties map[string]any, body any) (status int32, description string) {
	c.t.Helper()
	ctx, session := c.t.Context(), c.session()
	defer func() { _ = session.Close(ctx) }()
	requests, err := session.NewSender(ctx, node, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	replies, err := session.NewReceiver(ctx, node, &goamqp.ReceiverOptions{TargetAddress: "replies"})
	if err != nil {
		c.t.Fatal(err)
	}
	err = requests.Send(ctx, &goamqp.Message{
		Properties:            &goamqp.MessageProperties{MessageID: "1", ReplyTo: new("replies")},
		ApplicationProperties: properties,
		Value:                 body,
	}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	reply, err := replies.Receive(ctx, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if reply.Properties.CorrelationID != "1" {
		c.t.Errorf("correlation id %v, want 1", reply.Properties.CorrelationID)
	}
	return reply.ApplicationProperties["status-code"].(int32), reply.ApplicationProperties["status-description"].(string)
}
