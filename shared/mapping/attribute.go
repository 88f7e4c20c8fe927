package mapping

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind is the type of an attribute's values, and of what an expression gives.
type Kind string

// The kinds. A Moment can be read and not written: every date of a user that an application may write has rules of its own.
const (
	Text   Kind = "string"       // string
	Flag   Kind = "bool"         // bool
	Texts  Kind = "list(string)" // []string
	Moment Kind = "timestamp"    // time.Time
	Any    Kind = "any"          // string, bool, int64 or []string: directory extensions, whose type the directory knows
)

// Attribute is a property of a user in Microsoft Graph v1.0.
type Attribute struct {
	Name string
	Kind Kind
	// Max is how many characters a value, or each value of a list, may have; 0: no limit is documented.
	Max int
	// Writable: an application may set it on an external user. Clearable: it may also take the value away.
	Writable, Clearable bool
	valid               *regexp.Regexp
	rule                string // what valid asks for, in words
}

// ExtensionAttributes is the property that holds extensionAttribute1 to extensionAttribute15.
const ExtensionAttributes = "onPremisesExtensionAttributes"

// maxExtension is how many characters a directory extension, or one of the fifteen extension attributes, may have. Sources: the
// extensibility overview of Microsoft Graph, and the reference of onPremisesExtensionAttributes.
const (
	maxExtension          = 256
	maxExtensionAttribute = 1024
)

// attributes are those that tenantsync reads and writes. Kinds, limits and permissions: the references of the user resource and of
// "Update user" in Microsoft Graph v1.0. What is not writable there for an application is not writable here.
var attributes = index([]Attribute{
	{Name: "accountEnabled", Kind: Flag},
	{Name: "businessPhones", Kind: Texts, Max: 64, Writable: true, Clearable: true},
	{Name: "city", Kind: Text, Max: 128, Writable: true, Clearable: true},
	{Name: "companyName", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "country", Kind: Text, Max: 128, Writable: true, Clearable: true},
	{Name: "createdDateTime", Kind: Moment},
	{Name: "creationType", Kind: Text},
	{Name: "department", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "displayName", Kind: Text, Max: 256, Writable: true},
	{Name: "employeeHireDate", Kind: Moment},
	{Name: "employeeId", Kind: Text, Max: 16, Writable: true, Clearable: true},
	{Name: "employeeLeaveDateTime", Kind: Moment},
	{Name: "employeeType", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "externalUserState", Kind: Text},
	{Name: "faxNumber", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "givenName", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "id", Kind: Text},
	{Name: "jobTitle", Kind: Text, Max: 128, Writable: true, Clearable: true},
	{Name: "mail", Kind: Text, Max: 256, Writable: true, valid: regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`), rule: "a mail address"},
	{Name: "mailNickname", Kind: Text, Max: 64, Writable: true, valid: regexp.MustCompile(`^[!-~]+$`), rule: "ASCII letters, digits and signs without spaces"},
	{Name: "mobilePhone", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "officeLocation", Kind: Text, Max: 128, Writable: true, Clearable: true},
	{Name: "onPremisesDistinguishedName", Kind: Text},
	{Name: "onPremisesDomainName", Kind: Text},
	{Name: "onPremisesImmutableId", Kind: Text},
	{Name: "onPremisesSamAccountName", Kind: Text},
	{Name: "onPremisesSyncEnabled", Kind: Flag},
	{Name: "onPremisesUserPrincipalName", Kind: Text},
	{Name: "otherMails", Kind: Texts, Max: 250, Writable: true, Clearable: true},
	{Name: "postalCode", Kind: Text, Max: 40, Writable: true, Clearable: true},
	{Name: "preferredLanguage", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "proxyAddresses", Kind: Texts},
	{Name: "showInAddressList", Kind: Flag, Writable: true},
	{Name: "state", Kind: Text, Max: 128, Writable: true, Clearable: true},
	{Name: "streetAddress", Kind: Text, Max: 1024, Writable: true, Clearable: true},
	{Name: "surname", Kind: Text, Max: 64, Writable: true, Clearable: true},
	{Name: "usageLocation", Kind: Text, Writable: true, valid: regexp.MustCompile(`^[A-Za-z]{2}$`), rule: "a country code of two letters (ISO 3166)"},
	{Name: "userPrincipalName", Kind: Text},
	{Name: "userType", Kind: Text, Writable: true, valid: regexp.MustCompile(`^(Member|Guest)$`), rule: "Member or Guest"},
})

func index(list []Attribute) map[string]Attribute {
	m := make(map[string]Attribute, len(list))
	for _, a := range list {
		m[a.Name] = a
	}
	return m
}

var (
	extensionName = regexp.MustCompile(`^extension_[0-9a-fA-F]{32}_\w{1,120}$`)
	fifteenName   = regexp.MustCompile(`^extensionAttribute([1-9]|1[0-5])$`)
)

// AttributeOf finds an attribute by its exact name in Graph. Directory extensions are known by the form of their name
// (extension_{application id without hyphens}_{name}), and extensionAttribute1 to extensionAttribute15 by theirs.
func AttributeOf(name string) (Attribute, bool) {
	switch {
	case extensionName.MatchString(name):
		return Attribute{Name: name, Kind: Any, Max: maxExtension, Writable: true, Clearable: true}, true
	case fifteenName.MatchString(name):
		return Attribute{Name: name, Kind: Text, Max: maxExtensionAttribute, Writable: true, Clearable: true}, true
	}
	a, ok := attributes[name]
	return a, ok
}

// Check tells why a value cannot be written to the attribute; nil if it can. A value is as Kind says, or nil to clear.
func (a Attribute) Check(value any) error {
	if Empty(value) {
		if !a.Clearable {
			return fmt.Errorf("%s cannot be cleared: Microsoft Graph takes no empty value for it", a.Name)
		}
		return nil
	}
	switch v := value.(type) {
	case string:
		if a.Kind == Text || a.Kind == Any {
			return a.checkText(v)
		}
	case bool:
		if a.Kind == Flag || a.Kind == Any {
			return nil
		}
	case int64:
		if a.Kind == Any {
			return nil
		}
	case []string:
		if a.Kind == Texts || a.Kind == Any {
			return a.checkTexts(v)
		}
	}
	return fmt.Errorf("%s takes a %s, not a %T", a.Name, a.Kind, value)
}

func (a Attribute) checkText(v string) error {
	if !utf8.ValidString(v) {
		return fmt.Errorf("%s has a value that is no text", a.Name)
	}
	if n := utf8.RuneCountInString(v); a.Max > 0 && n > a.Max {
		return fmt.Errorf("%s has %d characters and may have %d; shorten it in the source, or let the mapping do so with truncate: true", a.Name, n, a.Max)
	}
	if a.valid != nil && !a.valid.MatchString(v) {
		return fmt.Errorf("%s has a value that Microsoft Graph refuses; it takes %s", a.Name, a.rule)
	}
	return nil
}

func (a Attribute) checkTexts(list []string) error {
	if a.Name == "businessPhones" && len(list) > 1 {
		return fmt.Errorf("businessPhones has %d numbers and may have one", len(list))
	}
	for _, v := range list {
		if err := a.checkText(v); err != nil {
			return err
		}
	}
	return nil
}

// Truncate shortens a text that is too long to what the attribute takes. Everything else stays as it is.
func (a Attribute) Truncate(value any) any {
	switch v := value.(type) {
	case string:
		return truncate(v, a.Max)
	case []string:
		short := make([]string, len(v))
		for i := range v {
			short[i] = truncate(v[i], a.Max)
		}
		return short
	}
	return value
}

// truncate leaves at most the first n characters of a text, and no space at its new end; 0 is no limit.
func truncate(s string, n int) string {
	if n == 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:n]), " ")
}

// Empty tells whether a value is none: the directory does not tell an empty text or list from one that is not there.
func Empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	}
	return false
}

// Names lists the attributes that have a name of their own, in order.
func Names() []string {
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
