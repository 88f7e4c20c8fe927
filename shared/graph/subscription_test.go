package graph_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/subscription"
)

func TestSubscriptions(t *testing.T) {
	ends := time.Date(2026, 3, 29, 11, 0, 0, 0, time.UTC)
	held := subscription.Held{ID: "s1", TenantID: tenantID, NotificationURL: "https://sync.example/api/notify?code=key", ExpiresAt: ends}
	body := `{"id":"s1","resource":"/users","changeType":"updated,deleted","notificationUrl":"` + held.NotificationURL + `","expirationDateTime":"2026-03-29T11:00:00Z","notificationContentType":"application/json"}`
	wanted := subscription.Wanted{TenantID: tenantID, NotificationURL: held.NotificationURL, Secret: "secret"}

	t.Run("are listed over all pages, only those to users", func(t *testing.T) {
		r := play(t, map[string]answer{
			"GET /subscriptions":   {body: `{"value":[` + body + `,{"id":"s2","resource":"/groups"}],"@odata.nextLink":"$SERVER/v1.0/subscriptions/2"}`},
			"GET /subscriptions/2": {body: `{"value":[{"id":"s3","resource":"Users"}]}`},
		})
		got, err := r.open(t).List(t.Context(), tenantID)
		if want := []subscription.Held{held, {ID: "s3", TenantID: tenantID}}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
		if r.requests()[0] != "GET /subscriptions" {
			t.Errorf("asked %s", r.requests()[0])
		}
	})
	t.Run("are created with our secret, in UTC", func(t *testing.T) {
		r := play(t, map[string]answer{"POST /subscriptions": {status: 201, body: body}})
		got, err := r.open(t).Create(t.Context(), wanted, ends.In(time.FixedZone("CST", -6*3600)))
		if err != nil || !reflect.DeepEqual(got, held) {
			t.Errorf("got %+v, %v", got, err)
		}
		asked := `POST /subscriptions {"changeType":"updated,deleted","clientState":"secret","expirationDateTime":"2026-03-29T11:00:00Z","notificationUrl":"` + held.NotificationURL + `","resource":"/users"}`
		if r.requests()[0] != asked {
			t.Errorf("asked %s\nwant  %s", r.requests()[0], asked)
		}
	})
	for name, c := range map[string]struct {
		answer answer
		says   string
	}{
		"the endpoint fails the handshake":                   {answer{status: 400, body: recorded(t, "400-validation-failed.json")}, "must respond with 200 OK"},
		"one exists already, and the error says which it is": {answer{status: 409, body: recorded(t, "409-subscription-exists.json")}, "c0bba80e-57a3-43a7-bac2-e6f525a76e7c"},
	} {
		t.Run("are not created when "+name, func(t *testing.T) {
			_, err := play(t, map[string]answer{"POST /subscriptions": c.answer}).open(t).Create(t.Context(), wanted, ends)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "https://sync.example/api/notify") {
				t.Errorf("error %v", err)
			}
			if strings.Contains(err.Error(), "code=key") {
				t.Errorf("the error tells the function's key: %v", err)
			}
		})
	}
	t.Run("are renewed", func(t *testing.T) {
		r := play(t, map[string]answer{"PATCH /subscriptions/s1": {body: body}})
		got, err := r.open(t).Renew(t.Context(), tenantID, "s1", ends)
		if err != nil || !reflect.DeepEqual(got, held) {
			t.Errorf("got %+v, %v", got, err)
		}
		if want := `PATCH /subscriptions/s1 {"expirationDateTime":"2026-03-29T11:00:00Z"}`; r.requests()[0] != want {
			t.Errorf("asked %s", r.requests()[0])
		}
	})
	gone := answer{status: 404, body: `{"error":{"code":"ResourceNotFound","message":"The object was not found."}}`}
	t.Run("are not found when they are gone", func(t *testing.T) {
		r := play(t, map[string]answer{"PATCH /subscriptions/s1": gone})
		if _, err := r.open(t).Renew(t.Context(), tenantID, "s1", ends); !errors.Is(err, subscription.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	for name, a := range map[string]answer{"are deleted": {status: 204}, "may be gone when they are deleted": gone} {
		t.Run(name, func(t *testing.T) {
			if err := play(t, map[string]answer{"DELETE /subscriptions/s1": a}).open(t).Delete(t.Context(), tenantID, "s1"); err != nil {
				t.Error(err)
			}
		})
	}
}
