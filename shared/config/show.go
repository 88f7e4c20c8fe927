package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/tenant"
)

// YAML writes the file with every default filled in: a configuration file with the same meaning.
func (f *File) YAML() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(f.written()); err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return out.Bytes(), nil
}

// JSON writes the same as JSON.
func (f *File) JSON() ([]byte, error) {
	var line, out bytes.Buffer
	if err := writeJSON(&line, f.written()); err != nil {
		return nil, fmt.Errorf("write the configuration as JSON: %w", err)
	}
	err := json.Indent(&out, line.Bytes(), "", "  ")
	out.WriteByte('\n')
	return out.Bytes(), err
}

// written is the file as it would have to be written if there were no defaults.
func (f *File) written() *yaml.Node {
	var tenants, routes []*yaml.Node
	for _, t := range f.Topology.Tenants() {
		tenants = append(tenants, block(entry{"name", text(t.Name)}, entry{"id", text(t.ID)}))
	}
	for _, r := range f.Topology.Routes() {
		routes = append(routes, writtenRoute(r, f.Rules[r.Name]))
	}
	return block(entry{"tenants", list(tenants)}, entry{"routes", list(routes)})
}

func writtenRoute(r tenant.Route, rules *provisioning.Rules) *yaml.Node {
	names := []entry{{"name", text(r.Name)}, {"source", text(r.Source.Name)}, {"target", text(r.Target.Name)}}
	return block(slices.Concat(names, writtenRules(rules), []entry{
		{"guard", writtenGuard(rules.Guard)},
		{"journal", flow(entry{"values", plain(strconv.FormatBool(rules.JournalValues))})},
		{"trust", text(map[bool]string{true: "assumed", false: "verified"}[rules.TrustAssumed])},
	})...)
}

// writtenRules are those that say what becomes of people.
func writtenRules(rules *provisioning.Rules) []entry {
	return []entry{
		{"scope", writtenScope(&rules.Scope)},
		{"attributes", writtenAttributes(rules)},
		{"access", writtenAccess(rules.Access)},
		{"leave", block(
			entry{"deleted", writtenDeparture(rules.Leave.Deleted)},
			entry{"outOfScope", writtenDeparture(rules.Leave.OutOfScope)},
			entry{"disabled", writtenDeparture(rules.Leave.Disabled)},
		)},
		{"overrideBlocks", plain(strconv.FormatBool(rules.OverrideBlocks))},
	}
}

// Fingerprints tell, for each route by its name, whether what its rules make of people has changed: then everybody has to be looked at.
func (f *File) Fingerprints() (map[string]string, error) {
	all := map[string]string{}
	for route, rules := range f.Rules {
		var line bytes.Buffer
		if err := writeJSON(&line, block(writtenRules(rules)...)); err != nil {
			return nil, fmt.Errorf("take the fingerprint of the rules of %s: %w", route, err)
		}
		sum := sha256.Sum256(line.Bytes())
		all[route] = hex.EncodeToString(sum[:8])
	}
	return all, nil
}

// writtenScope leaves out a condition and groups that are not there: none can be written.
func writtenScope(s *provisioning.Scope) *yaml.Node {
	var entries []entry
	if s.When != nil {
		entries = append(entries, entry{"when", text(s.When.Text())})
	}
	if len(s.Groups) > 0 { // none would mean nobody
		entries = append(entries, entry{"groups", texts(s.Groups)})
	}
	return block(append(entries,
		entry{"include", texts(slices.Sorted(maps.Keys(s.Include)))},
		entry{"exclude", texts(slices.Sorted(maps.Keys(s.Exclude)))},
		entry{"guests", plain(strconv.FormatBool(s.Guests))},
	)...)
}

// writtenAttributes names the attributes that every route has unless it says otherwise, in the same order for each, and then those
// that only this one has.
func writtenAttributes(rules *provisioning.Rules) *yaml.Node {
	var entries []entry
	written := map[string]bool{}
	for _, usual := range provisioning.DefaultRules().Attributes {
		name := usual.Attribute.Name
		value := plain("none")
		if i := slices.IndexFunc(rules.Attributes, func(r provisioning.AttributeRule) bool { return r.Attribute.Name == name }); i >= 0 {
			value = writtenAttribute(&rules.Attributes[i])
		}
		entries, written[name] = append(entries, entry{name, value}), true
	}
	for i := range rules.Attributes {
		if r := &rules.Attributes[i]; !written[r.Attribute.Name] {
			entries = append(entries, entry{r.Attribute.Name, writtenAttribute(r)})
		}
	}
	manager := plain("none")
	if rules.Manager != "" {
		manager = flow(entry{"policy", text(string(rules.Manager))})
	}
	return block(append(entries, entry{"manager", manager})...)
}

// writtenAccess has groups and apps, each in its order.
func writtenAccess(rules []provisioning.AccessRule) *yaml.Node {
	var groups, apps []*yaml.Node
	for _, r := range rules {
		entries := []entry{{"id", text(r.Grant.Group)}}
		if r.Grant.Group == "" {
			entries = []entry{{"id", text(r.Grant.App)}, {"role", text(r.Grant.Role)}}
		}
		form := flow
		if r.When != nil {
			entries = append(entries, entry{"when", text(r.When.Text())})
			if strings.Contains(r.When.Text(), "\n") {
				form = block
			}
		}
		if n := form(entries...); r.Grant.Group != "" {
			groups = append(groups, n)
		} else {
			apps = append(apps, n)
		}
	}
	return block(entry{"groups", list(groups)}, entry{"apps", list(apps)})
}

// writtenAttribute is on one line if its expression is. Being copied has no key; a comment says it.
func writtenAttribute(r *provisioning.AttributeRule) *yaml.Node {
	var entries []entry
	form := flow
	switch {
	case r.Expression != nil:
		entries = append(entries, entry{"expression", text(r.Expression.Text())})
		if strings.Contains(r.Expression.Text(), "\n") {
			form = block
		}
	case !r.Copy:
		entries = append(entries, entry{"value", constantNode(r.Constant)})
	}
	n := form(append(entries, entry{"policy", text(string(r.Policy))}, entry{"truncate", plain(strconv.FormatBool(r.Truncate))})...)
	if r.Copy {
		n.LineComment = "copied"
	}
	return n
}

func constantNode(value any) *yaml.Node {
	switch v := value.(type) {
	case bool:
		return plain(strconv.FormatBool(v))
	case int64:
		return plain(strconv.FormatInt(v, 10))
	case []string:
		return texts(v)
	}
	return text(fmt.Sprint(value))
}

func writtenDeparture(l provisioning.Leave) *yaml.Node {
	if l.RemoveAfter == 0 {
		return text(string(l.Action))
	}
	return flow(entry{"action", text(string(l.Action))}, entry{"removeAfter", text(writtenSpan(l.RemoveAfter))})
}

func writtenGuard(l guard.Limits) *yaml.Node {
	if l.Off() {
		return plain("off")
	}
	return flow(
		entry{"removals", plain(strconv.Itoa(l.Removals))},
		entry{"percent", plain(strconv.FormatFloat(l.Percent, 'g', -1, 64))},
		entry{"window", text(writtenSpan(l.Window))},
	)
}

// writtenSpan is what span reads: whole days, or as Go writes it without what is zero at its end.
func writtenSpan(d time.Duration) string {
	const day = 24 * time.Hour
	if days := d / day; d%day == 0 && days <= maxDays {
		return fmt.Sprintf("%dd", days)
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
