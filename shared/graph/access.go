package graph

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Grants lists the groups that a live user is a direct member of, and the app roles that it was assigned itself.
// provisioning.ErrNotFound: there is no such user, now, at this replica. It needs the app role Directory.Read.All, by the
// references of user-list-memberof and user-list-approleassignments.
func (t target) Grants(ctx context.Context, id string) ([]provisioning.Grant, error) {
	grants, err := t.memberships(ctx, id)
	if err != nil {
		return nil, err
	}
	assigned, err := t.assignments(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, a := range assigned {
		grants = append(grants, a.Grant)
	}
	return grants, nil
}

// memberships lists the groups of a user. There is no cast in the path, for Graph answers casts from an index that lags behind
// (reference of user-list-memberof): directory roles and administrative units are left out here.
func (t target) memberships(ctx context.Context, id string) (grants []provisioning.Grant, err error) {
	first := &users.ItemMemberOfRequestBuilderGetRequestConfiguration{
		QueryParameters: &users.ItemMemberOfRequestBuilderGetQueryParameters{Select: []string{"id"}, Top: ptr[int32](pageSize)},
	}
	r := request{verb: "list the groups of user", object: id}
	if err := t.identified(r); err != nil {
		return nil, err
	}
	err = pages(ctx, t.tenant, r, func(ctx context.Context, c *sdk, link string) (models.DirectoryObjectCollectionResponseable, error) {
		memberOf := c.Users().ByUserId(id).MemberOf()
		if link != "" {
			return memberOf.WithUrl(link).Get(ctx, nil)
		}
		return memberOf.Get(ctx, first)
	}, func(found []models.DirectoryObjectable) error {
		for _, m := range found {
			if group, is := m.(models.Groupable); is {
				grants = append(grants, provisioning.Grant{Group: strings.ToLower(deref(group.GetId()))})
			}
		}
		return nil
	})
	return grants, t.unread(r, err)
}

// assignment is an app role that a user has, and the id by which it is taken away.
type assignment struct {
	provisioning.Grant
	id string
}

// assignments lists the app roles of a user. Graph lists those of the user's groups with them (reference of
// user-list-approleassignments), which are not the user's own.
func (t target) assignments(ctx context.Context, id string) (assigned []assignment, err error) {
	first := &users.ItemAppRoleAssignmentsRequestBuilderGetRequestConfiguration{
		QueryParameters: &users.ItemAppRoleAssignmentsRequestBuilderGetQueryParameters{Top: ptr[int32](pageSize)},
	}
	r := request{verb: "list the app roles of user", object: id}
	if err := t.identified(r); err != nil {
		return nil, err
	}
	err = pages(ctx, t.tenant, r, func(ctx context.Context, c *sdk, link string) (models.AppRoleAssignmentCollectionResponseable, error) {
		assignments := c.Users().ByUserId(id).AppRoleAssignments()
		if link != "" {
			return assignments.WithUrl(link).Get(ctx, nil)
		}
		return assignments.Get(ctx, first)
	}, func(found []models.AppRoleAssignmentable) error {
		for _, m := range found {
			if strings.EqualFold(deref(m.GetPrincipalId()).String(), id) {
				assigned = append(assigned, assignment{
					provisioning.Grant{App: deref(m.GetResourceId()).String(), Role: deref(m.GetAppRoleId()).String()}, deref(m.GetId()),
				})
			}
		}
		return nil
	})
	return assigned, t.unread(r, err)
}

// unread says what is missing when the access of a user cannot be read.
func (t target) unread(r request, err error) error {
	switch {
	case notFound(err):
		return fmt.Errorf("%s: %w", sentence(r, t.id), provisioning.ErrNotFound)
	case outcome.Of(err).Code == codePermission:
		return advise(codePermission, err, "give the app the permission Directory.Read.All there")
	}
	return err
}

// Messages of Graph that no code tells apart. No reference names them: they are those of recorded answers.
var (
	already = regexp.MustCompile(`added object references already exist|assigned already exists|EntitlementGrant entry already exists`)
	absent  = regexp.MustCompile(`removed object references do not exist`)
)

// says reports whether err is an answer of Graph with such a message.
func says(err error, message *regexp.Regexp) bool {
	var e *apiError
	return errors.As(err, &e) && message.MatchString(e.message)
}

// Grant gives a live user a piece of access; provisioning.ErrAlready when the user has it. It needs the app role
// GroupMember.ReadWrite.All for groups, RoleManagement.ReadWrite.Directory besides for those that can hold directory roles, and
// AppRoleAssignment.ReadWrite.All for app roles. A user who is not there, now, at this replica, is waited for.
func (t target) Grant(ctx context.Context, id string, g provisioning.Grant) error {
	r := request{verb: "grant " + g.String() + " to user", object: id}
	if err := t.whole(r, g); err != nil {
		return err
	}
	err := t.write(ctx, r, func(ctx context.Context, c *sdk) error {
		if g.Group != "" {
			body := models.NewReferenceCreate()
			body.SetOdataId(t.reference("directoryObjects", id))
			return c.Groups().ByGroupId(g.Group).Members().Ref().Post(ctx, body, nil)
		}
		// As additional data, for the SDK's typed setters take no id before it is parsed.
		body := models.NewAppRoleAssignment()
		body.SetAdditionalData(map[string]any{"principalId": id, "resourceId": g.App, "appRoleId": g.Role})
		_, err := c.ServicePrincipals().ByServicePrincipalId(g.App).AppRoleAssignedTo().Post(ctx, body, nil)
		return err
	})
	if says(err, already) {
		return fmt.Errorf("%s: %w", sentence(r, t.id), provisioning.ErrAlready)
	}
	return t.explained(ctx, r, g, err)
}

// Revoke takes a piece of access away from a user; what the user has not got needs no taking away. It needs the app roles of
// Grants and Grant.
func (t target) Revoke(ctx context.Context, id string, g provisioning.Grant) error {
	r := request{verb: "revoke " + g.String() + " of user", object: id}
	if err := t.whole(r, g); err != nil {
		return err
	}
	if g.Group != "" {
		return t.explained(ctx, r, g, t.revoke(ctx, r, func(ctx context.Context, c *sdk) error {
			// Ref is what keeps the user alive: without it Graph deletes the member itself (reference of group-delete-members).
			return c.Groups().ByGroupId(g.Group).Members().ByDirectoryObjectId(id).Ref().Delete(ctx, nil)
		}))
	}
	assigned, err := t.assignments(ctx, id)
	if err != nil && !errors.Is(err, provisioning.ErrNotFound) {
		return err
	}
	for _, a := range assigned {
		if !strings.EqualFold(a.App, g.App) || !strings.EqualFold(a.Role, g.Role) {
			continue
		}
		if err := t.revoke(ctx, r, func(ctx context.Context, c *sdk) error {
			return c.ServicePrincipals().ByServicePrincipalId(g.App).AppRoleAssignedTo().ByAppRoleAssignmentId(a.id).Delete(ctx, nil)
		}); err != nil {
			return t.explained(ctx, r, g, err)
		}
	}
	return nil
}

// revoke is write for a request that takes something away. For what is not there Graph answers 404 or 400, and means the group, the
// user or the membership.
func (t target) revoke(ctx context.Context, r request, do func(context.Context, *sdk) error) error {
	if err := t.write(ctx, r, do); err != nil && !notFound(err) && !says(err, absent) {
		return err
	}
	return nil
}

// whole refuses half a grant, and that of nobody: an empty id would address a collection.
func (t target) whole(r request, g provisioning.Grant) error {
	if g.Group == "" && (g.App == "" || g.Role == "") {
		return outcome.Fail(codeRefused, errors.New(sentence(r, t.id)+": it names neither a group nor an application and its role"))
	}
	return t.identified(r)
}
