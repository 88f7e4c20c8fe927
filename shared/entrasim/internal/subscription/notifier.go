package subscription

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/pace"
)

// Options of a Notifier. The zero value delivers each notification once and in order.
type Options struct {
	// Duplicate delivers every notification twice.
	Duplicate bool
	// Reorder holds each notification back for a random while, so that later ones overtake it.
	Reorder bool
	// ReorderWindow is the longest such while; 0 = 50 ms.
	ReorderWindow time.Duration
	// MaxBatch bounds the notifications in one request; 0 = 100.
	MaxBatch int
	// Backoff is the pause before the first retry, doubled for each further one up to five minutes; 0 = 500 ms.
	Backoff time.Duration
	// Lose is how often a notification is lost for good, from 0 to 1. Lifecycle notifications are not.
	Lose float64
	// Authorization is how long deliveries of a subscription are authorized by its creation, renewal or reauthorization; 0: as long
	// as it lives.
	Authorization time.Duration
	// Pace shortens everything but how long endpoints have to answer.
	Pace pace.Pace
	// HandshakeTimeout is what an endpoint has to answer a validation request; 0 = 10 s.
	HandshakeTimeout time.Duration
	// Transport carries validation requests and notifications; nil = http.DefaultTransport.
	Transport http.RoundTripper
}

// What the documents promise about one delivery.
const (
	firstAttempt = 3 * time.Second
	laterAttempt = 10 * time.Second
	giveUpAfter  = 4 * time.Hour
	maxBackoff   = 5 * time.Minute
)

func (o Options) withDefaults() Options {
	if o.ReorderWindow == 0 {
		o.ReorderWindow = 50 * time.Millisecond
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 100
	}
	if o.Backoff == 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return o
}

// Notifier delivers notifications in the background: one lane per busy endpoint for first attempts and one for later ones, so
// that none waits for another endpoint, and nothing fresh for what failed before.
type Notifier struct {
	Options
	// where is the present endpoint of a subscription, and whether it is there at all; nil: it stays where it was.
	where  func(subscriptionID string, lifecycle bool) (endpoint string, is bool)
	now    func() time.Time
	logger *slog.Logger
	client *http.Client
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	rand  *rand.Rand
	lanes map[way]*lane
	hosts map[string]*host
}

// way is what a lane is for.
type way struct {
	endpoint string
	again    bool // later attempts
}

// NewNotifier returns a running notifier. now is the clock of the four hours after which a delivery is given up; seed decides
// about the order when notifications are reordered. Close it.
func NewNotifier(o Options, now func() time.Time, seed uint64, logger *slog.Logger) *Notifier {
	o = o.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	return &Notifier{
		Options: o,
		now:     now,
		logger:  logger,
		client: &http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		ctx:   ctx,
		stop:  stop,
		rand:  rand.New(rand.NewPCG(seed, seed)),
		lanes: map[way]*lane{},
		hosts: map[string]*host{},
	}
}

// Close ends all deliveries, finished or not, and waits for them.
func (n *Notifier) Close() {
	n.mu.Lock()
	n.stop()
	n.mu.Unlock()
	n.wg.Wait()
}

// notify hands a notification to the endpoint's lane, unless it is lost or dropped. It does not block.
func (n *Notifier) notify(endpoint string, d delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(endpoint)
	h.Published++
	if n.Lose > 0 && n.rand.Float64() < n.Lose {
		h.Lost++
		return
	}
	delay := time.Duration(0)
	switch h.standing(n.now(), n.Pace.Span(window)) {
	case Dropping:
		h.Dropped++
		return
	case Slow:
		delay = n.Pace.Span(slowDelay)
		h.Delayed++
	}
	copies := 1
	if n.Duplicate {
		copies = 2
	}
	for range copies {
		d.due = time.Now().Add(n.hold() + delay)
		n.push(way{endpoint: endpoint}, d)
	}
}

// send hands deliveries to their lane.
func (n *Notifier) send(w way, deliveries ...delivery) {
	if len(deliveries) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.push(w, deliveries...)
}

// push hands deliveries to their lane, which begins with the first of them. n is locked.
func (n *Notifier) push(w way, deliveries ...delivery) {
	if n.ctx.Err() != nil {
		return
	}
	l := n.lanes[w]
	if l == nil {
		l = newLane(n, w)
		n.lanes[w] = l
		n.wg.Go(l.run)
	}
	l.push(deliveries...)
}

// retire ends a lane with nothing to deliver, and tells whether it did.
func (n *Notifier) retire(l *lane) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !l.idle() {
		return false
	}
	delete(n.lanes, l.way)
	return true
}

// hold is how long a notification waits before its first attempt. n is locked.
func (n *Notifier) hold() time.Duration {
	if !n.Reorder {
		return 0
	}
	return time.Duration(n.rand.Int64N(int64(n.ReorderWindow)))
}

// post makes one attempt. Whatever is not a 2xx in time is an error.
func (n *Notifier) post(endpoint string, items []any, timeout time.Duration) error {
	began := time.Now()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.host(endpoint).answered(n.now(), time.Since(began), n.Pace.Span(window))
	}()
	body, err := json.Marshal(envelope{Value: items})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(n.ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := n.client.Do(req)
	if failed := new(url.Error); errors.As(err, &failed) {
		return failed.Err // without the URL, whose query may hold a key
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the endpoint answered %d", resp.StatusCode)
	}
	return nil
}
