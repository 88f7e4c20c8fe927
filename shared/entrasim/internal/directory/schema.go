package directory

import (
	"regexp"
	"strings"
)

// Kind is the type of a property's value, in JSON and in a User.
type Kind int

const (
	Text      Kind = iota // string
	Flag                  // bool
	Moment                // string, RFC 3339 in UTC
	Texts                 // []string
	Composite             // map[string]any with the text fields of Property.Fields
	Opaque                // a value only the directory itself writes
	Integer               // int64
	Binary                // string, base64
)

// Access says who may write a property.
type Access int

const (
	ReadWrite  Access = iota
	WriteOnly         // accepted and never shown
	ReadOnly          // written by the directory itself
	Delegated         // written on behalf of a signed-in user only, never by an application
	Unmodelled        // Graph lets it be written, the simulator does not
	Absent            // a property of Graph's that the simulator neither keeps nor shows
)

// Property describes one property of a resource.
type Property struct {
	Name      string
	Kind      Kind
	Access    Access
	Max       int  // characters of a text or of each of several; 0 = not limited
	Default   bool // in answers without $select
	Required  bool // cannot be cleared
	Extension bool // a directory extension, which answers leave out when it has no value
	Fields    []string

	// Sensitive names the application permissions that, together, allow an update of it: the plain User.ReadUpdate.All does
	// not, User.ReadWrite.All does unless the property is Exclusive.
	Sensitive []string
	Exclusive bool
	// Admins says that an application may not write it of administrators, whatever its permissions.
	Admins bool
	// Valid refuses values that have the right kind and the wrong form.
	Valid func(string) bool

	of string // the resource, as messages name it
}

// Schema is a resource type: its name and its properties.
type Schema struct {
	Name string // as in microsoft.graph.user
	Set  string // the collection it lives in, as in users

	byName   map[string]*Property // exact, as in request bodies
	byFolded map[string]*Property // as in query options
	defaults []*Property
}

func newSchema(name, set string, properties []Property) *Schema {
	s := &Schema{Name: name, Set: set, byName: map[string]*Property{}, byFolded: map[string]*Property{}}
	for i := range properties {
		p := &properties[i]
		p.of = s.title()
		s.byName[p.Name], s.byFolded[strings.ToLower(p.Name)] = p, p
		if p.Default {
			s.defaults = append(s.defaults, p)
		}
	}
	return s
}

// title is the name as messages write it: User.
func (s *Schema) title() string { return strings.ToUpper(s.Name[:1]) + s.Name[1:] }

// Defaults are the properties that Graph returns without $select.
func (s *Schema) Defaults() []*Property { return s.defaults }

// Permissions are those that single properties take to be written.
func (s *Schema) Permissions() (permissions []string) {
	for _, p := range s.byName {
		permissions = append(permissions, p.Sensitive...)
	}
	return permissions
}

// Readable reports whether the simulator keeps a value that an answer can show.
func (p *Property) Readable() bool { return p.Access != Delegated && p.Access != Absent }

// Empty is what an answer shows of a property nobody has set.
func (p *Property) Empty() any {
	switch {
	case p.Kind == Texts:
		return []string{}
	case p.Name == extensionAttributes:
		return p.composite(nil)
	default:
		return nil
	}
}

var (
	address       = regexp.MustCompile(`^[^@\s]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
	principalName = regexp.MustCompile(`^[A-Za-z0-9'._!#^~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
	nickname      = regexp.MustCompile(`^[^@()\\\[\]";:<>, ]+$`)
	countryCode   = regexp.MustCompile(`^[A-Za-z]{2}$`)
)

func isAddress(s string) bool  { return address.MatchString(s) }
func isUserType(s string) bool { return s == "Member" || s == "Guest" }

func domainOf(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return strings.ToLower(domain)
}

// fold makes ids and names comparable, which mean the same in any case.
func fold(s string) string { return strings.ToLower(s) }
