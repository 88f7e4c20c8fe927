package broker_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"github.com/tenantsync/tenantsync/shared/broker"
)

const never = "P10675199DT2H48M5.4775807S"

// defaults are the properties of a queue about which nothing was said.
func defaults() admin.QueueProperties {
	return admin.QueueProperties{
		LockDuration:                        new("PT1M"),
		MaxSizeInMegabytes:                  new(int32(1024)),
		RequiresDuplicateDetection:          new(false),
		RequiresSession:                     new(false),
		DefaultMessageTimeToLive:            new(never),
		DeadLetteringOnMessageExpiration:    new(false),
		DuplicateDetectionHistoryTimeWindow: new("PT10M"),
		MaxDeliveryCount:                    new(int32(10)),
		EnableBatchedOperations:             new(true),
		Status:                              new(admin.EntityStatusActive),
		AutoDeleteOnIdle:                    new(never),
		EnablePartitioning:                  new(false),
		MaxMessageSizeInKilobytes:           new(int64(256)),
	}
}

// unusual has no property at its default.
func unusual() admin.QueueProperties {
	return admin.QueueProperties{
		LockDuration:                        new("PT45S"),
		MaxSizeInMegabytes:                  new(int32(4096)),
		RequiresDuplicateDetection:          new(true),
		RequiresSession:                     new(true),
		DefaultMessageTimeToLive:            new("PT6H"),
		DeadLetteringOnMessageExpiration:    new(true),
		DuplicateDetectionHistoryTimeWindow: new("PT4H"),
		MaxDeliveryCount:                    new(int32(100)),
		EnableBatchedOperations:             new(false),
		Status:                              new(admin.EntityStatusReceiveDisabled),
		AutoDeleteOnIdle:                    new("PT10M"),
		EnablePartitioning:                  new(true),
		UserMetadata:                        new("some <metadata> & more"),
		MaxMessageSizeInKilobytes:           new(int64(102400)),
		AuthorizationRules: []admin.AuthorizationRule{
			{KeyName: new("all"), PrimaryKey: new("cA=="), SecondaryKey: new("cw=="), AccessRights: []admin.AccessRight{admin.AccessRightManage, admin.AccessRightListen, admin.AccessRightSend}},
			{KeyName: new("send"), PrimaryKey: new("c2VuZA=="), AccessRights: []admin.AccessRight{admin.AccessRightSend}},
		},
	}
}

func wantProperties(t testing.TB, got, want admin.QueueProperties) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, w := reflect.ValueOf(got), reflect.ValueOf(want)
		for i := range g.NumField() {
			if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
				t.Errorf("%s is %+v, want %+v", g.Type().Field(i).Name, reflect.Indirect(g.Field(i)), reflect.Indirect(w.Field(i)))
			}
		}
	}
}

func TestAQueueMadeWithoutPropertiesHasTheDefaults(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	created, err := a.client.CreateQueue(a.ctx, "new", nil)
	a.must(err)
	wantProperties(t, created.QueueProperties, defaults())
	wantProperties(t, a.get("new").QueueProperties, defaults())
	connect(t, a.server, "all").sendTo("new")
}

func TestEveryPropertyIsKept(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	want := unusual()
	want.MaxSizeInMegabytes = new(int32(16 * 4096)) // in all partitions together
	wantProperties(t, a.create("new", unusual()), want)
	wantProperties(t, a.get("new").QueueProperties, want)
	t.Run("when a client writes what it has read", func(t *testing.T) {
		updated, err := a.client.UpdateQueue(a.ctx, "new", a.get("new").QueueProperties, nil)
		a.must(err)
		wantProperties(t, updated.QueueProperties, want)
	})
}

func TestPropertiesAreKeptOverARestart(t *testing.T) {
	options := broker.Options{Dir: t.TempDir()}
	a := administer(t, startSecure(t, options), "all")
	want := a.create("new", unusual())
	a.must(a.server.Close())
	wantProperties(t, administer(t, startSecure(t, options), "all").get("new").QueueProperties, want)
}

func TestAnUpdateReplacesTheDescription(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("new", admin.QueueProperties{MaxDeliveryCount: new(int32(3)), UserMetadata: new("old")})
	updated, err := a.client.UpdateQueue(a.ctx, "NEW", admin.QueueProperties{LockDuration: new("PT5S")}, nil)
	a.must(err)
	want := defaults()
	want.LockDuration = new("PT5S")
	wantProperties(t, updated.QueueProperties, want)
	wantProperties(t, a.get("new").QueueProperties, want)
}

func TestTheSizeOfAQueueWithPartitionsCanBeChanged(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	properties := a.create("new", admin.QueueProperties{EnablePartitioning: new(true), MaxSizeInMegabytes: new(int32(1024))})
	properties.MaxSizeInMegabytes = new(int32(2048))
	updated, err := a.client.UpdateQueue(a.ctx, "new", properties, nil)
	a.must(err)
	if got := *updated.MaxSizeInMegabytes; got != 16*2048 {
		t.Errorf("the size is %d MB, want %d", got, 16*2048)
	}
}

func TestSomePropertiesCannotBeChanged(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("new", admin.QueueProperties{})
	for name, change := range map[string]admin.QueueProperties{
		"RequiresSession":            {RequiresSession: new(true)},
		"RequiresDuplicateDetection": {RequiresDuplicateDetection: new(true)},
		"EnablePartitioning":         {EnablePartitioning: new(true)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.client.UpdateQueue(a.ctx, "new", change, nil)
			wantRefusal(t, err, http.StatusBadRequest, "The value for the "+name+" property of an existing Queue cannot be changed")
			wantProperties(t, a.get("new").QueueProperties, defaults())
		})
	}
}

func TestAQueueIsMadeOnce(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("new", admin.QueueProperties{MaxDeliveryCount: new(int32(3))})
	_, err := a.client.CreateQueue(a.ctx, "New", nil)
	wantRefusal(t, err, http.StatusConflict, "SubCode=40900")
	if got := *a.get("new").MaxDeliveryCount; got != 3 {
		t.Errorf("the maximum delivery count is %d, want 3 as before", got)
	}
}

func TestAQueueThatIsNotThere(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	t.Run("is not found", func(t *testing.T) {
		for _, name := range []string{"nope", "topic/Subscriptions/s", "a%2Fb"} {
			if got := a.get(name); got != nil {
				t.Errorf("%s: %+v", name, got)
			}
		}
		got, err := a.client.GetQueueRuntimeProperties(a.ctx, "nope", nil)
		if got != nil || err != nil {
			t.Errorf("runtime properties %+v, error %v", got, err)
		}
	})
	t.Run("is not updated", func(t *testing.T) {
		_, err := a.client.UpdateQueue(a.ctx, "nope", admin.QueueProperties{}, nil)
		wantRefusal(t, err, http.StatusNotFound, "404 Not Found")
		if a.get("nope") != nil {
			t.Error("it was made")
		}
	})
	t.Run("is not deleted", func(t *testing.T) {
		_, err := a.client.DeleteQueue(a.ctx, "nope", nil)
		wantRefusal(t, err, http.StatusNotFound)
	})
}

func TestADeletedQueueIsGoneWithItsMessages(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	r := connect(t, a.server, "all")
	r.send("1", "2")
	_, err := a.client.DeleteQueue(a.ctx, "orders", nil)
	a.must(err)
	if a.get("orders") != nil {
		t.Error("it is there")
	}
	wantCode(t, r.sender().SendMessage(r.ctx, message("3"), nil), sb.CodeNotFound)
	a.create("orders", admin.QueueProperties{})
	r.want(broker.Counts{})
}

func TestValuesThatCannotBeAreRefusedWithTheReason(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	other := new("sb://host/other")
	for _, c := range []struct {
		name, queue string
		properties  admin.QueueProperties
		want        []string
	}{
		{"a name with a space", "a%20b", admin.QueueProperties{}, []string{"letters, digits"}},
		{"a name that would be a node", "q/$management", admin.QueueProperties{}, []string{"letters, digits"}},
		{"a lock that is too long", "q", admin.QueueProperties{LockDuration: new("PT6M")}, []string{"lock duration 6m0s"}},
		{"a lock that never ends", "q", admin.QueueProperties{LockDuration: new(never)}, []string{"lock duration"}},
		{"a duration that is none", "q", admin.QueueProperties{LockDuration: new("1 minute")}, []string{"LockDuration", "ISO 8601"}},
		{"no deliveries", "q", admin.QueueProperties{MaxDeliveryCount: new(int32(0))}, []string{"MaxDeliveryCount"}},
		{"a message that is too large", "q", admin.QueueProperties{MaxMessageSizeInKilobytes: new(int64(102401))}, []string{"102401"}},
		{"a status that is none", "q", admin.QueueProperties{Status: new(admin.EntityStatus("Asleep"))}, []string{"Asleep"}},
		{"metadata that is too long", "q", admin.QueueProperties{UserMetadata: new(strings.Repeat("x", 1025))}, []string{"metadata"}},
		{"forwarding", "q", admin.QueueProperties{ForwardTo: other}, []string{"does not forward"}},
		{"forwarding of dead letters", "q", admin.QueueProperties{ForwardDeadLetteredMessagesTo: other}, []string{"does not forward"}},
		{"a rule without keys", "q", admin.QueueProperties{AuthorizationRules: []admin.AuthorizationRule{{KeyName: new("k")}}}, []string{"PrimaryKey"}},
		{"several mistakes", "q", admin.QueueProperties{LockDuration: new("PT6M"), UserMetadata: new(strings.Repeat("x", 1025))}, []string{"lock duration", "metadata"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.client.CreateQueue(a.ctx, c.queue, &admin.CreateQueueOptions{Properties: &c.properties})
			wantRefusal(t, err, http.StatusBadRequest, c.want...)
			if queues := a.server.Queues(); len(queues) != 1 {
				t.Errorf("there are %d queues, want the one from before", len(queues))
			}
		})
	}
}

func TestANameWithSlashesIsTheSameEscapedOrNot(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("sales/Orders.v1", admin.QueueProperties{MaxDeliveryCount: new(int32(3))})
	for _, name := range []string{"sales/Orders.v1", "sales%2FOrders.v1", "SALES/orders.V1"} {
		if got := a.get(name); got == nil || *got.MaxDeliveryCount != 3 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	a.create("sales%2Freturns", admin.QueueProperties{})
	connect(t, a.server, "all").sendTo("sales/returns")
	_, err := a.client.DeleteQueue(a.ctx, "sales%2forders.v1", nil)
	a.must(err)
	if a.get("sales/Orders.v1") != nil {
		t.Error("it is there")
	}
}

func TestQueuesAreListedInPages(t *testing.T) {
	var options broker.Options
	var want []string
	for i := range 103 {
		options.Queues = append(options.Queues, broker.QueueConfig{Name: fmt.Sprintf("queue-%03d", 102-i), MaxDeliveryCount: 100 + i})
		want = append(want, fmt.Sprintf("queue-%03d=%d", i, 202-i))
	}
	a := administer(t, startSecure(t, options), "all")
	for _, c := range []struct {
		size  int32
		pages int // with queues
	}{{0, 2}, {1, 103}, {25, 5}, {103, 1}, {1000, 1}} {
		t.Run(fmt.Sprintf("of %d", c.size), func(t *testing.T) {
			var got []string
			pages := 0
			for pager := a.client.NewListQueuesPager(&admin.ListQueuesOptions{MaxPageSize: c.size}); pager.More(); {
				page, err := pager.NextPage(a.ctx)
				a.must(err)
				if len(page.Queues) > 0 {
					pages++
				}
				for _, q := range page.Queues {
					got = append(got, fmt.Sprintf("%s=%d", q.QueueName, *q.MaxDeliveryCount))
				}
			}
			if !reflect.DeepEqual(got, want) || pages != c.pages {
				t.Errorf("%d pages, want %d, of %v", pages, c.pages, got)
			}
		})
	}
	for _, query := range []string{"$top=-1", "$skip=x", "$top=4294967296"} {
		if response, text := a.request(http.MethodGet, "/$Resources/Queues?"+query, "all", ""); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, response.StatusCode, text)
		}
	}
}

func TestRuntimePropertiesCountMessages(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	before, err := a.client.GetQueueRuntimeProperties(a.ctx, "orders", nil)
	a.must(err)
	if !before.AccessedAt.IsZero() || before.TotalMessageCount != 0 || before.SizeInBytes != 0 {
		t.Errorf("a queue that nobody used: %+v", before)
	}

	r := connect(t, a.server, "all")
	r.send("dead", "deferred", "locked", "waiting")
	_, err = r.sender().ScheduleMessages(r.ctx, []*sb.Message{message("later"), message("later")}, time.Now().Add(time.Hour), nil)
	r.must(err)
	recv := r.receiver(nil)
	got := r.receive(recv, 3)
	r.must(recv.DeadLetterMessage(r.ctx, got[0], nil))
	r.must(recv.DeferMessage(r.ctx, got[1], nil))

	after, err := a.client.GetQueueRuntimeProperties(a.ctx, "orders", nil)
	a.must(err)
	info, err := a.server.Queue("orders")
	a.must(err)
	want := admin.QueueRuntimeProperties{
		SizeInBytes: info.SizeBytes, CreatedAt: before.CreatedAt, UpdatedAt: before.UpdatedAt, AccessedAt: info.AccessedAt.UTC(),
		TotalMessageCount: 6, ActiveMessageCount: 3, DeadLetterMessageCount: 1, ScheduledMessageCount: 2,
	}
	if !reflect.DeepEqual(after.QueueRuntimeProperties, want) {
		t.Errorf("got  %+v\nwant %+v", after.QueueRuntimeProperties, want)
	}
	if want.SizeInBytes == 0 || want.AccessedAt.IsZero() || want.CreatedAt.IsZero() {
		t.Errorf("%+v", want)
	}
	page, err := a.client.NewListQueuesRuntimePropertiesPager(nil).NextPage(a.ctx)
	a.must(err)
	if got := page.QueueRuntimeProperties; len(got) != 1 || got[0].QueueName != "orders" || !reflect.DeepEqual(got[0].QueueRuntimeProperties, want) {
		t.Errorf("listed as %+v", got)
	}
}

func TestTheBrokerDescribesItself(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	a.create("new", admin.QueueProperties{})
	got, err := a.client.GetNamespaceProperties(a.ctx, nil)
	a.must(err)
	first, err := a.server.Queue("orders")
	a.must(err)
	last, err := a.server.Queue("new")
	a.must(err)
	want := admin.NamespaceProperties{Name: "127.0.0.1", SKU: "Standard", CreatedTime: first.CreatedAt, ModifiedTime: last.UpdatedAt}
	if !reflect.DeepEqual(got.NamespaceProperties, want) {
		t.Errorf("got %+v, want %+v", got.NamespaceProperties, want)
	}
}

func TestWhatIsNotAQueueIsNotSupported(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	_, err := a.client.CreateTopic(a.ctx, "news", nil)
	wantRefusal(t, err, http.StatusNotImplemented, "TopicDescription", "queues only")
	_, err = a.client.CreateSubscription(a.ctx, "news", "all", nil)
	wantRefusal(t, err, http.StatusNotImplemented, "SubscriptionDescription")
	_, err = a.client.CreateRule(a.ctx, "news", "all", &admin.CreateRuleOptions{Name: new("first")})
	wantRefusal(t, err, http.StatusNotImplemented, "RuleDescription")

	topic, err := a.client.GetTopic(a.ctx, "news", nil)
	if topic != nil || err != nil {
		t.Errorf("topic %v, error %v", topic, err)
	}
	page, err := a.client.NewListTopicsPager(nil).NextPage(a.ctx)
	if len(page.Topics) != 0 || err != nil {
		t.Errorf("topics %v, error %v", page.Topics, err)
	}
}

func TestRequestsThatNoClientSends(t *testing.T) {
	a := administer(t, startSecure(t, broker.Options{}), "all")
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"another method", http.MethodPost, "/orders", "", 405, "Use GET, PUT or DELETE"},
		{"no document", http.MethodPut, "/q", "", 400, "EOF"},
		{"no XML", http.MethodPut, "/q", "hello", 400, "EOF"},
		{"too large a document", http.MethodPut, "/q", "<entry>" + strings.Repeat(" ", 1<<20), 413, "too large"},
		{"a document that is a feed", http.MethodPut, "/q", "<feed/>", 400, "feed"},
		{"no name", http.MethodPut, "/", `<entry><content><QueueDescription/></content></entry>`, 400, "give it a name"},
		{"the list as a queue", http.MethodPut, "/$Resources/Queues", `<entry><content><QueueDescription/></content></entry>`, 400, "letters, digits"},
		{"the deletion of the list", http.MethodDelete, "/$Resources/Queues", "", 404, "no queue"},
		{"an unknown api-version", http.MethodGet, "/orders?api-version=1999-12", "", 200, "<LockDuration>PT1M</LockDuration>"},
		{"no api-version", http.MethodGet, "/orders", "", 200, "<LockDuration>PT1M</LockDuration>"},
		{"a slash behind the name", http.MethodGet, "/orders/", "", 200, "<LockDuration>PT1M</LockDuration>"},
		{"the root", http.MethodGet, "/", "", 200, "Publicly Listed Services"},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, text := a.request(c.method, c.path, "all", c.body)
			if response.StatusCode != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%d %s, want %d with %q", response.StatusCode, text, c.status, c.want)
			}
		})
	}
	if queues := a.server.Queues(); len(queues) != 1 {
		t.Errorf("there are %d queues, want the one from before", len(queues))
	}
}
