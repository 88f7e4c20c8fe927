package provisioning

import "time"

// Entry is one line of the journal: one decision, why, and how it ended. It holds ids and attribute names, never values.
type Entry struct {
	At         time.Time `json:"at"`
	Route      string    `json:"route"`
	User       string    `json:"user"`               // object id in the source
	External   string    `json:"external,omitempty"` // object id in the target
	Action     Action    `json:"action"`
	Operations []string  `json:"operations,omitempty"` // "invite", "update department,jobTitle", …
	Reason     string    `json:"reason"`
	// Held: the action waits for somebody to decide, and nothing was done.
	Held bool `json:"held,omitempty"`
	// Drift are attributes that differ and that the rules only report.
	Drift []string `json:"drift,omitempty"`
	// Again is when the user is looked at again, if that is planned.
	Again time.Time `json:"again,omitzero"`
	// Outcome is done, later, retry or terminal; Error says why when it is not done.
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
	Cause   string `json:"cause"`
	// EventAt is Graph's time of the event, ArrivedAt ours; zero when unknown.
	EventAt   time.Time `json:"eventAt,omitzero"`
	ArrivedAt time.Time `json:"arrivedAt,omitzero"`
}
