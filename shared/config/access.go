package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenantsync/tenantsync/shared/mapping"
	"github.com/tenantsync/tenantsync/shared/provisioning"
	"github.com/tenantsync/tenantsync/shared/yamlfile"
)

// access reads what people get in the target besides their external user.
func (d *document) access(into *[]provisioning.AccessRule) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		d.Mapping(n, path, map[string]yamlfile.Field{
			"groups": d.List(d.accessGroup(into)),
			"apps":   d.List(d.accessApp(into)),
		})
	}
}

// accessGroup reads a group of the target: its object id, or that and a condition.
func (d *document) accessGroup(into *[]provisioning.AccessRule) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		var rule provisioning.AccessRule
		id := d.objectID(&rule.Grant.Group, "group")
		if n.Kind == yaml.ScalarNode {
			id(n, path)
			d.grant(into, rule, n, path)
			return
		}
		d.Mapping(n, path, map[string]yamlfile.Field{"id": id, "when": d.expression(&rule.When, mapping.Flag)})
		d.identified(n, path, "a group is its object id, alone or as id: with a when:")
		d.grant(into, rule, n, path)
	}
}

// accessApp reads an app role of the target.
func (d *document) accessApp(into *[]provisioning.AccessRule) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		rule := provisioning.AccessRule{Grant: provisioning.Grant{Role: provisioning.DefaultRole}}
		d.Mapping(n, path, map[string]yamlfile.Field{
			"id":   d.objectID(&rule.Grant.App, "enterprise application (service principal)"),
			"role": d.objectID(&rule.Grant.Role, "app role"),
			"when": d.expression(&rule.When, mapping.Flag),
		})
		d.identified(n, path, "an app needs id, the object id of the enterprise application")
		d.grant(into, rule, n, path)
	}
}

// identified refuses a mapping that has no id.
func (d *document) identified(n *yaml.Node, path, form string) {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "id" {
			return
		}
	}
	if n.Kind == yaml.MappingNode {
		d.Wrong(n, path, form)
	}
}

// grant adds a rule that could be read, unless it says nothing new.
func (d *document) grant(into *[]provisioning.AccessRule, rule provisioning.AccessRule, n *yaml.Node, path string) {
	if rule.Grant.Group == "" && rule.Grant.App == "" {
		return
	}
	for _, other := range *into {
		if other.Grant == rule.Grant && (other.When == nil || rule.When == nil) {
			d.Wrong(n, path, fmt.Sprintf("%v stands here twice, and one of them has no condition; delete the other", rule.Grant))
			return
		}
	}
	*into = append(*into, rule)
}

// objectID reads the object id of something in a tenant.
func (d *document) objectID(into *string, what string) yamlfile.Field {
	return func(n *yaml.Node, path string) {
		id := strings.ToLower(n.Value)
		if n.Kind != yaml.ScalarNode || !guid.MatchString(id) {
			d.Wrong(n, path, fmt.Sprintf("%q is no %s; write its id, a GUID", n.Value, what))
			return
		}
		*into = id
	}
}

// manager reads when the manager of external users is written, or none.
func (d *document) manager(into *provisioning.Policy, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		*into = ""
		return
	}
	d.Mapping(n, path, map[string]yamlfile.Field{"policy": yamlfile.Scalar(&d.Reader, into, "enforce, once or report", policyOf)})
}
