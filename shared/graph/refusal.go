package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/groups"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/serviceprincipals"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Outcome codes of access that cannot be granted or revoked. All are terminal: they take a person.
const (
	codeDynamic    = "dynamic group"         // a rule decides who its members are
	codeOnPremises = "on-premises group"     // another directory decides
	codeMail       = "mail group"            // Exchange decides
	codeProtected  = "role-assignable group" // it can hold directory roles, and the app may not touch it
	codeNoGroup    = "group not found"
	codeNoApp      = "app not found"
	codeNoRole     = "app role not found"
)

// advise is a failure that says what to do.
func advise(code string, err error, advice string) error {
	return outcome.Fail(code, fmt.Errorf("%w; %s", err, advice))
}

// explained finds out why access was not granted or revoked. Graph has one answer for many causes, and says in its message at most
// whom it did not find: the group or the application itself tells.
func (t target) explained(ctx context.Context, r request, g provisioning.Grant, err error) error {
	var refused *apiError
	if !errors.As(err, &refused) || !slices.Contains([]string{codePermission, codeRefused, codeMissing}, outcome.Of(err).Code) {
		return err
	}
	if refused.status == http.StatusNotFound && strings.Contains(strings.ToLower(refused.message), strings.ToLower(r.object)) {
		return err // it is the user who is not there yet
	}
	if g.Group != "" {
		return t.groupRefused(ctx, g.Group, err)
	}
	return t.appRefused(ctx, g.App, err)
}

// groupRefused looks at a group whose members could not be changed.
func (t target) groupRefused(ctx context.Context, id string, err error) error {
	group, unseen := ask(ctx, t.tenant, request{verb: "read group", object: id}, func(ctx context.Context, c *sdk) (models.Groupable, error) {
		return c.Groups().ByGroupId(id).Get(ctx, &groups.GroupItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &groups.GroupItemRequestBuilderGetQueryParameters{
				Select: []string{"id", "groupTypes", "isAssignableToRole", "mailEnabled", "onPremisesSyncEnabled"},
			},
		})
	})
	switch {
	case notFound(unseen):
		return advise(codeNoGroup, err, "there is no group with this object id in the tenant; correct it in the route")
	case unseen != nil && outcome.Of(unseen).Kind != outcome.Terminal:
		return unseen
	case unseen != nil:
		group = models.NewGroup() // nothing is known of it
	}
	denied := outcome.Of(err).Code == codePermission
	switch {
	case slices.Contains(group.GetGroupTypes(), "DynamicMembership"):
		return advise(codeDynamic, err, "a rule says who is in this group; name another one in the route, or change the rule")
	case deref(group.GetOnPremisesSyncEnabled()):
		return advise(codeOnPremises, err, "this group comes from an on-premises directory, which takes no external users; "+
			"name a group of the cloud in the route")
	case deref(group.GetMailEnabled()) && !slices.Contains(group.GetGroupTypes(), "Unified"):
		return advise(codeMail, err, "only Exchange changes mail-enabled security groups and distribution lists; "+
			"name a security group or a Microsoft 365 group in the route")
	case denied && deref(group.GetIsAssignableToRole()):
		return advise(codeProtected, err, "this group can hold directory roles; give the app the permission "+
			"RoleManagement.ReadWrite.Directory there, or name another group in the route")
	case denied:
		return advise(codePermission, err, "give the app the permission GroupMember.ReadWrite.All there")
	}
	return err
}

// Messages of Graph about app roles. The second is what it says of a user whom its replica does not have, and of ids that are wrong.
var (
	noRole      = regexp.MustCompile(`was not found on application`)
	noReference = regexp.MustCompile(`Not a valid reference update`)
)

// appRefused looks at an application whose roles could not be given or taken.
func (t target) appRefused(ctx context.Context, id string, err error) error {
	switch {
	case says(err, noRole):
		return advise(codeNoRole, err, "the application has no such app role for users; correct the id of the role in the route "+
			"(the one of zeros is for applications without roles)")
	case outcome.Of(err).Code == codePermission:
		return advise(codePermission, err, "give the app the permission AppRoleAssignment.ReadWrite.All there")
	}
	_, unseen := ask(ctx, t.tenant, request{verb: "read application", object: id}, func(ctx context.Context, c *sdk) (models.ServicePrincipalable, error) {
		return c.ServicePrincipals().ByServicePrincipalId(id).Get(ctx, &serviceprincipals.ServicePrincipalItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &serviceprincipals.ServicePrincipalItemRequestBuilderGetQueryParameters{Select: []string{"id"}},
		})
	})
	switch {
	case notFound(unseen):
		return advise(codeNoApp, err, "there is no enterprise application with this object id in the tenant; correct it in the route "+
			"(it is neither the client id nor the object id of the app registration)")
	case unseen != nil && outcome.Of(unseen).Kind != outcome.Terminal:
		return unseen
	case says(err, noReference):
		return outcome.RetryAfter(0, codeMissing, err)
	}
	return err
}
