package filter

import (
	"fmt"
	"strings"
)

// String renders the expression so that Parse reads the same tree again.
func (e *And) String() string { return operand(e.Left) + " and " + nested(e.Right) }

func (e *Or) String() string {
	if _, ok := e.Right.(*Or); ok { // Parse leans left
		return e.Left.String() + " or (" + e.Right.String() + ")"
	}
	return e.Left.String() + " or " + e.Right.String()
}

func (e *Equal) String() string { return strings.Join(e.Path, "/") + " eq " + print(e.Value) }

func (e *Order) String() string {
	operator := " ge "
	if e.Most {
		operator = " le "
	}
	return strings.Join(e.Path, "/") + operator + print(e.Value)
}

func (e *Not) String() string { return "not (" + e.Operand.String() + ")" }

func (e *Affix) String() string {
	name := startswith
	if e.End {
		name = endswith
	}
	return name + "(" + strings.Join(e.Path, "/") + "," + print(e.Value) + ")"
}

func (e *Any) String() string {
	return fmt.Sprintf("%s/any(%s:%s)", strings.Join(e.Path, "/"), e.Var, e.Body)
}

// operand is the left side of an and: only an or needs parentheses.
func operand(e Expr) string {
	if _, ok := e.(*Or); ok {
		return "(" + e.String() + ")"
	}
	return e.String()
}

// nested is the right side of an and: another and needs them as well, since Parse leans left.
func nested(e Expr) string {
	if _, ok := e.(*And); ok {
		return "(" + e.String() + ")"
	}
	return operand(e)
}
