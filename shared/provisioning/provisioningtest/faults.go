package provisioningtest

import (
	"context"
	"errors"
	"maps"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Call names one kind of call that a reconciler makes.
type Call string

// The calls, in the words of the ports.
const (
	User     Call = "source user"
	Deleted  Call = "deleted source user"
	Groups   Call = "groups of a source user"
	External Call = "external user"
	ByKey    Call = "search by key"
	ByMail   Call = "search by mail"
	Invite   Call = "invite"
	Update   Call = "update"
	Remove   Call = "remove"
	Restore  Call = "restore"
	Acquire  Call = "acquire"
	Save     Call = "save"
	Release  Call = "release"
	Append   Call = "append"
	Admit    Call = "admit"
	Withdraw Call = "withdraw"

	SetManager Call = "set manager"
	Grants     Call = "grants of an external user"
	Grant      Call = "grant"
	Revoke     Call = "revoke"
	Find       Call = "find a link"
	Reports    Call = "reports of a manager"
	Send       Call = "send"
)

var writes = map[Call]bool{
	Invite: true, Update: true, Remove: true, Restore: true, Acquire: true, Save: true, Release: true, Append: true,
	Admit: true, Withdraw: true, SetManager: true, Grant: true, Revoke: true, Send: true,
}

// ErrCrashed is what every call answers once the process is dead. What it did before stays done.
var ErrCrashed = errors.New("the process is dead")

type hook struct {
	times int
	run   func() error
}

type faults struct {
	before, after map[Call][]*hook
	writes        int
	crashAt       int
	crashed       bool
	calls, failAt int
	failLate      bool
	failure       func(Call) error
}

// Fail lets the next n calls of this kind fail before they have any effect.
func (w *World) Fail(call Call, n int, err error) {
	w.Before(call, n, func() error { return err })
}

// Before runs f before each of the next n calls of this kind; when f returns an error, the call has no effect and
// answers that error. f may change the world and call its ports: no lock is held.
func (w *World) Before(call Call, n int, f func() error) { w.hook(&w.faults.before, call, n, f) }

// After runs f after each of the next n successful calls of this kind; an error of f takes the place of the answer,
// although the call had its effect.
func (w *World) After(call Call, n int, f func() error) { w.hook(&w.faults.after, call, n, f) }

func (w *World) hook(at *map[Call][]*hook, call Call, n int, f func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *at == nil {
		*at = map[Call][]*hook{}
	}
	(*at)[call] = append((*at)[call], &hook{n, f})
}

// FailAt lets the k-th call from now (1 or more), of whatever kind, answer the error that is told for its kind; nil lets it be. The call has
// no effect, or late: it had, and only its answer is lost.
func (w *World) FailAt(k int, late bool, failure func(Call) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults.calls, w.faults.failAt, w.faults.failLate, w.faults.failure = 0, k, late, failure
}

// Calls counts those since FailAt.
func (w *World) Calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults.calls
}

// CrashAfter kills the process right after its k-th write from now (1 or more): the write has its effect, its answer is lost,
// and no call gets through until Restart.
func (w *World) CrashAfter(k int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults.writes, w.faults.crashAt = 0, k
}

// Crashed reports whether the process is dead.
func (w *World) Crashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults.crashed
}

// Restart starts the process again, and no crash is planned any more.
func (w *World) Restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults.crashed, w.faults.crashAt = false, 0
}

// Lag lets searches see the target as it is now, whatever is written, until CatchUp.
func (w *World) Lag() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index = map[string]provisioning.External{}
	for id, e := range w.objects {
		w.index[id] = clone(e)
	}
}

// LagReads is Lag, and a read by id does not find what is newer either: Graph answers 404 for a while after a create.
func (w *World) LagReads() {
	w.Lag()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = true
}

// CatchUp ends Lag and LagReads.
func (w *World) CatchUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index, w.blind, w.oldGrants = nil, false, nil
}

// DuplicateResults lets every search answer each object twice, as a list that changes between two pages may.
func (w *World) DuplicateResults() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.duplicate = true
}

// do makes one call: what was planned to happen before, the effect under the lock, what was planned for after.
func (w *World) do(ctx context.Context, call Call, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.fire(&w.faults.before, call); err != nil {
		return err
	}
	if err := w.effect(call, effect); err != nil {
		return err
	}
	return w.fire(&w.faults.after, call)
}

func (w *World) effect(call Call, effect func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &w.faults
	if f.crashed {
		return ErrCrashed
	}
	f.calls++
	var failure error
	if f.calls == f.failAt {
		failure = f.failure(call)
	}
	if failure != nil && !f.failLate {
		return failure
	}
	if err := effect(); err != nil || !writes[call] {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure
	}
	f.writes++
	if f.writes == f.crashAt {
		f.crashed = true
		return ErrCrashed
	}
	return nil
}

// fire runs the first hook that is not used up. No lock is held meanwhile.
func (w *World) fire(from *map[Call][]*hook, call Call) error {
	w.mu.Lock()
	var run func() error
	for _, h := range (*from)[call] {
		if h.times > 0 {
			h.times--
			run = h.run
			break
		}
	}
	w.mu.Unlock()
	if run == nil {
		return nil
	}
	return run()
}

// seen is what a search looks through.
func (w *World) seen() map[string]provisioning.External {
	if w.index != nil {
		return w.index
	}
	return w.objects
}

// search lists what a search finds, with the faults of searches.
func (w *World) search(keep func(provisioning.External) bool) []provisioning.External {
	found := sorted(w.seen(), keep)
	if w.duplicate {
		for _, e := range found {
			e.Attributes = maps.Clone(e.Attributes)
			found = append(found, e)
		}
	}
	return found
}
