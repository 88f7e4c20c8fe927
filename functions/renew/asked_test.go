package renew_test

import (
	"errors"
	"testing"
	"time"
)

func TestEverybodyIsLookedAtOnceForWhoeverAsks(t *testing.T) {
	w, h := newBench(t)
	run(t, h)
	w.lookedAt()
	ask := func() {
		t.Helper()
		if err := h.Ask(t.Context(), h.Topology.From(usID)[1]); err != nil {
			t.Fatal(err)
		}
	}
	const asked = "u1 on us→woodgrove"
	w.now = w.now.Add(time.Second)
	ask()
	w.failing["linked"] = errAway
	if err := h.Run(t.Context()); !errors.Is(err, errAway) {
		t.Fatalf("error %v, want %v", err, errAway)
	}
	delete(w.failing, "linked")
	w.lookedAt()
	w.now = w.now.Add(time.Second)
	w.during = ask // what was seen until now counts no more
	run(t, h)
	if got := w.lookedAt(); got != asked {
		t.Errorf("after it failed, looked at %s\nwant %s", got, asked)
	}
	w.during = nil
	w.now = w.now.Add(time.Second)
	run(t, h)
	if got := w.lookedAt(); got != asked {
		t.Errorf("asked meanwhile, looked at %s\nwant %s", got, asked)
	}
	run(t, h)
	if got := w.lookedAt(); got != "" {
		t.Errorf("asked no more, looked at %s", got)
	}
}
