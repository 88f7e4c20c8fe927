package directory

import (
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// View reads a directory: as it is, or as it was at some time, which is what a replica shows that lags behind. What has been
// created since then is not there yet, a change not made, and what has been deleted still there. Only what is gone for good is
// gone at once, and a membership that ended is seen to have ended from the side of the member.
type View struct {
	dir *Directory
	at  time.Time // zero: now
}

// View shows the directory as it was so long ago, at most as Remember says; 0 shows it as it is.
func (d *Directory) View(ago time.Duration) View {
	if ago = min(ago, time.Duration(d.memory.Load())); ago <= 0 {
		return View{dir: d}
	}
	return View{dir: d, at: d.Now().Add(-ago)}
}

// Remember sets how far back a View can look from now on. 0: not at all.
func (d *Directory) Remember(back time.Duration) { d.memory.Store(int64(back)) }

// rlock locks the directory for reading, when everything that is due has been purged.
func (d *Directory) rlock() {
	for d.mu.RLock(); d.due(); d.mu.RLock() {
		d.mu.RUnlock()
		d.Expire()
	}
}

// entity is the object as the view shows it, nil if it did not exist yet. The directory is locked.
func (v View) entity(o *object) *Entity {
	e := o.now
	for !v.at.IsZero() && e != nil && e.at.After(v.at) {
		e = e.before
	}
	return e
}

// live is the object as the view shows it, nil if it is not there. The directory is locked.
func (v View) live(o *object) *Entity {
	if e := v.entity(o); e != nil && e.life == live {
		return e
	}
	return nil
}

// find resolves an id, or the principal name that a user has now, among what the view shows. The directory is locked.
func (v View) find(s *Schema, name string) (*object, *Entity, error) {
	o := v.dir.objects[fold(name)]
	if o == nil && s == Users {
		o = v.dir.unique[nameKey(name)]
	}
	if o != nil && o.schema == s {
		if e := v.live(o); e != nil {
			return o, e, nil
		}
	}
	return nil, nil, fault.NotFound(name)
}

// Get finds a live object of a schema by object id, and a user by principal name, too.
func (v View) Get(s *Schema, name string) (*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	_, e, err := v.find(s, name)
	return e, err
}

// Object finds a live object of any schema by object id.
func (v View) Object(id string) (*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	if o := v.dir.objects[fold(id)]; o != nil {
		if e := v.live(o); e != nil {
			return e, nil
		}
	}
	return nil, fault.NotFound(id)
}

// Deleted finds a deleted item by object id.
func (v View) Deleted(id string) (*Entity, error) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	if o := v.dir.objects[fold(id)]; o != nil {
		if e := v.entity(o); e != nil && e.life == deleted {
			return e, nil
		}
	}
	return nil, fault.NotFound(id)
}

// Query says which objects a list holds.
type Query struct {
	Match func(*Entity) bool // nil: all
	After int64              // Page.Next of the page before
	Limit int
	Count bool // Total is wanted, which takes a look at all
}

// Page is one page of a list, in the order of creation.
type Page struct {
	Entities []*Entity
	Next     int64 // where the next page starts; 0 on the last
	Total    int   // objects on all pages, if asked for
}

// List returns a page of the live objects of a schema.
func (v View) List(s *Schema, q Query) Page { return v.list(s, q, live) }

// ListDeleted returns a page of the deleted items of a schema.
func (v View) ListDeleted(s *Schema, q Query) Page { return v.list(s, q, deleted) }

func (v View) list(s *Schema, q Query, l life) (p Page) {
	v.dir.rlock()
	defer v.dir.mu.RUnlock()
	from, last := q.After, q.After
	if q.Count {
		from = 0
	}
	for o := range v.dir.kinds[s].created.after(from) {
		e := v.entity(o)
		if e == nil || e.life != l || q.Match != nil && !q.Match(e) {
			continue
		}
		p.Total++
		switch {
		case o.seq <= q.After:
		case len(p.Entities) < q.Limit:
			p.Entities, last = append(p.Entities, e), o.seq
		case !q.Count:
			p.Next = last
			return p
		default:
			p.Next = last
		}
	}
	return p
}
