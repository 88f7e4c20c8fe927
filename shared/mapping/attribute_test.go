package mapping_test

import (
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/mapping"
)

func TestAttributesTakeWhatGraphTakes(t *testing.T) {
	const extension = "extension_00000000000000000000000000000001_costCenter"
	for _, c := range []struct {
		what, attribute string
		value           any
		refused         string // part of the reason; "" if it is taken
	}{
		{"a text", "department", "Sales", ""},
		{"exactly as long as allowed", "employeeId", strings.Repeat("7", 16), ""},
		{"a character more", "employeeId", strings.Repeat("7", 17), "17 characters and may have 16"},
		{"characters and not bytes", "department", strings.Repeat("語", 64), ""},
		{"an emoji is a character", "department", strings.Repeat("🙂", 64), ""},
		{"a name of 256", "displayName", strings.Repeat("x", 256), ""},
		{"a name of 257", "displayName", strings.Repeat("x", 257), "may have 256"},
		{"bytes that are no text", "department", "\xff", "no text"},
		{"no department", "department", "", ""},
		{"no department, said otherwise", "department", nil, ""},
		{"no display name", "displayName", "", "cannot be cleared"},
		{"no mail", "mail", nil, "cannot be cleared"},
		{"a mail that is none", "mail", "ana", "a mail address"},
		{"a mail with a plus", "mail", "ana+mx@fabrikam.example.com", ""},
		{"a country code", "usageLocation", "MX", ""},
		{"a country", "usageLocation", "Mexico", "two letters"},
		{"a user type", "userType", "Guest", ""},
		{"another user type", "userType", "member", "Member or Guest"},
		{"a nickname with a space", "mailNickname", "a b", "without spaces"},
		{"a number for a text", "department", int64(3), "takes a string"},
		{"a text for a flag", "showInAddressList", "yes", "takes a bool"},
		{"a flag", "showInAddressList", false, ""},
		{"one phone", "businessPhones", []string{"1"}, ""},
		{"two phones", "businessPhones", []string{"1", "2"}, "2 numbers and may have one"},
		{"a list with a long text", "otherMails", []string{"a@b.example", strings.Repeat("x", 251)}, "may have 250"},
		{"a text for a list", "otherMails", "a@b.example", "takes a list(string)"},
		{"an extension with a text", extension, "4711", ""},
		{"an extension with a number", extension, int64(4711), ""},
		{"an extension that is too long", extension, strings.Repeat("x", 257), "may have 256"},
		{"an extension cleared", extension, nil, ""},
		{"one of the fifteen", "extensionAttribute15", strings.Repeat("x", 1024), ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			a, known := mapping.AttributeOf(c.attribute)
			if !known || !a.Writable {
				t.Fatalf("%s is known: %v, writable: %v", c.attribute, known, a.Writable)
			}
			err := a.Check(c.value)
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("error %v, want %q", err, c.refused)
			}
			if err != nil && c.value != nil && c.value != "" && strings.Contains(err.Error(), "xxxx") {
				t.Errorf("the reason shows the value: %v", err)
			}
		})
	}
}

func TestWhatIsCutFitsIn(t *testing.T) {
	department, _ := mapping.AttributeOf("department")
	for _, value := range []any{strings.Repeat("ñ", 100), strings.Repeat("a ", 50), "short", nil, true} {
		short := department.Truncate(value)
		if text, is := short.(string); is {
			if err := department.Check(text); err != nil || strings.HasSuffix(text, " ") {
				t.Errorf("%q: %v", text, err)
			}
		} else if short != value {
			t.Errorf("%v became %v", value, short)
		}
	}
	mails, _ := mapping.AttributeOf("otherMails")
	if err := mails.Check(mails.Truncate([]string{strings.Repeat("x", 300)})); err != nil {
		t.Error(err)
	}
}

func TestUnknownAttributes(t *testing.T) {
	for _, name := range []string{"", "shoeSize", "DisplayName", "extensionAttribute0", "extensionAttribute16", "extension_short_name", "manager"} {
		if a, known := mapping.AttributeOf(name); known {
			t.Errorf("%q is known as %+v", name, a)
		}
	}
}
