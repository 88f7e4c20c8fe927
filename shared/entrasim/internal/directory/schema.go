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

// Index says what $filter may do with a property.
type Index int

const (
	NotIndexed Index = iota
	Indexed          // eq in any request
	Advanced         // eq with ConsistencyLevel: eventual and $count=true
)

// Property describes one property of the user resource.
type Property struct {
	Name      string
	Kind      Kind
	Access    Access
	Index     Index
	Max       int    // characters of a text or of each of several; 0 = not limited
	Default   bool   // in answers without $select
	Required  bool   // cannot be cleared
	Extension bool   // a directory extension, which answers leave out when it has no value
	Of        string // the resource; "" is User
	Fields    []string
	// Sensitive names the application permissions that, together, allow an update of it: the plain User.ReadUpdate.All does
	// not, User.ReadWrite.All does unless the property is Exclusive.
	Sensitive []string
	Exclusive bool
	// Valid refuses values that have the right kind and the wrong form.
	Valid func(string) bool
}

// properties are those of user in v1.0: what the simulator keeps, and the names of the others, which are refused in a way
// that tells them from names nobody knows. Names and kinds: Graph metadata; limits, permissions and
// access: the reference of user-update and of the user resource; indexes: the reference of advanced queries.
var properties = []Property{
	{Name: "id", Access: ReadOnly, Index: Indexed, Default: true},
	{Name: "accountEnabled", Kind: Flag, Index: Indexed, Required: true, Sensitive: []string{"User.EnableDisableAccount.All", "User.Read.All"}},
	{Name: "ageGroup", Max: 64},
	{Name: "businessPhones", Kind: Texts, Max: 64, Default: true, Sensitive: []string{"User-Phone.ReadWrite.All"}},
	{Name: "city", Index: Indexed, Max: 128},
	{Name: "companyName", Index: Advanced, Max: 64},
	{Name: "consentProvidedForMinor", Max: 64},
	{Name: "country", Index: Indexed, Max: 128},
	{Name: "createdDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "creationType", Access: ReadOnly, Index: Indexed},
	{Name: "deletedDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "department", Index: Indexed, Max: 64},
	{Name: "displayName", Index: Indexed, Max: 256, Default: true, Required: true},
	{Name: "employeeId", Index: Indexed, Max: 16},
	{Name: "employeeLeaveDateTime", Kind: Moment, Sensitive: []string{"User-LifeCycleInfo.ReadWrite.All", "User.Read.All"}, Exclusive: true},
	{Name: "employeeOrgData", Kind: Composite, Fields: []string{"costCenter", "division"}},
	{Name: "employeeType", Index: Advanced, Max: 256},
	{Name: "externalUserState", Access: ReadOnly, Index: Indexed},
	{Name: "externalUserStateChangeDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "faxNumber", Max: 64},
	{Name: "givenName", Index: Indexed, Max: 64, Default: true},
	{Name: "identities", Kind: Opaque, Access: Unmodelled, Index: Indexed, Sensitive: []string{"User.ManageIdentities.All"}, Exclusive: true},
	{Name: "imAddresses", Kind: Texts, Access: ReadOnly},
	{Name: "jobTitle", Index: Indexed, Max: 128, Default: true},
	{Name: "mail", Index: Indexed, Max: 256, Default: true, Required: true, Valid: isAddress},
	{Name: "mailNickname", Index: Indexed, Max: 64, Required: true, Valid: nickname.MatchString},
	{Name: "mobilePhone", Index: Advanced, Max: 64, Default: true, Sensitive: []string{"User-Phone.ReadWrite.All"}},
	{Name: "officeLocation", Max: 128, Default: true},
	{Name: "onPremisesDistinguishedName", Access: ReadOnly},
	{Name: "onPremisesDomainName", Access: ReadOnly},
	{Name: extensionAttributes, Kind: Composite, Fields: fifteen, Index: Advanced, Max: 1024},
	{Name: "onPremisesImmutableId", Access: ReadOnly, Index: Indexed},
	{Name: "onPremisesLastSyncDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "onPremisesSamAccountName", Access: ReadOnly},
	{Name: "onPremisesSecurityIdentifier", Access: ReadOnly},
	{Name: "onPremisesSyncEnabled", Kind: Flag, Access: ReadOnly},
	{Name: "onPremisesUserPrincipalName", Access: ReadOnly},
	{Name: "otherMails", Kind: Texts, Index: Indexed, Max: 250, Sensitive: []string{"User-Mail.ReadWrite.All"}, Valid: isAddress},
	{Name: "passwordPolicies", Max: 256},
	{Name: passwordProfile, Kind: Composite, Access: WriteOnly, Sensitive: []string{"User-PasswordProfile.ReadWrite.All"}, Exclusive: true},
	{Name: "postalCode", Index: Indexed, Max: 40},
	{Name: "preferredLanguage", Index: Indexed, Max: 64, Default: true},
	{Name: "proxyAddresses", Kind: Texts, Access: ReadOnly, Index: Indexed},
	{Name: "showInAddressList", Kind: Flag, Index: Advanced},
	{Name: "state", Index: Indexed, Max: 128},
	{Name: "streetAddress", Index: Indexed, Max: 1024},
	{Name: "surname", Index: Indexed, Max: 64, Default: true},
	{Name: "usageLocation", Index: Indexed, Required: true, Valid: countryCode.MatchString},
	{Name: "userPrincipalName", Index: Indexed, Max: 113, Default: true, Required: true, Valid: principalName.MatchString},
	{Name: "userType", Index: Indexed, Required: true, Valid: isUserType},

	{Name: "aboutMe", Access: Delegated},
	{Name: "birthday", Access: Delegated},
	{Name: "employeeHireDate", Access: Delegated},
	{Name: "interests", Access: Delegated},
	{Name: "mySite", Access: Delegated},
	{Name: "pastProjects", Access: Delegated},
	{Name: "responsibilities", Access: Delegated},
	{Name: "schools", Access: Delegated},
	{Name: "skills", Access: Delegated},

	{Name: "assignedLicenses", Access: Absent},
	{Name: "assignedPlans", Access: Absent},
	{Name: "authorizationInfo", Access: Absent},
	{Name: "customSecurityAttributes", Access: Absent},
	{Name: "hireDate", Access: Absent},
	{Name: "isManagementRestricted", Access: Absent},
	{Name: "isResourceAccount", Access: Absent},
	{Name: "lastPasswordChangeDateTime", Access: Absent},
	{Name: "legalAgeGroupClassification", Access: Absent},
	{Name: "licenseAssignmentStates", Access: Absent},
	{Name: "mailboxSettings", Access: Absent},
	{Name: "manager", Access: Absent},
	{Name: "manager@odata.bind", Access: Absent},
	{Name: "onPremisesProvisioningErrors", Access: Absent},
	{Name: "preferredDataLocation", Access: Absent},
	{Name: "preferredName", Access: Absent},
	{Name: "provisionedPlans", Access: Absent},
	{Name: "securityIdentifier", Access: Absent},
	{Name: "serviceProvisioningErrors", Access: Absent},
	{Name: "signInActivity", Access: Absent},
	{Name: "signInSessionsValidFromDateTime", Access: Absent},
}

// Properties whose shape has rules of its own.
const (
	extensionAttributes = "onPremisesExtensionAttributes"
	passwordProfile     = "passwordProfile"
)

var fifteen = []string{
	"extensionAttribute1", "extensionAttribute2", "extensionAttribute3", "extensionAttribute4", "extensionAttribute5",
	"extensionAttribute6", "extensionAttribute7", "extensionAttribute8", "extensionAttribute9", "extensionAttribute10",
	"extensionAttribute11", "extensionAttribute12", "extensionAttribute13", "extensionAttribute14", "extensionAttribute15",
}

var (
	byName       = map[string]*Property{} // exact, as in request bodies
	byFoldedName = map[string]*Property{} // as in query options
	defaults     []string
)

func init() {
	for i := range properties {
		p := &properties[i]
		byName[p.Name], byFoldedName[strings.ToLower(p.Name)] = p, p
		if p.Default {
			defaults = append(defaults, p.Name)
		}
	}
}

// Readable reports whether the simulator keeps a value that an answer can show.
func (p *Property) Readable() bool { return p.Access != Delegated && p.Access != Absent }

// Empty is what an answer shows of a property nobody has set.
func (p *Property) Empty() any {
	switch {
	case p.Kind == Texts:
		return []string{}
	case p.Name == extensionAttributes:
		return compositeOf(p, nil)
	default:
		return nil
	}
}

// DefaultProperties are the eleven that Graph returns without $select.
func DefaultProperties() []string { return defaults }

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
