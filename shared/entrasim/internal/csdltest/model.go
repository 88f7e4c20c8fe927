// Package csdltest checks answers against the metadata of Microsoft Graph: every name, type and null that an answer has must be one that
// the metadata allows where it stands.
package csdltest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Model is what a CSDL document says.
type Model struct {
	types map[string]*entityOrComplex // by name without the namespace
	enums map[string]map[string]bool
	sets  map[string]typeRef // entity sets and singletons
}

// entityOrComplex is a type with properties.
type entityOrComplex struct {
	base       string
	open       bool // may have properties that the metadata does not name
	properties map[string]property
	navigation map[string]typeRef
}

type property struct {
	typeRef
	nullable bool
}

// typeRef is a type by its name without the namespace, or a primitive (Edm.String).
type typeRef struct {
	name       string
	collection bool
}

func refOf(text string) typeRef {
	inner, collection := strings.CutPrefix(text, "Collection(")
	inner = strings.TrimSuffix(inner, ")")
	for _, namespace := range []string{"microsoft.graph.", "graph."} {
		inner = strings.TrimPrefix(inner, namespace)
	}
	return typeRef{inner, collection}
}

// Read reads a CSDL document.
func Read(r io.Reader) (*Model, error) {
	var doc struct {
		Schemas []struct {
			Entities  []xmlType `xml:"EntityType"`
			Complexes []xmlType `xml:"ComplexType"`
			Enums     []struct {
				Name    string `xml:"Name,attr"`
				Members []struct {
					Name string `xml:"Name,attr"`
				} `xml:"Member"`
			} `xml:"EnumType"`
			Containers []struct {
				Sets       []xmlSet `xml:"EntitySet"`
				Singletons []xmlSet `xml:"Singleton"`
			} `xml:"EntityContainer"`
		} `xml:"DataServices>Schema"`
	}
	if err := xml.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read the metadata: %w", err)
	}
	m := &Model{types: map[string]*entityOrComplex{}, enums: map[string]map[string]bool{}, sets: map[string]typeRef{}}
	for _, s := range doc.Schemas {
		for _, t := range append(s.Entities, s.Complexes...) {
			m.types[t.Name] = t.read()
		}
		for _, e := range s.Enums {
			m.enums[e.Name] = map[string]bool{}
			for _, member := range e.Members {
				m.enums[e.Name][member.Name] = true
			}
		}
		for _, c := range s.Containers {
			for _, set := range c.Sets {
				m.sets[set.Name] = typeRef{refOf(set.EntityType).name, true}
			}
			for _, one := range c.Singletons {
				m.sets[one.Name] = refOf(one.Type)
			}
		}
	}
	return m, nil
}

type xmlSet struct {
	Name       string `xml:"Name,attr"`
	EntityType string `xml:"EntityType,attr"`
	Type       string `xml:"Type,attr"`
}

type xmlType struct {
	Name       string        `xml:"Name,attr"`
	BaseType   string        `xml:"BaseType,attr"`
	OpenType   bool          `xml:"OpenType,attr"`
	Properties []xmlProperty `xml:"Property"`
	Navigation []xmlProperty `xml:"NavigationProperty"`
}

type xmlProperty struct {
	Name     string `xml:"Name,attr"`
	Type     string `xml:"Type,attr"`
	Nullable string `xml:"Nullable,attr"`
}

func (t xmlType) read() *entityOrComplex {
	out := &entityOrComplex{base: refOf(t.BaseType).name, open: t.OpenType, properties: map[string]property{}, navigation: map[string]typeRef{}}
	for _, p := range t.Properties {
		out.properties[p.Name] = property{refOf(p.Type), p.Nullable != "false"}
	}
	for _, p := range t.Navigation {
		out.navigation[p.Name] = refOf(p.Type)
	}
	return out
}

// property finds a property of a type or of what it is based on.
func (m *Model) property(of, name string) (property, bool) {
	for t := m.types[of]; t != nil; t = m.types[t.base] {
		if p, known := t.properties[name]; known {
			return p, true
		}
	}
	return property{}, false
}

func (m *Model) navigation(of, name string) (typeRef, bool) {
	for t := m.types[of]; t != nil; t = m.types[t.base] {
		if n, known := t.navigation[name]; known {
			return n, true
		}
	}
	return typeRef{}, false
}

// derives tells whether a type is another one or based on it.
func (m *Model) derives(name, from string) bool {
	for ; name != ""; name = m.types[name].base {
		if name == from {
			return true
		}
		if m.types[name] == nil {
			return false
		}
	}
	return false
}
