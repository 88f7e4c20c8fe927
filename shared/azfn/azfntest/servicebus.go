package azfntest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// Defaults of the Service Bus extension (ServiceBusOptions).
const (
	callsPerCore       = 16
	renewalDuration    = 5 * time.Minute // maxAutoLockRenewalDuration
	settlementDeadline = 10 * time.Second
	receiveRetryDelay  = time.Second
)

// listener plays the extension for one serviceBusTrigger.
type listener struct {
	host     *Host
	function function
	receiver *azservicebus.Receiver
	slots    chan struct{} // one for each message being worked on
	renewal  time.Duration
	complete bool // autoCompleteMessages
}

// listen begins to receive for every function with a serviceBusTrigger.
func (h *Host) listen() error {
	for _, f := range h.app.functions {
		if f.trigger.Type != "serviceBusTrigger" {
			continue
		}
		client, err := azservicebus.NewClientFromConnectionString(h.app.settings.connection(f.trigger.Connection), nil)
		if err != nil {
			return fmt.Errorf("function %s: connect to Service Bus: %w", f.name, err)
		}
		receiver, err := newReceiver(client, f.trigger.QueueName)
		if err != nil {
			return fmt.Errorf("function %s: receive from %s: %w", f.name, f.trigger.QueueName, err)
		}
		bus := h.app.host.Extensions.ServiceBus
		calls := bus.MaxConcurrentCalls
		if calls == 0 {
			calls = callsPerCore * runtime.NumCPU()
		}
		l := &listener{
			host: h, function: f, receiver: receiver,
			slots:    make(chan struct{}, calls),
			renewal:  bus.MaxAutoLockRenewalDuration.or(renewalDuration),
			complete: bus.AutoCompleteMessages == nil || *bus.AutoCompleteMessages,
		}
		h.inFlight.Go(func() { l.receive(client) })
	}
	return nil
}

// newReceiver takes a queue, or its dead letters as "queue/$DeadLetterQueue".
func newReceiver(client *azservicebus.Client, queue string) (*azservicebus.Receiver, error) {
	const suffix = "/$deadletterqueue"
	if n := len(queue) - len(suffix); n > 0 && strings.EqualFold(queue[n:], suffix) {
		return client.NewReceiverForQueue(queue[:n], &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
	}
	return client.NewReceiverForQueue(queue, nil)
}

// receive passes on messages until the host takes in no more, and waits for those that are being worked on.
func (l *listener) receive(client *azservicebus.Client) {
	ctx := l.host.listening
	for ctx.Err() == nil {
		free := l.take(ctx)
		if free == 0 {
			break
		}
		messages, err := l.receiver.ReceiveMessages(ctx, free, nil)
		for range free - len(messages) {
			<-l.slots
		}
		for _, m := range messages {
			l.host.inFlight.Go(func() {
				defer func() { <-l.slots }()
				l.process(m)
			})
		}
		if err != nil && ctx.Err() == nil {
			l.host.printed(true, "host: receive from "+l.function.trigger.QueueName+": "+err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(receiveRetryDelay):
			}
		}
	}
	for range cap(l.slots) { // all slots are free: nothing is being worked on
		l.slots <- struct{}{}
	}
	deadline, cancel := context.WithTimeout(context.Background(), settlementDeadline)
	defer cancel()
	client.Close(deadline) // nothing is left to do with it
}

// take waits for a free slot and takes it, with all others that are free. It returns how many, 0 when ctx ended.
func (l *listener) take(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case l.slots <- struct{}{}:
	}
	for n := 1; ; n++ {
		select {
		case l.slots <- struct{}{}:
		default:
			return n
		}
	}
}

// process invokes the function with one message and settles it: a failure is abandoned at once, a success completed
// when autoCompleteMessages says so. A handler may have settled it itself, then nothing is left to settle.
func (l *listener) process(m *azservicebus.ReceivedMessage) {
	renewing, stopRenewing := context.WithTimeout(l.host.ctx, l.renewal)
	go l.renew(renewing, m)
	value, metadata := messageValues(l.function.trigger, m)
	_, failure := l.host.invoke(l.host.ctx, l.function, value, metadata)
	stopRenewing()

	ctx, cancel := context.WithTimeout(context.Background(), settlementDeadline)
	defer cancel()
	var err error
	switch {
	case failure != nil:
		err = l.receiver.AbandonMessage(ctx, m, nil)
	case l.complete:
		err = l.receiver.CompleteMessage(ctx, m, nil)
	}
	if err != nil {
		l.host.printed(true, "host: settle a message of "+l.function.trigger.QueueName+": "+err.Error())
	}
}

// renew keeps the lock until ctx ends or the message is settled: each time a tenth of the lock, at most 10 s, before it ends.
func (l *listener) renew(ctx context.Context, m *azservicebus.ReceivedMessage) {
	for m.LockedUntil != nil {
		left := time.Until(*m.LockedUntil)
		select {
		case <-ctx.Done():
			return
		case <-time.After(left - min(left/2, 10*time.Second)):
		}
		if err := l.receiver.RenewMessageLock(ctx, m, nil); err != nil {
			return // settled, or lost: either way there is nothing to keep
		}
	}
}
