package graph

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

// Reads are the attributes that are asked for, by their names in Graph: of source users, of their managers, and of external users.
type Reads struct {
	Source, Manager, External []string
	// ManagerLink: who the manager is, by object id, is read of source users and of external users.
	ManagerLink bool
}

// What is read beside the attributes. Graph returns an extension property only when it is selected.
var identity = []string{"id", "userPrincipalName", provisioning.AttrUserType, "creationType"}

// complete adds what every decision takes. None at all are those of the default rules.
func (r Reads) complete() Reads {
	if r.Source == nil && r.External == nil {
		r.Source, r.Manager, r.External = provisioning.DefaultRules().Reads()
	}
	r.Source = distinct(r.Source, []string{provisioning.AttrAccountEnabled})
	r.External = distinct(r.External, []string{provisioning.AttrAccountEnabled, provisioning.AttrUserType})
	return r
}

// fifteen are the attributes that Graph keeps in one property.
var fifteen = regexp.MustCompile(`^extensionAttribute\d+$`)

// selection is what $select names for attributes: the manager is expanded instead.
func selection(attributes ...[]string) []string {
	names := slices.Concat(attributes...)
	for i, name := range names {
		if fifteen.MatchString(name) {
			names[i] = mapping.ExtensionAttributes
		}
	}
	return distinct(slices.DeleteFunc(names, func(name string) bool { return name == manager }))
}

const manager = "manager"

// expansion is what $expand names so that the manager comes with a user: the id, and attributes.
func (r Reads) expansion(attributes []string) []string {
	if !r.ManagerLink && len(attributes) == 0 {
		return nil
	}
	return []string{manager + "($select=" + strings.Join(selection([]string{"id"}, attributes), ",") + ")"}
}

// managerOf is the id of the manager who came with a user. A contact can be one, too, who is no user and counts as nobody.
func managerOf(m models.Userable) string {
	if boss, is := m.GetManager().(models.Userable); is {
		return strings.ToLower(deref(boss.GetId()))
	}
	return ""
}

// collections cannot be cleared with null: an empty list clears them.
var collections = []string{"businessPhones", "otherMails"}

func distinct(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

func (g *Graph) userOf(m models.Userable) provisioning.User {
	u := provisioning.User{
		ID:            deref(m.GetId()),
		PrincipalName: deref(m.GetUserPrincipalName()),
		UserType:      deref(m.GetUserType()),
		Invited:       invited(m),
		Attributes:    attributes(m, g.reads.Source),
	}
	if boss, is := m.GetManager().(models.Userable); is && len(g.reads.Manager) > 0 {
		u.Attributes[manager] = mapping.Values(attributes(boss, g.reads.Manager))
	}
	if g.reads.ManagerLink {
		u.Manager = managerOf(m)
	}
	return u
}

func (g *Graph) externalOf(m models.Userable, deleted bool) provisioning.External {
	key, _ := plain(m.GetAdditionalData()[g.keyProperty]).(string)
	return provisioning.External{
		Manager:    managerOf(m), // nobody's, unless it was expanded
		ID:         deref(m.GetId()),
		UserType:   deref(m.GetUserType()),
		Invited:    invited(m),
		Deleted:    deleted,
		SourceKey:  key,
		Attributes: attributes(m, g.reads.External),
	}
}

// invited: the object came by invitation. creationType is missing on some old objects, whose principal name still tells.
func invited(m models.Userable) bool {
	return deref(m.GetCreationType()) == "Invitation" || strings.Contains(strings.ToUpper(deref(m.GetUserPrincipalName())), "#EXT#")
}

// attributes reads properties by their Graph names.
func attributes(m models.Userable, names []string) provisioning.Attributes {
	out := provisioning.Attributes{}
	for _, name := range names {
		if value := read(m, name); value != nil {
			out[name] = value
		}
	}
	return out
}

// read is one attribute. The SDK's model keeps each property under its name in its backing store, and one that it does not know, as
// a directory extension, among the additional data.
func read(m models.Userable, name string) any {
	if name == mapping.ExtensionAttributes || fifteen.MatchString(name) {
		values := extensionAttributes(m)
		if name != mapping.ExtensionAttributes {
			return values[name]
		}
		if len(values) == 0 {
			return nil
		}
		return values
	}
	value, err := m.GetBackingStore().Get(name)
	if err != nil { // only an empty name is an error
		return nil
	}
	if value == nil {
		value = m.GetAdditionalData()[name]
	}
	return plain(value)
}

func extensionAttributes(m models.Userable) map[string]any {
	values := map[string]any{}
	holder := m.GetOnPremisesExtensionAttributes()
	if holder == nil {
		return values
	}
	for name, value := range holder.GetBackingStore().Enumerate() {
		if text, is := plain(value).(string); is && fifteen.MatchString(name) {
			values[name] = text
		}
	}
	return values
}

// plain turns a value of the SDK into one of ours: string, bool, int64, []string, time.Time or nil.
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
	case *time.Time:
		if v != nil {
			return *v
		}
	case *float64:
		if v != nil {
			return int64(*v) // extensions of type Integer and LargeInteger
		}
	case *int64:
		if v != nil {
			return *v
		}
	case *int32:
		if v != nil {
			return int64(*v)
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
	extensions := map[string]any{}
	for name, value := range values {
		switch {
		case fifteen.MatchString(name):
			extensions[name] = value
			continue
		case value == nil && slices.Contains(collections, name):
			value = []string{}
		}
		data[name] = value
	}
	if len(extensions) > 0 { // Graph leaves those of the fifteen alone that are not sent
		data[mapping.ExtensionAttributes] = extensions
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
