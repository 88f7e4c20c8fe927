package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Output says how the story is shown.
type Output struct {
	To io.Writer
	// JSON writes one object per line, for machines.
	JSON bool
	// Color uses terminal colours; Live is for a person who watches: without it, only chapters and the result are shown.
	Color, Live bool
}

// watcher shows each journey as the journal records it.
type watcher struct {
	out Output

	mu       sync.Mutex
	names    map[string]string // user id → display name
	early    map[string][]provisioning.Entry
	actions  map[provisioning.Action]int
	journeys []time.Duration
	failures int
}

func newWatcher(out Output) *watcher {
	return &watcher{out: out, names: map[string]string{}, early: map[string][]provisioning.Entry{}, actions: map[provisioning.Action]int{}}
}

// journal is the journal with the watcher in front of it.
type journal struct {
	provisioning.Journal
	watch *watcher
}

func (j journal) Append(ctx context.Context, e provisioning.Entry) error {
	err := j.Journal.Append(ctx, e)
	j.watch.see(e)
	return err
}

// meet tells the name of a person. Journeys that were faster than the answer to whoever made the user are shown now.
func (w *watcher) meet(id, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[id] = name
	for _, e := range w.early[id] {
		w.show(e, name)
	}
	delete(w.early, id)
}

func (w *watcher) see(e provisioning.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.Action == provisioning.ActionNone && (e.Outcome == "done" || e.Error == ""):
		return // nothing happened
	case e.Outcome != "done":
		w.failures++
	}
	name, known := w.names[e.User]
	if !known {
		w.early[e.User] = append(w.early[e.User], e)
		return
	}
	w.show(e, name)
}

func (w *watcher) show(e provisioning.Entry, name string) {
	took := e.At.Sub(e.ArrivedAt)
	if e.Outcome == "done" {
		w.actions[e.Action]++
		w.journeys = append(w.journeys, took)
	}
	switch {
	case w.out.JSON:
		w.emit(map[string]any{"event": "journey", "name": name, "user": e.User, "external": e.External, "route": e.Route, "action": e.Action,
			"outcome": e.Outcome, "reason": e.Reason, "ms": milliseconds(took)})
	case !w.out.Live && e.Outcome == "done":
	case e.Outcome != "done":
		fmt.Fprintf(w.out.To, "  %s  %s  %s  %s\n", w.paint(red, pad(e.Outcome, 8)), pad(name, nameWidth), pad(e.Route, routeWidth), e.Error)
	default:
		line := fmt.Sprintf("  %s  %s  %s  %6.1f ms  %s", w.paint(colors[e.Action], pad(string(e.Action), 8)), pad(name, nameWidth), pad(e.Route, routeWidth), milliseconds(took), changed(e))
		fmt.Fprintln(w.out.To, strings.TrimRight(line, " "))
	}
}

// Widths of the columns: with the others they fit into 100.
const (
	nameWidth  = 28
	routeWidth = 23
)

// changed names the attributes of an update.
func changed(e provisioning.Entry) string {
	if e.Action != provisioning.ActionUpdate {
		return ""
	}
	names := strings.Split(strings.TrimPrefix(strings.Join(e.Operations, ","), "update "), ",")
	if len(names) > 2 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return strings.Join(names, ", ")
}

func (w *watcher) chapter(title string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out.JSON {
		w.emit(map[string]any{"event": "chapter", "title": title})
		return
	}
	fmt.Fprintf(w.out.To, "\n%s\n", w.paint(bold, title))
}

// result closes the story: how many journeys of each kind, how long they took, and whether the target is right.
func (w *watcher) result(people []*person, wrong []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	present := 0
	for _, p := range people {
		if !p.left {
			present++
		}
	}
	if wrong == nil {
		wrong = []string{} // in JSON a list, too
	}
	slices.Sort(w.journeys)
	p50, p99 := milliseconds(quantile(w.journeys, 0.50)), milliseconds(quantile(w.journeys, 0.99))
	if w.out.JSON {
		w.emit(map[string]any{"event": "result", "ok": len(wrong) == 0, "external": present, "wrong": wrong, "actions": w.actions,
			"failures": w.failures, "p50ms": p50, "p99ms": p99})
		return
	}
	fmt.Fprintf(w.out.To, "\n%d journeys: %s\n", len(w.journeys), w.counts())
	fmt.Fprintf(w.out.To, "from notification to the external user being right: half within %.1f ms, 99 %% within %.1f ms\n", p50, p99)
	for _, line := range wrong {
		fmt.Fprintf(w.out.To, "  %s %s\n", w.paint(red, "wrong:"), line)
	}
	if len(wrong) == 0 {
		fmt.Fprintf(w.out.To, "%s all %d external users that must be in %s are there, as they must be, and no other\n",
			w.paint(green, "right:"), present, Contoso.Name)
	}
}

func (w *watcher) counts() string {
	var parts []string
	for _, a := range []provisioning.Action{provisioning.ActionCreate, provisioning.ActionUpdate, provisioning.ActionDisable,
		provisioning.ActionEnable, provisioning.ActionRemove, provisioning.ActionRestore} {
		if n := w.actions[a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a))
		}
	}
	return strings.Join(parts, ", ")
}

func (w *watcher) emit(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		text = fmt.Appendf(nil, `{"event":"error","error":%q}`, err)
	}
	fmt.Fprintf(w.out.To, "%s\n", text)
}

// Terminal colours.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
)

var colors = map[provisioning.Action]string{
	provisioning.ActionCreate: green, provisioning.ActionUpdate: blue, provisioning.ActionRemove: yellow,
	provisioning.ActionRestore: cyan, provisioning.ActionDisable: yellow, provisioning.ActionEnable: green,
}

func (w *watcher) paint(color, text string) string {
	if !w.out.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// pad fills up to a width in characters; %-32s counts bytes.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile of sorted durations; zero when there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
