package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/directory"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// source is a tenant that people come from. It needs the app role User.Read.All, and GroupMember.Read.All where a scope names groups.
type source struct{ *tenant }

// User reads one user by object id.
func (s source) User(ctx context.Context, id string) (provisioning.User, error) {
	reads := s.graph.reads
	m, err := s.user(ctx, id, users.UserItemRequestBuilderGetQueryParameters{
		Select: selection(identity, reads.Source), Expand: reads.expansion(reads.Manager),
	})
	if err != nil {
		return provisioning.User{}, err
	}
	return s.graph.userOf(m), nil
}

// checkedAtOnce is how many groups Graph checks in one request (reference of directoryobject-checkmembergroups).
const checkedAtOnce = 20

// Groups asks which of the groups the user is in, directly or through others. It needs the app role GroupMember.Read.All.
func (s source) Groups(ctx context.Context, id string, groups []string) (in []string, err error) {
	for some := range slices.Chunk(groups, checkedAtOnce) {
		body := users.NewItemCheckMemberGroupsPostRequestBody()
		body.SetGroupIds(some)
		r := request{verb: "check the groups of user", object: id}
		if err := s.identified(r); err != nil {
			return nil, err
		}
		answer, err := ask(ctx, s.tenant, r, func(ctx context.Context, c *sdk) (users.ItemCheckMemberGroupsPostResponseable, error) {
			return c.Users().ByUserId(id).CheckMemberGroups().PostAsCheckMemberGroupsPostResponse(ctx, body, nil)
		})
		if notFound(err) {
			return nil, fmt.Errorf("%s: %w", sentence(r, s.id), provisioning.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		in = append(in, answer.GetValue()...)
	}
	return in, nil
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
func (t *tenant) user(ctx context.Context, id string, query users.UserItemRequestBuilderGetQueryParameters) (models.Userable, error) {
	r := request{verb: "read user", object: id}
	m, err := t.one(ctx, r, func(ctx context.Context, c *sdk) (models.Userable, error) {
		return c.Users().ByUserId(id).Get(ctx, &users.UserItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &query,
		})
	})
	if notFound(err) {
		return nil, fmt.Errorf("%s: %w", sentence(r, t.id), provisioning.ErrNotFound)
	}
	return m, err
}

// deletedUser reads one soft-deleted user. The cast in the path is what lets a user's properties be selected.
func (t *tenant) deletedUser(ctx context.Context, id string, selected []string) (models.Userable, error) {
	return t.one(ctx, request{verb: "read deleted user", object: id}, func(ctx context.Context, c *sdk) (models.Userable, error) {
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

// UserIDs lists the object ids of a tenant's internal users, members and guests alike: all that were not invited from elsewhere. each
// gets them a page at a time and ends the listing by an error.
func (g *Graph) UserIDs(ctx context.Context, tenantID string, each func(ids []string) error) error {
	t, err := g.tenant(tenantID)
	if err != nil {
		return err
	}
	first := &users.UsersRequestBuilderGetRequestConfiguration{QueryParameters: &users.UsersRequestBuilderGetQueryParameters{
		Select: identity, Top: ptr[int32](pageSize),
	}}
	return pages(ctx, t, request{verb: "list users", long: true}, livePage(first), func(found []models.Userable) error {
		var ids []string
		for _, m := range found {
			if !invited(m) {
				ids = append(ids, strings.ToLower(deref(m.GetId())))
			}
		}
		if len(ids) == 0 {
			return nil
		}
		return each(ids)
	})
}

// page reads the page of a collection behind link; an empty link is the first page.
type page[C any] func(ctx context.Context, c *sdk, link string) (C, error)

type userPage = page[models.UserCollectionResponseable]

func livePage(first *users.UsersRequestBuilderGetRequestConfiguration) userPage {
	return func(ctx context.Context, c *sdk, link string) (models.UserCollectionResponseable, error) {
		if link != "" {
			return c.Users().WithUrl(link).Get(ctx, nil)
		}
		return c.Users().Get(ctx, first)
	}
}

// collection is one page of what is listed, as the SDK has it.
type collection[T any] interface {
	GetValue() []T
	GetOdataNextLink() *string
}

// pages runs through a collection.
func pages[T any, C collection[T]](ctx context.Context, t *tenant, r request, get page[C], each func([]T) error) error {
	for link := ""; ; {
		answer, err := askPage(ctx, t, r, func(ctx context.Context, c *sdk) (C, error) {
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
