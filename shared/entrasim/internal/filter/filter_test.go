package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/filter"
)

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"one comparison":                   {"mail eq 'a@b.com'", "mail eq 'a@b.com'"},
		"keywords in any case":             {"mail EQ 'a' AND accountEnabled Eq TRUE", "mail eq 'a' and accountEnabled eq true"},
		"null":                             {"mail eq null", "mail eq null"},
		"a doubled quote is one":           {"surname eq 'O''Neil'", "surname eq 'O''Neil'"},
		"an empty string":                  {"surname eq ''", "surname eq ''"},
		"words inside a string stay there": {"displayName eq 'a or (b)'", "displayName eq 'a or (b)'"},
		"any over strings":                 {"proxyAddresses/any(p:p eq 'SMTP:a@b')", "proxyAddresses/any(p:p eq 'SMTP:a@b')"},
		"any over objects": {
			"identities/any(c:c/issuerAssignedId eq 'x' and c/issuer eq 'y')",
			"identities/any(c:c/issuerAssignedId eq 'x' and c/issuer eq 'y')",
		},
		"a path":                      {"onPremisesExtensionAttributes/extensionAttribute1 eq 'x'", "onPremisesExtensionAttributes/extensionAttribute1 eq 'x'"},
		"and binds tighter than or":   {"a eq '1' or b eq '2' and c eq '3'", "a eq '1' or b eq '2' and c eq '3'"},
		"parentheses change that":     {"(a eq '1' or b eq '2') and c eq '3'", "(a eq '1' or b eq '2') and c eq '3'"},
		"needless parentheses vanish": {"((a eq '1'))", "a eq '1'"},
		"ne is not eq":                {"mail ne null", "not (mail eq null)"},
		"in is a row of eq":           {"city in ('a', 'b','c')", "city eq 'a' or city eq 'b' or city eq 'c'"},
		"in under and":                {"a eq '1' and city in ('a','b')", "a eq '1' and (city eq 'a' or city eq 'b')"},
		"not turns what follows":      {"NOT startsWith(mail,'a') and b eq '1'", "not (startswith(mail,'a')) and b eq '1'"},
		"the end of a text":           {"endsWith( mail , '@b.com' )", "endswith(mail,'@b.com')"},
		"the start within any":        {"proxyAddresses/any(p:startswith(p,'smtp:'))", "proxyAddresses/any(p:startswith(p,'smtp:'))"},
		"a moment":                    {"createdDateTime ge 2021-11-01T10:00:00+02:00", "createdDateTime ge 2021-11-01T08:00:00Z"},
		"a date is its beginning":     {"createdDateTime le 2021-11-01", "createdDateTime le 2021-11-01T00:00:00Z"},
		"a GUID":                      {"resourceId eq 8E881353-1735-45af-af21-ee1344582a4d", "resourceId eq 8e881353-1735-45af-af21-ee1344582a4d"},
		"a number of values":          {"otherMails/$count ne 0", "not (otherMails/$count eq 0)"},
		"spaces anywhere between":     {"  ( a  eq  '1' )  ", "a eq '1'"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := filter.Parse(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                  "",
		"a bare name":              "mail",
		"no value":                 "mail eq",
		"an unquoted value":        "mail eq a@b.com",
		"an open string":           "mail eq 'a",
		"an open parenthesis":      "(mail eq 'a'",
		"text behind the end":      "mail eq 'a' mail",
		"a dangling and":           "mail eq 'a' and",
		"an unknown operator":      "mail equals 'a'",
		"a lambda without a colon": "otherMails/any(x x eq 'a')",
		"an empty in":              "city in ()",
		"a start with a flag":      "startswith(mail,true)",
		"a start without a value":  "startswith(mail)",
		"a raw hash":               "userPrincipalName eq 'a'#EXT",
		"bottomless nesting":       strings.Repeat("(", 10_000) + "a eq 'b'",
	} {
		t.Run(name, func(t *testing.T) {
			e, err := filter.Parse(in)
			if syntax := new(filter.SyntaxError); !errors.As(err, &syntax) {
				t.Fatalf("got %v, %v; want a syntax error", e, err)
			}
		})
	}
}

func TestParseNamesWhatItDoesNotSupport(t *testing.T) {
	for in, want := range map[string]string{
		"otherMails/all(x:x eq 'a')":    "all",
		"createdDateTime gt 2026-01-01": "gt",
		"employeeId add 1 eq 2":         "add",
		"contains(displayName,'a')":     "contains",
		"tolower(displayName) eq 'a'":   "tolower",
	} {
		_, err := filter.Parse(in)
		if unsupported := new(filter.UnsupportedError); !errors.As(err, &unsupported) || unsupported.Name != want {
			t.Errorf("%s: got %v, want %s named as unsupported", in, err, want)
		}
	}
}

// FuzzParse holds that whatever Parse accepts means the same after it was printed and parsed again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"mail eq 'a@b.com'", "(a eq 'x' or b eq null) and c eq true", "otherMails/any(x:x eq 'a''b')",
		"identities/any(c:c/issuerAssignedId eq 'x' and c/issuer eq 'y')", "not a", "a eq 'x' and (b eq 'y' and c eq 'z')",
		"a eq 'x' or (b eq 'y' or c eq 'z')", "((((", "a/b/c eq 'é'", "c ge 2021-11-01 and d/$count eq 0 or e eq 8e881353-1735-45af-af21-ee1344582a4d", "not not (a ne 'x' or b in ('y','z'))", "endswith(a,'''')",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := filter.Parse(in)
		if err != nil {
			return
		}
		again, err := filter.Parse(e.String())
		if err != nil {
			t.Fatalf("%q was printed as %q, which does not parse: %v", in, e, err)
		}
		if again.String() != e.String() {
			t.Fatalf("%q became %q and then %q", in, e, again)
		}
	})
}
