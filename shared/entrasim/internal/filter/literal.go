package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// literal reads a value: a string in quotes, or a word that says by its form what it is.
func (p *parser) literal() (any, error) {
	p.space()
	if p.pos < len(p.input) && p.input[p.pos] == '\'' {
		return p.quoted()
	}
	start := p.pos
	for p.pos < len(p.input) && (isNameByte(p.input[p.pos]) || strings.IndexByte("-+:", p.input[p.pos]) >= 0) {
		p.pos++
	}
	word := strings.ToLower(p.input[start:p.pos])
	switch word {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	}
	if guid.MatchString(word) {
		return GUID(word), nil
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return n, nil
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, strings.ToUpper(word)); err == nil && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
			return t.UTC(), nil
		}
	}
	p.pos = start
	return nil, p.fail("expected a quoted string, a number, a date, a GUID, true, false or null")
}

func (p *parser) quoted() (string, error) {
	start := p.pos
	var b strings.Builder
	for rest := p.input[p.pos+1:]; ; {
		text, after, closed := strings.Cut(rest, "'")
		if !closed {
			p.pos = start
			return "", p.fail("unterminated string")
		}
		b.WriteString(text)
		if !strings.HasPrefix(after, "'") {
			p.pos = len(p.input) - len(after)
			return b.String(), nil
		}
		b.WriteByte('\'')
		rest = after[1:]
	}
}

// print writes a value as it is written in an expression.
func print(v any) string {
	switch v := v.(type) {
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case nil:
		return "null"
	case time.Time:
		return v.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// edm is the type of a value, as messages name it.
func edm(v any) string {
	switch v.(type) {
	case bool:
		return "Edm.Boolean"
	case int64:
		return "Edm.Int32"
	case time.Time:
		return "Edm.DateTimeOffset"
	case GUID:
		return "Edm.Guid"
	}
	return "Edm.String"
}
