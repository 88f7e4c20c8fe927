package provisioning_test

import (
	"maps"
	"slices"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/provisioning/provisioningtest"
)

type (
	attributes = provisioning.Attributes
	situation  = provisioning.Situation
)

// The person of the tables, and her external user.
const (
	userID  = "source-1"
	twinID  = "target-1"
	newID   = "target-new"
	address = "ana@fabrikam.example"
)

var ownKey = provisioning.SourceKey(provisioningtest.Route.Source.ID, userID)

// foreignKey belongs to another source user.
var foreignKey = provisioning.SourceKey(provisioningtest.Route.Source.ID, "source-2")

// joined is a source user that nobody has looked at yet, after edits.
func joined(edits ...func(*provisioning.User)) situation {
	u := provisioning.User{ID: userID, PrincipalName: "ana.upn@fabrikam.example", UserType: provisioning.Member, Attributes: attributes{
		"accountEnabled": true, "mail": address, "displayName": "Ana", "department": "Sales", "businessPhones": []string{"+1 555 0100"},
	}}
	for _, edit := range edits {
		edit(&u)
	}
	return situation{
		Route: provisioningtest.Route, User: userID, Source: &u,
		Link: provisioning.Link{Key: provisioningtest.Key(userID)},
	}
}

// twin is her external user when all is well, after edits.
func twin(edits ...func(*provisioning.External)) provisioning.External {
	e := provisioning.External{ID: twinID, UserType: provisioning.Member, Invited: true, SourceKey: ownKey, Attributes: attributes{
		"accountEnabled": true, "mail": address, "displayName": "Ana", "department": "Sales", "businessPhones": []string{"+1 555 0100"},
		"userType": provisioning.Member, "showInAddressList": true,
	}}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

// with sets an attribute of the external user; nil clears.
func with(name string, value any) func(*provisioning.External) {
	return func(e *provisioning.External) { set(e.Attributes, name, value) }
}

// having sets an attribute of the source user; nil clears.
func having(name string, value any) func(*provisioning.User) {
	return func(u *provisioning.User) { set(u.Attributes, name, value) }
}

func set(into attributes, name string, value any) {
	if value == nil {
		delete(into, name)
		return
	}
	into[name] = value
}

func deleted(e *provisioning.External)       { e.Deleted = true }
func keyless(e *provisioning.External)       { e.SourceKey = "" }
func theTargetsOwn(e *provisioning.External) { e.Invited = false }
func named(id string) func(*provisioning.External) {
	return func(e *provisioning.External) { e.ID = id }
}

// gone is her situation when she is gone.
func gone(how provisioning.Gone) situation {
	s := joined()
	s.Source, s.Gone = nil, how
	return s
}

// linked adds what is known of her external user.
func linked(s situation, ext provisioning.External) situation {
	s.Link.External, s.Link.State, s.Known = ext.ID, provisioning.LinkActive, &ext
	return s
}

// removedByUs is linked, after we removed the external user.
func removedByUs(s situation, ext provisioning.External) situation {
	s = linked(s, ext)
	s.Link.State = provisioning.LinkRemoved
	return s
}

func blocked(s situation) situation {
	s.Link.Blocked = true
	return s
}

func foundByKey(s situation, found ...provisioning.External) situation {
	s.ByKey = found
	return s
}

func foundByMail(s situation, found ...provisioning.External) situation {
	s.ByMail = found
	return s
}

// objects is the target as a situation shows it.
func objects(s situation) map[string]provisioning.External {
	all := map[string]provisioning.External{}
	if s.Known != nil {
		all[s.Known.ID] = *s.Known
	}
	for _, found := range [][]provisioning.External{s.ByKey, s.ByMail} {
		for _, e := range found {
			all[e.ID] = e
		}
	}
	return all
}

// applied is the situation after a decision was carried out, and the target then.
func applied(s situation, d provisioning.Decision) (situation, map[string]provisioning.External) {
	all := objects(s)
	id := d.External
	for _, op := range d.Operations {
		e := all[id]
		switch op.Kind {
		case provisioning.OpInvite:
			id = newID
			e = provisioning.External{ID: id, Invited: true, Attributes: attributes{
				"accountEnabled": true, "userType": provisioning.Guest, "mail": op.Address, "displayName": op.DisplayName,
			}}
		case provisioning.OpRestore:
			e.Deleted = false
		case provisioning.OpRemove:
			e.Deleted = true
		case provisioning.OpUpdate:
			e.Attributes = maps.Clone(e.Attributes)
			for name, value := range op.Attributes {
				set(e.Attributes, name, value)
			}
			if op.SourceKey != "" {
				e.SourceKey = op.SourceKey
			}
			e.UserType, _ = e.Attributes["userType"].(string)
		case provisioning.OpManager:
			e.Manager = op.Manager
		case provisioning.OpGrant:
			s.Grants = append(slices.Clone(s.Grants), op.Grant)
		case provisioning.OpRevoke:
			s.Grants = slices.DeleteFunc(slices.Clone(s.Grants), func(g provisioning.Grant) bool { return g == op.Grant })
		}
		all[id] = e
	}
	if d.Ties != nil {
		s.Link.Ties = *d.Ties
	}
	if id != "" {
		s.Link.External = id
	}
	s.Link.State, s.Link.Blocked, s.Link.LeftAt = d.State, d.Blocked, d.LeftAt
	s.Known = nil
	if e, ok := all[s.Link.External]; ok {
		s.Known = &e
	}
	s.ByKey = refreshed(s.ByKey, all)
	s.ByMail = refreshed(s.ByMail, all)
	return s, all
}

func refreshed(found []provisioning.External, all map[string]provisioning.External) (now []provisioning.External) {
	for _, e := range found {
		now = append(now, all[e.ID])
	}
	return now
}

// outcomeOf reads an error into what tables compare.
func outcomeOf(err error) (outcome.Kind, string) {
	o := outcome.Of(err)
	return o.Kind, o.Code
}
