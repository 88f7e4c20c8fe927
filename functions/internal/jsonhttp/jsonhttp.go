// Package jsonhttp reads and answers the requests of administrators.
package jsonhttp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Read decodes the body, one JSON object of at most most bytes, into v. Fields that v does not have are an error, as is anything after the
// object; an empty body is io.EOF.
func Read(w http.ResponseWriter, r *http.Request, most int64, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, after := dec.Token(); !errors.Is(after, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// Answer sends body as JSON.
func Answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked may have gone
}

// Refuse answers {"error": text}.
func Refuse(w http.ResponseWriter, status int, text string) {
	Answer(w, status, map[string]string{"error": text})
}

// RefuseMethod answers 405 with the methods that are allowed.
func RefuseMethod(w http.ResponseWriter, allowed ...string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	Refuse(w, http.StatusMethodNotAllowed, "use "+strings.Join(allowed, " or "))
}
