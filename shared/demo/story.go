package demo

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tenantsync/tenantsync/shared/entrasim"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// How many people the story has.
const (
	joinersPerSource = 36
	leavers          = 10
	returners        = 2
)

// atOnce is how many things happen in the source tenants at the same time.
const atOnce = 4

// How long to wait for the target after each chapter. What fails in bad weather is tried again after two seconds, and after
// twice as long each time: some who are out of luck need a minute.
const (
	patience        = 30 * time.Second
	hostilePatience = 4 * time.Minute
)

// person is somebody of the story, with what the source tenant says of them.
type person struct {
	home       tenant.Tenant
	id         string
	properties map[string]any
	left       bool
	external   string // object id in the target, once it is known and must stay the same
}

// newPerson gives somebody made up a job in the tenant of their country.
func newPerson(made entrasim.Person) *person {
	home := US
	if made.Country == "MX" {
		home = Mexico
	}
	return &person{home: home, properties: map[string]any{
		"displayName": made.DisplayName, "givenName": made.GivenName, "surname": made.Surname,
		"mail":     made.MailNickname + "@" + domains[home],
		"jobTitle": made.JobTitle, "department": made.Department, "companyName": made.Company, "employeeId": made.EmployeeID,
		"usageLocation": made.Country, "country": made.Country, "city": made.City, "officeLocation": made.Office,
		"mobilePhone": made.Mobile,
	}}
}

func (p *person) name() string { return fmt.Sprint(p.properties["displayName"]) }

// story makes things happen in the source tenants, and waits after each chapter until the target is right.
type story struct {
	world       *World
	directories map[tenant.Tenant]*directory
	people      []*person
	wrong       []string // what settle found last
	watch       *watcher
}

func newStory(w *World, watch *watcher) *story {
	s := &story{world: w, watch: watch, directories: map[tenant.Tenant]*directory{}}
	for _, t := range []tenant.Tenant{Mexico, US} {
		s.directories[t] = w.directory(t)
	}
	return s
}

// tell plays all chapters. Its error says in which the target did not become right, and what was wrong.
func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []struct {
		title string
		play  func(context.Context) error
	}{
		{fmt.Sprintf("%d people join %s, %d join %s", joinersPerSource, Mexico.Name, joinersPerSource, US.Name), s.join},
		{fmt.Sprintf("%d of them change", 2*joinersPerSource/3), s.change},
		{fmt.Sprintf("%d leave", leavers), s.leave},
		{fmt.Sprintf("%d are hired again", returners), s.comeBack},
	} {
		s.watch.chapter(chapter.title)
		if err := chapter.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", chapter.title, err)
		}
		if err := s.settle(ctx); err != nil {
			return fmt.Errorf("%s: %w", chapter.title, err)
		}
	}
	return nil
}

func (s *story) join(ctx context.Context) error {
	for _, made := range entrasim.People(1, 2*joinersPerSource) {
		s.people = append(s.people, newPerson(made))
	}
	return each(ctx, s.people, func(ctx context.Context, p *person) error {
		user := map[string]any{
			"accountEnabled": true, "mailNickname": strings.Split(fmt.Sprint(p.properties["mail"]), "@")[0],
			"userPrincipalName": p.properties["mail"], "userType": "Member",
			"passwordProfile": map[string]any{"password": "Not-used-1!", "forceChangePasswordNextSignIn": true},
		}
		maps.Copy(user, p.properties)
		var created struct{ ID string }
		if err := s.directories[p.home].call(ctx, http.MethodPost, "/users", user, &created); err != nil {
			return err
		}
		p.id = created.ID
		s.watch.meet(p.id, p.name())
		return nil
	})
}

// move is what becomes of somebody who changes.
type move struct {
	who   *person
	patch map[string]any
}

// change moves every third person; every second of those also gets another name.
func (s *story) change(ctx context.Context) error {
	var moves []move
	for i := 0; i < len(s.people); i += 3 {
		p := s.people[i]
		patch := map[string]any{"department": "Customer Success", "jobTitle": "Lead"}
		if len(moves)%2 == 1 {
			patch["surname"] = fmt.Sprint(p.properties["surname"]) + "-Reyes"
			patch["displayName"] = p.name() + "-Reyes"
		}
		moves = append(moves, move{p, patch})
	}
	return each(ctx, moves, func(ctx context.Context, m move) error {
		maps.Copy(m.who.properties, m.patch)
		s.watch.meet(m.who.id, m.who.name())
		return s.directories[m.who.home].call(ctx, http.MethodPatch, "/users/"+m.who.id, m.patch, nil)
	})
}

func (s *story) leave(ctx context.Context) error {
	step := len(s.people) / leavers
	var gone []*person
	for i := 0; len(gone) < leavers; i += step {
		gone = append(gone, s.people[i])
	}
	return each(ctx, gone, func(ctx context.Context, p *person) error {
		p.left = true
		return s.directories[p.home].call(ctx, http.MethodDelete, "/users/"+p.id, nil, nil)
	})
}

// comeBack restores the first who left; their external users must be the very same objects again.
func (s *story) comeBack(ctx context.Context) error {
	former := map[string]string{}
	for _, u := range s.world.Graph.DeletedUsers(Contoso.ID) {
		former[fmt.Sprint(u[linkProperty])] = fmt.Sprint(u["id"])
	}
	var back []*person
	for _, p := range s.people {
		if p.left && len(back) < returners {
			back = append(back, p)
		}
	}
	return each(ctx, back, func(ctx context.Context, p *person) error {
		external, found := former[p.key()]
		if !found {
			return fmt.Errorf("%s left, and %s has no deleted external user of theirs", p.key(), Contoso.Name)
		}
		p.left, p.external = false, external
		return s.directories[p.home].call(ctx, http.MethodPost, "/directory/deletedItems/"+p.id+"/restore", nil, nil)
	})
}

// settle waits until the target is as it must be and nothing is under way, so that the journal has it all; ErrWrong when it is not in time.
func (s *story) settle(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, s.world.patience)
	defer cancel()
	for {
		busy, err := s.world.busy()
		if err != nil {
			return err
		}
		s.wrong = check(s.people, s.world.Graph.Users(Contoso.ID))
		if len(s.wrong) == 0 && busy {
			s.wrong = []string{"the target is right, but changes are still under way"}
		}
		if len(s.wrong) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if err := parent.Err(); err != nil {
				return err
			}
			return fmt.Errorf("%w: %d things are wrong after %s", ErrWrong, len(s.wrong), s.world.patience)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// each does something for all of them, a few at a time.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, one := range all {
		group.Go(func() error { return do(ctx, one) })
	}
	return group.Wait()
}
