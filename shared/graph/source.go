package graph

import (
	"context"
	"fmt"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/directory"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// source is a tenant that people come from. It needs the app role User.Read.All.
type source struct{ *tenant }

// User reads one user by object id.
func (s source) User(ctx context.Context, id string) (provisioning.User, error) {
	m, err := s.user(ctx, id, selectedSource)
	if err != nil {
		return provisioning.User{}, err
	}
	return userOf(m), nil
}

// Deleted asks for the user among the soft-deleted ones.
func (s source) Deleted(ctx context.Context, id string) (bool, error) {
	_, err := s.deletedUser(ctx, id, []string{"id"})
	if notFound(err) {
		return false, nil
	}
	return err == nil, err
}

// user reads one live user, or provisioning.ErrNotFound.
func (t *tenant) user(ctx context.Context, id string, selected []string) (models.Userable, error) {
	r := request{"read user", id}
	m, err := t.one(ctx, r, func(ctx context.Context, c *sdk) (models.Userable, error) {
		return c.Users().ByUserId(id).Get(ctx, &users.UserItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &users.UserItemRequestBuilderGetQueryParameters{Select: selected},
		})
	})
	if notFound(err) {
		return nil, fmt.Errorf("%s: %w", sentence(r, t.id), provisioning.ErrNotFound)
	}
	return m, err
}

// deletedUser reads one soft-deleted user. The cast in the path is what lets a user's properties be selected.
func (t *tenant) deletedUser(ctx context.Context, id string, selected []string) (models.Userable, error) {
	return t.one(ctx, request{"read deleted user", id}, func(ctx context.Context, c *sdk) (models.Userable, error) {
		return c.Directory().DeletedItems().ByDirectoryObjectId(id).GraphUser().Get(ctx,
			&directory.DeletedItemsItemGraphUserRequestBuilderGetRequestConfiguration{
				QueryParameters: &directory.DeletedItemsItemGraphUserRequestBuilderGetQueryParameters{Select: selected},
			})
	})
}

// one reads one user and makes sure that it is the right one: nobody must be taken for a person without attributes.
func (t *tenant) one(ctx context.Context, r request, get func(context.Context, *sdk) (models.Userable, error)) (models.Userable, error) {
	if err := t.identified(r); err != nil {
		return nil, err
	}
	m, err := ask(ctx, t, r, get)
	if err == nil && !strings.EqualFold(deref(m.GetId()), r.object) {
		return nil, t.unexpected(r, "the answer is about another object")
	}
	return m, err
}

// pageSize is the most users that Graph puts on a page.
const pageSize = 999

// UserIDs lists the object ids of a tenant's internal users: neither guests nor invited from elsewhere. each gets
// them a page at a time and ends the listing by an error.
func (g *Graph) UserIDs(ctx context.Context, tenantID string, each func(ids []string) error) error {
	t, err := g.tenant(tenantID)
	if err != nil {
		return err
	}
	first := &users.UsersRequestBuilderGetRequestConfiguration{QueryParameters: &users.UsersRequestBuilderGetQueryParameters{
		Select: identity, Top: ptr[int32](pageSize),
	}}
	return t.pages(ctx, request{verb: "list users"}, livePage(first), func(found []models.Userable) error {
		var ids []string
		for _, m := range found {
			// An empty user type is a member: objects older than the property.
			if !invited(m) && deref(m.GetUserType()) != provisioning.Guest {
				ids = append(ids, strings.ToLower(deref(m.GetId())))
			}
		}
		if len(ids) == 0 {
			return nil
		}
		return each(ids)
	})
}

// page reads the page of users behind link; an empty link is the first page.
type page func(ctx context.Context, c *sdk, link string) (models.UserCollectionResponseable, error)

func livePage(first *users.UsersRequestBuilderGetRequestConfiguration) page {
	return func(ctx context.Context, c *sdk, link string) (models.UserCollectionResponseable, error) {
		if link != "" {
			return c.Users().WithUrl(link).Get(ctx, nil)
		}
		return c.Users().Get(ctx, first)
	}
}

// pages runs through a collection of users.
func (t *tenant) pages(ctx context.Context, r request, get page, each func([]models.Userable) error) error {
	for link := ""; ; {
		answer, err := ask(ctx, t, r, func(ctx context.Context, c *sdk) (models.UserCollectionResponseable, error) {
			return get(ctx, c, link)
		})
		if err != nil {
			return err
		}
		if err := each(answer.GetValue()); err != nil {
			return err
		}
		if link = deref(answer.GetOdataNextLink()); link == "" {
			return nil
		}
	}
}
