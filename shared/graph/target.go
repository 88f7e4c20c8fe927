package graph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/directory"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// target is a tenant that gets external users. It needs the app roles User.Invite.All, User.ReadWrite.All and
// User.DeleteRestore.All; what access takes besides stands at Grants, Grant and Revoke.
type target struct{ *tenant }

// External reads a user object by id, live or soft-deleted.
func (t target) External(ctx context.Context, id string) (provisioning.External, error) {
	m, err := t.user(ctx, id, users.UserItemRequestBuilderGetQueryParameters{Select: t.selected(), Expand: t.graph.reads.expansion(nil)})
	if err == nil {
		return t.graph.externalOf(m, false), nil
	}
	if !errors.Is(err, provisioning.ErrNotFound) {
		return provisioning.External{}, err
	}
	m, err = t.deletedUser(ctx, id, t.selected())
	if notFound(err) {
		return provisioning.External{}, fmt.Errorf("read user %s in tenant %s, live and deleted: %w", id, t.id, provisioning.ErrNotFound)
	}
	if err != nil {
		return provisioning.External{}, err
	}
	return t.graph.externalOf(m, true), nil
}

func (t target) selected() []string {
	return selection([]string{t.graph.keyProperty}, identity, t.graph.reads.External)
}

// ByKey finds the objects that carry a link key, live and soft-deleted.
func (t target) ByKey(ctx context.Context, sourceKey string) ([]provisioning.External, error) {
	filter := t.graph.keyProperty + " eq " + literal(sourceKey)
	found, err := t.find(ctx, filter)
	if err != nil {
		return nil, err
	}
	deleted, err := t.findDeleted(ctx, filter)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusBadRequest {
		// No document says that deleted users can be filtered by a directory extension. If not, all of them are looked
		// through: at most those of the last 30 days.
		deleted, err = t.findDeleted(ctx, "")
		deleted = slices.DeleteFunc(deleted, func(e provisioning.External) bool { return e.SourceKey != sourceKey })
	}
	return append(found, deleted...), err
}

// ByMail finds the live objects with this address, invited or not. proxyAddresses are typed: SMTP is the primary one.
func (t target) ByMail(ctx context.Context, address string) ([]provisioning.External, error) {
	return t.find(ctx, strings.Join([]string{
		"mail eq " + literal(address),
		"otherMails/any(m:m eq " + literal(address) + ")",
		"proxyAddresses/any(p:p eq " + literal("SMTP:"+address) + ")",
		"proxyAddresses/any(p:p eq " + literal("smtp:"+address) + ")",
	}, " or "))
}

// literal is an OData string.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// find finds live users, with their managers when those were asked for.
func (t target) find(ctx context.Context, filter string) ([]provisioning.External, error) {
	found, err := t.externals(ctx, request{verb: "find users"}, false, livePage(&users.UsersRequestBuilderGetRequestConfiguration{
		QueryParameters: &users.UsersRequestBuilderGetQueryParameters{Filter: &filter, Select: t.selected()},
	}))
	if err == nil && t.graph.reads.ManagerLink {
		err = t.readManagers(ctx, found)
	}
	return found, err
}

// readManagers asks for the managers of users who were found, one by one: Graph refuses $expand beside some filters
// (microsoftgraph/microsoft-graph-docs-contrib#9095).
func (t target) readManagers(ctx context.Context, found []provisioning.External) error {
	for i := range found {
		m, err := t.withManager(ctx, found[i].ID)
		if errors.Is(err, provisioning.ErrNotFound) {
			continue // the replica that answered has not got the user yet; nothing follows from that
		}
		if err != nil {
			return err
		}
		found[i].Manager = managerOf(m)
	}
	return nil
}

// findDeleted finds soft-deleted users; an empty filter finds all.
func (t target) findDeleted(ctx context.Context, filter string) ([]provisioning.External, error) {
	query := &directory.DeletedItemsGraphUserRequestBuilderGetQueryParameters{Select: t.selected()}
	if filter != "" {
		query.Filter = &filter
	}
	first := &directory.DeletedItemsGraphUserRequestBuilderGetRequestConfiguration{QueryParameters: query}
	return t.externals(ctx, request{verb: "find deleted users"}, true,
		func(ctx context.Context, c *sdk, link string) (models.UserCollectionResponseable, error) {
			deleted := c.Directory().DeletedItems().GraphUser()
			if link != "" {
				return deleted.WithUrl(link).Get(ctx, nil)
			}
			return deleted.Get(ctx, first)
		})
}

func (t target) externals(ctx context.Context, r request, deleted bool, get userPage) (found []provisioning.External, err error) {
	err = pages(ctx, t.tenant, r, get, func(answer []models.Userable) error {
		for _, m := range answer {
			found = append(found, t.graph.externalOf(m, deleted))
		}
		return nil
	})
	return found, err
}

// alreadyThere is the one error of POST /invitations whose text carries data. No code tells it from other bad requests.
var alreadyThere = regexp.MustCompile(`already exists in the directory as object ID: ([0-9a-fA-F-]{36})`)

// Invite creates an external user without a mail and returns its id; provisioning.Exists when the address is taken.
func (t target) Invite(ctx context.Context, address, displayName string) (string, error) {
	invitation := models.NewInvitation()
	invitation.SetInvitedUserEmailAddress(&address)
	invitation.SetInviteRedirectUrl(&t.graph.options.RedirectURL)
	invitation.SetSendInvitationMessage(ptr(false))
	if displayName != "" {
		invitation.SetInvitedUserDisplayName(&displayName)
	}
	r := request{verb: "invite a user"}
	sent, err := ask(ctx, t.tenant, r, func(ctx context.Context, c *sdk) (models.Invitationable, error) {
		return c.Invitations().Post(ctx, invitation, nil)
	})
	var refused *apiError
	if errors.As(err, &refused) {
		if match := alreadyThere.FindStringSubmatch(refused.message); match != nil {
			return "", fmt.Errorf("%s: %w", sentence(r, t.id), provisioning.Exists{ID: strings.ToLower(match[1])})
		}
	}
	if err != nil {
		return "", err
	}
	if sent.GetInvitedUser() == nil || deref(sent.GetInvitedUser().GetId()) == "" {
		return "", t.unexpected(r, "the answer names no user")
	}
	return *sent.GetInvitedUser().GetId(), nil
}

// Update writes attributes, and the link key when it is given. There is nothing to send when both are empty.
func (t target) Update(ctx context.Context, id string, attributes provisioning.Attributes, sourceKey string) error {
	values := maps.Clone(attributes)
	if sourceKey != "" {
		if values == nil {
			values = provisioning.Attributes{}
		}
		values[t.graph.keyProperty] = sourceKey
	}
	if len(values) == 0 {
		return nil
	}
	return t.write(ctx, request{verb: "update user", object: id}, func(ctx context.Context, c *sdk) error {
		_, err := c.Users().ByUserId(id).Patch(ctx, patch(values), nil)
		return err
	})
}

// Remove soft-deletes a user; one that is gone needs no removing.
func (t target) Remove(ctx context.Context, id string) error {
	err := t.write(ctx, request{verb: "remove user", object: id}, func(ctx context.Context, c *sdk) error {
		return c.Users().ByUserId(id).Delete(ctx, nil)
	})
	if notFound(err) {
		return nil
	}
	return err
}

// Restore brings a soft-deleted user back.
func (t target) Restore(ctx context.Context, id string) error {
	return t.write(ctx, request{verb: "restore user", object: id}, func(ctx context.Context, c *sdk) error {
		_, err := c.Directory().DeletedItems().ByDirectoryObjectId(id).Restore().Post(ctx, nil)
		return err
	})
}
