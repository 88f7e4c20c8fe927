package directory

import "github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"

// rules are the operators that properties take in $filter, see filter.Rules. Source: the table "filter by properties of directory
// objects" of the reference of advanced queries (2023 and 2024). What only the references of the resources list is advanced
// here, so that a client that gets along with the simulator gets along with Graph. Properties that are not listed cannot be
// filtered by. createdDateTime of a group is the reference's own example of one that cannot.
var rules = map[*Schema]map[string]filter.Rules{
	Users: parseRules(map[string]string{
		"id":                              "eq",
		"accountEnabled":                  "eq | ge le",
		"ageGroup":                        "eq",
		"businessPhones":                  "any eq",
		"city":                            "eq ge startsWith | le null",
		"companyName":                     "| eq ge le startsWith null",
		"consentProvidedForMinor":         "eq",
		"country":                         "eq ge le startsWith | null",
		"createdDateTime":                 "eq ge le",
		"creationType":                    "eq | null",
		"deletedDateTime":                 "eq ge le",
		"department":                      "eq ge le startsWith | null",
		"displayName":                     "eq startsWith | ge le null",
		"employeeId":                      "eq startsWith | ge le null",
		"employeeLeaveDateTime":           "| eq ge le",
		"employeeType":                    "| eq ge le startsWith",
		"externalUserState":               "eq | null",
		"externalUserStateChangeDateTime": "| eq",
		"faxNumber":                       "| eq ge le startsWith null",
		"givenName":                       "eq ge le startsWith | null",
		"identities":                      "any eq",
		"imAddresses":                     "any eq ge le startsWith",
		"jobTitle":                        "eq ge le | startsWith null",
		"mail":                            "eq ge le startsWith | endsWith null",
		"mailNickname":                    "eq ge le startsWith | null",
		"mobilePhone":                     "| eq ge le startsWith null",
		"officeLocation":                  "| eq ge le startsWith null",
		extensionAttributes:               "| eq ge le startsWith null",
		"onPremisesImmutableId":           "| eq ge le",
		"onPremisesLastSyncDateTime":      "| eq ge le",
		"onPremisesSamAccountName":        "| eq ge le startsWith",
		"onPremisesSecurityIdentifier":    "eq | null",
		"onPremisesSyncEnabled":           "eq | ge le null",
		"onPremisesUserPrincipalName":     "eq ge le startsWith",
		"otherMails":                      "any eq ge le startsWith | endsWith count",
		"passwordPolicies":                "| eq null",
		"postalCode":                      "| eq ge le startsWith null",
		"preferredLanguage":               "| eq ge le startsWith null",
		"proxyAddresses":                  "any eq ge le startsWith | endsWith count",
		"showInAddressList":               "| eq ge le",
		"state":                           "eq ge le startsWith | null",
		"streetAddress":                   "| eq ge le startsWith null",
		"surname":                         "eq ge le startsWith | null",
		"usageLocation":                   "eq ge le startsWith | null",
		"userPrincipalName":               "eq le startsWith | ge endsWith",
		"userType":                        "eq | null",
	}),
	Groups: parseRules(map[string]string{
		"id":                            "eq",
		"classification":                "eq startsWith | ge le",
		"description":                   "| eq ge le startsWith",
		"displayName":                   "eq startsWith | ge le null",
		"groupTypes":                    "any eq",
		"isAssignableToRole":            "eq",
		"mail":                          "eq startsWith | ge le null",
		"mailEnabled":                   "eq",
		"mailNickname":                  "eq startsWith | ge le null",
		"membershipRule":                "eq startsWith | ge le",
		"membershipRuleProcessingState": "eq",
		"onPremisesLastSyncDateTime":    "| eq ge le",
		"onPremisesSecurityIdentifier":  "eq | null",
		"onPremisesSyncEnabled":         "eq | null",
		"preferredLanguage":             "| eq ge le startsWith null",
		"proxyAddresses":                "any eq startsWith | ge le endsWith count",
		"renewedDateTime":               "| eq ge le",
		"securityEnabled":               "eq",
	}),
	ServicePrincipals: parseRules(map[string]string{
		"id":                        "eq",
		"accountEnabled":            "eq",
		"appId":                     "eq",
		"appOwnerOrganizationId":    "| eq",
		"appRoleAssignmentRequired": "| eq",
		"displayName":               "eq startsWith | null",
		"servicePrincipalNames":     "any eq startsWith",
		"servicePrincipalType":      "eq",
		"tags":                      "any eq",
	}),
}

// extensionRules are those of a directory extension: the reference of extensibility promises eq, and shows nothing else.
var extensionRules = filter.NewRules("eq | startsWith null")

func parseRules(short map[string]string) map[string]filter.Rules {
	parsed := make(map[string]filter.Rules, len(short))
	for name, text := range short {
		parsed[name] = filter.NewRules(text)
	}
	return parsed
}

// orders are the properties that lists can be sorted by. Source: the table "sorting by properties of directory objects" of the same
// reference.
var orders = map[*Schema]map[string]filter.Level{
	Users: {
		"createdDateTime": filter.Advanced, "deletedDateTime": filter.Advanced,
		"displayName": filter.Always, "userPrincipalName": filter.Always,
	},
	Groups:            {"deletedDateTime": filter.Advanced, "displayName": filter.Always},
	ServicePrincipals: {"deletedDateTime": filter.Advanced, "displayName": filter.Advanced},
}
