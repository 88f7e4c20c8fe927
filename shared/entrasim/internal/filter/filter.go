// Package filter parses the $filter expressions of OData that clients of a directory send: comparisons with eq, ne and in,
// startswith and endswith, joined by and / or, turned round by not, grouped by parentheses, and any() over a collection. It decides syntax only; what may be filtered, and how
// values compare, is the directory's business.
package filter

import "fmt"

// Expr is a parsed expression: *And, *Or, *Not, *Equal, *Affix or *Any. `a ne b` is not (a eq b), and `a in (b, c)` is a eq b or
// a eq c.
type Expr interface {
	fmt.Stringer
	expr()
}

// And is true when both sides are; it binds tighter than Or.
type And struct{ Left, Right Expr }

// Or is true when one side is.
type Or struct{ Left, Right Expr }

// Not is true when its operand is not.
type Not struct{ Operand Expr }

// Affix is true when the text at Path starts with Value, or ends with it: `startswith(path,'value')`.
type Affix struct {
	Path  []string
	Value string
	End   bool
}

// Equal compares the property at Path with Value: a string, a bool or nil (null).
// Inside an Any, Path starts with the lambda's variable.
type Equal struct {
	Path  []string
	Value any
}

// Any is true when Body is true for an element of the collection at Path, bound to Var: `path/any(var:body)`.
type Any struct {
	Path []string
	Var  string
	Body Expr
}

func (*And) expr()   {}
func (*Or) expr()    {}
func (*Not) expr()   {}
func (*Affix) expr() {}
func (*Equal) expr() {}
func (*Any) expr()   {}

// SyntaxError reports where an expression stops making sense.
type SyntaxError struct {
	Offset int // in bytes
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at position %d", e.Reason, e.Offset) }

// UnsupportedError reports an operator or function that OData knows and this package does not.
type UnsupportedError struct{ Name string }

func (e *UnsupportedError) Error() string { return "unsupported in $filter: " + e.Name }
