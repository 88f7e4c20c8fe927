package directory

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"
)

// history is what change tracking knows of one user. Versions count the changes of the whole directory.
type history struct {
	since   int64            // version at which it was created or restored
	changed int64            // version of its last change
	touched map[string]int64 // version of the last change of a property, of those that changed since then
}

// tombstone is what is left of a user who is gone for good.
type tombstone struct {
	id      string
	changed int64
	at      time.Time
}

// DeltaLife is how long a token of change tracking is good for.
const DeltaLife = 7 * 24 * time.Hour

// tracker follows the changes of a directory.
type tracker struct {
	version    int64
	generation int
	graves     []tombstone // from the oldest on
}

// born is the history of a user who appears with the next change.
func (t *tracker) born() history { return history{since: t.version + 1} }

// edited is the history of a user who differs from old with the next change.
func (t *tracker) edited(old, next *record) history {
	h := old.history
	h.touched = maps.Clone(h.touched)
	if h.touched == nil {
		h.touched = map[string]int64{}
	}
	for _, names := range []User{old.user, next.user} {
		for name := range names {
			if !reflect.DeepEqual(old.user[name], next.user[name]) {
				h.touched[name] = t.version + 1
			}
		}
	}
	return h
}

// record counts a change. d is locked.
func (d *Directory) record(r *record, purged bool) {
	d.version++
	r.changed = d.version
	if !purged {
		return
	}
	now := d.Now()
	for len(d.graves) > 0 && now.Sub(d.graves[0].at) > DeltaLife {
		d.graves = d.graves[1:] // no token is that old
	}
	d.graves = append(d.graves, tombstone{r.id(), d.version, now})
}

// DeltaQuery asks what changed.
type DeltaQuery struct {
	// From is the version that the caller has seen everything of, 0 for nothing at all.
	From int64
	// Start is the version at which the round began, and After that up to which its pages have come.
	Start, After int64
	Names        []string        // the properties that are followed
	IDs          map[string]bool // the users that are followed; nil: all
	Limit        int
}

// Change tracking tells users who are gone in two ways: with this reason they can be restored.
const (
	removedForNow  = "changed"
	removedForGood = "deleted"
)

// DeltaItem is one user who changed.
type DeltaItem struct {
	ID      string
	User    User   // nil if Removed
	Removed string // the reason, or ""
	// Changed are those of the properties that changed since From; nil: the user is new, with all of them.
	Changed []string
	// Manager is the id of the manager, "" for none, and Former that of the one before.
	Manager, Former string
	version         int64
}

// Delta is one page. After is where the next one begins if there is More, and otherwise the version that is complete now.
type Delta struct {
	Items []DeltaItem
	After int64
	More  bool
}

// DeltaState is the version and generation that tokens of now refer to.
func (d *Directory) DeltaState() (version int64, generation int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.version, d.generation
}

// ResetDelta makes all tokens worthless, as a service does that has lost its state.
func (d *Directory) ResetDelta() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
}

// Delta returns a page of the users who changed after q.From, in the order of their last change. Who changes while the
// pages are read comes on a later page, and may come twice.
func (d *Directory) Delta(q DeltaQuery) Delta {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire()
	items := d.changes(q)
	slices.SortFunc(items, func(a, b DeltaItem) int { return cmp.Compare(a.version, b.version) })
	page := Delta{Items: items, After: d.version}
	if len(items) > q.Limit {
		page.Items, page.More = items[:q.Limit], true
		page.After = items[q.Limit-1].version
	}
	for i := range page.Items {
		item := &page.Items[i]
		item.User = item.User.Clone()
		if r := d.live[item.ID]; r != nil {
			item.Former = r.former
			if d.live[r.manager] != nil {
				item.Manager = r.manager
			}
		}
	}
	return page
}

func (d *Directory) changes(q DeltaQuery) (items []DeltaItem) {
	follows := func(id string, changed int64) bool { return changed > q.After && (q.IDs == nil || q.IDs[id]) }
	for id, r := range d.live {
		if !follows(id, r.changed) {
			continue
		}
		if item, shown := r.item(q); shown {
			items = append(items, item)
		}
	}
	gone := q.From // who was gone before the first round has never been there
	if gone == 0 {
		gone = q.Start
	}
	for id, r := range d.deleted {
		if follows(id, r.changed) && r.changed > gone {
			items = append(items, DeltaItem{ID: id, Removed: removedForNow, version: r.changed})
		}
	}
	for _, g := range d.graves {
		if follows(g.id, g.changed) && g.changed > gone {
			items = append(items, DeltaItem{ID: g.id, Removed: removedForGood, version: g.changed})
		}
	}
	return items
}

// item is a live user, unless nothing that is followed changed.
func (r *record) item(q DeltaQuery) (item DeltaItem, shown bool) {
	item = DeltaItem{ID: r.id(), User: r.user, version: r.changed}
	if r.since > q.From {
		return item, true
	}
	for _, name := range q.Names {
		if r.touched[name] > q.From {
			item.Changed = append(item.Changed, name)
		}
	}
	return item, len(item.Changed) > 0
}
