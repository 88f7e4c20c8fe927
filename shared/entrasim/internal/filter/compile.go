package filter

import (
	"slices"
	"strings"
	"time"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Type is what the values of a property are.
type Type int

const (
	Text    Type = iota // string
	Flag                // bool
	Moment              // string, RFC 3339
	Key                 // string, a GUID
	Texts               // []string
	Objects             // []map[string]any with text fields
)

// Property is what an expression may say about a property of objects of type T.
type Property[T any] struct {
	Name, Resource string // as messages name them
	Type           Type
	Rules          Rules
	Value          func(T) any // nil: it has none
	// Fields are those of Objects. A filter on Objects compares all of them at once.
	Fields []string
}

// Model finds the property at a path; its error is the answer to whoever named it.
type Model[T any] func(path []string) (Property[T], error)

// Compile turns an expression into a test of objects. advanced is set when the request carries what advanced queries take:
// ConsistencyLevel: eventual and $count=true. Text compares without regard to case, as the directory does.
// It fails with a *fault.Fault in the words of Graph.
func Compile[T any](e Expr, m Model[T], advanced bool) (func(T) bool, error) {
	c := compiler[T]{m, advanced}
	return c.compile(e)
}

type compiler[T any] struct {
	model    Model[T]
	advanced bool
}

func (c compiler[T]) compile(e Expr) (func(T) bool, error) {
	switch e := e.(type) {
	case *And:
		return c.both(e.Left, e.Right, func(l, r func(T) bool) func(T) bool { return func(o T) bool { return l(o) && r(o) } })
	case *Or:
		return c.both(e.Left, e.Right, func(l, r func(T) bool) func(T) bool { return func(o T) bool { return l(o) || r(o) } })
	case *Not:
		return c.not(e)
	case *Equal:
		return c.equal(e)
	case *Order:
		return c.order(e)
	case *Affix:
		return c.affix(e)
	case *Any:
		return c.any(e)
	case *word:
		return c.word(e)
	}
	return nil, fault.NotModelled("the filter %s", e)
}

func (c compiler[T]) both(left, right Expr, join func(l, r func(T) bool) func(T) bool) (func(T) bool, error) {
	l, err := c.compile(left)
	if err != nil {
		return nil, err
	}
	r, err := c.compile(right)
	if err != nil {
		return nil, err
	}
	return join(l, r), nil
}

// not takes an advanced query, whatever it turns round.
func (c compiler[T]) not(e *Not) (func(T) bool, error) {
	operand, err := c.compile(e.Operand)
	switch {
	case err != nil:
		return nil, err
	case !c.advanced:
		return nil, parametersMissing("not")
	}
	return func(o T) bool { return !operand(o) }, nil
}

func (c compiler[T]) equal(e *Equal) (func(T) bool, error) {
	if last := len(e.Path) - 1; e.Path[last] == countSegment {
		return c.count(e.Path[:last], e.Value)
	}
	operator := "eq"
	if e.Value == nil {
		operator = "null"
	}
	p, err := c.single(e.Path, operator, e.Value, e)
	if err != nil {
		return nil, err
	}
	return func(o T) bool {
		have := p.Value(o)
		if e.Value == nil || have == nil {
			return e.Value == nil && have == nil
		}
		return compare(have, e.Value) == 0
	}, nil
}

func (c compiler[T]) order(e *Order) (func(T) bool, error) {
	operator, accepted := "ge", 1
	if e.Most {
		operator, accepted = "le", -1
	}
	p, err := c.single(e.Path, operator, e.Value, e)
	switch {
	case err != nil:
		return nil, err
	case e.Value == nil:
		return nil, clauseUnsupported(p)
	}
	return func(o T) bool {
		have := p.Value(o)
		if have == nil {
			return false
		}
		order := compare(have, e.Value)
		return order == 0 || order == accepted
	}, nil
}

func (c compiler[T]) affix(e *Affix) (func(T) bool, error) {
	operator := "startsWith"
	if e.End {
		operator = "endsWith"
	}
	p, err := c.single(e.Path, operator, e.Value, e)
	if err != nil {
		return nil, err
	}
	value := strings.ToLower(e.Value)
	return func(o T) bool {
		text, _ := p.Value(o).(string)
		if text = strings.ToLower(text); e.End {
			return strings.HasSuffix(text, value)
		}
		return strings.HasPrefix(text, value)
	}, nil
}

// single is a property with one value that takes an operator and an operand.
func (c compiler[T]) single(path []string, operator string, operand any, e Expr) (Property[T], error) {
	p, err := c.property(path, operator)
	switch {
	case err != nil:
		return p, err
	case p.Type == Texts || p.Type == Objects:
		return p, clauseUnsupported(p)
	case operand != nil && edm(operand) != p.Type.edm():
		return p, fault.BadRequest("A binary operator with incompatible types was detected in '%s'. Found operand types '%s' and '%s'.",
			e, p.Type.edm(), edm(operand))
	}
	return p, nil
}

// property finds a property that takes an operator.
func (c compiler[T]) property(path []string, operator string) (Property[T], error) {
	p, err := c.model(path)
	if err != nil {
		return p, err
	}
	switch level := p.Rules[operator]; {
	case len(p.Rules) == 0:
		return p, fault.UnsupportedQuery("The request uses a filter property that is not indexed")
	case level == Never:
		return p, clauseUnsupported(p)
	case level == Advanced && !c.advanced && (operator == "eq" || operator == "null"):
		return p, fault.UnsupportedQuery("Unsupported Query.")
	case level == Advanced && !c.advanced:
		return p, parametersMissing(operator)
	}
	return p, nil
}

// count tells collections that are empty, or have one element: that is all the directory keeps of their sizes.
func (c compiler[T]) count(path []string, value any) (func(T) bool, error) {
	p, err := c.property(path, "count")
	if err != nil {
		return nil, err
	}
	number, is := value.(int64)
	if !is || number < 0 || number > 1 {
		return nil, clauseUnsupported(p)
	}
	return func(o T) bool { return len(elements(p.Value(o))) == int(number) }, nil
}

func (c compiler[T]) any(e *Any) (func(T) bool, error) {
	p, err := c.property(e.Path, "any")
	switch {
	case err != nil:
		return nil, err
	case p.Type == Objects && !p.allFields(e):
		return nil, clauseUnsupported(p)
	}
	body, err := Compile(e.Body, p.elements(e.Var), c.advanced)
	if err != nil {
		return nil, err
	}
	return func(o T) bool { return slices.ContainsFunc(elements(p.Value(o)), body) }, nil
}

// elements is the model of what is in a collection.
func (p Property[T]) elements(variable string) Model[any] {
	return func(path []string) (Property[any], error) {
		one := Property[any]{Name: p.Name, Resource: p.Resource, Type: Text, Rules: p.Rules}
		switch {
		case path[0] != variable, p.Type == Texts && len(path) != 1, p.Type == Objects && (len(path) != 2 || !slices.Contains(p.Fields, path[1])):
			return one, fault.BadRequest("Could not find a property named '%s'.", strings.Join(path, "/"))
		case p.Type == Texts:
			one.Value = func(o any) any { return o }
		default:
			one.Value = func(o any) any { return o.(map[string]any)[path[1]] }
		}
		return one, nil
	}
}

// allFields reports whether the body of a lambda compares each field once: issuer and issuerAssignedId of an identity.
func (p Property[T]) allFields(e *Any) bool {
	var named []string
	var visit func(Expr) bool
	visit = func(body Expr) bool {
		switch body := body.(type) {
		case *And:
			return visit(body.Left) && visit(body.Right)
		case *Equal:
			named = append(named, body.Path[len(body.Path)-1])
			return len(body.Path) == 2
		}
		return false
	}
	return visit(e.Body) && len(named) == len(p.Fields) && !slices.ContainsFunc(p.Fields, func(f string) bool { return !slices.Contains(named, f) })
}

func elements(v any) []any {
	var list []any
	switch v := v.(type) {
	case []string:
		for _, one := range v {
			list = append(list, one)
		}
	case []map[string]any:
		for _, one := range v {
			list = append(list, one)
		}
	}
	return list
}

// compare orders two values of which the second has the type that the first is compared with.
func compare(have, want any) int {
	switch want := want.(type) {
	case bool:
		return boolean(have.(bool)) - boolean(want)
	case time.Time:
		t, err := time.Parse(time.RFC3339, have.(string))
		if err != nil {
			return -1 // which no moment of the directory is
		}
		return t.Compare(want)
	case GUID:
		return strings.Compare(strings.ToLower(have.(string)), string(want))
	case string:
		return strings.Compare(strings.ToLower(have.(string)), strings.ToLower(want))
	}
	return -1
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// edm is the type of an operand that the property takes.
func (t Type) edm() string {
	switch t {
	case Flag:
		return "Edm.Boolean"
	case Moment:
		return "Edm.DateTimeOffset"
	case Key:
		return "Edm.Guid"
	}
	return "Edm.String"
}

func parametersMissing(operator string) error {
	return fault.UnsupportedQuery("Operator '" + operator + "' is not supported because the required parameters might be missing. " +
		"Try adding $count=true query parameter and ConsistencyLevel:eventual header. " +
		"Refer to https://aka.ms/graph-docs/advanced-queries for more information")
}

func clauseUnsupported[T any](p Property[T]) error {
	return fault.UnsupportedQuery("Unsupported or invalid query filter clause specified for property '" + p.Name + "' of resource '" + p.Resource + "'.")
}
