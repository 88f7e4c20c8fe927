package graph

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/groups"
	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"github.com/tenantsync/tenantsync/shared/sweep"
)

var _ sweep.MemberTracker = (*Graph)(nil)

// Nested lists groups and all the groups in them, each once, in lower case and in order. It needs the app role GroupMember.Read.All. A group
// that is not there has none in it.
func (g *Graph) Nested(ctx context.Context, tenantID string, of []string) ([]string, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(of)
	for _, id := range of {
		first := &groups.ItemTransitiveMembersGraphGroupRequestBuilderGetRequestConfiguration{
			QueryParameters: &groups.ItemTransitiveMembersGraphGroupRequestBuilderGetQueryParameters{Select: []string{"id"}, Top: ptr[int32](pageSize)},
		}
		err := pages(ctx, t, request{verb: "list the groups in group", object: id}, func(ctx context.Context, c *sdk, link string) (models.GroupCollectionResponseable, error) {
			members := c.Groups().ByGroupId(id).TransitiveMembers().GraphGroup()
			if link != "" {
				return members.WithUrl(link).Get(ctx, nil)
			}
			return members.Get(ctx, first)
		}, func(found []models.Groupable) error {
			for _, m := range found {
				all = append(all, strings.ToLower(deref(m.GetId())))
			}
			return nil
		})
		if err != nil && !notFound(err) {
			return nil, err
		}
	}
	return distinct(all), nil
}

// LatestMembers is the deltaLink of now for the members of at most sweep.GroupsAtOnce groups.
func (g *Graph) LatestMembers(ctx context.Context, tenantID string, of []string) (string, error) {
	ids := make([]string, len(of))
	for i, id := range of {
		ids[i] = "id eq " + literal(id)
	}
	query := url.Values{"$deltatoken": {"latest"}, "$select": {"members"}, "$filter": {strings.Join(ids, " or ")}}
	return g.MemberChanges(ctx, tenantID, g.options.Endpoint+"/v1.0/groups/delta?"+query.Encode(), func([]sweep.Member) error { return nil })
}

// MemberChanges runs through the pages behind a deltaLink of groups and returns the next one; sweep.ErrExpired as Changes does. A group that
// was deleted is told as a member that is a group: everybody in it went.
func (g *Graph) MemberChanges(ctx context.Context, tenantID, cursor string, each func([]sweep.Member) error) (string, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return "", err
	}
	r := request{verb: "track changes of group members", long: true}
	for link := cursor; ; {
		answer, err := askPage(ctx, t, r, func(ctx context.Context, c *sdk) (groups.DeltaGetResponseable, error) {
			return c.Groups().Delta().WithUrl(link).GetAsDeltaGetResponse(ctx, nil)
		})
		if expired(err) {
			return "", errors.Join(sweep.ErrExpired, err)
		}
		if err != nil {
			return "", err
		}
		var members []sweep.Member
		for _, group := range answer.GetValue() {
			members = append(members, membersOf(group)...)
		}
		if err := each(members); err != nil {
			return "", err
		}
		if next := deref(answer.GetOdataDeltaLink()); next != "" {
			return next, nil
		}
		if link = deref(answer.GetOdataNextLink()); link == "" {
			return "", t.unexpected(r, "the last page has no link to go on from")
		}
	}
}

// membersOf reads who came or went in one group. The SDK has no model for it and hands over what it parsed.
func membersOf(group models.Groupable) (members []sweep.Member) {
	data := group.GetAdditionalData()
	if _, removed := data["@removed"]; removed {
		members = append(members, sweep.Member{ID: strings.ToLower(deref(group.GetId())), Group: true})
	}
	list, _ := data["members@delta"].([]any)
	for _, item := range list {
		one, _ := item.(map[string]any)
		id, _ := one["id"].(*string)
		kind, _ := one["@odata.type"].(*string)
		isGroup, isUser := strings.HasSuffix(deref(kind), ".group"), strings.HasSuffix(deref(kind), ".user")
		if id != nil && (isGroup || isUser) { // and not a device, a contact or an application
			members = append(members, sweep.Member{ID: strings.ToLower(*id), Group: isGroup})
		}
	}
	return members
}
