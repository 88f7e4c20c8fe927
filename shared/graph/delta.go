package graph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/sweep"
)

var _ sweep.Tracker = (*Graph)(nil)

// Tracked are the properties whose changes are tracked: those that the rules read of a source user. The manager can be one of them
// (reference of user-delta).
func (g *Graph) Tracked() string {
	names := selection(identity, g.reads.Source)
	if g.reads.ManagerLink || slices.Contains(g.reads.Source, manager) {
		names = distinct(names, []string{manager})
	}
	return strings.Join(names, ",")
}

// Latest is the deltaLink of now. It needs the app role User.Read.All.
func (g *Graph) Latest(ctx context.Context, tenantID string) (string, error) {
	query := url.Values{"$deltatoken": {"latest"}, "$select": {g.Tracked()}}
	return g.Changes(ctx, tenantID, g.options.Endpoint+"/v1.0/users/delta?"+query.Encode(), func([]sweep.Changed) error { return nil })
}

// Changes runs through the pages behind a deltaLink and returns the next one. sweep.ErrExpired when Graph answers 410, or one of the codes
// by which it says that a token is no longer good.
func (g *Graph) Changes(ctx context.Context, tenantID, cursor string, each func([]sweep.Changed) error) (string, error) {
	t, err := g.tenant(tenantID)
	if err != nil {
		return "", err
	}
	r := request{verb: "track changes of users", long: true}
	for link := cursor; ; {
		answer, err := askPage(ctx, t, r, func(ctx context.Context, c *sdk) (users.DeltaGetResponseable, error) {
			return c.Users().Delta().WithUrl(link).GetAsDeltaGetResponse(ctx, nil)
		})
		if expired(err) {
			return "", errors.Join(sweep.ErrExpired, err)
		}
		if err != nil {
			return "", err
		}
		if err := each(changed(answer.GetValue())); err != nil {
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

// expired reports whether a token is no longer good. The documents name 410 and codes such as these.
func expired(err error) bool {
	var e *apiError
	if !errors.As(err, &e) {
		return false
	}
	code := strings.ToLower(e.code)
	return e.status == http.StatusGone || code == "syncstatenotfound" || code == "syncstateinvalid" || code == "resyncrequired"
}

// changed reads a page. An object that is removed says why: "changed" can be restored, "deleted" is gone for good.
func changed(page []models.Userable) (all []sweep.Changed) {
	for _, m := range page {
		one := sweep.Changed{User: strings.ToLower(deref(m.GetId()))}
		if removed, is := m.GetAdditionalData()["@removed"].(map[string]any); is {
			if reason, is := removed["reason"].(*string); is {
				one.Deleted = deref(reason) == "deleted"
			}
		}
		if one.User != "" {
			all = append(all, one)
		}
	}
	return all
}
