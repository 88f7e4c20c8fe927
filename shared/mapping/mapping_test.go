package mapping_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/mapping"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// ana is a user with a value of every kind.
var ana = mapping.Values{
	"id": "0b1f", "displayName": "Ana Núñez", "givenName": "Ana", "surname": "Núñez", "mail": "ana+mx@fabrikam.example.com", "department": "Sales",
	"accountEnabled": true, "businessPhones": []string{"+52 55 0100"}, "otherMails": []string{"a@x.example", "A@x.example", "b@x.example"},
	"createdDateTime": now.Add(-48 * time.Hour), "country": "MX",
	"onPremisesExtensionAttributes":                              map[string]any{"extensionAttribute3": "blue"},
	"extension_00000000000000000000000000000001_costCenter":      "4711",
	"extension_00000000000000000000000000000001_onParentalLeave": true,
	"manager": mapping.Values{"displayName": "Luz", "department": "Board"},
}

func compile(t testing.TB, text string, kind mapping.Kind) *mapping.Expression {
	t.Helper()
	e, err := mapping.Compile(text, kind)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

func TestExpressions(t *testing.T) {
	const extension = "user.extension_00000000000000000000000000000001_"
	for _, c := range []struct {
		text string
		kind mapping.Kind
		want any
	}{
		{`user.displayName`, mapping.Text, "Ana Núñez"},
		{`"Fabrikam"`, mapping.Text, "Fabrikam"},
		{`user.displayName + " (" + user.country + ")"`, mapping.Text, "Ana Núñez (MX)"},
		{`user.department == "Sales" && user.accountEnabled`, mapping.Flag, true},
		{`user.department in ["Sales", "Board"]`, mapping.Flag, true},
		{`user.jobTitle`, mapping.Text, ""},
		{`user.jobTitle == ""`, mapping.Flag, true},
		{`has(user.jobTitle)`, mapping.Flag, false},
		{`has(user.department)`, mapping.Flag, true},
		{`user.onPremisesSyncEnabled`, mapping.Flag, false},
		{`user.otherMails`, mapping.Texts, []string{"a@x.example", "A@x.example", "b@x.example"}},
		{`user.proxyAddresses`, mapping.Texts, []string{}},
		{`user.otherMails.exists(m, m.endsWith("@x.example"))`, mapping.Flag, true},
		{`user.proxyAddresses.exists(m, m.startsWith("SMTP:"))`, mapping.Flag, false},
		{`user.otherMails.filter(m, m.startsWith("b"))`, mapping.Texts, []string{"b@x.example"}},
		{`user.createdDateTime < now - duration("24h")`, mapping.Flag, true},
		{`has(user.employeeLeaveDateTime) && user.employeeLeaveDateTime < now`, mapping.Flag, false},
		{`user.mail.matches("^[a-z+]+@fabrikam[.]")`, mapping.Flag, true},
		{`user.onPremisesExtensionAttributes.extensionAttribute3`, mapping.Text, "blue"},
		{`user.extensionAttribute3 + user.extensionAttribute4`, mapping.Text, "blue"},
		{`has(user.extensionAttribute3) && !has(user.extensionAttribute4)`, mapping.Flag, true},
		{extension + `costCenter`, mapping.Text, "4711"},
		{extension + `costCenter`, mapping.Any, "4711"},
		{extension + `onParentalLeave`, mapping.Flag, true},
		{extension + `absent`, mapping.Text, ""},
		{extension + `absent == "x"`, mapping.Flag, false},
		{`user.manager.displayName`, mapping.Text, "Luz"},
		{`has(user.manager) && user.manager.department == "Board"`, mapping.Flag, true},
		{`user.country == "MX" ? "Mexico" : ""`, mapping.Text, "Mexico"},
		{`size(user.otherMails)`, mapping.Any, int64(3)},

		{`toUpper(user.surname)`, mapping.Text, "NÚÑEZ"},
		{`toLower("İSTANBUL STRASSE")`, mapping.Text, "i̇stanbul strasse"},
		{`pCase("o'BRIEN van dER berg")`, mapping.Text, "O'brien Van Der Berg"},
		{`stripSpaces(" a b ")`, mapping.Text, "ab"},
		{`normalizeDiacritics("Núñez Łódź Straße Đức 日本 Ελλάδα")`, mapping.Text, "Nunez Lodz Strasse Duc 日本 Ελλαδα"},
		{`domain(user.mail) + "|" + localPart(user.mail)`, mapping.Text, "fabrikam.example.com|ana+mx"},
		{`domain("nobody") + "|" + localPart("nobody")`, mapping.Text, "nobody|"},
		{`left("héllo", 2) + left("a", 5) + left("a", -1)`, mapping.Text, "héa"},
		{`mid("abcdef", 2, 3) + mid("abc", 9, 1) + mid("abc", 3, 9)`, mapping.Text, "bcdc"},
		{`truncate("Ana Núñez", 4)`, mapping.Text, "Ana"},
		{`word("one-two three", 2, "- ") + word("one", 2, " ")`, mapping.Text, "two"},
		{`item(user.otherMails, 3) + item(user.otherMails, 4) + item([], 1)`, mapping.Text, "b@x.example"},
		{`removeDuplicates(user.otherMails)`, mapping.Texts, []string{"a@x.example", "b@x.example"}},
		{`replace("a.b.c", ".", "-")`, mapping.Text, "a-b-c"},
		{`split("a;b", ";")`, mapping.Texts, []string{"a", "b"}},
		{`switch(user.country, "elsewhere", {"MX": "México", "US": "Estados Unidos"})`, mapping.Text, "México"},
		{`switch("DE", "elsewhere", {"MX": "México"})`, mapping.Text, "elsewhere"},
		{`coalesce(user.jobTitle, user.employeeType, user.department)`, mapping.Text, "Sales"},
		{`coalesce(user.jobTitle, "")`, mapping.Text, ""},
		{`join(", ", user.surname, user.jobTitle, user.givenName)`, mapping.Text, "Núñez, Ana"},
		{`join("|", user.otherMails)`, mapping.Text, "a@x.example|A@x.example|b@x.example"},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := compile(t, c.text, c.kind).Eval(ana, now)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) && !(mapping.Empty(got) && mapping.Empty(c.want)) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

func TestAMistakeIsFoundBeforeTheExpressionRuns(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind mapping.Kind
		line int
		col  int
		want string
	}{
		"nothing":                        {"  ", mapping.Flag, 0, 0, "empty"},
		"a misspelt attribute":           {`user.departmnt == "x"`, mapping.Flag, 1, 5, "did you mean department?"},
		"an attribute in another case":   {`user.DisplayName == "x"`, mapping.Flag, 1, 5, "did you mean displayName?"},
		"an attribute nobody has":        {`user.shoeSize == "x"`, mapping.Flag, 1, 5, `no attribute "shoeSize"`},
		"on a later line":                {"user.city == \"x\" &&\n  user.nope", mapping.Flag, 2, 7, `"nope"`},
		"the manager's manager":          {`user.manager.manager.city`, mapping.Text, 1, 13, "manager"},
		"extensionAttribute16":           {`user.extensionAttribute16`, mapping.Text, 1, 5, "extensionAttribute16"},
		"an unknown function":            {`upper(user.city)`, mapping.Text, 1, 6, "upper"},
		"an unknown variable":            {`person.city`, mapping.Text, 1, 1, "person"},
		"a text compared with a number":  {`user.city == 3`, mapping.Flag, 1, 11, "no matching overload"},
		"no expression at all":           {`user.city ==`, mapping.Flag, 1, 13, "Syntax error"},
		"a text where a bool is needed":  {`user.city`, mapping.Flag, 0, 0, "gives a string, and a bool is needed"},
		"a bool where a text is needed":  {`user.city == ""`, mapping.Text, 0, 0, "gives a bool, and a string is needed"},
		"a pattern that is none":         {`user.city.matches("(")`, mapping.Flag, 1, 19, "invalid matches argument"},
		"a timestamp that is none":       {`now > timestamp("yesterday")`, mapping.Flag, 1, 17, "timestamp"},
		"three loops in one another":     {`user.otherMails.exists(a, user.otherMails.exists(b, user.otherMails.exists(c, a + b == c)))`, mapping.Flag, 0, 0, "may cost"},
		"more than ten thousand letters": {`"` + strings.Repeat("x", 10_000) + `"`, mapping.Text, 0, 0, "10002 characters"},
		"a user as a whole":              {`user`, mapping.Text, 0, 0, "tenantsync.User"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mapping.Compile(c.text, c.kind)
			var p mapping.Problem
			if !errors.As(err, &p) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want a Problem that says %q", err, c.want)
			}
			if p.Line != c.line || p.Column != c.col {
				t.Errorf("it is at line %d, character %d; want %d, %d: %v", p.Line, p.Column, c.line, c.col, err)
			}
		})
	}
}

func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	_, err := mapping.Compile(`user.nope == user.nada`, mapping.Flag)
	if err == nil || !strings.Contains(err.Error(), "nope") || !strings.Contains(err.Error(), "nada") {
		t.Errorf("error %v", err)
	}
}

func TestAnExpressionThatFailsSaysSoForThisUserAlone(t *testing.T) {
	leavers := compile(t, `user.employeeLeaveDateTime < now`, mapping.Flag)
	_, err := leavers.Eval(ana, now)
	if err == nil || !strings.Contains(err.Error(), "employeeLeaveDateTime has no value") || !strings.Contains(err.Error(), "has(user.employeeLeaveDateTime)") {
		t.Errorf("error %v", err)
	}
	if got, err := leavers.Eval(mapping.Values{"employeeLeaveDateTime": now.Add(-time.Hour)}, now); err != nil || got != true {
		t.Errorf("for another user: %v, %v", got, err)
	}

	costs := compile(t, `user.extension_00000000000000000000000000000001_onParentalLeave`, mapping.Text)
	if _, err := costs.Eval(ana, now); err == nil || !strings.Contains(err.Error(), "a string is needed") {
		t.Errorf("a bool for a text: error %v", err)
	}
}

func TestAnExpressionKnowsWhatItReads(t *testing.T) {
	e := compile(t, `user.manager.city == user.city && has(user.manager.department) && user.otherMails.exists(m, m == user.mail) && user.extensionAttribute2 == ""
		|| has(user.extension_00000000000000000000000000000001_costCenter)`, mapping.Flag)
	if got, want := e.Attributes(), []string{"city", "extension_00000000000000000000000000000001_costCenter", "mail", "manager", "onPremisesExtensionAttributes", "otherMails"}; !slices.Equal(got, want) {
		t.Errorf("of the user %v, want %v", got, want)
	}
	if got, want := e.Manager(), []string{"city", "department"}; !slices.Equal(got, want) {
		t.Errorf("of the manager %v, want %v", got, want)
	}
}

func TestAnExpressionIsShownInOneLine(t *testing.T) {
	if got := compile(t, "user.city ==\n   \"x\"", mapping.Flag).String(); got != `user.city == "x"` {
		t.Errorf("it is shown as %s", got)
	}
	if got := compile(t, `"`+strings.Repeat("long ", 50)+`"`, mapping.Text).String(); len(got) > 100 || !strings.HasSuffix(got, "…") {
		t.Errorf("it is shown as %s", got)
	}
}

func TestExpressionsAreEvaluatedSideBySide(t *testing.T) {
	e := compile(t, `join("-", toUpper(user.city), user.country)`, mapping.Text)
	var all sync.WaitGroup
	for _, city := range []string{"Paris", "Lima", "Oslo", "Quito"} {
		all.Go(func() {
			for range 200 {
				if got, err := e.Eval(mapping.Values{"city": city}, now); err != nil || got != strings.ToUpper(city) {
					t.Errorf("got %v, %v", got, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func FuzzCompile(f *testing.F) {
	for _, text := range []string{`user.city == "x"`, `switch(user.country, "", {"MX": "a"})`, `user.otherMails.exists(m, m.matches("a+"))`, `[1,2].map(x, x * 2)`, `has(user.manager.city)`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := mapping.Compile(text, mapping.Any)
		if err != nil {
			return
		}
		_, _ = e.Eval(ana, now)
		_, _ = e.Eval(mapping.Values{}, now)
	})
}

func BenchmarkEval(b *testing.B) {
	for name, text := range map[string]string{
		"scope":   `user.department in ["Sales", "Board"] && user.otherMails.exists(m, m.endsWith("@x.example"))`,
		"mapping": `join(" ", toUpper(normalizeDiacritics(user.surname)), user.givenName) + " (" + switch(user.country, "?", {"MX": "Fabrikam México"}) + ")"`,
	} {
		e, err := mapping.Compile(text, mapping.Any)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Eval(ana, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
