package entrasim_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestOneOfManySimultaneousInvitationsWins(t *testing.T) {
	w := newWorld(t, entrasim.Options{})
	w.token("contoso")
	var wg sync.WaitGroup
	statuses := make([]int, 16)
	for i := range statuses {
		wg.Go(func() { statuses[i] = w.invite("contoso", "adele@fabrikam.com").status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if count[http.StatusCreated] != 1 || count[http.StatusBadRequest] != 15 || len(w.Users("contoso")) != 1 {
		t.Errorf("answers %v left %d users", count, len(w.Users("contoso")))
	}
}

func TestManyWritersAtOnce(t *testing.T) {
	w, e := newWorld(t, entrasim.Options{}), newEndpoint(t)
	w.subscribe("contoso", e.URL, nil)
	const users, updates = 8, 10
	var wg sync.WaitGroup
	for i := range users {
		user := "/users/" + w.join("contoso", fmt.Sprintf("user%d", i))
		wg.Go(func() {
			for n := range updates {
				w.graph("contoso", "PATCH", user, map[string]any{"city": fmt.Sprint("City ", n)})
				w.graph("contoso", "GET", "/users?$top=5", nil)
			}
		})
	}
	wg.Wait()
	e.next(t, users*(updates+1))
	for _, u := range w.Users("contoso") {
		if u["city"] != fmt.Sprint("City ", updates-1) {
			t.Errorf("%v lost its last update: %v", u["id"], u["city"])
		}
	}
}
