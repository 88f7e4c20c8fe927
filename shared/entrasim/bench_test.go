package entrasim_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// tenTenants is a simulator with n people in ten tenants, in calm weather.
func tenTenants(b *testing.B, n int) (*entrasim.Server, []string) {
	b.Helper()
	var o entrasim.Options
	for i := range 10 {
		o.Tenants = append(o.Tenants, entrasim.Tenant{Name: fmt.Sprint("tenant", i)})
	}
	s, err := entrasim.New(o)
	if err != nil {
		b.Fatal(err)
	}
	var first []string // of each tenant: object ids of some people
	for i, t := range o.Tenants {
		if err := s.Populate(t.Name, uint64(i), n/10); err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			for _, u := range s.Users(t.Name) {
				first = append(first, u["id"].(string))
			}
		}
	}
	return s, first
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkTenants prints what a person takes in memory (B/user, the heap in MiB) and how many requests a second are answered over HTTPS, by
// the size of the world. None should depend on the size.
func BenchmarkTenants(b *testing.B) {
	for _, n := range []int{2_000, 20_000, 200_000} {
		b.Run(fmt.Sprint(n, " users"), func(b *testing.B) {
			before := heapInUse()
			s, ids := tenTenants(b, n)
			used := heapInUse() - before
			b.Run("memory", func(b *testing.B) {
				for b.Loop() { // the world is there
				}
				b.ReportMetric(float64(used)/float64(n), "B/user")
				b.ReportMetric(float64(used)/(1<<20), "MiB")
			})
			if err := s.Listen("127.0.0.1:0"); err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			client := s.Client()
			defer client.CloseIdleConnections()
			token := benchToken(b, s, client)
			request := func(b *testing.B, method, body string) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r, _ := http.NewRequest(method, s.URL()+"/v1.0/users/"+ids[rand.IntN(len(ids))], strings.NewReader(body))
						r.Header.Set("Authorization", "Bearer "+token)
						r.Header.Set("Content-Type", "application/json")
						resp, err := client.Do(r)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
						if resp.StatusCode >= 300 {
							b.Errorf("%s answered %d", method, resp.StatusCode)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			}
			b.Run("get", func(b *testing.B) { request(b, http.MethodGet, "") })
			b.Run("patch", func(b *testing.B) {
				request(b, http.MethodPatch, fmt.Sprintf(`{"department":"Department %d"}`, rand.Int()))
			})
		})
	}
}

func benchToken(b *testing.B, s *entrasim.Server, client *http.Client) string {
	b.Helper()
	form := fmt.Sprintf("grant_type=client_credentials&scope=https://graph.microsoft.com/.default&client_id=%s&client_secret=%s", s.App().ID, s.App().Secret)
	resp, err := client.Post(s.URL()+"/"+s.Tenants()[0].ID+"/oauth2/v2.0/token", "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(string(body), `"access_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}
