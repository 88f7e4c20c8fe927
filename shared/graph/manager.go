package graph

import (
	"context"
	"errors"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// SetManager makes a live user of the tenant the manager of another; an empty managerID takes the manager away, and one who is
// not there needs no taking away. It takes no app role beyond User.ReadWrite.All. A user or a manager who is not there, now, at
// this replica, is waited for; the error wraps provisioning.ErrNotFound then.
func (t target) SetManager(ctx context.Context, id, managerID string) error {
	if managerID == "" {
		return t.removeManager(ctx, id)
	}
	body := models.NewReferenceUpdate()
	body.SetOdataId(t.reference("users", managerID))
	err := t.write(ctx, request{verb: "set manager " + managerID + " of user", object: id}, func(ctx context.Context, c *sdk) error {
		return c.Users().ByUserId(id).Manager().Ref().Put(ctx, body, nil)
	})
	if notFound(err) {
		return errors.Join(err, provisioning.ErrNotFound)
	}
	return err
}

// removeManager takes the manager of a user away. Graph answers 404 when there is no manager as well as when there is no user, and
// no document says in which words: the user itself tells.
func (t target) removeManager(ctx context.Context, id string) error {
	err := t.write(ctx, request{verb: "remove the manager of user", object: id}, func(ctx context.Context, c *sdk) error {
		return c.Users().ByUserId(id).Manager().Ref().Delete(ctx, nil)
	})
	if !notFound(err) {
		return err
	}
	m, failed := t.withManager(ctx, id)
	switch {
	case errors.Is(failed, provisioning.ErrNotFound):
		return err
	case failed != nil:
		return failed
	case managerOf(m) != "":
		return err
	}
	return nil
}

// withManager reads nothing of a live user but the manager.
func (t target) withManager(ctx context.Context, id string) (models.Userable, error) {
	return t.user(ctx, id, users.UserItemRequestBuilderGetQueryParameters{
		Select: []string{"id"}, Expand: Reads{ManagerLink: true}.expansion(nil),
	})
}

// reference is the address by which the body of a request refers to an object.
func (t target) reference(collection, id string) *string {
	return ptr(t.graph.options.Endpoint + "/v1.0/" + collection + "/" + id)
}
