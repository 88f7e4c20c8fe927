package main_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tenantsync/tenantsync/shared/app"
	"github.com/tenantsync/tenantsync/shared/change"
)

// A sweep costs as much as there were changes, however many users there are: Graph is asked for nothing else.
func BenchmarkSweep(b *testing.B) {
	for _, users := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("100 changes among %d users", users), func(b *testing.B) {
			h := build(b, blueprint{tenants: simulated(us, contoso)})
			if err := h.graph.Populate(us.Name, 1, users); err != nil {
				b.Fatal(err)
			}
			h.url = "http://127.0.0.1:1" // nobody is notified
			var err error
			h.options.Transport = h.graph.Client().Transport
			h.program, err = app.New(b.Context(), h.configure(b, "- {source: fabrikam-us, target: contoso}\n"), h.options)
			if err != nil {
				b.Fatal(err)
			}
			defer h.program.Close(b.Context())
			if err := h.fire(b, "sweep"); err != nil { // the first has everybody looked at, which is not what is measured
				b.Fatal(err)
			}
			office, people := h.directory(b, us), h.graph.Users(us.ID)[:100]
			var requests, rounds int64
			for b.Loop() {
				b.StopTimer()
				for _, p := range people {
					if err := office.call(http.MethodPatch, "/users/"+fmt.Sprint(p["id"]), edits{"jobTitle": fmt.Sprint("Rank ", rounds)}, nil); err != nil {
						b.Fatal(err)
					}
				}
				before, _ := h.bus.Counts(change.QueueChanges)
				_, served := h.graph.Requests(0)
				b.StartTimer()
				if err := h.fire(b, "sweep"); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				after, _ := h.bus.Counts(change.QueueChanges)
				if found := after.Active - before.Active; found != len(people) {
					b.Fatalf("it found %d changes of %d", found, len(people))
				}
				_, now := h.graph.Requests(0)
				requests, rounds = requests+now-served, rounds+1
				b.StartTimer()
			}
			b.ReportMetric(float64(requests)/float64(rounds), "requests/op")
		})
	}
}
