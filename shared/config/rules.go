package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/yamlfile"
)

// scope reads who comes over.
func (d *document) scope(into *provisioning.Scope) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		d.Mapping(n, path, map[string]yamlfile.Field{
			"when":    d.expression(&into.When, mapping.Flag),
			"groups":  d.some("a scope without groups has no key groups; name one, or delete the key", d.List(d.group(&into.Groups))),
			"include": d.List(d.person(&into.Include)),
			"exclude": d.List(d.person(&into.Exclude)),
			"guests":  d.boolean(&into.Guests),
		})
		for name := range into.Include {
			if into.Exclude[name] {
				d.Wrong(n, path, fmt.Sprintf("%s is included and excluded; delete one", name))
			}
		}
	}
}

// some is a list that has to name something: an empty one looks as if it let nobody come over, and would be no condition.
func (d *document) some(hint string, list yamlfile.Field) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			d.Wrong(n, path, hint)
			return
		}
		list(n, path)
	}
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func (d *document) group(into *[]string) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		id := strings.ToLower(n.Value)
		switch {
		case !guid.MatchString(id):
			d.Wrong(n, path, fmt.Sprintf("%q is no group; write its object id, a GUID", n.Value))
		case slices.Contains(*into, id):
			d.Wrong(n, path, "this group stands here twice; delete one")
		default:
			*into = append(*into, id)
		}
	}
}

// person reads the name of a user: an object id or a user principal name.
func (d *document) person(into *map[string]bool) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		name := strings.ToLower(n.Value)
		if !guid.MatchString(name) && !strings.Contains(name, "@") {
			d.Wrong(n, path, fmt.Sprintf("%q is no user; write an object id or a user principal name", n.Value))
			return
		}
		if *into == nil {
			*into = map[string]bool{}
		}
		(*into)[name] = true
	}
}

// expression reads a CEL expression. A mistake in it is told with its place, on its line of the file.
func (d *document) expression(into **mapping.Expression, kind mapping.Kind) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		var text string
		if d.Text(&text)(n, path); n.Kind != yaml.ScalarNode {
			return
		}
		e, err := mapping.Compile(text, kind)
		if err == nil {
			*into = e
			return
		}
		for _, one := range each(err) {
			at := *n
			var p mapping.Problem
			if errors.As(one, &p) && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				at.Line += p.Line // the text begins on the line after its sign
			}
			d.Wrong(&at, path, one.Error())
		}
	}
}

// each takes a joined error apart.
func each(err error) []error {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		return joined.Unwrap()
	}
	return []error{err}
}

// attributes reads what differs from the default for attributes of external users.
func (d *document) attributes(rules *provisioning.Rules) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		d.Entries(n, path, "the names of attributes belong here, such as department", func(name string, value *yaml.Node, at string) {
			d.attribute(rules, name, value, at)
		})
	}
}

func (d *document) attribute(rules *provisioning.Rules, name string, n *yaml.Node, path string) {
	a, known := mapping.AttributeOf(name)
	switch {
	case name == "manager":
		d.manager(&rules.Manager, n, path)
		return
	case name == provisioning.AttrAccountEnabled:
		d.Wrong(n, path, "whether an external user may sign in follows from leave.disabled and overrideBlocks")
		return
	case !known:
		d.Wrong(n, path, fmt.Sprintf("there is no attribute %q; write its name as Microsoft Graph does", name))
		return
	case !a.Writable:
		d.Wrong(n, path, "Microsoft Graph lets no application write this attribute")
		return
	}
	i := slices.IndexFunc(rules.Attributes, func(r provisioning.AttributeRule) bool { return r.Attribute.Name == name })
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		if i >= 0 {
			rules.Attributes = slices.Delete(rules.Attributes, i, i+1)
		}
		return
	}
	if i < 0 {
		rules.Attributes = append(rules.Attributes, provisioning.AttributeRule{Attribute: a, Copy: true, Policy: provisioning.Enforce})
		i = len(rules.Attributes) - 1
	}
	d.attributeRule(&rules.Attributes[i], n, path)
}

// attributeRule reads how an attribute gets its value, and when it is written.
func (d *document) attributeRule(r *provisioning.AttributeRule, n *yaml.Node, path string) {
	var expression *mapping.Expression
	var constant any
	given := 0
	d.Mapping(n, path, map[string]yamlfile.Field{
		"expression": func(n *yaml.Node, path string) { given++; d.expression(&expression, r.Attribute.Kind)(n, path) },
		"value":      func(n *yaml.Node, path string) { given++; constant = d.constant(r.Attribute, n, path) },
		"policy":     yamlfile.Scalar(&d.Reader, &r.Policy, "enforce, once or report", policyOf),
		"truncate":   d.boolean(&r.Truncate),
	})
	switch {
	case given > 1:
		d.Wrong(n, path, "an attribute has a value or an expression; delete one")
	case expression != nil:
		r.Expression, r.Copy, r.Constant = expression, false, nil
	case constant != nil:
		r.Expression, r.Copy, r.Constant = nil, false, constant
	}
}

func policyOf(text string) (provisioning.Policy, bool) {
	p := provisioning.Policy(text)
	return p, p == provisioning.Enforce || p == provisioning.Once || p == provisioning.Report
}

// constant reads a value that is the same for everybody.
func (d *document) constant(a mapping.Attribute, n *yaml.Node, path string) (value any) {
	var err error
	switch {
	case n.Tag == "!!null":
		d.Wrong(n, path, "nothing stands here; write a value")
		return nil
	case a.Kind == mapping.Texts || a.Kind == mapping.Any && n.Kind == yaml.SequenceNode:
		var list []string
		err, value = n.Decode(&list), list
	case a.Kind == mapping.Flag || a.Kind == mapping.Any && n.Tag == "!!bool":
		var flag bool
		err, value = n.Decode(&flag), flag
	case a.Kind == mapping.Any && n.Tag == "!!int":
		var number int64
		err, value = n.Decode(&number), number
	default:
		var text string
		err, value = n.Decode(&text), text
	}
	if err == nil {
		err = a.Check(value)
	} else {
		err = fmt.Errorf("a %s belongs here", a.Kind)
	}
	if err != nil {
		d.Wrong(n, path, err.Error())
		return nil
	}
	return value
}

// leave reads what becomes of external users whose source users leave.
func (d *document) leave(into *provisioning.LeaveRules) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		d.Mapping(n, path, map[string]yamlfile.Field{
			"deleted": d.departure(&into.Deleted), "outOfScope": d.departure(&into.OutOfScope), "disabled": d.departure(&into.Disabled),
		})
	}
}

// departure reads an action, alone or with the time until removal.
func (d *document) departure(into *provisioning.Leave) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		action := yamlfile.Scalar(&d.Reader, &into.Action, "keep, disable or remove", actionOf)
		if n.Kind == yaml.ScalarNode {
			action(n, path)
			return
		}
		d.Mapping(n, path, map[string]yamlfile.Field{
			"action": action, "removeAfter": yamlfile.Scalar(&d.Reader, &into.RemoveAfter, "a time over 0 such as 30d or 12h", span),
		})
		if into.RemoveAfter > 0 && into.Action != provisioning.LeaveDisable {
			d.Wrong(n, path, "removeAfter goes with action: disable")
		}
	}
}

func actionOf(text string) (provisioning.LeaveAction, bool) {
	a := provisioning.LeaveAction(text)
	return a, a == provisioning.LeaveKeep || a == provisioning.LeaveDisable || a == provisioning.LeaveRemove
}

// maxDays keeps a span within what a duration can hold.
const maxDays = 36500

// span reads a duration over 0: days, or as Go writes it.
func span(text string) (time.Duration, bool) {
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n > 0 && n <= maxDays
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0
}

// guard reads how many people may leave at once, or off.
func (d *document) guard(into *guard.Limits) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		if n.Kind == yaml.ScalarNode && n.Value == "off" {
			*into = guard.Limits{}
			return
		}
		d.Mapping(n, path, map[string]yamlfile.Field{
			"removals": yamlfile.Scalar(&d.Reader, &into.Removals, "a number from 0 on", func(text string) (int, bool) {
				v, err := strconv.Atoi(text)
				return v, err == nil && v >= 0
			}),
			"percent": yamlfile.Scalar(&d.Reader, &into.Percent, "a number from 0 to 100", func(text string) (float64, bool) {
				v, err := strconv.ParseFloat(text, 64)
				return v, err == nil && v >= 0 && v <= 100
			}),
			"window": yamlfile.Scalar(&d.Reader, &into.Window, "a time over 0 such as 24h or 7d", span),
		})
	}
}

// journal reads what the journal holds.
func (d *document) journal(values *bool) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		d.Mapping(n, path, map[string]yamlfile.Field{"values": d.boolean(values)})
	}
}

func assumed(text string) (bool, bool) {
	return text == "assumed", text == "assumed" || text == "verified"
}

func (d *document) boolean(into *bool) yamlfile.Field {
	return yamlfile.Scalar(&d.Reader, into, "true or false", func(text string) (bool, bool) { return text == "true", text == "true" || text == "false" })
}
