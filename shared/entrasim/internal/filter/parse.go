package filter

import (
	"slices"
	"strings"
)

// maxDepth bounds the nesting of parentheses and lambdas, so that a hostile expression cannot exhaust the stack.
const maxDepth = 50

// Words of OData that no directory object takes, so that they are named instead of misread.
var (
	otherOperators = []string{"gt", "lt", "has", "add", "sub", "mul", "div", "mod"}
	otherFunctions = []string{
		"all", "contains", "length", "indexof", "substring", "substringof", "tolower", "toupper", "trim", "concat",
		"year", "month", "day", "hour", "minute", "second", "now", "cast", "isof",
	}
)

const (
	startswith = "startswith"
	endswith   = "endswith"
	// countSegment ends the path of the number of values in a collection.
	countSegment = "$count"
)

// Parse reads one expression. Keywords are case-insensitive; strings are in single quotes, doubled to escape.
// It fails with *SyntaxError or *UnsupportedError.
func Parse(s string) (Expr, error) {
	p := &parser{input: s}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.input) {
		return nil, p.fail("unexpected text")
	}
	return e, nil
}

type parser struct {
	input string
	pos   int
}

func (p *parser) or(depth int) (Expr, error) {
	left, err := p.and(depth)
	for err == nil && p.keyword("or") {
		var right Expr
		if right, err = p.and(depth); err == nil {
			left = &Or{left, right}
		}
	}
	return left, err
}

func (p *parser) and(depth int) (Expr, error) {
	left, err := p.term(depth)
	for err == nil && p.keyword("and") {
		var right Expr
		if right, err = p.term(depth); err == nil {
			left = &And{left, right}
		}
	}
	return left, err
}

// term is a parenthesis, a comparison or an any().
func (p *parser) term(depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, p.fail("expression nested too deeply")
	}
	if p.symbol('(') {
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		return e, p.expect(')')
	}
	if p.keyword("not") {
		e, err := p.term(depth + 1)
		return &Not{e}, err
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	last := path[len(path)-1]
	if p.symbol('(') {
		if name := strings.ToLower(last); len(path) == 1 && (name == startswith || name == endswith) {
			return p.affix(name == endswith)
		}
		if len(path) < 2 || !strings.EqualFold(last, "any") {
			return nil, p.unknownFunction(last)
		}
		return p.any(path[:len(path)-1], depth)
	}
	return p.compare(path)
}

func (p *parser) affix(end bool) (Expr, error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	if err := p.expect(','); err != nil {
		return nil, err
	}
	value, err := p.literal()
	if err != nil {
		return nil, err
	}
	text, isText := value.(string)
	if !isText {
		return nil, p.fail("expected a quoted string")
	}
	return &Affix{path, text, end}, p.expect(')')
}

func (p *parser) any(path []string, depth int) (Expr, error) {
	variable, err := p.name()
	if err != nil {
		return nil, err
	}
	if err := p.expect(':'); err != nil {
		return nil, err
	}
	body, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	return &Any{Path: path, Var: variable, Body: body}, p.expect(')')
}

// compare reads what follows a path: an operator and its value or values.
func (p *parser) compare(path []string) (Expr, error) {
	start := p.pos
	operator, err := p.name()
	switch {
	case err != nil:
		return nil, p.fail("expected an operator")
	case slices.Contains(otherOperators, strings.ToLower(operator)):
		return nil, &UnsupportedError{Name: strings.ToLower(operator)}
	}
	switch strings.ToLower(operator) {
	case "eq":
		return p.equal(path)
	case "ne":
		e, err := p.equal(path)
		return &Not{e}, err
	case "in":
		return p.in(path)
	case "ge", "le":
		value, err := p.literal()
		return &Order{path, value, strings.EqualFold(operator, "le")}, err
	}
	p.pos = start
	return nil, p.fail("unknown operator")
}

func (p *parser) equal(path []string) (Expr, error) {
	value, err := p.literal()
	if err != nil {
		return nil, err
	}
	return &Equal{Path: path, Value: value}, nil
}

// in reads a list of values.
func (p *parser) in(path []string) (Expr, error) {
	if err := p.expect('('); err != nil {
		return nil, err
	}
	e, err := p.equal(path)
	for err == nil && p.symbol(',') {
		var one Expr
		if one, err = p.equal(path); err == nil {
			e = &Or{e, one}
		}
	}
	if err != nil {
		return nil, err
	}
	return e, p.expect(')')
}

// path reads names joined by slashes.
func (p *parser) path() ([]string, error) {
	var path []string
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		path = append(path, name)
		if p.pos >= len(p.input) || p.input[p.pos] != '/' {
			return path, nil
		}
		p.pos++
		if strings.HasPrefix(p.input[p.pos:], countSegment) {
			p.pos += len(countSegment)
			return append(path, countSegment), nil
		}
	}
}

func (p *parser) name() (string, error) {
	p.space()
	start := p.pos
	for p.pos < len(p.input) && isNameByte(p.input[p.pos]) {
		p.pos++
	}
	if p.pos == start {
		return "", p.fail("expected a name")
	}
	return p.input[start:p.pos], nil
}

// keyword consumes word if it comes next and stands alone.
func (p *parser) keyword(word string) bool {
	start := p.pos
	if name, err := p.name(); err == nil && strings.EqualFold(name, word) {
		return true
	}
	p.pos = start
	return false
}

func (p *parser) symbol(c byte) bool {
	p.space()
	if p.pos < len(p.input) && p.input[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(c byte) error {
	if !p.symbol(c) {
		return p.fail("expected '" + string(c) + "'")
	}
	return nil
}

func (p *parser) space() {
	for p.pos < len(p.input) && (p.input[p.pos] == ' ' || p.input[p.pos] == '\t') {
		p.pos++
	}
}

func (p *parser) unknownFunction(name string) error {
	if slices.Contains(otherFunctions, strings.ToLower(name)) {
		return &UnsupportedError{Name: strings.ToLower(name)}
	}
	return p.fail("unknown function " + name)
}

func (p *parser) fail(reason string) error { return &SyntaxError{Offset: p.pos, Reason: reason} }

func isNameByte(c byte) bool {
	return c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
