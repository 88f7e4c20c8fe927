// Package mapping reads what people write about users: expressions that say who is in scope and what an external user's attributes
// are. They are written in CEL (https://cel.dev) over the variables user, a source user as Microsoft Graph shows it, and now, a
// moment. Expressions have no side effects, and what they may cost is bounded before they ever run.
//
// The package also knows what values the attributes of a user in Graph can have, so that a value Graph would refuse is found
// before it is asked.
package mapping

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

const (
	// maxText is how many characters an expression may have: as many as in Microsoft Entra's own provisioning.
	maxText = 10_000
	// maxCost bounds the work of one evaluation, in CEL's units: about the number of simple steps.
	maxCost = 1_000_000
	// The sizes that the cost of an expression is estimated with: the longest text and list that the directory keeps for a user.
	maxTextSize = 1024
	maxListSize = 250
)

// Problem is a mistake in an expression. Line and Column count from 1.
type Problem struct {
	Line, Column int
	Message      string
}

func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	if p.Line == 1 {
		return fmt.Sprintf("at character %d: %s", p.Column, p.Message)
	}
	return fmt.Sprintf("at line %d, character %d: %s", p.Line, p.Column, p.Message)
}

// Expression is a compiled expression. Safe for concurrent use.
type Expression struct {
	text       string
	kind       Kind
	program    cel.Program
	attributes []string
	manager    []string
}

var shared = sync.OnceValues(environment)

// Compile reads an expression that gives a value of a kind. Its error joins one Problem for each mistake.
func Compile(text string, kind Kind) (*Expression, error) {
	env, err := shared()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	switch {
	case strings.TrimSpace(text) == "":
		return nil, Problem{Message: "the expression is empty"}
	case len(text) > maxText:
		return nil, Problem{Message: fmt.Sprintf("the expression has %d characters and may have %d", len(text), maxText)}
	}
	compiled, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, problems(issues.Errors())
	}
	if err := gives(compiled.OutputType(), kind); err != nil {
		return nil, err
	}
	estimate, err := env.EstimateCost(compiled, estimator{})
	if err != nil {
		return nil, fmt.Errorf("estimate what the expression costs: %w", err)
	}
	if estimate.Max > maxCost {
		return nil, Problem{Message: fmt.Sprintf("the expression may cost %d steps for one user, and at most %d are allowed; use fewer loops in one another, or shorter lists", estimate.Max, maxCost)}
	}
	program, err := env.Program(compiled, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("prepare the expression: %w", err)
	}
	e := &Expression{text: text, kind: kind, program: program}
	e.attributes, e.manager = used(compiled)
	return e, nil
}

// problems are CEL's findings in our words.
func problems(found []*common.Error) error {
	var errs []error
	for _, f := range found {
		message, _, _ := strings.Cut(f.Message, "\n")
		if name, is := strings.CutPrefix(message, "undefined field '"); is {
			message = unknownAttribute(strings.TrimSuffix(name, "'"))
		}
		errs = append(errs, Problem{Line: f.Location.Line(), Column: f.Location.Column() + 1, Message: message})
	}
	return errors.Join(errs...)
}

// unknownAttribute explains a name that no attribute has, with the one that was probably meant.
func unknownAttribute(name string) string {
	message := fmt.Sprintf("a user has no attribute %q", name)
	for _, known := range append(Names(), ExtensionAttributes, managerField) {
		if strings.EqualFold(known, name) || distance(strings.ToLower(known), strings.ToLower(name)) <= 2 {
			return message + fmt.Sprintf("; did you mean %s?", known)
		}
	}
	return message + " that can be used here"
}

// distance is how many characters have to be inserted, left out or replaced to make one text of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// gives tells whether the type of an expression is that of a kind. A type known only at run time is checked then.
func gives(t *cel.Type, kind Kind) error {
	want := map[Kind]*cel.Type{Text: cel.StringType, Flag: cel.BoolType, Texts: cel.ListType(cel.StringType)}[kind]
	if kind == Any || t.IsExactType(cel.DynType) || want != nil && want.IsAssignableType(t) {
		return nil
	}
	return Problem{Message: fmt.Sprintf("the expression gives a %s, and a %s is needed here", cel.FormatCELType(t), kind)}
}

// Eval computes the expression for a user. An empty text or list means "no value". Its error is about this user alone.
func (e *Expression) Eval(user Values, now time.Time) (any, error) {
	result, _, err := e.program.Eval(map[string]any{"user": user, "now": now})
	if err != nil {
		return nil, fmt.Errorf("compute %s: %w", e, err)
	}
	value, err := native(result)
	if err != nil {
		return nil, fmt.Errorf("compute %s: %w", e, err)
	}
	if value != nil && e.kind != Any && !e.kind.has(value) {
		return nil, fmt.Errorf("compute %s: it gave a %s for this user, and a %s is needed", e, result.Type().TypeName(), e.kind)
	}
	return value, nil
}

// native is a value as Kind says.
func native(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.String:
		return string(v), nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	}
	if values, ok := textsOf(v); ok {
		return values, nil
	}
	return nil, fmt.Errorf("it gave a %s; give a text, a number, true or false, or a list of texts", v.Type().TypeName())
}

func (k Kind) has(value any) bool {
	switch value.(type) {
	case string:
		return k == Text
	case bool:
		return k == Flag
	case []string:
		return k == Texts
	}
	return false
}

// Text is the expression as it was written.
func (e *Expression) Text() string { return e.text }

// String is the expression on one line, shortened if it is long.
func (e *Expression) String() string {
	const enough = 80
	line := strings.Join(strings.Fields(e.text), " ")
	if short := truncate(line, enough); short != line {
		return short + "…"
	}
	return line
}

// Attributes are those of the user that the expression reads, by their names in Graph, in order: what has to be asked for. Manager is
// the same for the user's manager.
func (e *Expression) Attributes() []string { return slices.Clone(e.attributes) }

// Manager are the attributes of the user's manager that the expression reads.
func (e *Expression) Manager() []string { return slices.Clone(e.manager) }

// used finds the attributes that an expression reads.
func used(compiled *cel.Ast) (attributes, manager []string) {
	own, boss := map[string]bool{}, map[string]bool{}
	root := ast.NavigateAST(compiled.NativeRep())
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.SelectKind)) {
		operand, field := e.AsSelect().Operand(), e.AsSelect().FieldName()
		switch {
		case operand.Kind() == ast.IdentKind && operand.AsIdent() == "user":
			if fifteenName.MatchString(field) {
				field = ExtensionAttributes
			}
			own[field] = true
		case operand.Kind() == ast.SelectKind && operand.AsSelect().FieldName() == managerField:
			if fifteenName.MatchString(field) {
				field = ExtensionAttributes
			}
			boss[field] = true
		}
	}
	return slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(boss))
}

// estimator bounds what attributes can hold.
type estimator struct{}

func (estimator) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if t := node.Type(); t != nil && t.Kind() == types.ListKind {
		return &cost.SizeEstimate{Max: maxListSize}
	}
	return &cost.SizeEstimate{Max: maxTextSize}
}

func (estimator) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
