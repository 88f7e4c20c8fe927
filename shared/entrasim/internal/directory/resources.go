package directory

import "slices"

// Users is the schema of user in v1.0: what the simulator keeps, and the names of the others, which are refused in a way
// that tells them from names nobody knows. Names and kinds: Graph metadata; limits, permissions and
// access: the reference of user-update and of the user resource; indexes: the reference of advanced queries.
var Users = newSchema("user", "users", []Property{
	{Name: "id", Access: ReadOnly, Default: true},
	{Name: "accountEnabled", Kind: Flag, Required: true, Sensitive: []string{"User.EnableDisableAccount.All", "User.Read.All"}, Admins: true},
	{Name: "ageGroup", Max: 64},
	{Name: "businessPhones", Kind: Texts, Max: 64, Default: true, Sensitive: []string{"User-Phone.ReadWrite.All"}, Admins: true},
	{Name: "city", Max: 128},
	{Name: "companyName", Max: 64},
	{Name: "consentProvidedForMinor", Max: 64},
	{Name: "country", Max: 128},
	{Name: "createdDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "creationType", Access: ReadOnly},
	{Name: "deletedDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "department", Max: 64},
	{Name: "displayName", Max: 256, Default: true, Required: true},
	{Name: "employeeId", Max: 16},
	{Name: "employeeLeaveDateTime", Kind: Moment, Sensitive: []string{"User-LifeCycleInfo.ReadWrite.All", "User.Read.All"}, Exclusive: true},
	{Name: "employeeOrgData", Kind: Composite, Fields: []string{"costCenter", "division"}},
	{Name: "employeeType", Max: 256},
	{Name: "externalUserState", Access: ReadOnly},
	{Name: "externalUserStateChangeDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "faxNumber", Max: 64},
	{Name: "givenName", Max: 64, Default: true},
	{Name: "identities", Kind: Opaque, Access: Unmodelled, Sensitive: []string{"User.ManageIdentities.All"}, Exclusive: true},
	{Name: "imAddresses", Kind: Texts, Access: ReadOnly},
	{Name: "jobTitle", Max: 128, Default: true},
	{Name: "mail", Max: 256, Default: true, Required: true, Valid: isAddress},
	{Name: "mailNickname", Max: 64, Required: true, Valid: nickname.MatchString},
	{Name: "mobilePhone", Max: 64, Default: true, Sensitive: []string{"User-Phone.ReadWrite.All"}, Admins: true},
	{Name: "officeLocation", Max: 128, Default: true},
	{Name: "onPremisesDistinguishedName", Access: ReadOnly},
	{Name: "onPremisesDomainName", Access: ReadOnly},
	{Name: extensionAttributes, Kind: Composite, Fields: fifteen, Max: 1024},
	{Name: "onPremisesImmutableId", Access: ReadOnly},
	{Name: "onPremisesLastSyncDateTime", Kind: Moment, Access: ReadOnly},
	{Name: "onPremisesSamAccountName", Access: ReadOnly},
	{Name: "onPremisesSecurityIdentifier", Access: ReadOnly},
	{Name: "onPremisesSyncEnabled", Kind: Flag, Access: ReadOnly},
	{Name: "onPremisesUserPrincipalName", Access: ReadOnly},
	{Name: "otherMails", Kind: Texts, Max: 250, Sensitive: []string{"User-Mail.ReadWrite.All"}, Valid: isAddress, Admins: true},
	{Name: "passwordPolicies", Max: 256},
	{Name: passwordProfile, Kind: Composite, Access: WriteOnly, Sensitive: []string{"User-PasswordProfile.ReadWrite.All"}, Exclusive: true},
	{Name: "postalCode", Max: 40},
	{Name: "preferredLanguage", Max: 64, Default: true},
	{Name: "proxyAddresses", Kind: Texts, Access: ReadOnly},
	{Name: "showInAddressList", Kind: Flag},
	{Name: sessionsFrom, Kind: Moment, Access: ReadOnly},
	{Name: "state", Max: 128},
	{Name: "streetAddress", Max: 1024},
	{Name: "surname", Max: 64, Default: true},
	{Name: "usageLocation", Required: true, Valid: countryCode.MatchString},
	{Name: "userPrincipalName", Max: 113, Default: true, Required: true, Valid: principalName.MatchString},
	{Name: "userType", Required: true, Valid: isUserType},

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
})

// Properties whose shape has rules of its own.
const (
	extensionAttributes = "onPremisesExtensionAttributes"
	passwordProfile     = "passwordProfile"
	sessionsFrom        = "signInSessionsValidFromDateTime"
)

var fifteen = []string{
	"extensionAttribute1", "extensionAttribute2", "extensionAttribute3", "extensionAttribute4", "extensionAttribute5",
	"extensionAttribute6", "extensionAttribute7", "extensionAttribute8", "extensionAttribute9", "extensionAttribute10",
	"extensionAttribute11", "extensionAttribute12", "extensionAttribute13", "extensionAttribute14", "extensionAttribute15",
}

// Groups is the schema of group in v1.0. Names and kinds: Graph metadata; limits and access: the references of the group resource
// and of group-update. Defaults are those of the answer in the reference of group-get, as far as they are kept.
var Groups = newSchema("group", "groups", []Property{
	{Name: "id", Access: ReadOnly, Default: true},
	{Name: "classification", Default: true},
	{Name: "createdDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "deletedDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "description", Max: 1024, Default: true},
	{Name: "displayName", Max: 256, Required: true, Default: true},
	{Name: "groupTypes", Kind: Texts, Default: true, Valid: isGroupType},
	{Name: "isAssignableToRole", Kind: Flag, Default: true},
	{Name: "mail", Access: ReadOnly, Default: true},
	{Name: "mailEnabled", Kind: Flag, Required: true, Default: true},
	{Name: "mailNickname", Max: 64, Required: true, Default: true, Valid: nickname.MatchString},
	{Name: "membershipRule", Max: 3072, Default: true},
	{Name: "membershipRuleProcessingState", Default: true, Valid: isRuleState},
	{Name: "onPremisesLastSyncDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "onPremisesSecurityIdentifier", Access: ReadOnly, Default: true},
	{Name: "onPremisesSyncEnabled", Kind: Flag, Access: ReadOnly, Default: true},
	{Name: "preferredLanguage", Max: 64, Default: true},
	{Name: "proxyAddresses", Kind: Texts, Access: ReadOnly, Default: true},
	{Name: "renewedDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "securityEnabled", Kind: Flag, Required: true, Default: true},
	{Name: "theme", Default: true, Valid: isTheme},
	{Name: "visibility", Default: true, Valid: isVisibility},

	{Name: "accessType", Access: Absent},
	{Name: "allowExternalSenders", Access: Absent},
	{Name: "assignedLabels", Access: Absent},
	{Name: "assignedLicenses", Access: Absent},
	{Name: "autoSubscribeNewMembers", Access: Absent},
	{Name: "expirationDateTime", Access: Absent},
	{Name: "hasMembersWithLicenseErrors", Access: Absent},
	{Name: "hideFromAddressLists", Access: Absent},
	{Name: "hideFromOutlookClients", Access: Absent},
	{Name: "infoCatalogs", Access: Absent},
	{Name: "isArchived", Access: Absent},
	{Name: "isFavorite", Access: Absent},
	{Name: "isManagementRestricted", Access: Absent},
	{Name: "isSubscribedByMail", Access: Absent},
	{Name: "licenseProcessingState", Access: Absent},
	{Name: "onPremisesDomainName", Access: Absent},
	{Name: "onPremisesExtensionAttributes", Access: Absent},
	{Name: "onPremisesNetBiosName", Access: Absent},
	{Name: "onPremisesProvisioningErrors", Access: Absent},
	{Name: "onPremisesSamAccountName", Access: Absent},
	{Name: "organizationId", Access: Absent},
	{Name: "owners@odata.bind", Access: Absent},
	{Name: "preferredDataLocation", Access: Absent},
	{Name: "resourceBehaviorOptions", Access: Absent},
	{Name: "resourceProvisioningOptions", Access: Absent},
	{Name: "securityIdentifier", Access: Absent},
	{Name: "serviceProvisioningErrors", Access: Absent},
	{Name: "uniqueName", Access: Absent},
	{Name: "unseenConversationsCount", Access: Absent},
	{Name: "unseenCount", Access: Absent},
	{Name: "unseenMessagesCount", Access: Absent},
	{Name: "welcomeMessageEnabled", Access: Absent},
})

// ServicePrincipals is the schema of servicePrincipal in v1.0, which nobody writes through Graph here. Names and kinds: Graph
// metadata.
var ServicePrincipals = newSchema("servicePrincipal", "servicePrincipals", []Property{
	{Name: "id", Access: ReadOnly, Default: true},
	{Name: "accountEnabled", Kind: Flag, Access: ReadOnly, Default: true},
	{Name: "appDisplayName", Access: ReadOnly, Default: true},
	{Name: "appId", Access: ReadOnly, Default: true},
	{Name: "appOwnerOrganizationId", Access: ReadOnly, Default: true},
	{Name: "appRoleAssignmentRequired", Kind: Flag, Access: ReadOnly, Default: true},
	{Name: appRoles, Kind: Opaque, Access: ReadOnly, Default: true},
	{Name: "deletedDateTime", Kind: Moment, Access: ReadOnly, Default: true},
	{Name: "displayName", Access: ReadOnly, Default: true},
	{Name: "servicePrincipalNames", Kind: Texts, Access: ReadOnly, Default: true},
	{Name: "servicePrincipalType", Access: ReadOnly, Default: true},
	{Name: "tags", Kind: Texts, Access: ReadOnly, Default: true},
})

func isGroupType(s string) bool  { return s == unified || s == dynamicMembership }
func isRuleState(s string) bool  { return s == "On" || s == "Paused" }
func isVisibility(s string) bool { return s == "Public" || s == "Private" || s == "HiddenMembership" }

func isTheme(s string) bool {
	return slices.Contains([]string{"Teal", "Purple", "Green", "Blue", "Pink", "Orange", "Red"}, s)
}
