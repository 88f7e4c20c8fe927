package directory

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// User holds the properties of one user by their Graph names, each as its Kind says; one that was never set is absent.
type User map[string]any

// Identity keys of the identities collection.
const (
	signInType       = "signInType"
	issuer           = "issuer"
	issuerAssignedID = "issuerAssignedId"
)

// Clone copies the user with everything it holds.
func (u User) Clone() User {
	c := make(User, len(u))
	for name, v := range u {
		c[name] = cloneValue(v)
	}
	return c
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case []string:
		return slices.Clone(v)
	case map[string]any:
		return maps.Clone(v)
	case []map[string]any:
		c := make([]map[string]any, len(v))
		for i := range v {
			c[i] = maps.Clone(v[i])
		}
		return c
	default:
		return v
	}
}

func (u User) text(name string) string    { s, _ := u[name].(string); return s }
func (u User) texts(name string) []string { s, _ := u[name].([]string); return s }

// record is a user with what the directory knows beyond its properties.
type record struct {
	user User
	seq  int64 // order of creation; lists and page marks go by it
	// invitedAs is the folded address an invitation was sent to. It stands for the alternative security identifier, the
	// true key of an external user, which Graph does not show and which no later change of mail touches.
	invitedAs string
	deleted   time.Time // zero while live
	manager   string    // object id, of somebody who may be gone by now; empty: none
	former    string    // the manager before
	history
}

func (r *record) id() string { return r.user.text("id") }

// key is a value no two live users of a directory may share, with the property it comes from. Values are folded.
type key struct{ property, value string }

func nameKey(upn string) key { return key{"userPrincipalName", strings.ToLower(upn)} }
func proxyKey(p string) key  { return key{"proxyAddresses", strings.ToLower(p)} }
func inviteKey(a string) key { return key{"invitedUserEmailAddress", strings.ToLower(a)} }

func (r *record) keys() []key {
	keys := []key{nameKey(r.user.text("userPrincipalName"))}
	for _, proxy := range r.user.texts("proxyAddresses") {
		keys = append(keys, proxyKey(proxy))
	}
	if r.invitedAs != "" {
		keys = append(keys, inviteKey(r.invitedAs))
	}
	return keys
}

// setMail makes address the primary one: it is added to proxyAddresses as SMTP:, and the previous one stays as smtp:.
func (u User) setMail(address string) {
	proxies := []string{"SMTP:" + address}
	for _, proxy := range u.texts("proxyAddresses") {
		if _, old, _ := strings.Cut(proxy, ":"); !strings.EqualFold(old, address) {
			proxies = append(proxies, "smtp:"+old)
		}
	}
	u["mail"], u["proxyAddresses"] = address, proxies
}

// setIdentities derives identities from the name and the state. initialDomain is the tenant's onmicrosoft.com domain: it
// issues the principal name of every user, and before redemption that is all an external user has.
func (u User) setIdentities(initialDomain string) {
	var ids []map[string]any
	if u.text("externalUserState") == accepted {
		ids = append(ids, map[string]any{signInType: "federated", issuer: "ExternalAzureAD", issuerAssignedID: nil})
	}
	u["identities"] = append(ids, map[string]any{
		signInType: "userPrincipalName", issuer: initialDomain, issuerAssignedID: u.text("userPrincipalName"),
	})
}

// apply sets decoded values and what follows from them, and reports whether anything is different now.
func (u User) apply(values map[string]any, properties map[string]*Property, initialDomain string) bool {
	before := u.Clone()
	for name, v := range values {
		switch p := properties[name]; {
		case p.Access == WriteOnly:
		case name == "mail":
			if address := v.(string); address != u["mail"] {
				u.setMail(address)
			}
		case isEmpty(v):
			delete(u, name)
		default:
			u[name] = p.merge(u[name], v)
		}
	}
	u.setIdentities(initialDomain)
	return !reflect.DeepEqual(before, u)
}

func isEmpty(v any) bool {
	texts, ok := v.([]string)
	return v == nil || ok && len(texts) == 0
}
