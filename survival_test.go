package main_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/tenantsync/tenantsync/shared/broker"
	"github.com/tenantsync/tenantsync/shared/change"
	"github.com/tenantsync/tenantsync/shared/config"
	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/standalone"
)

// waiting is people who joined and whose changes wait on the bus, each group in its own way.
type waiting struct {
	dead    []map[string]any // their address belongs to somebody else
	retried []map[string]any // Graph failed, and is asked again later
	held    []map[string]any // a worker is in the middle of it
	queued  []map[string]any // nobody has begun: all workers are in the middle of something
}

// assemble lets people join until all of them wait on the bus. lacksDeadLetters tells whether the dead letters are not there yet.
func (w waiting) assemble(t *testing.T, source *directory, g *gate, post *postbox, lacksDeadLetters func() (wrong string)) {
	t.Helper()
	var ids []string
	join := func(people []map[string]any) {
		joined := make([]string, len(people))
		if err := all(people, func(i int, p map[string]any) (err error) { joined[i], err = source.join(p); return err }); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, joined...)
	}
	g.decide("fails", w.retried)
	g.decide("hangs", w.held)
	join(w.dead)
	join(w.retried)
	eventually(t, patience, func() string { return cmp.Or(g.lacks(len(w.retried), 0), lacksDeadLetters()) })
	join(w.held)
	eventually(t, patience, func() string { return g.lacks(len(w.retried), len(w.held)) })
	join(w.queued)
	eventually(t, patience, func() string {
		if missing := post.lacks(ids); len(missing) > 0 {
			return fmt.Sprintf("no notification of %d users was accepted", len(missing))
		}
		return ""
	})
}

// everybody is what the log says when a source is looked at as a whole.
const everybody = "everybody is looked at"

func TestWhatTheBusTookSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	g, listen, data := openGate(t, s), freeAddress(t), filepath.Join(t.TempDir(), "data")
	post := openPostbox(t, listen)
	env := append(s.environ(), config.EnvBus+"=", // its own, not that of the simulation
		config.EnvGraphEndpoint+"="+g.URL, config.EnvPublicURL+"="+post.URL, "SSL_CERT_FILE="+g.trusted(t, s))
	first := serve(t, env, s.config, data, listen)
	eventually(t, patience, func() string { // the bus is new
		if n := strings.Count(first.stdout.String(), everybody); n < 2 {
			return fmt.Sprintf("everybody is looked at in %d of two sources", n)
		}
		return ""
	})
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")

	const busy = standalone.DefaultConcurrency
	people := crowd(29, 1+3+busy+4, usDomain)
	w := waiting{dead: people[:1], retried: people[1:4], held: people[4 : 4+busy], queued: people[4+busy:]}
	resident := newcomer(entrasim.People(31, 1)[0], "contoso.com")
	resident["mail"] = w.dead[0]["mail"]
	residentID, err := target.join(resident)
	if err != nil {
		t.Fatal(err)
	}
	inUse := map[string]int{"address in use": 1}
	w.assemble(t, source, g, post, func() string { return first.lacksDeadLetters(t, inUse) })
	first.kill()
	if users, err := target.external(); err != nil || len(users) > 0 {
		t.Fatalf("%d are there already, %v; there is nothing to survive", len(users), err)
	}
	counts := countChanges(t, filepath.Join(data, "bus"))
	if want := len(people) - len(w.dead); counts.Active+counts.Scheduled < want || counts.DeadLettered != len(w.dead) {
		t.Errorf("after the kill the bus holds %+v, want %d changes and %d dead letter", counts, want, len(w.dead))
	}

	// From here on nothing comes but from the bus: Graph has nothing more to say.
	post.close()
	g.open()
	began := time.Now()
	again := serve(t, env, s.config, data, listen)
	early := eventually(t, patience, func() string { return absent(target, w.queued) })
	eventually(t, patience, func() string { return unequal(target, people[len(w.dead):]) }) // the held ones once the leases of the dead process are over
	t.Logf("started again with %+v: the queued were there after %s, the held and retried after %s", counts, early.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))

	if err := target.leave(residentID); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() string { return again.lacksDeadLetters(t, inUse) })
	if _, report := replay(t, "http://"+listen, again.adminKey(t), map[string]any{}); report.Replayed != 1 {
		t.Errorf("%d dead letters were replayed, want the one from before the kill", report.Replayed)
	}
	eventually(t, patience, func() string { return unequal(target, people) })
	if strings.Contains(again.stdout.String(), everybody) {
		t.Error("after the kill everybody is looked at, as if the bus had lost something")
	}
}

// countChanges opens the bus of a process that is gone, and counts.
func countChanges(t *testing.T, dir string) broker.Counts {
	t.Helper()
	bus, err := broker.New(broker.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	counts, err := bus.Counts(change.QueueChanges)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// absent tells whether somebody is not in the target.
func absent(target *directory, people []map[string]any) (wrong string) {
	users, err := target.external()
	if err != nil {
		return err.Error()
	}
	there := map[string]bool{}
	for _, u := range users {
		there[u.Mail] = true
	}
	for _, p := range people {
		if !there[p["mail"].(string)] {
			return fmt.Sprintf("%d external users, and one of those that must be there is not among them", len(users))
		}
	}
	return ""
}

func TestABrokerThatWasKilledHasWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	dir, queues := t.TempDir(), filepath.Join(t.TempDir(), "queues.yaml")
	if err := os.WriteFile(queues, []byte("queues:\n  - name: orders\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() (*process, *azservicebus.Client) {
		p := start(t, nil, "broker", "--dir", dir, "--queues", queues, "--listen", "127.0.0.1:0")
		eventually(t, patience, func() string {
			if !strings.Contains(p.stderr.String(), "the broker is ready at ") {
				return "the broker is not ready"
			}
			return ""
		})
		connection, err := os.ReadFile(filepath.Join(dir, "connection-string"))
		if err != nil {
			t.Fatal(err)
		}
		client, err := azservicebus.NewClientFromConnectionString(strings.TrimSpace(string(connection)), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close(context.Background()) })
		return p, client
	}
	broker, client := run()
	sender, err := client.NewSender("orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	const sent = 50
	err = all(make([]struct{}, sent), func(i int, _ struct{}) error {
		return sender.SendMessage(t.Context(), &azservicebus.Message{Body: fmt.Append(nil, i)}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	broker.kill()

	broker, client = run()
	receiver, err := client.NewReceiverForQueue("orders", &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(got) < sent {
		messages, err := receiver.ReceiveMessages(ctx, sent, nil)
		if err != nil {
			t.Fatalf("%d of %d messages are there: %v", len(got), sent, err)
		}
		for _, m := range messages {
			got[string(m.Body)] = true
		}
	}
	if err := broker.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := broker.exitCode(t); code != 0 {
		t.Errorf("after SIGTERM the broker ended with %d", code)
	}
}

func TestALeaverIsRemovedAlsoWhenTheStoreIsLostMeanwhile(t *testing.T) {
	t.Parallel()
	s := simulate(t)
	first := s.serve(t)
	source, target := s.directory(t, "fabrikam-us"), s.directory(t, "contoso")
	people := crowd(71, 6, usDomain)
	ids := make([]string, len(people))
	for i, person := range people {
		var err error
		if ids[i], err = source.join(person); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, patience, func() string { return unequal(target, people) })
	first.kill()
	for i, leave := range []func(string) error{source.leave, source.purge} { // one can still be found among the deleted, the other cannot
		if err := leave(ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	s.serve(t) // on an empty folder: neither links nor messages are left
	took := eventually(t, patience, func() string { return unequal(target, people[2:]) })
	t.Logf("both are gone %s after the new start", took.Round(time.Millisecond))
}
