package broker_test

import (
	"strings"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/tenantsync/tenantsync/shared/broker"
)

func TestARequestThatCannotBeReadIsAnsweredSo(t *testing.T) {
	tokens := []goamqp.UUID{{1}}
	for _, c := range []struct {
		operation string
		body      any
		status    int32
		want      string // part of the description
	}{
		{"com.microsoft:fly", map[string]any{}, 501, "com.microsoft:fly"},
		{"", map[string]any{}, 501, "not supported"},
		{"com.microsoft:peek-message", "a string", 400, "map"},
		{"com.microsoft:peek-message", map[string]any{"message-count": int32(0)}, 400, "message-count"},
		{"com.microsoft:peek-message", map[string]any{"message-count": "many"}, 400, "message-count"},
		{"com.microsoft:peek-message", map[string]any{"message-count": int32(1)}, 204, "No content"},
		{"com.microsoft:renew-lock", map[string]any{}, 400, "lock-tokens"},
		{"com.microsoft:renew-lock", map[string]any{"lock-tokens": []string{"x"}}, 400, "lock-tokens"},
		{"com.microsoft:renew-lock", map[string]any{"lock-tokens": tokens}, 410, "The lock supplied is invalid"},
		{"com.microsoft:update-disposition", map[string]any{"disposition-status": "lost", "lock-tokens": tokens}, 400, "'lost'"},
		{"com.microsoft:update-disposition", map[string]any{"disposition-status": "completed"}, 400, "lock-tokens"},
		{"com.microsoft:update-disposition", map[string]any{"disposition-status": "completed", "lock-tokens": tokens}, 410, "The lock supplied is invalid"},
		{"com.microsoft:receive-by-sequence-number", map[string]any{}, 400, "sequence-numbers"},
		{"com.microsoft:receive-by-sequence-number", map[string]any{"sequence-numbers": []int64{1}}, 400, "receiver-settle-mode"},
		{"com.microsoft:receive-by-sequence-number", map[string]any{"sequence-numbers": make([]int64, 1000), "receiver-settle-mode": uint32(1)}, 400, "at most"},
		{"com.microsoft:receive-by-sequence-number", map[string]any{"sequence-numbers": []int64{1}, "receiver-settle-mode": uint32(1)}, 404, "could not be found"},
		{"com.microsoft:schedule-message", map[string]any{}, 400, "messages"},
		{"com.microsoft:schedule-message", map[string]any{"messages": []any{map[string]any{"message": []byte("junk")}}}, 400, "cannot be read"},
		{"com.microsoft:cancel-scheduled-message", map[string]any{}, 400, "sequence-numbers"},
		{"com.microsoft:cancel-scheduled-message", map[string]any{"sequence-numbers": []int64{1}}, 404, "could not be found"},
	} {
		t.Run(c.operation+" "+c.want, func(t *testing.T) {
			conn := dial(t, start(t, broker.Options{}), goamqp.SASLTypePlain("all", keys["all"].Secret))
			status, description := conn.call("orders/$management", map[string]any{"operation": c.operation}, c.body)
			if status != c.status || !strings.Contains(description, c.want) {
				t.Errorf("answer %d %q, want %d %q", status, description, c.status, c.want)
			}
		})
	}
}
