package functions

import (
	"net/http"

	"github.com/tenantsync/tenantsync/functions/backfill"
	"github.com/tenantsync/tenantsync/functions/guard"
	"github.com/tenantsync/tenantsync/functions/lifecycle"
	"github.com/tenantsync/tenantsync/functions/look"
	"github.com/tenantsync/tenantsync/functions/notify"
	"github.com/tenantsync/tenantsync/functions/provision"
	"github.com/tenantsync/tenantsync/functions/renew"
	"github.com/tenantsync/tenantsync/functions/replay"
	"github.com/tenantsync/tenantsync/functions/status"
	"github.com/tenantsync/tenantsync/functions/sweep"
	"github.com/tenantsync/tenantsync/shared/change"
)

// Handlers are the functions' bodies.
type Handlers struct {
	Notify    *notify.Handler
	Lifecycle *lifecycle.Handler
	Provision *provision.Handler
	Backfill  *backfill.Handler
	Renew     *renew.Handler
	Sweep     *sweep.Handler
	Replay    *replay.Handler
	Guard     *guard.Handler
	Look      *look.Handler
	Status    *status.Handler
}

// Table lists every function with its trigger.
func Table(h Handlers) []Function {
	post := []string{http.MethodPost}
	return []Function{
		{Name: "notify", HTTP: &HTTP{Route: notify.Route, Methods: post, Handler: h.Notify}},
		{Name: "lifecycle", HTTP: &HTTP{Route: lifecycle.Route, Methods: post, Handler: h.Lifecycle}},
		{Name: "provision", Queue: &Queue{Name: change.QueueChanges, Handle: h.Provision.Handle}},
		{Name: "backfill", Queue: &Queue{Name: change.QueueBackfill, Handle: h.Backfill.Handle, Bulk: true}},
		{Name: "renew", Timer: &Timer{Every: renew.Every, Run: h.Renew.Run}},
		{Name: "sweep", Timer: &Timer{Every: sweep.Every, Run: h.Sweep.Run}},
		{Name: "guard", HTTP: &HTTP{Route: guard.Route, Methods: []string{http.MethodGet, http.MethodPost}, Keyed: true, Handler: h.Guard}},
		{Name: "look", HTTP: &HTTP{Route: look.Route, Methods: post, Keyed: true, Handler: h.Look}},
		{Name: "status", HTTP: &HTTP{Route: status.Route, Methods: []string{http.MethodGet}, Keyed: true, Handler: h.Status}},
		{Name: "replay", HTTP: &HTTP{Route: replay.Route, Methods: post, Keyed: true, Handler: h.Replay}},
	}
}
