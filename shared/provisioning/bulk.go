package provisioning

import "context"

type bulkKey struct{}

// InBulk marks work that may wait: a directory lets other work go before it.
func InBulk(ctx context.Context) context.Context { return context.WithValue(ctx, bulkKey{}, true) }

// Bulk tells whether work is marked so.
func Bulk(ctx context.Context) bool { return ctx.Value(bulkKey{}) != nil }
