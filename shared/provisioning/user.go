// Package provisioning decides what one user needs on one route, and carries it out.
//
// Plan is the pure decision; Reconciler looks at both tenants, plans, applies and keeps the journal.
// A message only says whom to look at: what happens follows from today's truth, so that doing it twice, late or
// out of order ends the same.
package provisioning

import (
	"maps"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/mapping"
)

// Attributes are directory values by Graph property name: string, bool, int64, []string, and time.Time where it can only be read. A
// missing key and nil both mean "no value". Two keys of a source user hold more, see mapping.Values.
type Attributes map[string]any

// Graph property names with a rule of their own here.
const (
	AttrAccountEnabled    = "accountEnabled"
	AttrDisplayName       = "displayName"
	AttrMail              = "mail"
	AttrUsageLocation     = "usageLocation"
	AttrUserType          = "userType"
	AttrShowInAddressList = "showInAddressList"
)

// Copied are the attributes an external user takes over from its source user, by Graph property name. All of them
// can be written by an application (Graph: Update user).
var Copied = []string{
	AttrDisplayName, "givenName", "surname", AttrMail, "jobTitle", "department", "companyName", "employeeId", "employeeType",
	AttrUsageLocation, "officeLocation", "streetAddress", "city", "state", "postalCode", "country",
	"mobilePhone", "businessPhones", "preferredLanguage",
}

// User types of Entra.
const (
	Member = "Member"
	Guest  = "Guest"
)

// User is a source user as Graph tells it now.
type User struct {
	ID string
	// PrincipalName is the userPrincipalName.
	PrincipalName string
	// UserType is Member, Guest or empty (old objects: a member).
	UserType string
	// Invited: the user is itself somebody's external user (creationType Invitation, or #EXT# in its name).
	Invited    bool
	Attributes Attributes
	// Groups are those of the scope's groups that the user is in, directly or through other groups.
	Groups []string
	// Manager is the manager's object id in the source; "" for none. It is read only where a rule needs it.
	Manager string
}

// Enabled reports whether the user may sign in. Graph leaves the value out only when it was not asked for.
func (u User) Enabled() bool { return u.Attributes[AttrAccountEnabled] != false }

// Address is what the user is invited and matched by: mail, or the principal name where there is no mail.
func (u User) Address() string {
	if mail, _ := u.Attributes[AttrMail].(string); mail != "" {
		return mail
	}
	return u.PrincipalName
}

// External is a user object of the target tenant that may be the person's external user.
type External struct {
	ID       string
	UserType string
	// Invited: it came by invitation. A user of the target's own is never touched.
	Invited bool
	// Deleted: it is soft-deleted and can be restored.
	Deleted bool
	// SourceKey is the link key it carries; empty when it carries none.
	SourceKey  string
	Attributes Attributes
	// Manager is the manager's object id in the target; "" for none. It is read only where a rule needs it, and not of a deleted user.
	Manager string
}

// Enabled reports whether the external user may sign in.
func (e External) Enabled() bool { return e.Attributes[AttrAccountEnabled] != false }

// SourceKey is the link key of a source user: it travels with the external user, so that links can be rebuilt from the target.
func SourceKey(sourceTenantID, userID string) string {
	return strings.ToLower(sourceTenantID + "/" + userID)
}

// equal compares two values as the directory does: no value, an empty string and an empty list are the same.
func equal(a, b any) bool {
	a, b = normal(a), normal(b)
	if as, ok := a.([]string); ok {
		bs, ok := b.([]string)
		return ok && slices.Equal(as, bs)
	}
	if _, ok := b.([]string); ok {
		return false
	}
	return a == b
}

func normal(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
	case []string:
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// diff lists what must be written so that have becomes want: the wanted value, or nil to clear. Only keys of want count.
func diff(want, have Attributes) Attributes {
	out := Attributes{}
	for name, value := range want {
		if equal(value, have[name]) {
			continue
		}
		if a, _ := mapping.AttributeOf(name); normal(value) == nil && !a.Clearable {
			continue // a value, once given, stays until another replaces it
		}
		out[name] = normal(value)
	}
	return out
}

// Names lists the attribute names in order.
func (a Attributes) Names() []string { return slices.Sorted(maps.Keys(a)) }
