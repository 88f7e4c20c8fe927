package graph

import (
	"slices"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// What is read beside the attributes. Graph returns an extension property only when it is selected.
var (
	identity       = []string{"id", "userPrincipalName", provisioning.AttrUserType, "creationType"}
	sourceReads    = append([]string{provisioning.AttrAccountEnabled}, provisioning.Copied...)
	targetReads    = append([]string{provisioning.AttrUserType, provisioning.AttrShowInAddressList}, sourceReads...)
	selectedSource = distinct(identity, sourceReads)
	selectedTarget = distinct(identity, targetReads)
)

// collections cannot be cleared with null: an empty list clears them.
var collections = []string{"businessPhones", "otherMails"}

func distinct(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

func userOf(m models.Userable) provisioning.User {
	return provisioning.User{
		ID:            deref(m.GetId()),
		PrincipalName: deref(m.GetUserPrincipalName()),
		UserType:      deref(m.GetUserType()),
		Invited:       invited(m),
		Attributes:    attributes(m, sourceReads),
	}
}

func externalOf(m models.Userable, keyProperty string, deleted bool) provisioning.External {
	key, _ := plain(m.GetAdditionalData()[keyProperty]).(string)
	return provisioning.External{
		ID:         deref(m.GetId()),
		UserType:   deref(m.GetUserType()),
		Invited:    invited(m),
		Deleted:    deleted,
		SourceKey:  key,
		Attributes: attributes(m, targetReads),
	}
}

// invited: the object came by invitation. creationType is missing on some old objects, whose principal name still tells.
func invited(m models.Userable) bool {
	return deref(m.GetCreationType()) == "Invitation" || strings.Contains(strings.ToUpper(deref(m.GetUserPrincipalName())), "#EXT#")
}

// attributes reads properties by their Graph names. The SDK's model keeps each under that name in its backing store.
func attributes(m models.Userable, names []string) provisioning.Attributes {
	out := provisioning.Attributes{}
	for _, name := range names {
		value, err := m.GetBackingStore().Get(name)
		if err != nil {
			continue // only an empty name is an error
		}
		if value = plain(value); value != nil {
			out[name] = value
		}
	}
	return out
}

// plain turns a value of the SDK into one of ours: string, bool, []string or nil.
func plain(value any) any {
	switch v := value.(type) {
	case *string:
		if v != nil {
			return *v
		}
	case *bool:
		if v != nil {
			return *v
		}
	case []string:
		return v
	}
	return nil
}

// patch is the body that writes attributes; nil clears. They travel as additional data, for the SDK's typed
// setters cannot say null.
func patch(values provisioning.Attributes) models.Userable {
	data := make(map[string]any, len(values))
	for name, value := range values {
		if value == nil && slices.Contains(collections, name) {
			value = []string{}
		}
		data[name] = value
	}
	m := models.NewUser()
	m.SetAdditionalData(data)
	return m
}

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func ptr[T any](value T) *T { return &value }
