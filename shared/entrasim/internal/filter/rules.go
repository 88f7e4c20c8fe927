package filter

import (
	"slices"
	"strings"
)

// Level is what an operator on a property takes.
type Level int

const (
	Never    Level = iota
	Always         // any request
	Advanced       // ConsistencyLevel: eventual and $count=true
)

// Rules are the levels of the operators of one property, by their names in the documentation: eq, ge, le, startsWith, endsWith,
// null (equal to null), any (of a collection) and count (of a collection). ne and not are always advanced, and in is eq.
type Rules map[string]Level

var operators = []string{"eq", "ge", "le", "startsWith", "endsWith", "null", "any", "count"}

// NewRules reads rules in a short form: the operators that any request may use, then a bar and those of advanced queries, as in
// "eq startsWith | ge le null". It panics on an operator that there is none of: rules are constants.
func NewRules(short string) Rules {
	always, advanced, _ := strings.Cut(short, "|")
	rules := Rules{}
	for level, names := range map[Level]string{Always: always, Advanced: advanced} {
		for _, operator := range strings.Fields(names) {
			if !slices.Contains(operators, operator) {
				panic("filter: no operator " + operator)
			}
			rules[operator] = level
		}
	}
	return rules
}
