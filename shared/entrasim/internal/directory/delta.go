package directory

import (
	"slices"
	"time"
)

// deltaLife is how long a token of change tracking is documented to be good for.
const deltaLife = 7 * 24 * time.Hour

// DeltaLife is how long a token of change tracking is good for.
func (d *Directory) DeltaLife() time.Duration { return d.Pace.Span(deltaLife) }

// DeltaQuery asks what changed among the objects of a schema.
type DeltaQuery struct {
	// From is the version that the caller has seen everything of, 0 for nothing at all.
	From int64
	// Start is the version at which the round began, and After that up to which its pages have come.
	Start, After int64
	// Within is where the page before ended among the links of an object.
	Within Within
	// Properties are followed, and so is the navigation property if Links is set: manager of a user, members of a group.
	Properties []*Property
	Links      bool
	IDs        map[string]bool // the objects that are followed; nil: all
	Limit      int             // of objects and, in each, of links
	LinkLimit  int
}

// Within marks a place among the links of an object: the version up to which they have been told.
type Within struct {
	ID    string
	After int64
}

// Change tracking tells objects that are gone in two ways: with this reason they can be restored.
const (
	removedForNow  = "changed"
	removedForGood = "deleted"
)

// DeltaItem is one object that changed.
type DeltaItem struct {
	ID      string
	Entity  *Entity // nil if Removed
	Removed string  // the reason, or ""
	// New tells that everything about the object is news; otherwise those of the followed properties that Changed are.
	New     bool
	Changed []*Property
	Links   []DeltaLink
}

// DeltaLink is an object at the other end of a link that begins or, with Removed, ended.
type DeltaLink struct {
	ID, Kind string
	Removed  bool
}

// Delta is one page. If there is More, the next one begins After and Within; otherwise After is the version that is complete.
type Delta struct {
	Items  []DeltaItem
	After  int64
	Within Within
	More   bool
}

// DeltaState is the version and generation that tokens of now refer to.
func (d *Directory) DeltaState() (version int64, generation int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.version, d.generation
}

// ResetDelta makes all tokens worthless, as a service does that has lost its state.
func (d *Directory) ResetDelta() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
}

// Delta returns a page of the objects that changed after q.From, in the order of their last change. What changes while the
// pages are read comes on a later page, and may come twice; an object with more links than fit comes again with the rest.
func (v View) Delta(s *Schema, q DeltaQuery) Delta {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	page := Delta{After: q.After}
	for o, version := range v.dir.kinds[s].changed.after(q.After) {
		if !v.at.IsZero() && o.at.After(v.at) {
			return page // the replica has not heard of it yet
		}
		item, rest, shown := v.item(o, q)
		if shown && len(page.Items) == q.Limit {
			page.More = true
			return page
		}
		if shown {
			page.Items = append(page.Items, item)
		}
		if rest > 0 {
			page.Within, page.More = Within{o.id, rest}, true
			return page
		}
		page.After = version
	}
	if v.at.IsZero() {
		page.After = v.dir.version
	}
	return page
}

// item is what there is to tell of an object, if anything. rest is where its links go on, 0 if they are complete.
func (v View) item(o *object, q DeltaQuery) (item DeltaItem, rest int64, shown bool) {
	item = DeltaItem{ID: o.id}
	gone := q.From // who was gone before the first round has never been there
	if gone == 0 {
		gone = q.Start
	}
	switch e := o.now; {
	case q.IDs != nil && !q.IDs[o.id]:
		return item, 0, false
	case e.life == deleted:
		item.Removed = removedForNow
		return item, 0, o.changed > gone
	case e.life == purged:
		item.Removed = removedForGood
		return item, 0, o.changed > gone
	default:
		item.Entity = e
	}
	item.New = o.since > q.From
	for _, f := range item.Entity.fields {
		if f.changed > q.From && slices.Contains(q.Properties, f.property) {
			item.Changed = append(item.Changed, f.property)
		}
	}
	told := item.New || len(item.Changed) > 0
	if q.Links {
		item.Links, rest = v.deltaLinks(o, q)
		told = told || o.links != nil && o.links.bossed > q.From
	}
	return item, rest, told || o.schema == Groups && len(item.Links) > 0
}

// deltaLinks are the links to tell of a user or a group that changed, and where they go on.
func (v View) deltaLinks(o *object, q DeltaQuery) (links []DeltaLink, rest int64) {
	switch {
	case o.links == nil:
	case o.schema == Users:
		links = v.deltaManager(o, q)
	case o.links.members != nil:
		links, rest = v.deltaMembers(o, q)
	}
	return links, rest
}

// deltaManager tells the manager, or that there is none any more.
func (v View) deltaManager(o *object, q DeltaQuery) []DeltaLink {
	l := o.links
	switch now := v.manager(o); {
	case now != nil:
		return []DeltaLink{{ID: now.ID(), Kind: now.Schema().Name}}
	case l.bossed > q.From && o.now.boss == nil && l.former != nil && o.since <= q.From:
		return []DeltaLink{{ID: l.former.id, Kind: l.former.schema.Name, Removed: true}}
	}
	return nil
}

// deltaMembers tells the members who came and went, or all there are if the group is news.
func (v View) deltaMembers(g *object, q DeltaQuery) (links []DeltaLink, rest int64) {
	from, news := q.From, g.since > q.From
	if news {
		from = 0
	}
	last := from
	if q.Within.ID == g.id {
		last = q.Within.After
	}
	members := g.links.members
	for e, version := range members.order.after(last) {
		if len(links) == q.LinkLimit {
			return links, last
		}
		last = version
		gone := !e.ended.IsZero() || v.live(e.member) == nil
		switch {
		case gone && members.edges[e.member] != nil && !e.ended.IsZero(): // and came back
		case gone && news && version <= q.Start: // never told
		default:
			links = append(links, DeltaLink{ID: e.member.id, Kind: e.member.schema.Name, Removed: gone})
		}
	}
	return links, 0
}
