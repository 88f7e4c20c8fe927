package broker_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestOnlyAKeyThatMayManageManages(t *testing.T) {
	for _, key := range []string{"send", "listen"} {
		t.Run("not "+key, func(t *testing.T) {
			a := administer(t, startSecure(t, broker.Options{}), key)
			if got := a.get("nope"); got != nil { // this much everyone may know
				t.Errorf("a queue that is not there: %+v", got)
			}
			_, err := a.client.GetQueue(a.ctx, "orders", nil)
			wantRefusal(t, err, http.StatusUnauthorized, "Manage,EntityRead claims required for this operation")
			_, err = a.client.NewListQueuesPager(nil).NextPage(a.ctx)
			wantRefusal(t, err, http.StatusUnauthorized, "Manage,EntityRead claims required for this operation")
			_, err = a.client.GetNamespaceProperties(a.ctx, nil)
			wantRefusal(t, err, http.StatusUnauthorized, "Manage,EntityRead claims required for this operation")
			_, err = a.client.CreateQueue(a.ctx, "new", nil)
			wantRefusal(t, err, http.StatusUnauthorized, "Authorization failed for specified action: Manage,EntityWrite")
			_, err = a.client.UpdateQueue(a.ctx, "orders", admin.QueueProperties{}, nil)
			wantRefusal(t, err, http.StatusUnauthorized, "Authorization failed for specified action: Manage,EntityWrite")
			_, err = a.client.DeleteQueue(a.ctx, "orders", nil)
			wantRefusal(t, err, http.StatusUnauthorized, "Authorization failed for specified action: Manage,EntityDelete.")
			if queues := a.server.Queues(); len(queues) != 1 {
				t.Errorf("there are %d queues, want the one from before", len(queues))
			}
		})
	}
}

func TestARequestNeedsATokenThatHolds(t *testing.T) {
	secret, later := keys["all"].Secret, time.Now().Add(time.Hour)
	for _, c := range []struct {
		name   string
		token  string
		jwt    bool // the server accepts jwt
		status int
		want   string
	}{
		{name: "for the queue", token: signature("https://host/orders", "all", secret, later), status: 200},
		{name: "for the whole namespace", token: signature("https://host/", "all", secret, later), status: 200},
		{name: "for the host alone", token: signature("host:5671", "all", secret, later), status: 200},
		{name: "for another queue", token: signature("https://host/order", "all", secret, later), status: 401, want: "InvalidAudience"},
		{name: "expired", token: signature("https://host/orders", "all", secret, time.Now().Add(-time.Second)), status: 401, want: "ExpiredToken"},
		{name: "signed with another secret", token: signature("https://host/orders", "all", "other", later), status: 401, want: "InvalidSignature"},
		{name: "of an unknown key", token: signature("https://host/orders", "who", secret, later), status: 401, want: "InvalidSignature"},
		{name: "none", status: 401, want: "MissingToken"},
		{name: "none where any is accepted", jwt: true, status: 401, want: "MissingToken"},
		{name: "another kind", token: "Bearer x.y.z", status: 401, want: "InvalidToken"},
		{name: "another kind where any is accepted", token: "Bearer x.y.z", jwt: true, status: 200},
		{name: "a wrong signature where any token is accepted", token: signature("https://host/orders", "all", "other", later), jwt: true, status: 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAdminRig(t, startSecure(t, broker.Options{AcceptJWT: c.jwt}))
			r, err := http.NewRequestWithContext(a.ctx, http.MethodGet, "https://"+a.server.Addr()+"/orders", nil)
			a.must(err)
			if c.token != "" {
				r.Header.Set("Authorization", c.token)
			}
			response, text := a.do(r)
			if response.StatusCode != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%d %s, want %d with %q", response.StatusCode, text, c.status, c.want)
			}
			if challenge := response.Header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
				t.Errorf("status %d has the challenge %q", c.status, challenge)
			}
		})
	}
}

func TestACredentialIsGoodWhereAnyTokenIsAccepted(t *testing.T) {
	a := newAdminRig(t, startSecure(t, broker.Options{AcceptJWT: true}))
	client, err := admin.NewClient(a.server.Addr(), anyToken{}, a.options())
	a.must(err)
	a.client = client
	a.create("new", admin.QueueProperties{})
}

// rule is one for a queue, with two secrets.
func rule(name string, rights ...admin.AccessRight) admin.AuthorizationRule {
	return admin.AuthorizationRule{KeyName: &name, PrimaryKey: new(name + "-one"), SecondaryKey: new(name + "-two"), AccessRights: rights}
}

func TestBothSecretsOfAQueuesOwnKeyOpenThatQueueOnly(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("new", admin.QueueProperties{AuthorizationRules: []admin.AuthorizationRule{
		rule("sender", admin.AccessRightSend), rule("all", admin.AccessRightManage), // the namespace has an "all", too
	}})
	for _, secret := range []string{"sender-one", "sender-two"} {
		r := connectWith(t, a.server, connectionString(a.server, "sender", secret))
		r.must(r.senderTo("new").SendMessage(r.ctx, message("1"), nil))
		wantCode(t, r.senderTo("orders").SendMessage(r.ctx, message("1"), nil), sb.CodeUnauthorizedAccess)
		_, err := r.receiverOf("new").ReceiveMessages(r.ctx, 1, nil)
		wantCode(t, err, sb.CodeUnauthorizedAccess)
	}
	own := administerWith(t, a.server, connectionString(a.server, "all", "all-two"))
	if got := own.get("new"); got == nil || len(got.AuthorizationRules) != 2 {
		t.Errorf("described as %+v", got)
	}
	_, err := own.client.GetQueue(a.ctx, "orders", nil)
	wantRefusal(t, err, http.StatusUnauthorized, "InvalidSignature")
	_, err = own.client.NewListQueuesPager(nil).NextPage(a.ctx)
	wantRefusal(t, err, http.StatusUnauthorized, "InvalidSignature")
	r := connectWith(t, a.server, connectionString(a.server, "all", "all-one"))
	r.must(r.senderTo("new").SendMessage(r.ctx, message("1"), nil))
	if _, err := r.receiverOf("new").PeekMessages(r.ctx, 1, nil); err != nil { // $management is a node of the queue
		t.Error(err)
	}
}

func TestASecretThatWasReplacedOpensNothing(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("new", admin.QueueProperties{AuthorizationRules: []admin.AuthorizationRule{rule("k", admin.AccessRightManage)}})
	changed := rule("k", admin.AccessRightManage)
	changed.PrimaryKey, changed.SecondaryKey = changed.SecondaryKey, new("k-three")
	_, err := a.client.UpdateQueue(a.ctx, "new", admin.QueueProperties{AuthorizationRules: []admin.AuthorizationRule{changed}}, nil)
	a.must(err)
	for secret, good := range map[string]bool{"k-one": false, "k-two": true, "k-three": true} {
		_, err := administerWith(t, a.server, connectionString(a.server, "k", secret)).client.GetQueue(a.ctx, "new", nil)
		if good && err != nil {
			t.Errorf("%s: %v", secret, err)
		}
		if !good {
			wantRefusal(t, err, http.StatusUnauthorized, "InvalidSignature")
		}
	}
}

func TestTheSecondSecretOfAKeyIsAsGood(t *testing.T) {
	s := start(t, broker.Options{Keys: map[string]broker.Key{"all": {Secret: "one", Secondary: "two", Manage: true}}})
	for _, secret := range []string{"one", "two"} {
		connectWith(t, s, connectionString(s, "all", secret)).send("1")
		dial(t, s, goamqp.SASLTypePlain("all", secret))
	}
}

// journal is a log that a test can read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func TestSecretsAreNotLogged(t *testing.T) {
	var log journal
	s := startSecure(t, broker.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	a := administer(t, s, "all")
	a.create("new", unusual())
	_, err := administerWith(t, s, connectionString(s, "all", "wrong-secret")).client.GetQueue(a.ctx, "new", nil)
	wantRefusal(t, err, http.StatusUnauthorized)
	a.must(s.Close())
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.text.Len() == 0 {
		t.Error("nothing was logged")
	}
	for _, secret := range []string{"cA==", "cw==", "c2VuZA==", "wrong-secret", keys["all"].Secret, "sig="} {
		if strings.Contains(log.text.String(), secret) {
			t.Errorf("the log has %q:\n%s", secret, &log.text)
		}
	}
}
