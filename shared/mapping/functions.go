package mapping

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// text and list are the types of most arguments.
var text, list = cel.StringType, cel.ListType(cel.StringType)

// functions are those that people know from the expressions of Microsoft Entra's own provisioning, beside what CEL has. Positions
// count from 1 as there, and characters are Unicode characters.
func functions() []cel.EnvOption {
	return []cel.EnvOption{
		ext.Strings(ext.StringsVersion(4)),
		ofText("toUpper", func(s string) string { return cases.Upper(language.Und).String(s) }),
		ofText("toLower", func(s string) string { return cases.Lower(language.Und).String(s) }),
		ofText("pCase", properCase),
		ofText("stripSpaces", func(s string) string { return strings.ReplaceAll(s, " ", "") }),
		ofText("normalizeDiacritics", normalizeDiacritics),
		ofText("domain", func(s string) string { return s[strings.LastIndexByte(s, '@')+1:] }),
		ofText("localPart", func(s string) string { return s[:max(strings.LastIndexByte(s, '@'), 0)] }),
		function("left", text, func(a arguments) ref.Val { return types.String(part(a.text(0), 1, a.number(1))) }, text, cel.IntType),
		function("mid", text, func(a arguments) ref.Val { return types.String(part(a.text(0), a.number(1), a.number(2))) }, text, cel.IntType, cel.IntType),
		function("truncate", text, func(a arguments) ref.Val {
			return types.String(strings.TrimRight(part(a.text(0), 1, a.number(1)), " "))
		}, text, cel.IntType),
		function("word", text, word, text, cel.IntType, text),
		function("item", text, item, list, cel.IntType),
		function("removeDuplicates", list, removeDuplicates, list),
		function("replace", text, func(a arguments) ref.Val {
			return types.String(strings.ReplaceAll(a.text(0), a.text(1), a.text(2)))
		}, text, text, text),
		function("split", list, func(a arguments) ref.Val { return listOf(strings.Split(a.text(0), a.text(1))) }, text, text),
		function("switch", text, choose, text, text, cel.MapType(text, text)),
		cel.Function("coalesce", upTo(most, 2, "coalesce", coalesce)...),
		cel.Function("join", append(upTo(most, 2, "join", join),
			cel.Overload("join_list", []*cel.Type{text, list}, text, binding(func(a arguments) ref.Val {
				return joined(a.text(0), a.texts(1))
			})))...),
	}
}

// arguments are what a function is called with. CEL has checked their types.
type arguments []ref.Val

func (a arguments) text(i int) string { return string(a[i].(types.String)) }
func (a arguments) number(i int) int  { return int(a[i].(types.Int)) }

func (a arguments) texts(i int) []string {
	values, _ := textsOf(a[i]) // CEL has checked that they are
	return values
}

// all are the arguments from one on, which are texts.
func (a arguments) all(from int) (values []string) {
	for i := from; i < len(a); i++ {
		values = append(values, a.text(i))
	}
	return values
}

func binding(f func(arguments) ref.Val) cel.OverloadOpt {
	return cel.FunctionBinding(func(values ...ref.Val) ref.Val { return f(values) })
}

// function declares a function with one form.
func function(name string, result *cel.Type, f func(arguments) ref.Val, args ...*cel.Type) cel.EnvOption {
	return cel.Function(name, cel.Overload("tenantsync_"+name, args, result, binding(f)))
}

func ofText(name string, f func(string) string) cel.EnvOption {
	return function(name, text, func(a arguments) ref.Val { return types.String(f(a.text(0))) }, text)
}

// most is how many texts coalesce and join take: CEL has no functions with any number of arguments.
const most = 9

// upTo declares a function with forms of least to n texts.
func upTo(n, least int, name string, f func(arguments) ref.Val) (forms []cel.FunctionOpt) {
	for i := least; i <= n; i++ {
		forms = append(forms, cel.Overload(fmt.Sprintf("tenantsync_%s_%d", name, i), slices.Repeat([]*cel.Type{text}, i), text, binding(f)))
	}
	return forms
}

// coalesce is the first text that is not empty.
func coalesce(a arguments) ref.Val {
	for _, s := range a.all(0) {
		if s != "" {
			return types.String(s)
		}
	}
	return types.String("")
}

// join puts its first argument between the others, and leaves out those that are empty.
func join(a arguments) ref.Val { return joined(a.text(0), a.all(1)) }

func joined(separator string, parts []string) ref.Val {
	return types.String(strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator))
}

// choose is switch(value, otherwise, {key: result}).
func choose(a arguments) ref.Val {
	if result, found := a[2].(traits.Mapper).Find(a[0]); found {
		return result
	}
	return a[1]
}

// part is n characters of a text from a position on; what lies outside of it is left out.
func part(s string, from, n int) string {
	characters := []rune(s)
	from = min(max(from, 1)-1, len(characters))
	return string(characters[from:min(max(from+n, from), len(characters))])
}

// word is the nth word of a text; a word ends with any of the given characters.
func word(a arguments) ref.Val {
	words := strings.FieldsFunc(a.text(0), func(r rune) bool { return strings.ContainsRune(a.text(2), r) })
	if n := a.number(1); n >= 1 && n <= len(words) {
		return types.String(words[n-1])
	}
	return types.String("")
}

// item is the nth text of a list, "" if there are not so many.
func item(a arguments) ref.Val {
	values := a.texts(0)
	if n := a.number(1); n >= 1 && n <= len(values) {
		return types.String(values[n-1])
	}
	return types.String("")
}

// removeDuplicates leaves the first of each text, whatever its case.
func removeDuplicates(a arguments) ref.Val {
	seen := map[string]bool{}
	return listOf(slices.DeleteFunc(a.texts(0), func(s string) bool {
		folded := cases.Fold().String(s)
		again := seen[folded]
		seen[folded] = true
		return again
	}))
}

// properCase begins each word with an upper-case letter and goes on in lower case.
func properCase(s string) string {
	first := true
	return strings.Map(func(r rune) rune {
		begins := first
		first = !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '\'' && r != '’'
		if begins {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, s)
}

// letters that have no decomposition, and what they are commonly written as.
var letters = strings.NewReplacer("ß", "ss", "ẞ", "SS", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ø", "o", "Ø", "O", "ł", "l", "Ł", "L",
	"đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "Th", "ı", "i")

// normalizeDiacritics takes the marks off letters: é becomes e. Scripts other than Latin stay as they are.
func normalizeDiacritics(s string) string {
	plain, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC), s)
	if err != nil {
		return s // these transformers have no errors
	}
	return letters.Replace(plain)
}

// textsOf copies a list of texts; ok tells whether it is one. (ConvertToNative would hand out the list of the user itself.)
func textsOf(v ref.Val) (values []string, ok bool) {
	list, ok := v.(traits.Lister)
	if !ok {
		return nil, false
	}
	for i := list.Iterator(); i.HasNext() == types.True; {
		s, is := i.Next().(types.String)
		if !is {
			return nil, false
		}
		values = append(values, string(s))
	}
	return values, true
}

func listOf(values []string) ref.Val { return types.NewStringList(types.DefaultTypeAdapter, values) }
