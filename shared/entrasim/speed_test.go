package entrasim_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

func TestTimesPassFasterAndMomentsStay(t *testing.T) {
	w := newWorld(t, entrasim.Options{Limits: true, Speed: 50})
	id := w.join("contoso", "adele")
	if created := w.must(200, "contoso", "GET", "/users/"+id+"?$select=createdDateTime", nil).body["createdDateTime"]; created != "2026-03-01T12:00:00Z" {
		t.Errorf("it was created at %v", created)
	}
	throttled := reply{}
	for range 4000 {
		if throttled = w.graph("contoso", "GET", "/users", nil); throttled.status == 429 {
			break
		}
	}
	if wait, err := strconv.Atoi(throttled.header.Get("Retry-After")); throttled.status != 429 || err != nil || wait != 1 {
		t.Fatalf("after 4000 requests at one moment: %d, Retry-After %q", throttled.status, throttled.header.Get("Retry-After"))
	}
	w.clock.advance(time.Second) // 50 seconds of documented time
	w.must(200, "contoso", "GET", "/users", nil)

	link := w.must(200, "contoso", "GET", "/users/delta?$deltatoken=latest", nil).body["@odata.deltaLink"].(string)
	w.must(204, "contoso", "DELETE", "/users/"+id, nil)
	w.clock.advance(30 * time.Minute) // a day
	w.must(200, "contoso", "GET", "/directory/deletedItems/"+id, nil)
	w.tokens = map[string]string{}
	w.clock.advance(4 * time.Hour) // a week
	if r := w.send("GET", link, map[string][]string{"Authorization": {"Bearer " + w.token("contoso")}}, nil); r.status != 400 {
		t.Errorf("a token of last week is answered with %d", r.status)
	}
	w.tokens = map[string]string{}
	w.clock.advance(11 * time.Hour)
	w.must(404, "contoso", "GET", "/directory/deletedItems/"+id, nil)
}
