package graph

import (
	"net/url"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/directory"
	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// invitation is the resource, both as it is sent and as it is answered.
type invitation struct {
	Context      string       `json:"@odata.context,omitempty"`
	ID           string       `json:"id"`
	RedeemURL    string       `json:"inviteRedeemUrl"`
	DisplayName  *string      `json:"invitedUserDisplayName"`
	UserType     string       `json:"invitedUserType"`
	EmailAddress string       `json:"invitedUserEmailAddress"`
	SendMessage  bool         `json:"sendInvitationMessage"`
	Reset        bool         `json:"resetRedemption"`
	RedirectURL  string       `json:"inviteRedirectUrl"`
	Status       string       `json:"status"`
	MessageInfo  *messageInfo `json:"invitedUserMessageInfo"`
	User         *invitedUser `json:"invitedUser"`
	Sponsors     []any        `json:"invitedUserSponsors,omitempty"`
}

type messageInfo struct {
	Language     *string     `json:"messageLanguage"`
	CcRecipients []recipient `json:"ccRecipients"`
	Body         *string     `json:"customizedMessageBody"`
}

type recipient struct {
	EmailAddress struct {
		Name    *string `json:"name"`
		Address *string `json:"address"`
	} `json:"emailAddress"`
}

type invitedUser struct {
	ID string `json:"id"`
}

// invite answers POST /invitations. The external user exists when the call returns; no mail is sent, whatever
// sendInvitationMessage says.
func (s *Service) invite(c *call) (answer, error) {
	var i invitation
	if err := c.decode(&i); err != nil {
		return answer{}, err
	}
	if err := i.check(); err != nil {
		return answer{}, err
	}
	draft := directory.Invitation{Email: i.EmailAddress, UserType: i.UserType}
	if i.DisplayName != nil {
		draft.DisplayName = *i.DisplayName
	}
	u, err := c.dir.Invite(draft)
	if err != nil {
		return answer{}, err
	}
	i.Context = c.context("invitations/$entity")
	i.ID = uuid.NewString()
	i.RedeemURL = "https://" + c.Host + "/redeem?tenant=" + c.caller.TenantID + "&user=" + i.ID + "&ver=2.0"
	i.User = &invitedUser{ID: u.ID()}
	if i.Status = "PendingAcceptance"; u.Redeemed() {
		i.Status = "Completed"
	}
	if i.UserType == "" {
		i.UserType = "Guest"
	}
	if i.MessageInfo == nil {
		i.MessageInfo = &messageInfo{CcRecipients: make([]recipient, 1)}
	}
	return created(i), nil
}

func (i *invitation) check() error {
	redirect, err := url.Parse(i.RedirectURL)
	switch {
	case i.Reset:
		return fault.NotModelled("resetRedemption of POST /invitations")
	case i.Sponsors != nil:
		return fault.NotModelled("invitedUserSponsors of POST /invitations")
	case i.EmailAddress == "":
		return missing("invitedUserEmailAddress")
	case i.RedirectURL == "":
		return missing("inviteRedirectUrl")
	case err != nil || !redirect.IsAbs() || redirect.Host == "":
		return fault.BadRequest("Invalid value specified for property 'inviteRedirectUrl' of resource 'Invitation'.")
	}
	return nil
}

func missing(property string) error {
	return fault.BadRequest("A value is required for property '%s' of resource 'Invitation'.", property)
}
