// Package filter reads the $filter and $search expressions that clients of a directory send, and decides which objects they
// match: comparisons with eq, ne, ge, le and in, startswith and endswith, joined by and / or, turned round by not, grouped by
// parentheses, and any() over a collection. What a property is, and which operators it takes, a Model says; see Compile.
package filter

import (
	"fmt"
	"time"
)

// Expr is a parsed expression: *And, *Or, *Not, *Equal, *Order, *Affix or *Any. `a ne b` is not (a eq b), and `a in (b, c)` is
// a eq b or a eq c.
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

// Equal compares the property at Path with Value: a string, bool, int64, time.Time, GUID or nil (null).
// Inside an Any, Path starts with the lambda's variable. The last element of a Path may be $count.
type Equal struct {
	Path  []string
	Value any
}

// Order is true when the property at Path is not less than Value, or not more than it: `path ge value`, `path le value`.
type Order struct {
	Path  []string
	Value any
	Most  bool // le
}

// Any is true when Body is true for an element of the collection at Path, bound to Var: `path/any(var:body)`.
type Any struct {
	Path []string
	Var  string
	Body Expr
}

// GUID is a value written without quotes, in lower case.
type GUID string

func (*And) expr()   {}
func (*Or) expr()    {}
func (*Not) expr()   {}
func (*Affix) expr() {}
func (*Equal) expr() {}
func (*Order) expr() {}
func (*Any) expr()   {}

// SyntaxError reports where an expression stops making sense.
type SyntaxError struct {
	Offset int // in bytes
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at position %d", e.Reason, e.Offset) }

// UnsupportedError reports an operator or function of OData that no directory object takes: the documentation of advanced
// queries lists those that they take.
type UnsupportedError struct{ Name string }

func (e *UnsupportedError) Error() string { return "unsupported in $filter: " + e.Name }

// dateLayouts are the forms of a point in time: with a time of day, or its beginning.
var dateLayouts = []string{time.RFC3339Nano, time.DateOnly}
