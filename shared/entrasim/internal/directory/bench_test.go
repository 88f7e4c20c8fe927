package directory

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// newDirectory is a directory as a tenant of the simulator has it.
func newDirectory(now func() time.Time) *Directory {
	return New(Config{
		TenantID: "t", Domains: []string{"contoso.onmicrosoft.com", "contoso.com"}, Now: now,
		Extensions: NewExtensions("00000000-0000-0000-0000-000000000001"),
	})
}

// employee is the body of a POST /users with what a company knows of somebody.
func employee(i int) map[string]any {
	name := fmt.Sprint("user", i)
	return map[string]any{
		"accountEnabled": true, "displayName": "User Number " + name, "mailNickname": name, "userPrincipalName": name + "@contoso.com",
		"passwordProfile": map[string]any{"password": "correct-Horse-9"}, "mail": name + "@contoso.com", "givenName": "User " + name,
		"surname": "Number " + name, "jobTitle": fmt.Sprint("Engineer ", i%20), "department": fmt.Sprint("Department ", i%10),
		"city": fmt.Sprint("City ", i%20), "country": "MX", "usageLocation": "MX", "companyName": "Fabrikam Mexico",
		"employeeId": fmt.Sprint("MX", i), "mobilePhone": fmt.Sprint("+52 55 ", i), "officeLocation": fmt.Sprint(i%30, "/", i),
	}
}

func populated(b *testing.B, n int) *Directory {
	b.Helper()
	d := newDirectory(time.Now)
	for i := range n {
		if _, err := d.Create(employee(i)); err != nil {
			b.Fatal(err)
		}
	}
	return d
}

// BenchmarkMemory prints what a user takes (B/user) in tenants of several sizes, new and after each was changed ten times. It
// should not depend on the size.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, n := range []int{1_000, 10_000, 50_000} {
		b.Run(fmt.Sprint(n, " users"), func(b *testing.B) {
			before := heap()
			d := populated(b, n)
			b.ReportMetric(float64(heap()-before)/float64(n), "B/user")
			for change := range 10 {
				for i := range n {
					if err := d.Update(fmt.Sprint("user", i, "@contoso.com"), map[string]any{"department": fmt.Sprint("Department ", change)}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(n), "B/changed-user")
			runtime.KeepAlive(d)
		})
	}
}

// BenchmarkOperations prints what an operation takes in tenants of several sizes. It should not depend on the size.
func BenchmarkOperations(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		d := populated(b, n)
		name := func(i int) string { return fmt.Sprint("user", i%n, "@contoso.com") }
		var turn atomic.Int64
		for what, do := range map[string]func(i int) error{
			"get": func(i int) error { _, err := d.View(0).Get(Users, name(i)); return err },
			"patch": func(i int) error {
				return d.Update(name(i), map[string]any{"department": fmt.Sprint("Department ", i)})
			},
			"page": func(i int) error {
				d.View(0).List(Users, Query{After: int64(i % n), Limit: 100})
				return nil
			},
			"delta": func(i int) error {
				version, _ := d.DeltaState()
				d.View(0).Delta(Users, DeltaQuery{From: version - 100, After: version - 100, Properties: Users.Defaults(), Limit: 100})
				return nil
			},
		} {
			b.Run(fmt.Sprint(what, "/", n, " users"), func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(int(turn.Add(1))); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
