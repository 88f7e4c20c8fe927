package directory

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// decode turns a value as JSON delivers it (numbers as json.Number) into the value an Entity holds, or refuses it.
// A nil value clears the property.
func (p *Property) decode(raw any) (any, error) {
	if raw == nil {
		if p.Required {
			return nil, p.invalid(p.Name)
		}
		return nil, nil
	}
	switch p.Kind {
	case Text:
		return p.text(p.Name, raw)
	case Flag:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
	case Moment:
		return p.moment(raw)
	case Texts:
		return p.texts(raw)
	case Composite:
		return p.object(raw)
	case Integer:
		return p.integer(raw)
	case Binary:
		return p.binary(raw)
	}
	return nil, p.wrongType(raw)
}

// text also refuses the empty string: Graph wants null to clear a value.
func (p *Property) text(name string, raw any) (any, error) {
	s, ok := raw.(string)
	switch {
	case !ok:
		return nil, p.wrongType(raw)
	case s == "", p.Max > 0 && utf8.RuneCountInString(s) > p.Max, p.Valid != nil && !p.Valid(s):
		return nil, p.invalid(name)
	}
	return s, nil
}

func (p *Property) moment(raw any) (any, error) {
	s, ok := raw.(string)
	if !ok {
		return nil, p.wrongType(raw)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, p.wrongType(raw)
	}
	return moment(t), nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// maxOtherMails is the documented number of values; businessPhones takes a single one in spite of its type.
const maxOtherMails = 250

func (p *Property) texts(raw any) (any, error) {
	values, ok := raw.([]any)
	if !ok {
		return nil, p.wrongType(raw)
	}
	if len(values) > maxOtherMails || p.Name == "businessPhones" && len(values) > 1 {
		return nil, p.invalid(p.Name)
	}
	texts := make([]string, 0, len(values))
	for _, v := range values {
		s, err := p.text(p.Name, v)
		if err != nil {
			return nil, err
		}
		texts = append(texts, s.(string))
	}
	return texts, nil
}

// object keeps the fields that were sent; what that means for the others is decided by merge.
func (p *Property) object(raw any) (any, error) {
	fields, ok := raw.(map[string]any)
	if !ok {
		return nil, p.wrongType(raw)
	}
	if p.Name == passwordProfile {
		return nil, checkPassword(fields)
	}
	object := map[string]any{}
	for name, v := range fields {
		if strings.HasPrefix(name, "@odata.") {
			continue
		}
		if !slices.Contains(p.Fields, name) {
			return nil, invalidProperty(name)
		}
		if object[name] = nil; v == nil {
			continue
		}
		s, err := p.text(name, v)
		if err != nil {
			return nil, err
		}
		object[name] = s
	}
	return object, nil
}

// checkPassword reads a passwordProfile, of which nothing is kept.
func checkPassword(fields map[string]any) error {
	for name, v := range fields {
		_, isText := v.(string)
		_, isFlag := v.(bool)
		switch name {
		case "password":
			if v != nil && !isText {
				return fault.InvalidValue(name)
			}
		case "forceChangePasswordNextSignIn", "forceChangePasswordNextSignInWithMfa":
			if v != nil && !isFlag {
				return fault.InvalidValue(name)
			}
		default:
			return invalidProperty(name)
		}
	}
	if password, sent := fields["password"]; sent && (password == nil || password == "") {
		return fault.BadRequest("The specified password does not comply with password complexity requirements. " +
			"Please provide a different password.")
	}
	return nil
}

func (p *Property) integer(raw any) (any, error) {
	number, ok := raw.(json.Number)
	if !ok {
		return nil, p.wrongType(raw)
	}
	n, err := number.Int64()
	if err != nil || p.Max == math.MaxInt32 && (n > math.MaxInt32 || n < math.MinInt32) {
		return nil, p.wrongType(raw)
	}
	return n, nil
}

func (p *Property) binary(raw any) (any, error) {
	s, ok := raw.(string)
	if !ok {
		return nil, p.wrongType(raw)
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, p.wrongType(raw)
	}
	if p.Max > 0 && len(data) > p.Max {
		return nil, p.invalid(p.Name)
	}
	return s, nil
}

func (p *Property) wrongType(raw any) error {
	want := map[Kind]string{
		Text: "Edm.String", Flag: "Edm.Boolean", Moment: "Edm.DateTimeOffset", Texts: "Collection(Edm.String)",
		Composite: "microsoft.graph." + p.Name, Integer: "Edm.Int64", Binary: "Edm.Binary",
	}[p.Kind]
	got, err := json.Marshal(raw)
	if err != nil || len(got) > 64 {
		got = []byte("given")
	}
	return fault.BadRequest("Cannot convert the literal '%s' of property '%s' to the expected type '%s'.", got, p.Name, want)
}

// invalid refuses the value of the property, or of a field of it.
func (p *Property) invalid(name string) error {
	return fault.BadRequest("Invalid value specified for property '%s' of resource '%s'.", name, p.of)
}

func invalidProperty(name string) error { return fault.BadRequest("Invalid property '%s'.", name) }
