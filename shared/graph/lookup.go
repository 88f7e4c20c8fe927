package graph

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// UserID is the object id of a user that a person named: by the object id, which may be that of a deleted user and is not looked up, or by
// the principal name. provisioning.ErrNotFound: nobody has that name.
func (g *Graph) UserID(ctx context.Context, tenantID, name string) (string, error) {
	if id, err := uuid.Parse(name); err == nil {
		return id.String(), nil
	}
	t, err := g.tenant(tenantID)
	if err != nil {
		return "", err
	}
	r := request{verb: "read user", object: name}
	if err := t.identified(r); err != nil {
		return "", err
	}
	m, err := ask(ctx, t, r, func(ctx context.Context, c *sdk) (models.Userable, error) {
		return c.Users().ByUserId(name).Get(ctx, &users.UserItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &users.UserItemRequestBuilderGetQueryParameters{Select: []string{"id"}},
		})
	})
	if notFound(err) {
		return "", fmt.Errorf("%s: %w; name a deleted user by its object id", sentence(r, t.id), provisioning.ErrNotFound)
	}
	if err != nil {
		return "", err
	}
	if deref(m.GetId()) == "" {
		return "", t.unexpected(r, "the answer has no id")
	}
	return strings.ToLower(*m.GetId()), nil
}

// Carried hands out the source users, by their object ids in a source, whose link key an external user of the target carries, a page at a time,
// until each returns an error.
func (g *Graph) Carried(ctx context.Context, targetID, sourceID string, each func(users []string) error) error {
	t, err := g.tenant(targetID)
	if err != nil {
		return err
	}
	first := &users.UsersRequestBuilderGetRequestConfiguration{QueryParameters: &users.UsersRequestBuilderGetQueryParameters{
		Filter: ptr("creationType eq 'Invitation'"), Select: []string{"id", g.keyProperty}, Top: ptr[int32](pageSize),
	}}
	prefix := provisioning.SourceKey(sourceID, "")
	return pages(ctx, t, request{verb: "list external users", long: true}, livePage(first), func(found []models.Userable) error {
		var ids []string
		for _, m := range found {
			if id, ours := strings.CutPrefix(g.externalOf(m, false).SourceKey, prefix); ours {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		return each(ids)
	})
}
