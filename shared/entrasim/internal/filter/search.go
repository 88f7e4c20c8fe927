package filter

import (
	"slices"
	"strings"
	"unicode"
)

// word is one clause of a $search: "displayName:wa".
type word struct {
	property, text string
}

func (*word) expr()            {}
func (w *word) String() string { return `"` + w.property + ":" + w.text + `"` }

// ParseSearch reads a $search expression: clauses in double quotes, each a property and a text, joined by AND / OR in capitals
// and grouped by parentheses. It fails with *SyntaxError.
func ParseSearch(s string) (Expr, error) {
	p := &searchParser{parser{input: s}}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.input) {
		return nil, p.fail("unexpected text")
	}
	return e, nil
}

type searchParser struct{ parser }

func (p *searchParser) or(depth int) (Expr, error) {
	left, err := p.and(depth)
	for err == nil && p.capitals("OR") {
		var right Expr
		if right, err = p.and(depth); err == nil {
			left = &Or{left, right}
		}
	}
	return left, err
}

func (p *searchParser) and(depth int) (Expr, error) {
	left, err := p.clause(depth)
	for err == nil && p.capitals("AND") {
		var right Expr
		if right, err = p.clause(depth); err == nil {
			left = &And{left, right}
		}
	}
	return left, err
}

func (p *searchParser) clause(depth int) (Expr, error) {
	switch {
	case depth > maxDepth:
		return nil, p.fail("expression nested too deeply")
	case p.symbol('('):
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		return e, p.expect(')')
	case !p.symbol('"'):
		return nil, p.fail("expected a clause in double quotes")
	}
	clause, _, closed := strings.Cut(p.input[p.pos:], `"`)
	property, text, named := strings.Cut(clause, ":")
	if !closed || !named || property == "" || text == "" {
		return nil, p.fail(`expected "property:text"`)
	}
	p.pos += len(clause) + 1
	return &word{property, text}, nil
}

// capitals consumes a keyword that is written in capitals.
func (p *searchParser) capitals(keyword string) bool {
	start := p.pos
	if name, err := p.name(); err == nil && name == keyword {
		return true
	}
	p.pos = start
	return false
}

// searched are the properties whose words are searched one by one; of all others the beginning counts.
var searched = []string{"displayName", "description"}

// word matches a clause of a $search. Any property that startsWith takes can be searched.
func (c compiler[T]) word(e *word) (func(T) bool, error) {
	p, err := c.property([]string{e.property}, "startsWith")
	if err != nil {
		return nil, err
	}
	matches := func(text string) bool { return strings.HasPrefix(strings.ToLower(text), strings.ToLower(e.text)) }
	if slices.Contains(searched, p.Name) {
		wanted := words(e.text)
		matches = func(text string) bool { return beginEach(words(text), wanted) }
	}
	return func(o T) bool {
		switch v := p.Value(o).(type) {
		case string:
			return matches(v)
		case []string:
			return slices.ContainsFunc(v, matches)
		}
		return false
	}, nil
}

func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// beginEach reports whether each of the wanted words is the beginning of one in the text.
func beginEach(text, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(want string) bool {
		return !slices.ContainsFunc(text, func(have string) bool { return strings.HasPrefix(have, want) })
	})
}
