package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry is a key with its value.
type entry struct {
	key   string
	value *yaml.Node
}

// block is a mapping with a line for each key.
func block(entries ...entry) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range entries {
		n.Content = append(n.Content, text(e.key), e.value)
	}
	return n
}

// flow is a mapping on one line.
func flow(entries ...entry) *yaml.Node {
	n := block(entries...)
	n.Style = yaml.FlowStyle
	return n
}

// list has a line for each item.
func list(items []*yaml.Node) *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Content: items} }

// texts is a list on one line.
func texts(values []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, text(v))
	}
	return n
}

// text is quoted where it would be read as something else. Of several lines it is a literal block, unless the encoder would write one
// that cannot be read back: with tabs, or with space before the first word.
func text(value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	if strings.ContainsAny(value, "\t\r") || strings.TrimLeft(value, " \n") != value {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// plain is a number, true or false, or a word that needs no quotes here.
func plain(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

// writeJSON writes a node on one line, its keys in their order.
func writeJSON(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for i, c := range n.Content {
			if i%2 == 1 {
				out.WriteByte(':')
			} else if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, c); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, c); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	default:
		var value any
		if err := n.Decode(&value); err != nil {
			return fmt.Errorf("read %q: %w", n.Value, err)
		}
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(value) // the end of the line is space, as far as JSON is concerned
	}
	return nil
}
