package directory

import (
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// InvitePolicy holds what the documents leave open about POST /invitations.
type InvitePolicy struct {
	// AdoptExisting answers an invitation of an external user who exists with that user, instead of refusing it.
	AdoptExisting bool
	// RefuseMembers answers 403 to an application that invites somebody as Member.
	RefuseMembers bool
}

// Invitation is what decides about the external user.
type Invitation struct {
	Email       string
	DisplayName string // empty: the local part of Email
	UserType    string // Guest (also when empty) or Member
}

// States of an external user.
const (
	pendingAcceptance = "PendingAcceptance"
	accepted          = "Accepted"
)

// refusedInAddresses are the characters that the invitation resource does not permit in an address, the @ aside.
const refusedInAddresses = "~!#$%^&*()+=[]{}\\/|;:\"<>?,"

// Invite creates the external user of an invitation. One that exists already is refused with a message that names its
// object id, or returned when the policy adopts; one that is soft-deleted does not count.
func (d *Directory) Invite(inv Invitation) (*Entity, error) {
	if err := d.checkInvitation(&inv); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if existing := d.invited(inv.Email); existing != nil {
		if d.Config.Invite.AdoptExisting && existing.invitedAs != "" {
			return existing.now, nil
		}
		return nil, fault.BadRequest("The invited user already exists in the directory as object ID: %s. "+
			"They can use that account to sign in to shared apps and resources.", existing.id)
	}
	return d.add(&object{schema: Users, invitedAs: fold(inv.Email)}, d.externalUser(inv).fields)
}

// invited finds the live user an address belongs to. d is locked.
func (d *Directory) invited(email string) *object {
	for _, k := range []key{inviteKey(email), proxyKey("smtp:" + email)} {
		if o := d.unique[k]; o != nil && o.schema == Users {
			return o
		}
	}
	return nil
}

func (d *Directory) checkInvitation(inv *Invitation) error {
	local, domain, _ := strings.Cut(inv.Email, "@")
	if d.Admit != nil {
		if err := d.Admit(domain); err != nil {
			return err
		}
	}
	switch {
	case !isAddress(inv.Email), strings.ContainsAny(inv.Email, refusedInAddresses), strings.Trim(local, ".-") != local:
		return fault.BadRequest("Invalid value specified for property 'invitedUserEmailAddress' of resource 'Invitation'.")
	case d.verified(domain):
		return fault.BadRequest("The invited user's email address is a verified domain of this directory.")
	case inv.UserType == "Member" && d.Config.Invite.RefuseMembers:
		return fault.Denied()
	case inv.UserType == "":
		inv.UserType = "Guest"
	case !isUserType(inv.UserType):
		return fault.BadRequest("Invalid value specified for property 'invitedUserType' of resource 'Invitation'.")
	}
	if inv.DisplayName == "" {
		inv.DisplayName = local
	}
	return nil
}

// externalUser is what an invitation leaves behind. d is locked.
func (d *Directory) externalUser(inv Invitation) *draft {
	var now any = moment(d.Now())
	local, domain, _ := strings.Cut(inv.Email, "@")
	alias := local + "_" + domain + "#EXT#"
	state := pendingAcceptance
	if d.AutoRedeem != nil && d.AutoRedeem(domain) {
		state = accepted
	}
	n := d.draft(Users, nil)
	for name, v := range map[string]any{
		"accountEnabled":                  true,
		"createdDateTime":                 now,
		"creationType":                    "Invitation",
		"displayName":                     inv.DisplayName,
		"externalUserState":               state,
		"externalUserStateChangeDateTime": now,
		"mailNickname":                    alias,
		"otherMails":                      []string{inv.Email},
		sessionsFrom:                      now,
		"userPrincipalName":               alias + "@" + d.initialDomain(),
		"userType":                        inv.UserType,
	} {
		n.put(name, v)
	}
	n.setMail(inv.Email)
	n.setIdentities(d.initialDomain())
	return n
}

// Redeemed reports whether the external user of an invitation has nothing left to accept.
func (e *Entity) Redeemed() bool { return e.text("externalUserState") == accepted }
