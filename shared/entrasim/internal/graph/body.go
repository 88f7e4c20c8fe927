package graph

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// maxBody bounds a request body after decompression; Graph's own limit is 4 MB for most resources.
const maxBody = 4 << 20

// object reads the body as a JSON object, numbers as json.Number and without @odata annotations, which clients may send
// anywhere. The SDK compresses bodies, so gzip is undone.
func (c *call) object() (map[string]any, error) {
	data, err := c.read()
	if err != nil {
		return nil, err
	}
	return c.parse(data)
}

func (c *call) parse(data []byte) (map[string]any, error) {
	mediaType, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if len(data) > 0 && mediaType != "application/json" {
		return nil, badRequest("Write requests (excluding DELETE) must contain the Content-Type header declaration of application/json.")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var object map[string]any
	if d.Decode(&object) != nil || object == nil || d.Decode(&struct{}{}) != io.EOF {
		return nil, badRequest("Unable to read JSON request payload. " +
			"Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	stripAnnotations(object)
	return object, nil
}

// decode reads the body into a struct and refuses properties it does not have.
func (c *call) decode(into any) error {
	object, err := c.object()
	if err != nil {
		return err
	}
	return fillIn(object, into)
}

// decodeOptional does the same with a body that may be empty, of whatever announced length.
func (c *call) decodeOptional(into any) error {
	data, err := c.read()
	if err != nil || len(data) == 0 {
		return err
	}
	object, err := c.parse(data)
	if err != nil {
		return err
	}
	return fillIn(object, into)
}

func fillIn(object map[string]any, into any) error {
	if name := misspelt(object, reflect.TypeOf(into)); name != "" {
		return badRequest("The request body is not valid: unknown property '" + name + "'.")
	}
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if mistyped := new(json.UnmarshalTypeError); errors.As(err, &mistyped) {
		return badRequest("The value of property '" + mistyped.Field + "' is of the wrong type.")
	}
	if err != nil {
		return badRequest("The request body is not valid: " + strings.TrimPrefix(err.Error(), "json: ") + ".")
	}
	return nil
}

// misspelt is a name in an object that is none of the type's, or none in this case: Go does not mind the case of names, and
// Graph does.
func misspelt(v any, t reflect.Type) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			if name := misspelt(one, t); name != "" {
				return name
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return ""
		}
		for name, value := range v {
			field, known := fieldNamed(t, name)
			if !known {
				return name
			}
			if inner := misspelt(value, field.Type); inner != "" {
				return inner
			}
		}
	}
	return ""
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, field := range reflect.VisibleFields(t) {
		if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag == name {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

func (c *call) read() ([]byte, error) {
	var body io.Reader = c.Body
	switch encoding := c.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, badRequest("The request body is not gzip.")
		}
		body = z
	default:
		return nil, fault.New(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "Content-Encoding '%s' is not supported.", encoding)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return nil, badRequest("The request body cannot be read.")
	case len(data) > maxBody:
		return nil, fault.New(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The request body is larger than %d bytes.", maxBody)
	}
	return data, nil
}

func stripAnnotations(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if strings.HasPrefix(name, "@odata.") {
				delete(v, name)
				continue
			}
			stripAnnotations(value)
		}
	case []any:
		for _, value := range v {
			stripAnnotations(value)
		}
	}
}

// badRequest is a refusal of the OData layer, before the directory sees the request.
func badRequest(message string) error {
	return fault.New(http.StatusBadRequest, "BadRequest", "%s", message)
}
