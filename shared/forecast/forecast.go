// Package forecast tells what would happen to all users of a route, without doing it.
package forecast

import (
	"context"
	"sync"
	"time"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// Previewer plans for one user and writes nothing.
type Previewer interface {
	Preview(ctx context.Context, route tenant.Route, user string) (provisioning.Preview, error)
}

// Users lists the users of a route: those of its source, and those who have a link.
type Users interface {
	// UserIDs hands out object ids of the source's users, some at a time, until each returns an error.
	UserIDs(ctx context.Context, tenantID string, each func(ids []string) error) error
	// Linked calls each for every link of a route.
	Linked(ctx context.Context, route string, each func(provisioning.Link) error) error
}

// How often a look that failed for now is repeated, and how long it waits at most before that.
const (
	tries   = 5
	longest = time.Minute
)

// Forecaster looks at many users at once.
type Forecaster struct {
	Previewer Previewer
	Users     Users
	// Workers is how many users are looked at at the same time.
	Workers int
	// Wait waits between two looks at a user; it ends early with the context's error.
	Wait func(ctx context.Context, d time.Duration) error
	// Progress is told, from one goroutine, how many users are done and how many there are.
	Progress func(done, all int)
}

// Verdict is what would become of one user.
type Verdict struct {
	provisioning.Preview
	// Err says why nothing could be decided. Refused: it would be a dead letter. Otherwise it could not be told now.
	Err     error
	Refused bool
	Code    string // of Err
}

// List are the object ids of all users of a route, each once.
func (f *Forecaster) List(ctx context.Context, route tenant.Route) (users []string, err error) {
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			users = append(users, id)
		}
	}
	err = f.Users.UserIDs(ctx, route.Source.ID, func(ids []string) error {
		for _, id := range ids {
			add(id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return users, f.Users.Linked(ctx, route.Name, func(l provisioning.Link) error {
		add(l.Key.User)
		return nil
	})
}

// Run looks at users and returns a verdict for each, in their order. Its error is the context's.
func (f *Forecaster) Run(ctx context.Context, route tenant.Route, users []string) ([]Verdict, error) {
	verdicts := make([]Verdict, len(users))
	next, done := make(chan int), make(chan struct{}, len(users))
	var workers sync.WaitGroup
	for range max(1, min(f.Workers, len(users))) {
		workers.Go(func() {
			for i := range next {
				verdicts[i] = f.look(ctx, route, users[i])
				done <- struct{}{}
			}
		})
	}
	var watcher sync.WaitGroup
	watcher.Go(func() {
		n := 0
		for range done {
			n++
			if f.Progress != nil {
				f.Progress(n, len(users))
			}
		}
	})
	for i := range users {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	close(done)
	watcher.Wait()
	return verdicts, ctx.Err()
}

// look repeats a look that fails for now.
func (f *Forecaster) look(ctx context.Context, route tenant.Route, user string) Verdict {
	for try := 1; ; try++ {
		p, err := f.Previewer.Preview(ctx, route, user)
		o := outcome.Of(err)
		v := Verdict{Preview: p, Err: err, Refused: o.Kind == outcome.Terminal, Code: o.Code}
		if o.Kind == outcome.Done || v.Refused || try == tries {
			return v
		}
		if f.Wait(ctx, min(max(o.Delay, outcome.Backoff(try, 0)), longest)) != nil {
			return v
		}
	}
}
